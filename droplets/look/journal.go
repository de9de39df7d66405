package look

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"
	"time"

	"cattle/droplets"
)

// journal is systemd's, in which the containers' output is too: one command
// for all names, so that lines come in their order and one cursor says how far
// they were read.
type journal struct {
	// matches are journalctl's: FIELD=VALUE, "+" between alternatives.
	matches []string
	// name tells whose an entry is and what its line says; "" is nobody's.
	name func(record) (name, line string)

	cursor string
	since  time.Time // of the backlog that was empty
}

// A record is what journalctl prints of an entry with --output=json.
type record struct {
	Cursor     string `json:"__CURSOR"`
	Realtime   string `json:"__REALTIME_TIMESTAMP"` // microseconds
	Container  field  `json:"CONTAINER_NAME"`
	Message    field  `json:"MESSAGE"`
	Identifier field  `json:"SYSLOG_IDENTIFIER"`
	Facility   field  `json:"SYSLOG_FACILITY"`
	Unit       field  `json:"_SYSTEMD_UNIT"`
	About      field  `json:"UNIT"` // which unit systemd speaks of
}

// shownFields are those of record; cursor and times come always.
const shownFields = "CONTAINER_NAME,MESSAGE,SYSLOG_IDENTIFIER,SYSLOG_FACILITY,_SYSTEMD_UNIT,UNIT"

// A field is text; systemd writes it as numbers of bytes where it is not
// printable, and as a list where an entry has the field more than once.
type field string

// UnmarshalJSON takes all of that.
func (f *field) UnmarshalJSON(b []byte) error {
	var text *string
	if json.Unmarshal(b, &text) == nil {
		if text != nil {
			*f = field(*text)
		}
		return nil
	}
	var numbers []byte16
	if json.Unmarshal(b, &numbers) == nil {
		raw := make([]byte, len(numbers))
		for i, n := range numbers {
			raw[i] = byte(n)
		}
		*f = field(raw)
		return nil
	}
	var several []field
	if err := json.Unmarshal(b, &several); err != nil {
		return err
	}
	lines := make([]string, len(several))
	for i, one := range several {
		lines[i] = string(one)
	}
	*f = field(strings.Join(lines, "\n"))
	return nil
}

// byte16 keeps encoding/json from taking a list of numbers for base64.
type byte16 uint16

func (j *journal) command(more ...string) []string {
	words := append([]string{"journalctl", "--output=json", "--all", "--quiet", "--no-pager", "--output-fields=" + shownFields}, more...)
	return append(words, j.matches...)
}

// backlog asks for the newest lines, or, with a time, for all since then: what
// journalctl makes of both together differs between its versions.
func (j *journal) backlog(ctx context.Context, m *droplets.Machine, n int, since time.Time) (out []Entry, err error) {
	which := "--lines=" + strconv.Itoa(max(n, 1))
	if !since.IsZero() {
		j.since, which = since, sinceFlag(since)
	}
	err = m.Command(ctx, j.command(which), nil, func(r io.Reader) error {
		return j.read(r, func(e Entry) {
			if out = append(out, e); len(out) > 2*n+1024 {
				out = append(out[:0], out[len(out)-n:]...)
			}
		})
	})
	return out[max(0, len(out)-n):], nothing(err)
}

func sinceFlag(t time.Time) string {
	return "--since=@" + strconv.FormatInt(t.Unix(), 10)
}

// nothing is no error: journalctl without an entry ends with 1.
func nothing(err error) error {
	var refused *droplets.CommandError
	if errors.As(err, &refused) && refused.Exit == 1 && refused.Reason == "" {
		return nil
	}
	return err
}

func (j *journal) follow(ctx context.Context, m *droplets.Machine, emit func(Entry)) error {
	from := []string{"--follow", "--no-tail"}
	switch {
	case j.cursor != "":
		from = append(from, "--after-cursor="+j.cursor)
	case !j.since.IsZero():
		from = append(from, sinceFlag(j.since))
	}
	return m.Command(ctx, j.command(from...), nil, func(r io.Reader) error { return j.read(r, emit) })
}

func (j *journal) read(r io.Reader, emit func(Entry)) error {
	return eachLine(r, func(line string) error {
		var e record
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			return nil // one line of another kind, or one too long, is no reason to stop
		}
		j.cursor = e.Cursor
		at := e.at()
		name, text := j.name(e)
		if name == "" || at.Before(j.since) {
			return nil
		}
		for _, one := range entries(at, name, text) {
			emit(one)
		}
		return nil
	})
}

func (e record) at() time.Time {
	us, _ := strconv.ParseInt(e.Realtime, 10, 64)
	return time.UnixMicro(us)
}
