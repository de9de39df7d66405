package release

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"cattle/droplets"
)

const (
	// freezeTry bounds one try: requests that are under way get two seconds.
	freezeTry = 15 * time.Second
	// thawTry is shorter: visitors wait.
	thawTry = 4 * time.Second
	// thawWithin is how long an undo tries before the droplet is left to thaw by itself.
	thawWithin = 30 * time.Second
	// ownTry bounds a try to have a standby start on its own data again, which it
	// may have to load; nobody waits. ownWithin bounds all tries.
	ownTry    = time.Minute
	ownWithin = 2 * time.Minute
	// commitTry bounds one try at the commit.
	commitTry = 5 * time.Second
	// commitFresh is how old the commit's answer may be when the assign is
	// ordered: who slept in between asks again.
	commitFresh = 5 * time.Second
	// heldInterval is the pause between two health checks while writes are held,
	// and from leastDial to heldDial is the time in which a port counts as open.
	heldInterval = 250 * time.Millisecond
	heldDial     = 800 * time.Millisecond
	leastDial    = 150 * time.Millisecond
)

// freeze has the old droplet hold its writes. Whoever came first is looked for
// before: who loses would only thaw what the other one has frozen.
func (r *run) freeze(ctx context.Context) error {
	if err := r.mayGoOn(ctx); err != nil {
		return err
	}
	if r.plan.target != nil && !r.plan.takes() { // its app is stopped for the delta; without its volume it is not started
		r.pushUndo(undoStep{what: "start the app of " + r.plan.target.Name + " again", run: r.restart,
			leftover: Leftover{What: "the app of " + r.plan.target.Name + " may be stopped", Command: "cattle status"}})
	}
	return r.hold(ctx)
}

// hold is the freeze itself, with its undo.
func (r *run) hold(ctx context.Context) error {
	g, lease := r.giver, r.plan.freezeFor()+freezeMargin
	r.pushUndo(undoStep{what: "let the writes of " + g.Name + " go", run: r.thaw,
		leftover: Leftover{What: fmt.Sprintf("the writes of %s are held, until it finds by itself that it is live: %s at the latest", g.Name, clock(r.Cloud.Now().Add(max(lease, commitFor)+freezeMargin))), Command: "cattle status"}})
	err := r.onOld(ctx, "hold its writes", r.plan.freezeFor(), freezeTry, func(ctx context.Context, m *droplets.Machine) error {
		if err := m.Attend(ctx); err != nil {
			return err
		}
		return m.Freeze(ctx, lease)
	})
	r.frozen = time.Now()
	return orBudget(ctx, err)
}

// orBudget prefers the reason for which ctx ended.
func orBudget(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// restart undoes what the delta did to a standby: its app runs again, on the
// data that it was left with.
func (r *run) restart(ctx context.Context) error {
	return r.onNew(ctx, "start its app", ownWithin, ownTry, func(ctx context.Context, m *droplets.Machine) error {
		return m.StartOwnState(ctx, r.openBy())
	})
}

// own undoes a copy to a standby that is given up, should whoever made it have
// left it there: what is gated is what will serve.
func (r *run) own(ctx context.Context) error {
	if err := r.equip(ctx); err != nil {
		return err
	}
	return r.restart(ctx)
}

// thaw undoes the freeze. Where another release came first, and has committed
// what it froze, it is that one's to thaw: rows that are accepted now would not
// be on its droplet.
func (r *run) thaw(ctx context.Context) error {
	if r.outdone {
		r.notice("another release has taken the volumes of %s", r.giver.Name)
		return nil
	}
	return r.onOld(ctx, "let its writes go", thawWithin, thawTry, func(ctx context.Context, m *droplets.Machine) error {
		if r.contested && r.committed.IsZero() {
			s, err := m.Status(ctx)
			if err != nil {
				return err
			}
			if s.State != nil && s.State.Phase == droplets.PhaseCommitted {
				r.notice("another release holds the writes of %s", r.giver.Name)
				return nil
			}
		}
		return m.Thaw(ctx)
	})
}

// within bounds a step in which writes are held by what is left of the time
// that they may wait.
func (r *run) within(ctx context.Context, s Step) (context.Context, context.CancelFunc) {
	if !s.held {
		return ctx, func() {}
	}
	if r.heldUntil.IsZero() {
		r.heldUntil = time.Now().Add(r.plan.freezeFor())
	}
	return r.budget(ctx)
}

// tooLong is the code of a freeze that is over its time.
const tooLong = "freeze-too-long"

func (r *run) budget(ctx context.Context) (context.Context, context.CancelFunc) {
	if r.heldUntil.IsZero() {
		return ctx, func() {}
	}
	return context.WithDeadlineCause(ctx, r.heldUntil, &Known{tooLong, "release at a quieter hour; or let writes wait for longer: release: {max_freeze: …}",
		fmt.Errorf("writes were held for %s, and the release was not ready to be switched to", brief(r.plan.freezeFor()))})
}

// commit has the old droplet hold its writes until it is known who is live. It
// is the last thing before the assign is ordered: what was copied has all rows
// then, and an old droplet that thawed by itself says so.
func (r *run) commit(ctx context.Context) error {
	if r.giver == nil || r.frozen.IsZero() {
		return nil
	}
	ctx, cancel := r.budget(ctx)
	defer cancel()
	for since(r.committed) >= commitFresh {
		asked := time.Now()
		err := r.onOld(ctx, "hold its writes for the switch", switchWithin, commitTry, func(ctx context.Context, m *droplets.Machine) error {
			asked = time.Now()
			return m.CommitFreeze(ctx, commitFor)
		})
		if err != nil {
			return orBudget(ctx, err)
		}
		r.committed = asked
	}
	return nil
}

// since is the time by the wall's clock: the other one stands still while a
// computer sleeps.
func since(t time.Time) time.Duration { return time.Now().Round(0).Sub(t.Round(0)) }

// delta fetches what has changed since the bulk, and has both sides compared.
func (r *run) delta(ctx context.Context) error {
	_, err := r.pull(ctx, droplets.PullDelta)
	return orBudget(ctx, err)
}

// migrate runs the new release's command on the data. It is not repeated.
func (r *run) migrate(ctx context.Context) error {
	return orBudget(ctx, r.machine.Migrate(ctx))
}

// startHeld starts the app with its writes held.
func (r *run) startHeld(ctx context.Context) error {
	r.started = time.Now()
	start := (*droplets.Machine).StartState
	if r.plan.target != nil && !r.plan.moves() {
		start = (*droplets.Machine).StartOwnState
	}
	return orBudget(ctx, r.onNew(ctx, "start its app", r.plan.freezeFor(), r.plan.freezeFor(), func(ctx context.Context, m *droplets.Machine) error {
		return start(m, ctx, r.openBy())
	}))
}

// openBy is when the droplet opens by itself, counted from its start.
func (r *run) openBy() time.Duration { return openBy + r.site.MaxFreeze }

// stillHeld finds that nothing was written on the new droplet: what is taken
// back then is no row. It opens by itself when its operator is not heard of for
// long, as when his computer sleeps. One that does not answer before that is
// held: visitors do not wait for it.
func (r *run) stillHeld(ctx context.Context) error {
	if r.started.IsZero() {
		return nil
	}
	s, err := r.statusNow(ctx, "say whether its writes are held", thawTry)
	if err != nil && since(r.started) < r.openBy()-commitFor {
		return nil
	}
	if err == nil && s.State != nil && !s.State.Phase.Holds() {
		err = &droplets.StateError{Code: droplets.StateEngine, Side: "new", Message: "its writes go by now: to go back would lose them; cattle rollback --carry-data takes them along"}
	}
	return err
}

// interval is the pause between two health checks of the gate.
func (r *run) interval() time.Duration {
	if r.plan.waits() {
		return min(r.site.Health.Interval, heldInterval)
	}
	return r.site.Health.Interval
}

// dialFor is how long a port may take to answer. While visitors wait, that is
// measured by one that is known to be open: the others are as far away.
func (r *run) dialFor(ctx context.Context) time.Duration {
	if !r.plan.waits() || r.plan.target != nil {
		return dialTimeout
	}
	ctx, cancel := context.WithTimeout(ctx, heldDial)
	defer cancel()
	start := time.Now()
	conn, err := r.Dialer.DialContext(ctx, "tcp", net.JoinHostPort(r.droplet.Address(r.ip), "22"))
	if err != nil {
		return heldDial
	}
	conn.Close()
	return min(heldDial, max(leastDial, 4*time.Since(start)))
}

// freezeIfReachable is the freeze of what is given up. The live droplet may be
// the broken one: that it does not answer holds no rollback up, but then it is
// kept, for it may have the only copy. The standby is made ready before.
func (r *run) freezeIfReachable(ctx context.Context) error {
	if err := r.equip(ctx); err != nil {
		return orBudget(ctx, err)
	}
	err := r.reachOld(ctx)
	if err == nil {
		if err = r.equipOld(ctx); err == nil {
			err = r.hold(ctx)
		}
	}
	var lost *Known
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil && !(errors.As(context.Cause(ctx), &lost) && lost.Code == tooLong):
		return context.Cause(ctx)
	}
	r.spare, r.frozen = true, time.Time{}
	return &skipped{fmt.Sprintf("%s does not hold its writes (%v): it is kept, for it may have the only copy of what it wrote", r.world.Live.Name, err)}
}

// reachOld logs in to the live droplet, if it lets in soon.
func (r *run) reachOld(ctx context.Context) error {
	r.giver = &giver{Member: *r.world.Live}
	m, err := r.connect(ctx, r.giver.Droplet, r.giver.Birth.HostKey, brokenWithin)
	r.giver.machine = m
	return err
}
