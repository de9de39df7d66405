package release

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"cattle/droplets"
)

const (
	// switchWithin bounds the move of the reserved IP: the proven recipe waits
	// 2 min at most for a droplet's pending event.
	switchWithin = 2 * time.Minute
	pendingPause = 3 * time.Second
	// readBackEvery is how often the reserved IP is read while the probe has
	// not seen the new droplet.
	readBackEvery = 5 * time.Second
	// confirmWithin bounds the confirm after the reserved IP was read back.
	confirmWithin = time.Minute
	// confirmations in a row prove that the public sees the new attempt.
	confirmations = 3
)

// switchOver is the commit: one assign, straight from the old droplet to the
// new one.
func (r *run) switchOver(ctx context.Context) error {
	if r.ip == "" {
		return r.reserve(ctx)
	}
	// In a plan that holds writes, their time ends when the assign is ordered.
	ready := func(ctx context.Context) error {
		ctx, cancel := r.budget(ctx)
		defer cancel()
		if err := r.clear(ctx); err != nil {
			return orBudget(ctx, err)
		}
		return orBudget(ctx, r.volumesHere(ctx))
	}
	if err := ready(ctx); err != nil {
		return err
	}
	if err := r.commit(ctx); err != nil {
		return err
	}
	r.visited = true
	r.pushUndo(undoStep{what: "point " + r.ip + " back to where it was", run: r.switchBack, decides: true,
		leftover: Leftover{What: r.ip + " may point at the wrong droplet", Command: "cattle status, then cattle rollback"}})
	if r.world.Reserved.DropletID != 0 {
		r.probe = r.startProbe(ctx, probeEvery)
	}
	return r.move(ctx, r.droplet.ID, ready)
}

var errPending = errors.New("an action is still in progress")

// clear is the second look, and the one that counts: nothing is under way on
// either droplet, no other candidate came first, and the reserved IP is where
// the plan found it. The IP is read last: a rival that is no candidate any more,
// because it has switched and was marked, has moved it by then.
func (r *run) clear(ctx context.Context) error {
	what := "pending events of the droplets to end"
	return droplets.Wait(ctx, what, switchWithin, droplets.Every(pendingPause), func(ctx context.Context) (bool, error) {
		var all []Member
		var busy [2]bool
		g, gctx := errgroup.WithContext(ctx)
		g.Go(func() error {
			ds, err := r.Cloud.Droplets(gctx, droplets.AppTag(r.site.App))
			all = members(ds)
			return err
		})
		into(g, &busy[0], func() (bool, error) { return r.inProgress(gctx, r.droplet.ID) })
		into(g, &busy[1], func() (bool, error) { return r.busy(gctx, r.world.Reserved.DropletID) })
		if err := g.Wait(); err != nil {
			return false, err
		}
		ip, err := r.Cloud.ReservedIP(ctx, r.ip)
		if err != nil {
			return false, err
		}
		if ip.DropletID != r.world.Reserved.DropletID {
			r.contested = true
			return true, &moved{r.ip, r.world.Reserved.DropletID, ip.DropletID}
		}
		if err := r.first(all); err != nil {
			return true, err
		}
		r.twins = slices.DeleteFunc(ofAttempt(all, r.birth.Attempt), func(m Member) bool { return m.ID == r.droplet.ID })
		if busy[0] || busy[1] || ip.Locked {
			return false, errPending
		}
		return true, nil
	})
}

// busy tells whether an action is in progress on the droplet. One that is gone
// has none.
func (r *run) busy(ctx context.Context, id int) (bool, error) {
	if id == 0 {
		return false, nil
	}
	busy, err := r.inProgress(ctx, id)
	if droplets.NotFound(err) {
		return false, nil
	}
	return busy, err
}

func (r *run) inProgress(ctx context.Context, id int) (bool, error) {
	actions, err := r.Cloud.Actions(ctx, id)
	return slices.ContainsFunc(actions, func(a droplets.Action) bool { return a.Status == droplets.ActionInProgress }), err
}

// move orders the assign and waits until the reserved IP is read back at its
// new place. What the API refuses for now, or does not answer, is sent again,
// but each time only after again has found that nothing has changed: in the
// meantime the IP may have become somebody else's.
func (r *run) move(ctx context.Context, to int, again func(context.Context) error) error {
	start := time.Now()
	for {
		if to == r.droplet.ID {
			if err := r.commit(ctx); err != nil {
				return err
			}
		}
		// An interrupt does not keep the answer from being waited for.
		err := r.Cloud.Assign(context.WithoutCancel(ctx), r.ip, to)
		if err == nil {
			return r.arrival(ctx, to)
		}
		if !droplets.Busy(err) && !droplets.Uncertain(err) || time.Since(start) > switchWithin {
			return err
		}
		if perr := pause(ctx, pendingPause); perr != nil {
			return perr
		}
		ip, rerr := r.settled(ctx)
		if rerr == nil && ip.DropletID == to {
			return nil // it was carried out all the same
		}
		if aerr := again(ctx); aerr != nil {
			return aerr
		}
	}
}

// arrival waits until the reserved IP is read back at the droplet. The probe
// tells when to read: it costs no request to the API. What the action says of
// itself is not asked for, it proves nothing.
func (r *run) arrival(ctx context.Context, to int) error {
	seen := false
	what := fmt.Sprintf("%s to point at droplet %d", r.ip, to)
	return droplets.Wait(ctx, what, switchWithin, droplets.Every(closely), func(ctx context.Context) (bool, error) {
		seen = seen || to != r.droplet.ID || r.seen(ctx)
		ip, err := r.Cloud.ReservedIP(ctx, r.ip)
		return err == nil && ip.DropletID == to && !ip.Locked, err
	})
}

// settled reads the reserved IP when nothing is under way with it.
func (r *run) settled(ctx context.Context) (ip droplets.ReservedIP, err error) {
	what := fmt.Sprintf("what is under way with %s to end", r.ip)
	err = droplets.Wait(ctx, what, switchWithin, droplets.Every(pendingPause), func(ctx context.Context) (bool, error) {
		var err error
		ip, err = r.Cloud.ReservedIP(ctx, r.ip)
		if droplets.NotFound(err) {
			return true, err
		}
		return err == nil && !ip.Locked, err
	})
	return ip, err
}

// seen waits until the probe has seen this run's attempt, at most until the
// next reading is due.
func (r *run) seen(ctx context.Context) bool {
	if r.probe == nil {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, readBackEvery)
	defer cancel()
	return r.probe.Sees(ctx, r.birth.Attempt, 1) == nil
}

// errNotHere means that the reserved IP is not at the run's droplet: it never
// came, or somebody moved it on.
var errNotHere = errors.New("the reserved IP is elsewhere")

// switchBack points the reserved IP where the plan found it. An assign that
// was ordered may still be carried out, so it waits for the end of all that is
// under way before it reads where the IP is.
func (r *run) switchBack(ctx context.Context) error {
	was := r.world.Reserved.DropletID
	err := r.here(ctx)
	if errors.Is(err, errNotHere) {
		// It was on its way, and one stale answer must not leave it here.
		if err := pause(ctx, pendingPause); err != nil {
			return err
		}
		err = r.here(ctx)
	}
	if err == nil && was != 0 {
		if err = r.stillHeld(ctx); err == nil {
			err = r.move(ctx, was, r.here)
		}
	}
	if errors.Is(err, errNotHere) {
		return nil
	}
	return err
}

// here finds that the reserved IP is at the run's droplet and that nothing is
// under way with either.
func (r *run) here(ctx context.Context) error {
	err := droplets.Wait(ctx, "pending events to end", switchWithin, droplets.Every(pendingPause), func(ctx context.Context) (bool, error) {
		busy, err := r.busy(ctx, r.droplet.ID)
		return err == nil && !busy, err
	})
	if err != nil {
		return err
	}
	ip, err := r.settled(ctx)
	if err == nil && ip.DropletID != r.droplet.ID {
		err = errNotHere
	}
	return err
}
