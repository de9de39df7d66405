package release

import (
	"fmt"
	"strings"
	"time"
)

// Refused means that nothing was switched, or that the switch was taken back:
// what served before serves now, and nothing is left running but what
// Leftovers of the same error name.
type Refused struct {
	Step string // of the plan
	Err  error
	// Code is the section of docs/errors.md, "" for what the error itself says.
	Code, Hint string
	// Serving is the release that serves, "" when nothing did before either.
	Serving string
	// BootStep and Tail show which step of the droplet's boot failed, and its last lines.
	BootStep, Tail string
	Leftovers      []Leftover
}

func (e *Refused) Error() string {
	s := e.Step + ": " + e.Err.Error()
	if e.BootStep != "" {
		s = fmt.Sprintf("%s: boot step %s failed", e.Step, e.BootStep)
	}
	return s
}

func (e *Refused) Unwrap() error { return e.Err }

// NotBaked means that no snapshot was made, and that nothing is left but what
// Leftovers name. What serves was never touched.
type NotBaked struct{ Why Refused }

func (e *NotBaked) Error() string { return "no snapshot was made: " + e.Why.Error() }

func (e *NotBaked) Unwrap() error { return e.Why.Err }

// Holder means that a droplet was to be destroyed and was left alone: the
// reserved IP had come to it since it was looked for.
type Holder struct{ IP string }

func (e *Holder) Error() string { return fmt.Sprintf("it holds the reserved IP %s: left alone", e.IP) }

// A Known error is of a kind that docs/errors.md has a section of, by the name
// Code. Hint is what to type next.
type Known struct {
	Code, Hint string
	Err        error
}

func (e *Known) Error() string { return e.Err.Error() }

func (e *Known) Unwrap() error { return e.Err }

// A Leftover is something that still exists, or bills, and should not.
type Leftover struct {
	What    string
	Err     error
	Command string // what ends it
}

func (l Leftover) String() string {
	if l.Err == nil {
		return l.What
	}
	return fmt.Sprintf("%s: %v", l.What, l.Err)
}

// Incomplete means that the release serves and something is left over.
type Incomplete struct{ Leftovers []Leftover }

func (e *Incomplete) Error() string {
	parts := make([]string, len(e.Leftovers))
	for i, l := range e.Leftovers {
		parts[i] = l.String()
	}
	return "done, but left over: " + strings.Join(parts, "; ")
}

// Broken means that the undoing itself failed, or that the reserved IP is not
// where it was, nor at another release: what serves now is not known for sure.
type Broken struct {
	Err  error // why it was undone: *Refused, whose Leftovers name what may still run
	Undo error // what is wrong since
}

func (e *Broken) Error() string {
	return fmt.Sprintf("%v; and %v", e.Err, e.Undo)
}

func (e *Broken) Unwrap() []error { return []error{e.Err, e.Undo} }

// skipped is a step that found that it has nothing to do yet, which is no failure.
type skipped struct{ why string }

func (e *skipped) Error() string { return e.why }

// byHand is a failure after the confirm, and the command that does the same.
type byHand struct {
	err     error
	command string
}

func (e *byHand) Error() string { return e.err.Error() }

func (e *byHand) Unwrap() error { return e.err }

// A Fault is something that forbids a plan, with what to do about it.
type Fault struct {
	// Code is its section of docs/errors.md.
	Code      string
	Msg, Hint string
	// Input tells a wrong profile from a world that is not ready.
	Input bool
}

// Preflight is every fault that was found before anything was created.
type Preflight struct {
	Faults []Fault
	// Serving is the release that goes on serving, "" when none does.
	Serving string
}

func (e *Preflight) Error() string {
	parts := make([]string, len(e.Faults))
	for i, f := range e.Faults {
		parts[i] = f.Msg
	}
	return strings.Join(parts, "; ")
}

// Input tells whether the profile alone is to blame.
func (e *Preflight) Input() bool {
	for _, f := range e.Faults {
		if !f.Input {
			return false
		}
	}
	return true
}

// rival is the other release that holds the site.
type rival struct{ m Member }

func (e *rival) Error() string {
	return fmt.Sprintf("release %s (attempt %s, droplet %d) is under way and came first; its lease ends %s",
		e.m.Birth.Release, e.m.Birth.Attempt, e.m.ID, e.m.Birth.Lease.UTC().Format(time.RFC3339))
}
