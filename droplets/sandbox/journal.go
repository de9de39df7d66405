package sandbox

import (
	"encoding/base64"
	"slices"
	"time"
)

// A journalLine is one line of the boot journal.
type journalLine struct {
	At    int64   `json:"at"` // unix milliseconds
	Step  string  `json:"step"`
	State string  `json:"state"`
	Exit  *int    `json:"exit,omitempty"`
	MS    *int64  `json:"ms,omitempty"`
	Tail  *string `json:"tail,omitempty"` // base64 of the last lines

	when time.Time
}

func ended(name, state, tail string, from, to time.Time) journalLine {
	exit, ms, text := 0, to.Sub(from).Milliseconds(), base64.StdEncoding.EncodeToString([]byte(tail))
	if state == "failed" {
		exit = 1
	}
	return journalLine{At: to.UnixMilli(), Step: name, State: state, Exit: &exit, MS: &ms, Tail: &text, when: to}
}

// journal is what the boot has written by now, in the order of time and, at
// one time, of the steps.
func (run *bootRun) journal(now time.Time) []journalLine {
	var lines []journalLine
	for _, r := range run.steps {
		if r.start.IsZero() {
			continue
		}
		if r.state != "skipped" {
			lines = append(lines, journalLine{At: r.start.UnixMilli(), Step: r.name, State: "running", when: r.start})
		}
		if !r.end.IsZero() {
			lines = append(lines, ended(r.name, r.state, r.tail, r.start, r.end))
		}
	}
	slices.SortStableFunc(lines, func(a, b journalLine) int { return a.when.Compare(b.when) })
	if !run.ended.IsZero() {
		state := "failed"
		if run.ok {
			state = "ok"
		}
		lines = append(lines, ended("boot", state, "", run.began, run.ended))
	}
	return slices.DeleteFunc(lines, func(l journalLine) bool { return l.when.After(now) })
}

// next is when the journal gets its next line, zero when that waits for
// something that has no time.
func (run *bootRun) next(now time.Time) (next time.Time) {
	sooner := func(t time.Time) {
		if t.After(now) && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	for _, r := range run.steps {
		sooner(r.start)
		sooner(r.end)
		if r.name == "secrets" && r.end.IsZero() && !r.start.IsZero() {
			sooner(r.start.Add(keyDeadline))
		}
		if r.name == "images" && r.end.IsZero() && !r.start.IsZero() {
			sooner(r.start.Add(broughtDeadline))
		}
	}
	return next
}

// failed is the first step that failed by now.
func (run *bootRun) failed(now time.Time) string {
	for _, l := range run.journal(now) {
		if l.State == "failed" {
			return l.Step
		}
	}
	return ""
}
