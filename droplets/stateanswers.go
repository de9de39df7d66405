package droplets

import (
	"encoding/json"
	"fmt"
	"time"

	"golang.org/x/crypto/ssh"
)

// What engines answer. Text in it is safe to show, counts are not negative,
// and an address is one or "".

// StatePhase is what a droplet does with writes.
type StatePhase string

const (
	PhaseOpen      StatePhase = "open"
	PhaseFrozen    StatePhase = "frozen"    // held, for a time
	PhaseCommitted StatePhase = "committed" // held, until it is the live one again
	PhaseNew       StatePhase = "new"       // held, from the start until it is opened
)

// Holds tells a phase in which nothing is written.
func (p StatePhase) Holds() bool { return p == PhaseFrozen || p == PhaseCommitted || p == PhaseNew }

// A StateError is a failure that the engine tells of.
type StateError struct {
	Verb    string
	Code    string // one of those below
	Entry   string // of the profile's state; "" for the whole
	Side    string // new or old: which droplet is to blame
	Message string // safe to show
}

// The codes of failures.
const (
	StateDiskFull      = "disk-full"
	StateWrongPassword = "wrong-password"
	StateServerOlder   = "server-older"
	StateCut           = "cut" // the connection between the droplets
	StateEntryMissing  = "entry-missing"
	StateNotEqual      = "not-equal"
	StateNotFrozen     = "not-frozen"
	StateLapsed        = "lapsed"
	StateRepository    = "repository"
	StateNoBackup      = "no-backup"
	StateBusy          = "busy"
	StateMigrate       = "migrate"
	StateVolumeBusy    = "volume-busy"    // a block storage volume that cannot be unmounted
	StateVolumeMissing = "volume-missing" // one that is not attached, or not mounted
	StateEngine        = "engine"         // anything else
)

func (e *StateError) Error() string {
	s := e.Message
	if e.Entry != "" {
		s = e.Entry + ": " + s
	}
	if e.Side != "" {
		s += ", on the " + e.Side + " droplet"
	}
	return s
}

var stateCodes = map[string]bool{StateDiskFull: true, StateWrongPassword: true, StateServerOlder: true, StateCut: true, StateEntryMissing: true,
	StateNotEqual: true, StateNotFrozen: true, StateLapsed: true, StateRepository: true, StateNoBackup: true, StateBusy: true, StateMigrate: true,
	StateVolumeBusy: true, StateVolumeMissing: true, StateEngine: true}

// parseFault reads a line that tells of a failure; nil for any other.
func parseFault(verb string, line []byte) *StateError {
	var said struct {
		Error *struct{ Code, Entry, Side, Message string }
	}
	if json.Unmarshal(line, &said) != nil || said.Error == nil {
		return nil
	}
	e := said.Error
	f := &StateError{Verb: verb, Code: e.Code, Entry: Line(e.Entry), Message: Line(e.Message)}
	if !stateCodes[f.Code] {
		f.Code = StateEngine
	}
	if e.Side == "new" || e.Side == "old" {
		f.Side = e.Side
	}
	return f
}

// StateFacts are what a droplet says of its data before it is moved.
type StateFacts struct {
	Entries   []StateEntry `json:"entries"`
	Free      int64        `json:"free_bytes"`
	Phase     StatePhase   `json:"phase"`
	Addresses struct {
		Private string `json:"private"` // "" where it has none
		Public  string `json:"public"`
	} `json:"addresses"`
	Port    int    `json:"port"`     // of its sshd
	HostKey string `json:"host_key"` // as known_hosts has it
}

// A StateEntry is one thing of the profile's state on one droplet.
type StateEntry struct {
	Name    string `json:"name"`
	Kind    string `json:"kind"` // sqlite, files, mysql, postgres or volume
	Bytes   int64  `json:"bytes"`
	Files   int64  `json:"files,omitempty"`
	Version string `json:"version,omitempty"` // of a server
	Empty   bool   `json:"empty"`             // nothing is there yet
}

func (f *StateFacts) clean() {
	for i := range f.Entries {
		e := &f.Entries[i]
		e.Name, e.Kind, e.Version = Line(e.Name), Line(e.Kind), Line(e.Version)
		e.Bytes, e.Files = max(0, e.Bytes), max(0, e.Files)
	}
	f.Free, f.Phase = max(0, f.Free), StatePhase(Line(string(f.Phase)))
	for _, a := range []*string{&f.Addresses.Private, &f.Addresses.Public} {
		if !isIPv4(*a) {
			*a = ""
		}
	}
	if f.Port < 1 || f.Port > 65535 {
		f.Port = 22
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(f.HostKey))
	if f.HostKey = ""; err == nil {
		f.HostKey = authorizedLine(key)
	}
}

// A PullPass is one of the two.
type PullPass string

const (
	PullBulk  PullPass = "bulk"  // while the source serves
	PullDelta PullPass = "delta" // while its writes are held
)

// PullProgress is how far an entry is, in bytes.
type PullProgress struct {
	Entry string `json:"entry"`
	Bytes int64  `json:"bytes"`
	Of    int64  `json:"of"`
}

// Pulled is what a pass came to.
type Pulled struct {
	Entries  []PulledEntry
	MS       int64 // that it took
	Estimate int64 // ms that a delta would take now
	done     bool
}

// Bytes are those that were moved.
func (p Pulled) Bytes() (n int64) {
	for _, e := range p.Entries {
		n += e.Bytes
	}
	return n
}

// PulledEntry is one entry of a pass.
type PulledEntry struct {
	Entry    string           `json:"entry"`
	Bytes    int64            `json:"bytes"` // moved
	MS       int64            `json:"ms"`
	Estimate int64            `json:"estimate_ms"`
	Digest   string           `json:"digest,omitempty"`
	Equal    bool             `json:"equal"` // both sides were compared
	Rows     map[string]int64 `json:"rows,omitempty"`
}

// read takes in a line of a pass.
func (p *Pulled) read(line []byte, each func(PullProgress)) error {
	var said struct {
		PulledEntry
		Of   *int64
		Done bool
	}
	if err := json.Unmarshal(line, &said); err != nil {
		return fmt.Errorf("a line that cannot be: %w", err)
	}
	e := said.PulledEntry
	e.clean()
	switch {
	case said.Done:
		p.done, p.MS, p.Estimate = true, e.MS, e.Estimate
	case said.Of == nil:
		p.Entries = append(p.Entries, e)
	case each != nil:
		each(PullProgress{e.Entry, e.Bytes, max(0, *said.Of)})
	}
	return nil
}

func (e *PulledEntry) clean() {
	e.Entry, e.Digest = Line(e.Entry), Line(e.Digest)
	e.Bytes, e.MS, e.Estimate = max(0, e.Bytes), max(0, e.MS), max(0, e.Estimate)
	rows := make(map[string]int64, len(e.Rows))
	for table, n := range e.Rows {
		rows[Line(table)] = max(0, n)
	}
	if e.Rows = rows; len(rows) == 0 {
		e.Rows = nil
	}
}

// unequal is why a final pass is none: nobody said that an entry is the same on
// both sides.
func (p Pulled) unequal() error {
	for _, e := range p.Entries {
		if !e.Equal {
			return &StateError{Verb: "pull " + string(PullDelta), Code: StateNotEqual, Entry: e.Entry, Side: "new", Message: "it was not found to be equal on both droplets"}
		}
	}
	return nil
}

// Writes are what was written since a droplet was opened.
type Writes struct {
	Since   int64          `json:"since_ms"` // unix milliseconds, the droplet's clock
	Total   int64          `json:"total"`
	Entries []EntryWritten `json:"entries"`
}

// EntryWritten counts an entry's writes, in what it can count.
type EntryWritten struct {
	Name  string `json:"name"`
	Count int64  `json:"count"`
	Unit  string `json:"unit"`
}

func (w *Writes) clean() {
	w.Total = max(0, w.Total)
	for i := range w.Entries {
		e := &w.Entries[i]
		e.Name, e.Unit, e.Count = Line(e.Name), Line(e.Unit), max(0, e.Count)
	}
}

// SinceTime is since when they are counted; zero where that is not known.
func (w Writes) SinceTime() time.Time { return milliseconds(w.Since) }

// A Backup is one of a repository's.
type Backup struct {
	ID      string `json:"id"`
	At      int64  `json:"at_ms"` // unix milliseconds
	Bytes   int64  `json:"bytes"`
	Files   int64  `json:"files,omitempty"`
	Release string `json:"release,omitempty"`
	Reason  string `json:"reason,omitempty"` // scheduled, release, discard or asked

	Empty   []string `json:"empty,omitempty"`   // of one just made: entries of which nothing was there
	Before  string   `json:"before,omitempty"`  // of one that went live: the backup of what was
	Missing []string `json:"missing,omitempty"` // of one that was restored: entries of which it had nothing
}

// The reasons for backups that a droplet is asked for.
const (
	BackupScheduled = "scheduled"
	BackupRelease   = "release"
	BackupDiscard   = "discard"
	BackupAsked     = "asked"
)

func (b *Backup) clean() {
	if !IsBackupID(b.ID) {
		b.ID = ""
	}
	if !IsBackupID(b.Before) {
		b.Before = ""
	}
	b.Empty, b.Missing = lines(b.Empty), lines(b.Missing)
	b.Release, b.Reason = Line(b.Release), Line(b.Reason)
	b.Bytes, b.Files = max(0, b.Bytes), max(0, b.Files)
}

// Time is of when it is; zero where that is not known.
func (b Backup) Time() time.Time { return milliseconds(b.At) }

// Verified is what a check of the newest backup found.
type Verified struct {
	ID      string   `json:"id"`
	OK      bool     `json:"ok"`
	Checked []string `json:"checked"`
}

// StateBrief is what a droplet's status says of its data.
type StateBrief struct {
	Phase  StatePhase   `json:"phase"`
	Since  int64        `json:"since_ms"` // unix milliseconds, of the phase
	Until  int64        `json:"until_ms"` // when a hold ends by itself; 0: it does not
	Backup *BackupBrief `json:"backup"`   // nil where the profile has none
	// Volumes are those that the droplet does not open without.
	Volumes []VolumeBrief `json:"volumes"`
}

// VolumeBrief is a block storage volume, by its name in DigitalOcean.
type VolumeBrief struct {
	Name    string `json:"name"`
	Mounted bool   `json:"mounted"`
}

// BackupBrief is how a droplet's own backups do.
type BackupBrief struct {
	Last    int64  `json:"last_ms"` // unix milliseconds; 0: none yet
	LastID  string `json:"last_id"`
	Failed  string `json:"failed"` // why the newest try failed, "" where it did not
	Overdue bool   `json:"overdue"`
}

// Time is of when the last one is; zero where there is none.
func (b BackupBrief) Time() time.Time { return milliseconds(b.Last) }

func (s *StateBrief) clean() {
	if s == nil {
		return
	}
	s.Phase = StatePhase(Line(string(s.Phase)))
	for i := range s.Volumes {
		s.Volumes[i].Name = Line(s.Volumes[i].Name)
	}
	if b := s.Backup; b != nil {
		b.LastID, b.Failed = Line(b.LastID), Line(b.Failed)
	}
}

// milliseconds is a moment of a droplet's; zero for none, and for one that no
// calendar has.
func milliseconds(ms int64) time.Time {
	at := time.UnixMilli(ms).UTC()
	if ms <= 0 || at.Year() > 9999 {
		return time.Time{}
	}
	return at
}
