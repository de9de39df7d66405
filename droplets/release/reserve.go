package release

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"cattle/droplets"
)

// reserve is the switch of a first release: a new reserved IP that points at
// the droplet from its beginning.
func (r *run) reserve(ctx context.Context) error {
	before, err := r.unreserved(ctx)
	if err != nil {
		return err
	}
	r.pushUndo(undoStep{what: "give the new reserved IP back", run: r.unreserve, decides: true,
		leftover: Leftover{What: "a new reserved IP may be left, and bills while it points at nothing", Command: "doctl compute reserved-ip list"}})
	made, err := r.sendReserve(ctx)
	// An answer that names an address of before is about somebody's: none of ours to undo.
	known := slices.ContainsFunc(before, func(ip droplets.ReservedIP) bool { return ip.IP == made.IP })
	if droplets.Uncertain(err) || known {
		// Not idempotent: look before anything is sent again.
		made, err = r.findReserved(ctx)
	}
	if err != nil {
		return err
	}
	r.ip, r.report.NewIP = made.IP, true
	return r.arrival(ctx, r.droplet.ID)
}

// unreserved is the second look of a first release: no other candidate came
// first, and no release has made a reserved IP since the plan. The IPs are read
// last, as in clear. It returns the account's.
func (r *run) unreserved(ctx context.Context) ([]droplets.ReservedIP, error) {
	if err := r.mayGoOn(ctx); err != nil {
		return nil, err
	}
	w, err := r.Survey(ctx, r.site)
	if err != nil {
		return nil, err
	}
	if w.Reserved.IP != "" {
		return nil, &moved{ip: w.Reserved.IP, isAt: w.Reserved.DropletID}
	}
	return w.IPs, nil
}

// sendReserve orders the reserved IP, and again while the API refuses for now:
// a droplet that has just become active may still have a pending event. It
// waits for the answer also when it is interrupted.
func (r *run) sendReserve(ctx context.Context) (made droplets.ReservedIP, err error) {
	for range lookups {
		made, err = r.Cloud.ReserveIP(context.WithoutCancel(ctx), r.droplet.ID)
		if !droplets.Busy(err) {
			return made, err
		}
		if perr := pause(ctx, lookupPause); perr != nil {
			return made, perr
		}
	}
	return made, err
}

// findReserved finds the reserved IP that points at the run's droplet.
func (r *run) findReserved(ctx context.Context) (found droplets.ReservedIP, err error) {
	err = droplets.Wait(ctx, "the new reserved IP to show", lookups*lookupPause, droplets.Every(lookupPause), func(ctx context.Context) (bool, error) {
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

// unreserve gives the new reserved IP back, unless somebody has put it to
// another use.
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
	ip, err := r.settled(ctx)
	switch {
	case err != nil && !droplets.NotFound(err):
		return err
	case ip.DropletID != 0 && ip.DropletID != r.droplet.ID:
		return fmt.Errorf("%s points at droplet %d now: left alone", r.ip, ip.DropletID)
	}
	if err := r.Cloud.ReleaseIP(ctx, r.ip); err != nil {
		return err
	}
	r.ip, r.report.NewIP = "", false
	return nil
}
