package release

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"cattle/droplets"
)

// retireWithin bounds the wait for a droplet's lock before it is destroyed.
const retireWithin = 2 * time.Minute

// retire marks what serves and what served, pins what was gone back to, and
// destroys what nothing needs.
// It goes on after a failure: what stays is named as left over.
func (r *run) retire(ctx context.Context) error {
	keep, end := r.plan.afterwards()
	end = r.spared(end)
	r.mark(ctx, keep)
	r.pin(ctx)
	if len(keep) > 0 {
		r.report.Standby = &StandbyAfter{keep[0].Birth.Release, keep[0].ID}
	}
	r.expire(ctx, keep)
	for _, news := range r.lastMail(ctx, r.site, r.ip, others(end, r.world.Live), Member{Droplet: r.droplet, Birth: r.birth}) {
		r.notice("%s", news)
	}
	if err := r.destroy(ctx, append(end, r.twins...)); err != nil {
		r.leftovers = append(r.leftovers, Leftover{What: "droplets that nothing needs", Err: err, Command: "cattle gc"})
	}
	return nil
}

// spared takes the droplet that was left out of those that are destroyed, where
// it may have rows, or mail, that are nowhere else.
func (r *run) spared(end []Member) []Member {
	live := r.world.Live
	if !r.spare || live == nil || len(ofID(end, live.ID)) == 0 {
		return end
	}
	r.leftovers = append(r.leftovers, Leftover{What: live.Name + ", which may have rows or mail that are nowhere else", Command: "cattle gc"})
	return others(end, live)
}

// others are the droplets but for one; nil is none.
func others(ms []Member, one *Member) []Member {
	return slices.DeleteFunc(slices.Clone(ms), func(m Member) bool { return one != nil && m.ID == one.ID })
}

// mark says with one request of the droplet that serves, and of the one that
// did and is kept, that they may be standbys.
func (r *run) mark(ctx context.Context, keep []Member) {
	var ids []int
	if !r.droplet.Has(droplets.ServedTag) {
		ids = append(ids, r.droplet.ID)
	}
	for _, m := range keep {
		if !m.Has(droplets.ServedTag) {
			ids = append(ids, m.ID)
		}
	}
	if len(ids) == 0 {
		return
	}
	if err := r.Cloud.TagDroplets(ctx, droplets.ServedTag, ids...); err != nil {
		r.leftovers = append(r.leftovers, Leftover{What: "the mark that this release served", Err: err, Command: "cattle gc"})
	}
}

// pin keeps what was gone back to from being replaced on a schedule: a rebuild
// might bring back what the rollback was for.
func (r *run) pin(ctx context.Context) {
	if _, pinned := r.droplet.Pinned(); r.plan.target == nil || pinned {
		return
	}
	tag := droplets.PinnedTag(time.Now(), r.droplet.ID)
	if err := r.Cloud.TagDroplets(ctx, tag, r.droplet.ID); err != nil {
		r.leftovers = append(r.leftovers, Leftover{What: "the pin that keeps rebuilds off " + r.plan.target.Name, Err: err,
			Command: fmt.Sprintf("doctl compute droplet tag %d --tag-name %s", r.droplet.ID, tag)})
	}
}

// expire writes down when a standby ends, where the profile gives it a time.
// The time of what was live just now begins anew.
func (r *run) expire(ctx context.Context, keep []Member) {
	if r.site.StandbyFor == 0 {
		return
	}
	end := r.Cloud.Now().Add(r.site.StandbyFor)
	for _, m := range keep {
		_, has := m.Expires()
		if has && (r.world.Live == nil || m.ID != r.world.Live.ID) {
			continue
		}
		if err := r.Cloud.TagDroplets(ctx, droplets.ExpiresTag(end, m.ID), m.ID); err != nil {
			r.leftovers = append(r.leftovers, Leftover{What: "the end of the standby " + m.Name, Err: err, Command: "cattle gc --standbys"})
		}
	}
}

func (r *run) destroy(ctx context.Context, ms []Member) error {
	// The one exception to the guard: a first switch that is undone. The
	// reserved IP pointed at nothing before, and its candidate is not confirmed.
	exempt := 0
	if r.world.Reserved.DropletID == 0 && r.undo != nil {
		exempt = r.droplet.ID
	}
	return r.Operator.destroy(ctx, r.site, ms, exempt)
}

// destroy ends droplets of the app, all at the same time, and the tags that
// were theirs alone. What it was told may be minutes old, so it reads the
// site's state once more, the reserved IPs last: a droplet that holds one by
// now, or that lacks the app's tag, is left alone. The error names each
// droplet that stays.
func (o *Operator) destroy(ctx context.Context, site Site, ms []Member, exempt int) error {
	if len(ms) == 0 {
		return nil
	}
	guard := func() ([]droplets.ReservedIP, error) { return o.still(ctx, site) }
	return o.endAll(ctx, site, ms, guard, exempt)
}

// endAll waits until each droplet is unlocked, then asks guard for the
// reserved IPs whose droplets are to be spared, and ends the others.
func (o *Operator) endAll(ctx context.Context, site Site, ms []Member, guard func() ([]droplets.ReservedIP, error), exempt int) error {
	errs := make([]error, len(ms))
	fresh := make([]droplets.Droplet, len(ms))
	each(ms, func(i int) { fresh[i], errs[i] = o.unlocked(ctx, ms[i]) })
	ips, err := guard()
	each(ms, func(i int) {
		if errs[i] == nil {
			errs[i] = err
		}
		if errs[i] == nil {
			errs[i] = o.end(ctx, site, fresh[i], ips, exempt)
		}
		if errs[i] != nil {
			errs[i] = fmt.Errorf("droplet %d %s: %w", ms[i].ID, ms[i].Name, errs[i])
		}
	})
	return errors.Join(errs...)
}

func each[T any](ts []T, do func(int)) {
	var wg sync.WaitGroup
	for i := range ts {
		wg.Go(func() { do(i) })
	}
	wg.Wait()
}

// unlocked waits until no action holds the droplet. One that is not found has
// no status, and the tags that it had: they outlive it.
func (o *Operator) unlocked(ctx context.Context, m Member) (found droplets.Droplet, err error) {
	what := fmt.Sprintf("droplet %d to be unlocked", m.ID)
	err = droplets.Wait(ctx, what, retireWithin, droplets.Every(pendingPause), func(ctx context.Context) (bool, error) {
		d, err := o.Cloud.Droplet(ctx, m.ID)
		if droplets.NotFound(err) {
			found = droplets.Droplet{ID: m.ID, Tags: m.Tags}
			return true, nil
		}
		found = d
		return err == nil && !d.Locked, err
	})
	return found, err
}

// still reads the reserved IPs when none of the site's is on its way to a
// droplet: it might be one that is about to be destroyed. One that points at
// nothing yet may be any site's.
func (o *Operator) still(ctx context.Context, site Site) (ips []droplets.ReservedIP, err error) {
	what := "the reserved IP to arrive where it is moved to"
	err = droplets.Wait(ctx, what, switchWithin, droplets.Every(pendingPause), func(ctx context.Context) (bool, error) {
		var err error
		ips, err = o.Cloud.ReservedIPs(ctx)
		return err == nil && !slices.ContainsFunc(ips, func(ip droplets.ReservedIP) bool {
			return ip.Locked && (ip.DropletID == 0 || ip.IP == site.ReservedIP || ip.Droplet.App() == site.App)
		}), err
	})
	return ips, err
}

// owns fails for a droplet that does not carry the app's tag, or carries another
// app's too.
func (s Site) owns(d droplets.Droplet) error {
	switch {
	case !d.Has(droplets.AppTag(s.App)):
		return fmt.Errorf("it does not carry the tag of %s any more: left alone", s.App)
	case d.App() != s.App:
		return fmt.Errorf("it carries another app's tag beside that of %s: left alone", s.App)
	}
	return nil
}

// end destroys the droplet, and then the tags that are its alone. A droplet
// that was not found is destroyed all the same: the API may not know a new one
// yet, and without its tags nobody would ever find it again.
func (o *Operator) end(ctx context.Context, site Site, d droplets.Droplet, ips []droplets.ReservedIP, exempt int) error {
	if err := site.owns(d); err != nil {
		return err
	}
	for _, ip := range ips {
		if ip.DropletID == d.ID && d.ID != exempt {
			return &Holder{ip.IP}
		}
	}
	if err := o.dropHalfMade(ctx, site, d); err != nil {
		return err
	}
	if err := o.Cloud.Destroy(ctx, d.ID); err != nil {
		return err
	}
	for _, tag := range d.OwnTags() {
		if err := o.Cloud.DeleteTag(ctx, tag); err != nil {
			return err
		}
	}
	return nil
}
