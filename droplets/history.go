package droplets

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
)

// What became of what an Entry tells.
const (
	Released = "released"
	Refused  = "refused" // what served before serves on
)

// An Entry is a line of a site's history: a release, rebuild or rollback that
// was carried out, or refused once something had been begun. It has no secret,
// and travels with the live droplet.
type Entry struct {
	At      time.Time `json:"at"` // of its end, by the cloud's clock
	Verb    string    `json:"verb"`
	Release string    `json:"release"`
	Attempt string    `json:"attempt"`
	Droplet int       `json:"droplet,omitempty"`
	Outcome string    `json:"outcome"`
	Reason  string    `json:"reason,omitempty"` // of a refusal
	By      Author    `json:"by"`
	Took    int64     `json:"took_ms"`
	Steps   []Took    `json:"steps"`
	// Cutover is what the switch cost; nil where nobody was served before.
	Cutover *Cutover `json:"cutover,omitempty"`
	Watch   *Watched `json:"watch,omitempty"`
	Standby string   `json:"standby,omitempty"` // release that a rollback would go back to
	Updates *Updates `json:"updates,omitempty"` // of a rebuild
	Data    *Moved   `json:"data,omitempty"`    // that was carried over, or restored
}

// An Author is who began a command, from where, as far as that is known.
type Author struct {
	Who  string `json:"who,omitempty"`
	Host string `json:"host,omitempty"`
	// CI is the system that ran it, Run the address of the run.
	CI  string `json:"ci,omitempty"`
	Run string `json:"run,omitempty"`
	// Commit is that of the profile's folder; Dirty, that something there was
	// not committed.
	Commit string `json:"commit,omitempty"`
	Dirty  bool   `json:"dirty,omitempty"`
	Cattle string `json:"cattle,omitempty"` // version
}

// Took is how long a step took.
type Took struct {
	Name string `json:"name"`
	MS   int64  `json:"ms"`
}

// Cutover counts requests through the switch.
type Cutover struct {
	Requests int   `json:"requests"`
	Failed   int   `json:"failed"`
	Gap      int64 `json:"gap_ms"` // longest time without an answer
}

// Moved is what became of a site's data.
type Moved struct {
	Freeze int64  `json:"freeze_ms"` // that writes were held
	Bytes  int64  `json:"bytes"`
	Backup string `json:"backup,omitempty"` // that was made before, or restored
}

// Watched counts what visitors were answered while the release was watched.
type Watched struct {
	MS       int64 `json:"ms"`
	Requests int   `json:"requests"`
	Errors   int   `json:"errors"`
}

// A Manifest is what a droplet was made of, for what is released next to be
// compared with. It names things: no value of env and no secret is in it.
type Manifest struct {
	Release  string            `json:"release"`
	Profile  []string          `json:"profile"` // a line a key that has a value
	Images   map[string]string `json:"images"`  // reference to digest
	Packages []string          `json:"packages"`
	Files    map[string]string `json:"files"` // path to SHA-256, of the profile's files and compose files
	Env      []string          `json:"env"`
	Secrets  []string          `json:"secrets"`
	Domains  []string          `json:"domains"`
	DNS      string            `json:"dns,omitempty"`
	Firewall []string          `json:"firewall"`
	Size     string            `json:"size"`
	Image    string            `json:"image"`
	Region   string            `json:"region"`
	Monthly  float64           `json:"monthly_usd"`
	// State is what goes along from droplet to droplet, by name: its kind and place.
	State map[string]string `json:"state,omitempty"`
}

// A History is what a droplet knows of its site.
type History struct {
	// Manifest is nil on a droplet that was not told what it was made of.
	Manifest *Manifest
	Entries  []Entry // oldest first
}

// Bounds of what is written and read. A droplet keeps 500 entries and 256 KiB
// at most, and its manifest, which user-data's 64 KiB bound. An entry of a
// whole release is under 1 KiB.
const (
	maxHistory     = 1 << 20
	maxHistoryLine = 256 << 10
	maxReason      = 500 // characters
)

// recorded is what the droplet says when it has written an entry down.
const recorded = "recorded"

// Record has the droplet write an entry down and, where made is not nil, what it
// was made of. To do so twice is fine.
func (m *Machine) Record(ctx context.Context, e Entry, made *Manifest) error {
	if r := []rune(e.Reason); len(r) > maxReason {
		e.Reason = string(r[:maxReason]) + "…"
	}
	var in bytes.Buffer
	lines := json.NewEncoder(&in)
	err := lines.Encode(e)
	if err == nil && made != nil {
		err = lines.Encode(made)
	}
	if err != nil {
		return err
	}
	return m.stream(ctx, "record", &in, func(out io.Reader) error {
		said, err := readAtMost(out, maxStderr)
		if err == nil && strings.TrimSpace(string(said)) != recorded {
			err = fmt.Errorf("it says %q", Line(string(said)))
		}
		return err
	})
}

// History asks the droplet what it knows. A line that is no entry is left out:
// one that was garbled must not hide the others. The text is safe to show.
func (m *Machine) History(ctx context.Context) (h History, err error) {
	err = m.stream(ctx, "history", nil, func(out io.Reader) error {
		bounded := &io.LimitedReader{R: out, N: maxHistory}
		lines := bufio.NewScanner(bounded)
		lines.Buffer(nil, maxHistoryLine)
		if !lines.Scan() {
			return orUnexpected(lines.Err())
		}
		if h.Manifest, err = parseManifest(lines.Bytes()); err != nil {
			return fmt.Errorf("its manifest is none: %w", err)
		}
		var last []byte
		for lines.Scan() {
			// One that was written twice, because the first answer was lost.
			if e, ok := parseHistory(lines.Bytes()); ok && !bytes.Equal(lines.Bytes(), last) {
				h.Entries = append(h.Entries, e)
				last = bytes.Clone(lines.Bytes())
			}
		}
		return lines.Err()
	})
	return h, err
}

func orUnexpected(err error) error {
	if err == nil {
		return io.ErrUnexpectedEOF
	}
	return err
}

// parseManifest reads what Record wrote; {} is none.
func parseManifest(line []byte) (*Manifest, error) {
	var m Manifest
	if err := json.Unmarshal(line, &m); err != nil {
		return nil, err
	}
	if m.Release == "" {
		return nil, nil
	}
	for _, text := range []*string{&m.Release, &m.DNS, &m.Size, &m.Image, &m.Region} {
		*text = Line(*text)
	}
	for _, list := range []*[]string{&m.Profile, &m.Packages, &m.Env, &m.Secrets, &m.Domains, &m.Firewall} {
		*list = lines(*list)
	}
	m.Images, m.Files = linesOf(m.Images), linesOf(m.Files)
	if m.State != nil {
		m.State = linesOf(m.State)
	}
	return &m, nil
}

func linesOf(from map[string]string) map[string]string {
	out := make(map[string]string, len(from))
	for k, v := range from {
		out[Line(k)] = Line(v)
	}
	return out
}

func parseHistory(line []byte) (e Entry, ok bool) {
	if json.Unmarshal(line, &e) != nil || e.At.IsZero() || e.Outcome != Released && e.Outcome != Refused {
		return e, false
	}
	by := &e.By
	for _, text := range []*string{&e.Verb, &e.Release, &e.Attempt, &e.Reason, &e.Standby,
		&by.Who, &by.Host, &by.CI, &by.Run, &by.Commit, &by.Cattle} {
		*text = Line(*text)
	}
	for i := range e.Steps {
		e.Steps[i].Name = Line(e.Steps[i].Name)
	}
	e.Updates.clean()
	if e.Data != nil {
		e.Data.Backup = Line(e.Data.Backup)
	}
	return e, true
}
