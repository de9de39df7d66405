package simulation

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"cattle/droplets"
	"cattle/droplets/release"
	"cattle/droplets/sandbox"
	"cattle/droplets/sandbox/described"
)

// Sites that are guarded, watched and pinned, what verbs find of somebody else's
// release that nothing is decided of yet, and what the checker has to say of it.

// earlier is who began before the operators of a schedule.
const earlier = "op0"

// theSwitch is the call that a release becomes live with.
var theSwitch = Point{Method: http.MethodPost, Route: "/v2/reserved_ips/*/actions", Nth: 1}

// undecided are scenes in which it is open for a time who serves.
func undecided() []*scene {
	two := []string{"v1", "v2"}
	list := []*scene{
		{name: "release, guarded and watched", before: two, keep: 1, verb: Releases("v3"), site: careful},
		{name: "release, watched, gets worse, keep 0", before: two, keep: 0, break_: "v3", kind: sandbox.FailsLater, fails: true, verb: Releases("v3"), site: careful},
		{name: "release after one that vanished", before: two, keep: 1, fails: true, verb: Releases("v4"), site: guarded, opens: vanishes},
		{name: "rebuild after one that vanished", before: two, keep: 1, fails: true, verb: Rebuilds, site: guarded, opens: vanishes},
		{name: "rollback after one that vanished", before: two, keep: 1, verb: RollsBack, site: guarded, opens: vanishes},
		{name: "gc after one that vanished", before: two, keep: 0, verb: Collects, site: careful, opens: vanishes},
		{name: "release during a watch", before: two, keep: 1, verb: Releases("v4"), site: watched, opens: isWatched},
		{name: "rollback during a watch", before: two, keep: 1, verb: RollsBack, site: watched, opens: isWatched},
		{name: "gc during a watch", before: two, keep: 0, verb: Collects, site: watched, opens: isWatched},
		{name: "rollback, pinned", before: two, keep: 1, verb: RollsBack, more: rolledBack},
		{name: "rebuild, pinned", before: two, keep: 1, fails: true, verb: Rebuilds, more: rolledBack},
	}
	for _, s := range list {
		s.variant = true
	}
	return list
}

func careful(b *Bench) {
	guarded(b)
	watched(b)
}

// vanishes is somebody who releases v3 and is never heard of again after the
// switch: his guard is armed, or nobody watches any more.
func vanishes(b *Bench) {
	a := b.actor(earlier)
	b.Cloud.Fault(theSwitch.at(sandbox.Fault{Reset: true, After: true, Strike: a.kill}, a.agent))
	b.perform(a, "release v3", Releases("v3"))
	b.Cloud.ClearFaults()
}

// isWatched is somebody's release v3 that has come to its watch.
func isWatched(b *Bench) {
	a := b.actor(earlier)
	b.others.Go(func() { b.perform(a, "release v3", Releases("v3")) })
	for !b.hasBegun(a, "watch") {
		time.Sleep(time.Second)
	}
}

// rest ends with all that goes on: of who was killed, too.
func (b *Bench) rest() {
	b.others.Wait()
	time.Sleep(LeaseOver)
}

func (b *Bench) hasBegun(a *actor, step string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.ContainsFunc(b.runs, func(r *run) bool { return r.who == a.agent && r.has(step, release.StateRunning, time.Now()) })
}

// has tells whether a step was in a state by some time.
func (r *run) has(step string, state release.State, by time.Time) bool {
	return slices.ContainsFunc(r.events, func(e release.Event) bool {
		return e.Kind == release.KindStep && e.Step == step && e.State == state && !e.Time.After(by)
	})
}

// observe holds each answer against the API's description, and looks for the
// guard's token where it has no business: it is the guard's alone.
func (b *Bench) observe(r *http.Request, body []byte, status int, h http.Header, answer []byte) {
	if toDescription != nil {
		toDescription(r, body, status, h, answer)
	}
	if strings.Contains(r.Header.Get("Authorization"), guardToken) && r.UserAgent() != sandbox.GuardAgent {
		b.violate(noSecret, "%s %s %s comes with the guard's token", r.UserAgent(), r.Method, r.URL.Path)
	}
	if strings.Contains(string(answer), guardToken) {
		b.violate(noSecret, "the answer to %s %s has the guard's token", r.Method, r.URL.Path)
	}
}

// toDescription is nil where there is no description to hold answers against.
var toDescription = described.Observer()

// A guardian follows guards through a history.
type guardian struct {
	*Bench
	changes []sandbox.Change
	held    map[string]int          // the droplet that an address leads to
	attempt map[int]string          // of droplets
	served  map[int]bool            // those that are marked
	state   map[string]sandbox.What // of the guards, by the attempt that they go off against
}

// judgeGuards wants every guarded switch to have its guard, every guard that goes
// off to do what it is there for, and none to take back what was said to serve.
func (b *Bench) judgeGuards(changes []sandbox.Change, what traits) {
	if what.hand || what.stuck {
		return // somebody may have killed the guard, or its order never ends
	}
	g := &guardian{b, changes, map[string]int{}, map[int]string{}, map[int]bool{}, map[string]sandbox.What{}}
	for _, ip := range b.addresses(b.Before) {
		g.held[ip.IP] = ip.Droplet
	}
	for _, d := range b.Before.Droplets {
		g.note(d.ID, d.Tags...)
	}
	for i, c := range changes {
		switch c.What {
		case sandbox.Created:
			g.note(c.Droplet, strings.Fields(c.Note)...)
		case sandbox.Tagged:
			g.note(c.Droplet, c.Note)
		case sandbox.Sent:
			g.judgeSwitch(c)
		case sandbox.Moved:
			g.judgeTaken(c)
			g.held[c.IP] = c.Droplet
		case sandbox.Armed, sandbox.Disarmed, sandbox.Fired:
			g.state[c.Note] = c.What
			g.judgeDisarmed(c)
			g.judgeFired(c, changes[i+1:])
		}
	}
}

// note keeps what a droplet's tags say.
func (g *guardian) note(id int, tags ...string) {
	birth, ok := (droplets.Droplet{Tags: tags}).Birth()
	if ok {
		g.attempt[id] = birth.Attempt
	}
	g.served[id] = g.served[id] || slices.Contains(tags, droplets.ServedTag)
}

// judgeSwitch wants a plan with a guard to switch with that guard armed, or gone
// off: an order may be long under way.
func (g *guardian) judgeSwitch(c sandbox.Change) {
	r := g.runAt(c)
	if r == nil || r.plan == nil || !r.has("guard", release.StateOK, c.At) || g.orderedBy(c.Droplet) != r.who {
		return
	}
	if s := g.state[g.attempt[c.Droplet]]; s != sandbox.Armed && s != sandbox.Fired {
		g.violate(guards, "%s: %s switches to droplet %d, and no guard is armed: %q", c.At.Format(time.TimeOnly), c.Agent, c.Droplet, s)
	}
}

// judgeTaken wants no guard to move the address off what was said to serve.
func (g *guardian) judgeTaken(c sandbox.Change) {
	from := g.held[c.IP]
	if c.Agent != sandbox.GuardAgent || from == c.Droplet {
		return
	}
	if g.served[from] {
		g.violate(guards, "%s: a guard moves %s off droplet %d, which is marked as served", c.At.Format(time.TimeOnly), c.IP, from)
	}
	for _, r := range g.runs {
		if !r.killed && r.err == nil && r.report != nil && r.report.Droplet == from {
			g.violate(guards, "%s: a guard moves %s off droplet %d, of which %s said that it serves", c.At.Format(time.TimeOnly), c.IP, from, r.verb)
		}
	}
}

// judgeDisarmed wants a guard to be called off by a confirm that went well, or
// once the address is back.
func (g *guardian) judgeDisarmed(c sandbox.Change) {
	live := g.held[c.IP]
	if c.What != sandbox.Disarmed || g.attempt[live] != c.Note {
		return
	}
	// What was asked for in the moment of an interrupt still comes to the droplet.
	sent := c.At.Add(-time.Second)
	for _, r := range g.runs {
		if r.who != g.orderedBy(live) {
			continue
		}
		if !r.has("confirm", release.StateRunning, c.At) || r.has("confirm", release.StateFailed, sent) || notConfirmed(r.err) {
			g.violate(guards, "%s: %s has the guard called off, and %s leads to what nobody confirmed", c.At.Format(time.TimeOnly), r.verb, c.IP)
		}
	}
}

// notConfirmed tells a release that failed its confirm by itself.
func notConfirmed(err error) bool {
	var refused *release.Refused
	return errors.As(err, &refused) && refused.Step == "confirm" && !errors.Is(err, errInterrupted)
}

// judgeFired wants an address that leads to what nobody confirmed to be gone
// from there soon after the guard went off: it looks every few seconds, and an
// assign takes two.
func (g *guardian) judgeFired(c sandbox.Change, later []sandbox.Change) {
	live := g.held[c.IP]
	if c.What != sandbox.Fired || g.attempt[live] != c.Note {
		return
	}
	for _, l := range later {
		if l.At.Sub(c.At) > time.Minute {
			break
		}
		if l.What == sandbox.Moved && l.IP == c.IP && l.Droplet != live || l.What == sandbox.Released {
			return
		}
	}
	g.violate(guards, "%s: the guard of attempt %s went off, and %s stays at droplet %d", c.At.Format(time.TimeOnly), c.Note, c.IP, live)
}
