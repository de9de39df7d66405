package page

import (
	"slices"
	"time"

	"cattle/droplets/release"
)

// A timeline has the steps below one another, over one axis of time.
type timeline struct {
	Steps []step
	Undo  []step
	Ticks []tick
	Every float64 // percent from one tick to the next
	Took  string
}

// A step is one bar. Left and Width are percent of the whole time.
type step struct {
	Name, Title, Text string
	State             string // done, failed, skipped, unfinished or "not reached"
	At, Took          string
	Left, Width       float64
	Boot              []step
	began, ended      time.Time // by the operator's clock; ended is zero if it did not
}

// States of a step, in words for the reader. Those that are over are named as
// release.State has them.
const (
	unfinished = "unfinished"
	notReached = "not reached"
)

// Class and Mark are how a state looks; the page says it in words too.
func (s step) Class() string {
	switch s.State {
	case "done":
		return "ok"
	case string(release.StateFailed):
		return "failed"
	}
	return "idle"
}

// Mark is the state in one character.
func (s step) Mark() string {
	return map[string]string{"ok": "✓", "failed": "✗", "idle": "–"}[s.Class()]
}

type tick struct {
	Left float64
	Text string
}

// leastWidth is the shortest bar in percent: shorter ones would not be seen.
const leastWidth = 0.4

func (r *Record) timeline() *timeline {
	steps, undo := ran(aligned(r.events))
	if len(steps) == 0 {
		return nil
	}
	from, to := steps[0].began, r.events[len(r.events)-1].Time
	span := max(to.Sub(from), time.Millisecond)
	t := &timeline{Undo: undo, Took: seconds(span)}
	for _, s := range r.plan.Steps {
		i := slices.IndexFunc(steps, func(one step) bool { return one.Name == s.Name })
		if i < 0 {
			steps = append(steps, step{Name: s.Name, Title: s.Title, State: notReached})
		}
	}
	t.Steps = steps
	for _, list := range [][]step{t.Steps, t.Undo} {
		for i := range list {
			list[i].place(from, to)
			for j := range list[i].Boot {
				list[i].Boot[j].place(from, to)
			}
		}
	}
	t.axis(span)
	return t
}

// aligned are the events with those of the boot when they were, not when they
// were read: the journal is read in one go by whoever logs in late. The
// droplet's clock says how far apart they are, the one that was read soonest
// how far that clock is from ours.
func aligned(events []release.Event) []release.Event {
	var ahead time.Duration
	known := false
	for _, e := range events {
		if d := e.Time.Sub(e.Droplet); !e.Droplet.IsZero() && (!known || d < ahead) {
			ahead, known = d, true
		}
	}
	out := slices.Clone(events)
	for i := range out {
		if !out[i].Droplet.IsZero() {
			out[i].Time = out[i].Droplet.Add(ahead)
		}
	}
	return out
}

// ran makes steps of the events: those of the plan, and what was undone.
func ran(events []release.Event) (steps, undo []step) {
	for _, e := range events {
		list := &steps
		if e.Kind == release.KindStep && e.Step == "undo" {
			list = &undo
		}
		switch {
		case e.Kind == release.KindStep:
			*list = follow(*list, e)
		case e.Kind == release.KindBoot && len(steps) > 0:
			last := &steps[len(steps)-1]
			last.Boot = follow(last.Boot, e)
		}
	}
	for _, s := range steps {
		enclose(s.Boot, s)
	}
	return steps, undo
}

// follow begins or ends a step of the list.
func follow(list []step, e release.Event) []step {
	if e.State == release.StateRunning {
		return append(list, step{Name: e.Step, Title: e.Text, State: unfinished, began: e.Time})
	}
	open := len(list) - 1
	for open >= 0 && (list[open].Name != e.Step || list[open].State != unfinished) {
		open--
	}
	if open < 0 { // its beginning was never told
		list = append(list, step{Name: e.Step, began: e.Time.Add(-e.Elapsed)})
		open = len(list) - 1
	}
	s := &list[open]
	s.ended, s.Text = e.Time, e.Text
	if e.State != release.StateSkipped {
		s.Took = seconds(e.Elapsed)
	}
	if s.State = string(e.State); e.State == release.StateOK {
		s.State = "done"
	}
	return list
}

// enclose brings the steps of a boot into its time: a droplet's clock may say
// anything. One that the boot ended without ends with it.
func enclose(boot []step, parent step) {
	for i := range boot {
		s := &boot[i]
		s.began = within(s.began, parent.began, parent.ended)
		if s.ended.IsZero() {
			s.ended = parent.ended
		} else {
			s.ended = within(s.ended, s.began, parent.ended)
		}
	}
}

// within is a time that is brought between two others; a zero end is none.
func within(t, from, to time.Time) time.Time {
	if !to.IsZero() && t.After(to) {
		t = to
	}
	if t.Before(from) {
		t = from
	}
	return t
}

// place puts the bar on the axis.
func (s *step) place(from, to time.Time) {
	if s.State == notReached {
		return
	}
	ended := s.ended
	if ended.IsZero() {
		ended = to
	}
	span := max(to.Sub(from), time.Millisecond)
	s.At = seconds(s.began.Sub(from))
	s.Left = percent(s.began.Sub(from), span)
	s.Width = max(percent(ended.Sub(s.began), span), leastWidth)
	s.Left = min(s.Left, 100-s.Width)
}

func percent(d, of time.Duration) float64 { return min(max(100*float64(d)/float64(of), 0), 100) }

// axis sets a tick at every round number of seconds or minutes, six at most.
func (t *timeline) axis(span time.Duration) {
	t.Every = 100 * float64(roundStep(span, 6)) / float64(span)
	t.Ticks = ticks(span)
}

// lastTick is where the axis' last text may stand, in percent: behind it, it
// would stick out.
const lastTick = 95

func ticks(span time.Duration) (out []tick) {
	every := roundStep(span, 6)
	for at := time.Duration(0); percent(at, span) <= lastTick; at += every {
		out = append(out, tick{percent(at, span), short(at)})
	}
	return out
}

// roundStep is the shortest of the steps that people count in, of which at most
// so many fit into span.
func roundStep(span time.Duration, most int) time.Duration {
	steps := []time.Duration{time.Millisecond, 2 * time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond, 20 * time.Millisecond,
		50 * time.Millisecond, 100 * time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second,
		5 * time.Second, 10 * time.Second, 15 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute,
		10 * time.Minute, 15 * time.Minute, 30 * time.Minute}
	for _, s := range steps {
		if span/s <= time.Duration(most) {
			return s
		}
	}
	hours := span/time.Duration(most)/time.Hour + 1
	return hours * time.Hour
}
