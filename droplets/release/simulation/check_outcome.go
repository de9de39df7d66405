package simulation

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"cattle/droplets"
	"cattle/droplets/release"
	"cattle/droplets/sandbox"
)

// The rules of what a verb says: the steps that it printed, its outcome, and
// what it leaves behind that bills.

// judgeSteps compares the steps that ran with those that were printed.
func (b *Bench) judgeSteps(r *run) {
	if r.plan == nil {
		return
	}
	i := 0
	for _, e := range r.events {
		if e.Kind != release.KindStep || e.State != release.StateRunning || e.Step == "undo" {
			continue
		}
		if i >= len(r.plan.Steps) || r.plan.Steps[i].Name != e.Step || r.plan.Steps[i].Title != e.Text {
			b.violate(asPlanned, "%s ran %s as step %d", r.verb, e.Step, i+1)
			return
		}
		i++
	}
	if r.err == nil && !r.killed && i != len(r.plan.Steps) {
		b.violate(asPlanned, "%s is done after %d of %d steps", r.verb, i, len(r.plan.Steps))
	}
}

// judgeOutcome compares what a verb said with what was, in that moment.
func (b *Bench) judgeOutcome(r *run, s *schedule) {
	if !b.couldKnow(r) || b.confirmedBefore(r) {
		return
	}
	is, was := b.holder(r.after), b.holder(r.before)
	var refused *release.Refused
	var incomplete *release.Incomplete
	var broken *release.Broken
	switch {
	case errors.As(r.err, &broken):
		// It says that nobody knows.
	case r.err == nil || errors.As(r.err, &incomplete):
		if r.report != nil && (is == nil || is.ID != r.report.Droplet || r.served != r.report.Release && !saysWorse(r, incomplete)) {
			b.violate(truthful, "%s: %s; but %s is live and %q serves", r.verb, outcome(r.err), show(is), r.served)
		}
	case errors.As(r.err, &refused):
		if r.served != refused.Serving && (refused.Serving != "" || !b.edited(is)) && !stranded(is, refused, s) && !b.closedByAnother(r, s) {
			b.violate(truthful, "%s: refused, and said that %q serves; %q does: %v", r.verb, refused.Serving, r.served, r.err)
		}
	default:
		if len(s.parts) == 1 && s.scene.opens == nil && !s.traits().hand && show(is) != show(was) {
			b.violate(truthful, "%s: %v; but the live droplet changed from %s to %s", r.verb, r.err, show(was), show(is))
		}
	}
}

// saysWorse tells a release that was found to be worse and stays, for the rows
// that it has.
func saysWorse(r *run, i *release.Incomplete) bool {
	return i != nil && r.served == "" && keptWatch(i)
}

// keptWatch tells that a watch did not end well, and what it watched stays.
func keptWatch(i *release.Incomplete) bool {
	return slices.ContainsFunc(i.Leftovers, func(l release.Leftover) bool { return strings.HasPrefix(l.What, "the watch of") })
}

// stranded tells that the address is at the release that does not serve, as was
// said: a hand has taken away what it would have gone back to, or somebody else
// had released it.
func stranded(is *sandbox.Machine, refused *release.Refused, s *schedule) bool {
	return (s.traits().hand || len(s.parts) > 1) && is != nil && is.Release == s.scene.break_ && refused.Serving == s.scene.break_
}

// couldKnow tells whether the run read where the address leads after the last
// thing that somebody else did to the site.
func (b *Bench) couldKnow(r *run) bool {
	last := b.lastOther(r)
	return last.Equal(r.began) || b.readAfter(r.who, last, r.ended)
}

// lastOther is when somebody else last did something to what there was, while
// the run went on; its beginning when nobody did.
func (b *Bench) lastOther(r *run) time.Time {
	last := r.began
	for _, c := range b.Cloud.Changes() {
		if c.Agent != r.who && c.Agent != "" && c.What != sandbox.Created && c.At.After(last) && c.At.Before(r.ended) {
			last = c.At
		}
	}
	return last
}

// confirmedBefore tells whether somebody else did something after the run had
// confirmed: it does not look again, and need not.
func (b *Bench) confirmedBefore(r *run) bool {
	i := slices.IndexFunc(r.events, func(e release.Event) bool { return e.Step == "confirm" && e.State == release.StateOK })
	return i >= 0 && r.events[i].Time.Before(b.lastOther(r))
}

// edited tells a droplet whose tags a hand has changed: nobody can tell any
// more which release it is.
func (b *Bench) edited(d *sandbox.Machine) bool {
	return d != nil && slices.ContainsFunc(b.Cloud.Changes(), func(c sandbox.Change) bool {
		return c.What == sandbox.Untagged && c.Agent == hand && c.Droplet == d.ID
	})
}

// judgeUndone wants nothing to be left of a run that was interrupted, on a
// cloud where nothing else goes wrong.
func (b *Bench) judgeUndone(r *run) {
	var broken *release.Broken
	var incomplete *release.Incomplete
	if errors.As(r.err, &incomplete) && len(incomplete.Leftovers) == 1 && (incomplete.Leftovers[0].What == release.AfterRelease || keptWatch(incomplete)) {
		return // it serves, and a hook that fails leaves nothing; nor does a watch that takes nothing back
	}
	if errors.As(r.err, &broken) || Told(r.err) != "" {
		b.violate(undone, "%s: %s", r.verb, outcome(r.err))
	}
}

func show(d *sandbox.Machine) string {
	if d == nil {
		return "nothing"
	}
	return fmt.Sprintf("droplet %d (%s)", d.ID, d.Release)
}

// judgeBills wants whatever a verb ordered, and is there a minute after it has
// ended, to be live, to have served, or to be named.
func (b *Bench) judgeBills(r *run, s *schedule) {
	said := Told(r.err)
	live := b.holder(r.after)
	for _, d := range r.after.Droplets {
		there := slices.ContainsFunc(r.before.Droplets, func(o sandbox.Machine) bool { return o.ID == d.ID })
		named := strings.Contains(said, d.Attempt) && d.Attempt != "" || strings.Contains(said, fmt.Sprintf("droplet %d", d.ID))
		switch {
		case there, named, live != nil && live.ID == d.ID, slices.Contains(d.Tags, droplets.ServedTag), b.doomed(d.ID, r.ended), b.orderedBy(d.ID) != r.who:
		default:
			b.violate(accounted, "%s: droplet %d (%s) runs and nobody is told: %v %s", r.verb, d.ID, d.Release, r.err, said)
		}
	}
}

// doomed tells a droplet whose end was ordered by then: what gc ends later was
// left running.
func (b *Bench) doomed(id int, by time.Time) bool {
	return slices.ContainsFunc(b.Cloud.Changes(), func(c sandbox.Change) bool {
		return c.What == sandbox.Doomed && c.Droplet == id && !c.At.After(by)
	})
}

// Told is everything that an outcome tells its operator to end.
func Told(err error) string {
	var parts []string
	list := func(ls []release.Leftover) {
		for _, l := range ls {
			parts = append(parts, l.String(), l.Command)
		}
	}
	var refused *release.Refused
	if errors.As(err, &refused) {
		list(refused.Leftovers)
	}
	var incomplete *release.Incomplete
	if errors.As(err, &incomplete) {
		list(incomplete.Leftovers)
	}
	var notBaked *release.NotBaked
	if errors.As(err, &notBaked) {
		list(notBaked.Why.Leftovers)
	}
	return strings.Join(parts, "; ")
}
