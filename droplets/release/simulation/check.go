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

// The checker: what has to hold in every schedule, over its whole history and
// not only at its end. Each rule has a file-wide name, which a violation tells.
const (
	alwaysGated = "the reserved IP, once at a gated droplet, is always at one"
	neverLive   = "the live droplet is never destroyed"
	onlyOurs    = "nothing is touched that is not the app's"
	converges   = "anybody's next command converges"
	oneSwitches = "of two at once, one switches"
	truthful    = "the outcome is true"
	noSecret    = "no secret is in the API's traffic"
	asPlanned   = "the steps that ran are the plan's"
	accounted   = "what bills is live, a standby that is kept, or named"
	onlyOnce    = "no order is carried out twice"
	ends        = "every verb ends"
	reached     = "the point of the schedule is reached"
	guards      = "a guard takes back what nobody confirmed, and nothing else"
	undone      = "what an interrupt ends is undone"
)

type violation struct{ rule, text string }

func (v violation) String() string { return "violated: " + v.rule + ": " + v.text }

func (b *Bench) violate(rule, format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.found = append(b.found, violation{rule, fmt.Sprintf(format, args...)})
}

// judge looks at the whole history of a schedule that is over.
func (b *Bench) judge(s *schedule) {
	changes, requests := b.Cloud.Changes(), b.Cloud.Requests()
	b.judgeAddress(changes, s.traits().lies)
	b.judgeEnds(changes)
	b.judgeForeign(requests)
	b.judgeTraffic(requests)
	b.judgeOrders(requests)
	b.judgeGuards(changes, s.traits())
	what := s.traits()
	if !what.lies && !what.hand {
		b.judgeLock(changes)
	}
	for _, r := range b.runs {
		b.judgeSteps(r)
		if r.killed || s.scene.ends {
			continue
		}
		b.judgeOutcome(r, s)
		if s.interruptsOnly() && r.who != earlier {
			b.judgeUndone(r)
		}
		if !what.hand && !what.stuck {
			b.judgeBills(r, s)
		}
	}
}

// runAt is the run of an agent at a change's time, nil for none.
func (b *Bench) runAt(c sandbox.Change) *run {
	for _, r := range slices.Backward(b.runs) {
		if r.who == c.Agent && !r.began.After(c.At) {
			return r
		}
	}
	return nil
}

// gatedBefore tells whether the run had passed its gate by the time of a change.
func (r *run) gatedBefore(c sandbox.Change) bool {
	return slices.ContainsFunc(r.events, func(e release.Event) bool {
		return e.Step == "gate" && e.State == release.StateOK && !e.Time.After(c.At)
	})
}

// judgeAddress follows each reserved IP of the site from droplet to droplet.
func (b *Bench) judgeAddress(changes []sandbox.Change, lies bool) {
	held := map[string]int{} // the gated droplet that an address leads to
	off := map[int]bool{}    // what a hand has switched off
	moved := map[string]sandbox.Change{}
	for _, ip := range b.addresses(b.Before) {
		held[ip.IP] = ip.Droplet
	}
	for _, c := range changes {
		switch c.What {
		case sandbox.Doomed:
			// Its address was sent there by a hand in between: see couldSee.
			off[c.Droplet] = off[c.Droplet] || !b.couldSee(c, changes)
		case sandbox.Sent:
			b.judgeMove(c)
			b.judgeRival(c, moved[c.IP], lies)
		case sandbox.Moved:
			if held[c.IP] != 0 && !c.Sound && !b.excused(c) && !off[c.Droplet] && !off[held[c.IP]] {
				b.violate(alwaysGated, "%s: %s leads to droplet %d, which is not sound; by %s", c.At.Format("15:04:05"), c.IP, c.Droplet, c.Agent)
			}
			held[c.IP], moved[c.IP] = 0, c
			if c.Sound {
				held[c.IP] = c.Droplet
			}
		case sandbox.Powered, sandbox.Destroyed:
			off[c.Droplet] = off[c.Droplet] && c.What == sandbox.Destroyed || c.Agent == hand && !c.Sound
			for ip, id := range held {
				if id == c.Droplet && id != 0 && !c.Sound {
					if !b.excused(c) && !off[id] {
						b.violate(alwaysGated, "%s: droplet %d, at which %s is, is %s%s; by %s", c.At.Format("15:04:05"), id, ip, c.What, c.Note, c.Agent)
					}
					held[ip] = 0
				}
			}
		case sandbox.Released:
			if held[c.IP] != 0 && !b.excused(c) && !b.undoesFirst(c) {
				b.violate(alwaysGated, "%s: %s is given back; by %s", c.At.Format("15:04:05"), c.IP, c.Agent)
			}
			delete(held, c.IP)
		}
	}
}

// judgeMove wants a move of the address to follow a gate of the same run, or
// to go back to where the address was.
func (b *Bench) judgeMove(c sandbox.Change) {
	r := b.runAt(c)
	if r == nil || r.verb == "destroy" || r.gatedBefore(c) || c.Agent == calm {
		return
	}
	if was := b.holder(r.before); was != nil && was.ID == c.Droplet {
		return
	}
	b.violate(alwaysGated, "%s: %s is sent to droplet %d, which %s has not gated", c.At.Format("15:04:05"), c.IP, c.Droplet, c.Agent)
}

// judgeRival wants nobody to switch who could see that somebody else had
// switched since he began, unless that was back to his own.
func (b *Bench) judgeRival(c, last sandbox.Change, lies bool) {
	r := b.runAt(c)
	if r == nil || r.plan == nil || lies || last.Agent == c.Agent || !last.At.After(r.began) {
		return
	}
	if last.Droplet == r.plan.World.Reserved.DropletID || b.orderedBy(last.Droplet) == c.Agent || !b.readAfter(c.Agent, last.At, c.At) {
		return
	}
	b.violate(oneSwitches, "%s: %s sends %s to droplet %d, though %s had sent it to %d", c.At.Format("15:04:05"), c.Agent, c.IP, c.Droplet, last.Agent, last.Droplet)
}

// calm is the agent of the operator that comes afterwards.
const calm = "calm"

// excused are the changes that nobody of ours ordered, and those of destroy.
func (b *Bench) excused(c sandbox.Change) bool {
	r := b.runAt(c)
	switch {
	case c.Agent == hand, c.Agent == "":
		return true
	case c.Agent == calm:
		return b.ends
	}
	return r != nil && r.verb == "destroy"
}

// undoesFirst tells the undo of a first switch: the run made the address, or
// found it at nothing.
func (b *Bench) undoesFirst(c sandbox.Change) bool {
	r := b.runAt(c)
	return r != nil && b.holder(r.before) == nil
}

// judgeEnds wants no droplet doomed that holds an address, or is to get one,
// nor one that is not the app's.
func (b *Bench) judgeEnds(changes []sandbox.Change) {
	for _, c := range changes {
		if c.What == sandbox.Doomed && c.Held && !b.excused(c) && !b.undoesFirst(c) && b.couldSee(c, changes) {
			b.violate(neverLive, "%s: %s destroys droplet %d, which holds the reserved IP or is about to", c.At.Format("15:04:05"), c.Agent, c.Droplet)
		}
	}
}

// couldSee tells whether who doomed a droplet had read the reserved IPs after
// a hand had sent one there: no call of the API destroys under a condition.
func (b *Bench) couldSee(c sandbox.Change, changes []sandbox.Change) bool {
	for _, s := range changes {
		if s.What == sandbox.Sent && s.Agent == hand && s.Droplet == c.Droplet && !b.readAfter(c.Agent, s.At, c.At) {
			return false
		}
	}
	return true
}

// judgeForeign wants nobody to order anything about what is somebody else's,
// and all of it to be there in the end.
func (b *Bench) judgeForeign(requests []sandbox.Request) {
	var names []string
	for _, d := range b.Before.Droplets {
		if foreign(d) {
			names = append(names, fmt.Sprint(d.ID))
		}
	}
	for _, ip := range b.Before.ReservedIPs {
		if b.foreignIP(b.Before, ip.IP) {
			names = append(names, ip.IP)
		}
	}
	names = append(names, foreignTag)
	for _, r := range requests {
		if r.Method == "GET" || r.Agent == hand {
			continue
		}
		for _, name := range names {
			if strings.Contains(r.Path, "/"+name) || strings.Contains(r.Body, `"`+name+`"`) || strings.Contains(r.Body, ":"+name+",") || strings.Contains(r.Body, ":"+name+"}") {
				b.violate(onlyOurs, "%s %s %s %s", r.Agent, r.Method, r.Path, r.Body)
			}
		}
		if r.Method == "DELETE" && strings.Contains(r.Query, "tag_name") {
			b.violate(onlyOurs, "%s deletes all that carry a tag: %s?%s", r.Agent, r.Path, r.Query)
		}
	}
	now := b.Cloud.Snapshot()
	for _, d := range b.Before.Droplets {
		if foreign(d) && !slices.ContainsFunc(now.Droplets, func(n sandbox.Machine) bool {
			return n.ID == d.ID && n.Status == d.Status && slices.Equal(n.Tags, d.Tags)
		}) {
			b.violate(onlyOurs, "droplet %d, which is somebody else's, is not what it was", d.ID)
		}
	}
}

// judgeTraffic looks for secrets in all that was sent.
func (b *Bench) judgeTraffic(requests []sandbox.Request) {
	for _, r := range requests {
		for _, s := range []string{ageKey, secret, guardToken} {
			if strings.Contains(r.Body+r.Path+r.Query, s) {
				b.violate(noSecret, "%s %s has %s", r.Method, r.Path, s)
			}
		}
	}
}

// judgeOrders wants a droplet to be ordered once, and once more only after the
// first order was looked for and not found, or was refused.
func (b *Bench) judgeOrders(requests []sandbox.Request) {
	open := map[string]bool{} // agents whose order may have been carried out
	for _, r := range requests {
		switch {
		case r.Method == "POST" && r.Path == "/v2/droplets" && r.Agent != hand:
			if open[r.Agent] {
				b.violate(onlyOnce, "%s: %s orders a droplet again without a look at what became of the last order", r.At.Format("15:04:05"), r.Agent)
			}
			open[r.Agent] = r.Status == 0 || r.Status >= 500
		case r.Method == "GET" && r.Path == "/v2/droplets" && r.Status == 200 && strings.Contains(r.Query, "tag_name"):
			open[r.Agent] = false
		}
	}
}

// judgeLock wants no candidate to be switched to while another one came first:
// of those whose lease is not over, the lowest id.
func (b *Bench) judgeLock(changes []sandbox.Change) {
	type candidate struct {
		birth droplets.Birth
		agent string
	}
	there := map[int]candidate{}
	for _, c := range changes {
		switch c.What {
		case sandbox.Created:
			if birth, ok := (droplets.Droplet{Tags: strings.Fields(c.Note)}).Birth(); ok && !birth.Bake {
				there[c.Droplet] = candidate{birth, c.Agent}
			}
		case sandbox.Doomed, sandbox.Destroyed, sandbox.Moved:
			delete(there, c.Droplet)
		case sandbox.Tagged:
			if c.Note == droplets.ServedTag {
				delete(there, c.Droplet)
			}
		case sandbox.Sent:
			me, ok := there[c.Droplet]
			if !ok {
				continue
			}
			if !me.birth.Lease.After(c.At) {
				b.violate(oneSwitches, "%s: %s switches to droplet %d, whose lease is over", c.At.Format("15:04:05"), c.Agent, c.Droplet)
			}
			for id, other := range there {
				if id < c.Droplet && other.birth.Lease.After(c.At) && other.birth.Attempt != me.birth.Attempt {
					b.violate(oneSwitches, "%s: %s switches to droplet %d, though %d of %s came first", c.At.Format("15:04:05"), c.Agent, c.Droplet, id, other.agent)
				}
			}
		}
	}
}

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
		if r.report != nil && (is == nil || is.ID != r.report.Droplet || r.served != r.report.Release) {
			b.violate(truthful, "%s: %s; but %s is live and %q serves", r.verb, outcome(r.err), show(is), r.served)
		}
	case errors.As(r.err, &refused):
		if r.served != refused.Serving && (refused.Serving != "" || !b.edited(is)) && !stranded(is, refused, s) {
			b.violate(truthful, "%s: refused, and said that %q serves; %q does: %v", r.verb, refused.Serving, r.served, r.err)
		}
	default:
		if len(s.parts) == 1 && s.scene.opens == nil && !s.traits().hand && show(is) != show(was) {
			b.violate(truthful, "%s: %v; but the live droplet changed from %s to %s", r.verb, r.err, show(was), show(is))
		}
	}
}

// stranded tells that the address is at the release that does not serve, as was
// said, since a hand has taken away what it would have gone back to.
func stranded(is *sandbox.Machine, refused *release.Refused, s *schedule) bool {
	return s.traits().hand && is != nil && is.Release == s.scene.break_ && refused.Serving == s.scene.break_
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

// readAfter tells whether somebody read the reserved IP after a moment, and
// before another.
func (b *Bench) readAfter(who string, after, before time.Time) bool {
	return slices.ContainsFunc(b.Cloud.Requests(), func(q sandbox.Request) bool {
		return q.Agent == who && q.Method == "GET" && q.Status == 200 && q.At.After(after) && q.At.Before(before) && strings.HasPrefix(q.Path, "/v2/reserved_ips")
	})
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
	if errors.As(r.err, &broken) || told(r.err) != "" {
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
	said := told(r.err)
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

// orderedBy is the agent that ordered a droplet.
func (b *Bench) orderedBy(id int) string {
	for _, c := range b.Cloud.Changes() {
		if c.What == sandbox.Created && c.Droplet == id {
			return c.Agent
		}
	}
	return ""
}

// told is everything that an outcome tells its operator to end.
func told(err error) string {
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

// Told is everything that an outcome tells its operator to end.
func Told(err error) string { return told(err) }

// tidy holds when nothing is left but the live droplet and the standbys that
// the profile keeps, and no reserved IP bills while it leads to nothing.
func (b *Bench) tidy() {
	s := b.Cloud.Snapshot()
	live, standbys := b.holder(s), 0
	for _, d := range s.Droplets {
		if d.Guard == "armed" {
			b.violate(guards, "droplet %d (%s) has a guard that is armed", d.ID, d.Release)
		}
		switch {
		case foreign(d), live != nil && d.ID == live.ID:
		case live != nil && slices.Contains(d.Tags, droplets.ServedTag):
			standbys++
		default:
			b.violate(accounted, "droplet %d (%s, attempt %s) is left over", d.ID, d.Release, d.Attempt)
		}
	}
	if standbys > b.Site.Keep {
		b.violate(accounted, "%d standbys are left, the profile keeps %d", standbys, b.Site.Keep)
	}
	for _, ip := range b.addresses(s) {
		if ip.Droplet == 0 {
			b.violate(accounted, "the reserved IP %s is left over", ip.IP)
		}
	}
	for _, s := range b.Snapshots() {
		if _, _, ok := s.Baked(); s.Name != foreignName && (!ok || !s.Has(droplets.AppTag(b.Site.App))) {
			b.violate(accounted, "the half-made snapshot %d %s is left over: %v", s.ID, s.Name, s.Tags)
		}
	}
	if live != nil && b.Serving() != live.Release {
		b.violate(converges, "%s is live, %q serves", live.Release, b.Serving())
	}
}

// Tidy fails the test when something is left that should not be.
func (b *Bench) Tidy() {
	b.T.Helper()
	b.tidy()
	b.Report()
}

// Report fails the test with every violation that was found so far.
func (b *Bench) Report() {
	b.T.Helper()
	b.judgeAddress(b.Cloud.Changes(), false)
	for _, v := range b.found {
		b.T.Error(v)
	}
	if len(b.found) > 0 {
		b.T.Log(b.History())
	}
	b.found = nil
}
