package simulation

import (
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
	letsWork    = "what another operator is at is not destroyed under him"
	onlyOnce    = "no order is carried out twice"
	ends        = "every verb ends"
	reached     = "the point of the schedule is reached"
	guards      = "a guard takes back what nobody confirmed, and nothing else"
	remembered  = "what is done is in the history of what serves, and none of it is lost"
	undone      = "what an interrupt ends is undone"
	keepsRows   = "nothing acknowledged is lost"
	keepsMail   = "no mail is lost"
	opensUp     = "writes come back"
	neverTorn   = "no volume is taken off a droplet that has it mounted"
	staysWith   = "a volume is where the site is"
	hooksRun    = "hooks run once, in their moment, and are told what is true"
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
	b.judgeForeignAround(requests)
	b.judgeTraffic(requests)
	b.judgeOrders(requests)
	b.judgeGuards(changes, s.traits())
	what := s.traits()
	b.judgeRows(what)
	b.judgeDisk(changes, what)
	if !what.lies && !what.hand {
		b.judgeLock(changes)
		b.judgeLeases(changes)
	}
	b.judgeChallenges()
	b.judgeMail(s)
	for _, r := range b.runs {
		b.judgeSteps(r)
		if r.killed || s.scene.ends {
			continue
		}
		b.judgeOutcome(r, s)
		b.judgeHistory(r, s)
		b.judgeHooks(r)
		b.judgeAround(r)
		b.judgeLent(r, s)
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

// calm is the agent of the operator that comes afterwards.
const calm = "calm"

// destroys tells a run of the verb that takes the site down.
func (r *run) destroys() bool { return strings.HasPrefix(r.verb, "destroy") }

// excused are the changes that nobody of ours ordered, and those of destroy.
func (b *Bench) excused(c sandbox.Change) bool {
	r := b.runAt(c)
	switch {
	case c.Agent == hand, c.Agent == "":
		return true
	case c.Agent == calm:
		return b.ends
	}
	return r != nil && r.destroys()
}

// undoesFirst tells the undo of a first switch: the run made the address, or
// found it at nothing.
func (b *Bench) undoesFirst(c sandbox.Change) bool {
	r := b.runAt(c)
	return r != nil && b.holder(r.before) == nil
}

// readAfter tells whether somebody read the reserved IP after a moment, and
// before another.
func (b *Bench) readAfter(who string, after, before time.Time) bool {
	return slices.ContainsFunc(b.Cloud.Requests(), func(q sandbox.Request) bool {
		return q.Agent == who && q.Method == "GET" && q.Status == 200 && q.At.After(after) && q.At.Before(before) && strings.HasPrefix(q.Path, "/v2/reserved_ips")
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
		case b.skewed.Load() && leased(d):
		default:
			b.violate(accounted, "droplet %d (%s, attempt %s) is left over", d.ID, d.Release, d.Attempt)
		}
	}
	if standbys > b.Site.Keep {
		b.violate(accounted, "%d standbys are left, the profile keeps %d", standbys, b.Site.Keep)
	}
	for _, ip := range b.addresses(s) {
		if ip.Droplet == 0 && !b.ledNowhere(ip.IP) {
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

// leased tells a candidate that nobody may end yet.
func leased(d sandbox.Machine) bool {
	birth, ok := droplets.Droplet{Tags: d.Tags}.Birth()
	return ok && birth.Lease.After(time.Now())
}

// ledNowhere tells an address that a hand had left behind when the schedule
// began: nothing says whose it is.
func (b *Bench) ledNowhere(ip string) bool {
	return slices.ContainsFunc(b.Before.ReservedIPs, func(r sandbox.ReservedIP) bool { return r.IP == ip && r.Droplet == 0 })
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
