package look

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"cattle/droplets"
)

// An Entry is one line of a log. Line is as it was written: it may hold what a
// terminal obeys.
type Entry struct {
	Time time.Time
	Name string // of the service, or nginx, mail, cron, boot, system
	Line string
}

// maxLogLine is the longest line that is read whole, in bytes; what follows is
// left out. Docker cuts the lines of containers at 16 KiB, and JSON may write
// six characters for a byte.
const maxLogLine = 256 << 10

// eachLine calls do for each line of r, however long they are.
func eachLine(r io.Reader, do func(string) error) error {
	in := bufio.NewReaderSize(r, maxLogLine)
	for {
		line, err := in.ReadSlice('\n')
		whole := string(line)
		for err == bufio.ErrBufferFull {
			_, err = in.ReadSlice('\n')
		}
		if whole = strings.TrimRight(whole, "\r\n"); whole != "" || err == nil {
			if err := do(whole); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// A source is one place on a droplet where lines come from. It remembers what
// it has given, and goes on behind that, also on a connection of its own.
type source interface {
	// backlog gives the newest lines, n at most, none older than since, oldest
	// first.
	backlog(ctx context.Context, m *droplets.Machine, n int, since time.Time) ([]Entry, error)
	// follow gives what comes after the last line that was given. It ends with
	// the connection.
	follow(ctx context.Context, m *droplets.Machine, emit func(Entry)) error
}

// parser makes entries of a line of a file; ok is false where the line says no
// time, and belongs to the one before.
type parser func(line string) (at time.Time, text string, ok bool)

// parseAccess reads nginx's access log, whose time has whole seconds.
func parseAccess(line string) (time.Time, string, bool) {
	who, rest, _ := strings.Cut(line, " [")
	when, rest, ok := strings.Cut(rest, "] ")
	at, err := time.Parse("02/Jan/2006:15:04:05 -0700", when)
	return at, who + " " + rest, ok && err == nil
}

// parseError reads nginx's error log. Droplets have UTC.
func parseError(line string) (time.Time, string, bool) {
	const form = "2006/01/02 15:04:05"
	if len(line) <= len(form) {
		return time.Time{}, "", false
	}
	at, err := time.Parse(form, line[:len(form)])
	return at, strings.TrimPrefix(line[len(form):], " "), err == nil
}

// parseBoot reads the boot's journal.
func parseBoot(line string) (time.Time, string, bool) {
	var e droplets.JournalEntry
	if json.Unmarshal([]byte(line), &e) != nil || e.At == 0 {
		return time.Time{}, "", false
	}
	took := time.Duration(e.MS) * time.Millisecond
	text := fmt.Sprintf("%s: %s", e.Step, e.State)
	switch e.State {
	case droplets.StepOK:
		text += fmt.Sprintf(" after %s", took)
	case droplets.StepFailed:
		text += fmt.Sprintf(" after %s, exit status %d", took, e.Exit)
	}
	if tail := strings.TrimRight(string(e.Tail), "\n"); tail != "" {
		text += "\n" + tail
	}
	return time.UnixMilli(e.At), text, true
}

// entries are those of one line: a text may have several.
func entries(at time.Time, name, text string) (out []Entry) {
	for line := range strings.Lines(text) {
		out = append(out, Entry{at, name, strings.TrimRight(line, "\r\n")})
	}
	if text == "" {
		out = []Entry{{Time: at, Name: name}}
	}
	return out
}
