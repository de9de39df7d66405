package release

import (
	"context"
	"errors"
	"fmt"
	"time"

	"cattle/droplets"
)

// There is no server to lock with. Every candidate carries a lease in its tag;
// of the candidates whose lease is not over, the one with the lowest droplet
// id may switch. Each looks after its own creation, and again in the moment
// before the switch: lists lag by seconds, and the second look is the one that
// counts.

// errLeaseOver means that this release took longer than it had said.
var errLeaseOver = errors.New("the release took longer than its lease: another one may have begun")

// mayGoOn is the look: it fails when another candidate came first.
func (r *run) mayGoOn(ctx context.Context) error {
	ds, err := r.Cloud.Droplets(ctx, droplets.AppTag(r.site.App))
	if err != nil {
		return err
	}
	return r.first(members(ds))
}

func (r *run) first(all []Member) error {
	now := r.Cloud.Now()
	// The lease has to last until the reserved IP has moved, and until no guard
	// can move it back: a candidate whose lease is over is an orphan, and
	// anybody's to destroy.
	until := now.Add(switchWithin)
	if r.guard != nil {
		if !r.guard.allows(now) {
			return errGuardLate
		}
		until = r.guard.over()
	}
	if r.plan.target == nil && !r.birth.Lease.After(until) {
		return errLeaseOver
	}
	for _, m := range all {
		if m.Born && m.ID < r.droplet.ID && r.competes(m, now) {
			r.contested = true
			return &rival{m}
		}
	}
	return nil
}

// competes tells whether m is a candidate beside this run's droplet.
func (r *run) competes(m Member, now time.Time) bool {
	switch {
	case m.Birth.Bake, m.Has(droplets.ServedTag), !m.Birth.Lease.After(now):
		return false
	case m.Birth.Attempt == r.birth.Attempt:
		return false
	}
	return r.world.Live == nil || m.ID != r.world.Live.ID
}

// moved means that the reserved IP is not where the plan found it.
type moved struct {
	ip        string
	was, isAt int
}

func (e *moved) Error() string {
	if e.isAt == 0 {
		return fmt.Sprintf("%s points at nothing now, the plan found it at droplet %d: somebody unassigned it, or destroyed that droplet", e.ip, e.was)
	}
	was := "elsewhere"
	if e.was != 0 {
		was = fmt.Sprintf("at %d", e.was)
	}
	return fmt.Sprintf("%s points at droplet %d now, the plan found it %s: somebody else switched", e.ip, e.isAt, was)
}
