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
	if err := r.clear(ctx); err != nil {
		return err
	}
	r.pushUndo(undoStep{what: "point " + r.ip + " back to where it was", run: r.switchBack,
		leftover: Leftover{What: r.ip + " may point at the wrong droplet", Command: "cattle status, then cattle rollback"}})
	if r.world.Reserved.DropletID != 0 {
		r.probe = r.startProbe(ctx)
	}
	return r.assign(ctx, r.droplet.ID)
}

var errPending = errors.New("an action is still in progress")

// clear is the second look, and the one that counts: nothing is under way on
// either droplet, no other candidate came first, and the reserved IP is where
// the plan found it. All four are read at the same time.
func (r *run) clear(ctx context.Context) error {
	what := "pending events of the droplets to end"
	return droplets.Wait(ctx, what, switchWithin, droplets.Every(pendingPause), func(ctx context.Context) (bool, error) {
		var all []Member
		var ip droplets.ReservedIP
		var busy [2]bool
		g, ctx := errgroup.WithContext(ctx)
		g.Go(func() error {
			ds, err := r.Cloud.Droplets(ctx, droplets.AppTag(r.site.App))
			all = members(ds)
			return err
		})
		into(g, &ip, func() (droplets.ReservedIP, error) { return r.Cloud.ReservedIP(ctx, r.ip) })
		into(g, &busy[0], func() (bool, error) { return r.busy(ctx, r.droplet.ID) })
		into(g, &busy[1], func() (bool, error) { return r.busy(ctx, r.world.Reserved.DropletID) })
		if err := g.Wait(); err != nil {
			return false, err
		}
		if ip.DropletID != r.world.Reserved.DropletID {
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
	actions, err := r.Cloud.Actions(ctx, id)
	if droplets.NotFound(err) {
		return false, nil
	}
	for _, a := range actions {
		if a.Status == droplets.ActionInProgress {
			return true, err
		}
	}
	return false, err
}

// assign moves the reserved IP and waits until it is read back at its new
// place. The probe tells when to read: it costs no request to the API. What
// the action says of itself is not asked for, it proves nothing.
func (r *run) assign(ctx context.Context, to int) error {
	ordered := r.orderAssign(ctx, to)
	if ordered != nil && !droplets.Uncertain(ordered) {
		return ordered
	}
	seen := false
	what := fmt.Sprintf("%s to point at droplet %d", r.ip, to)
	err := droplets.Wait(ctx, what, switchWithin, droplets.Every(closely), func(ctx context.Context) (bool, error) {
		seen = seen || r.seen(ctx)
		return r.pointsAt(ctx, to)
	})
	return errors.Join(err, ordered)
}

// pointsAt reads the reserved IP back.
func (r *run) pointsAt(ctx context.Context, id int) (bool, error) {
	ip, err := r.Cloud.ReservedIP(ctx, r.ip)
	return err == nil && ip.DropletID == id && !ip.Locked, err
}

// orderAssign sends the assign, and again while the API says that a droplet
// has a pending event. A failure that leaves the outcome open is returned for
// the caller to settle by reading the reserved IP.
func (r *run) orderAssign(ctx context.Context, to int) error {
	ctx, cancel := context.WithTimeout(ctx, switchWithin)
	defer cancel()
	for {
		err := r.Cloud.Assign(ctx, r.ip, to)
		if !droplets.Busy(err) {
			return err
		}
		if pause(ctx, pendingPause) != nil {
			return err
		}
		// The one before may have been carried out all the same.
		if there, _ := r.pointsAt(ctx, to); there {
			return nil
		}
	}
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

// reserve is the switch of a first release: a new reserved IP that points at
// the droplet from its beginning.
func (r *run) reserve(ctx context.Context) error {
	if err := r.mayGoOn(ctx); err != nil {
		return err
	}
	r.pushUndo(undoStep{what: "give the new reserved IP back", run: r.unreserve,
		leftover: Leftover{What: "a new reserved IP may be left", Command: "doctl compute reserved-ip list"}})
	made, err := r.Cloud.ReserveIP(ctx, r.droplet.ID)
	if droplets.Uncertain(err) {
		// Not idempotent: look before anything is sent again.
		made, err = r.findReserved(ctx)
	}
	if err != nil {
		return err
	}
	r.ip, r.report.NewIP = made.IP, true
	what := fmt.Sprintf("%s to point at droplet %d", r.ip, r.droplet.ID)
	return droplets.Wait(ctx, what, switchWithin, droplets.Every(closely), func(ctx context.Context) (bool, error) {
		return r.pointsAt(ctx, r.droplet.ID)
	})
}

// findReserved finds the reserved IP that points at the run's droplet.
func (r *run) findReserved(ctx context.Context) (found droplets.ReservedIP, err error) {
	err = droplets.Wait(ctx, "the new reserved IP to show", 4*lookupPause, droplets.Every(lookupPause), func(ctx context.Context) (bool, error) {
		ips, err := r.Cloud.ReservedIPs(ctx)
		for _, ip := range ips {
			if ip.DropletID == r.droplet.ID {
				found = ip
			}
		}
		return found.IP != "", err
	})
	return found, err
}

func (r *run) unreserve(ctx context.Context) error {
	if r.ip == "" {
		found, err := r.findReserved(ctx)
		var none *droplets.WaitError
		if errors.As(err, &none) && none.Last == nil {
			return nil
		}
		if err != nil {
			return err
		}
		r.ip = found.IP
	}
	err := r.Cloud.ReleaseIP(ctx, r.ip)
	if err == nil {
		r.ip, r.report.NewIP = "", false
	}
	return err
}

// switchBack points the reserved IP where the plan found it. An assign whose
// outcome is open may still be carried out, so it waits for the end of all
// actions before it reads where the IP is.
func (r *run) switchBack(ctx context.Context) error {
	was := r.world.Reserved.DropletID
	err := droplets.Wait(ctx, "pending events to end", switchWithin, droplets.Every(pendingPause), func(ctx context.Context) (bool, error) {
		busy, err := r.busy(ctx, r.droplet.ID)
		return err == nil && !busy, err
	})
	if err != nil {
		return err
	}
	ip, err := r.Cloud.ReservedIP(ctx, r.ip)
	if err != nil || ip.DropletID != r.droplet.ID || was == 0 {
		// Not ours to move: it never came here, or somebody else moved it on.
		return err
	}
	if err := r.orderAssign(ctx, was); err != nil && !droplets.Uncertain(err) {
		return err
	}
	what := fmt.Sprintf("%s to point at droplet %d again", r.ip, was)
	return droplets.Wait(ctx, what, switchWithin, droplets.Every(closely), func(ctx context.Context) (bool, error) {
		return r.pointsAt(ctx, was)
	})
}
