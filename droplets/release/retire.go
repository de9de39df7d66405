package release

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"cattle/droplets"
)

// retireWithin bounds the wait for a droplet's lock before it is destroyed.
const retireWithin = 2 * time.Minute

// retire marks what serves and what served, and destroys what nothing needs.
// It goes on after a failure: what stays is named as left over.
func (r *run) retire(ctx context.Context) error {
	r.mark(ctx)
	keep, end := r.plan.afterwards()
	if len(keep) > 0 {
		r.report.Standby = &StandbyAfter{keep[0].Birth.Release, keep[0].ID}
	}
	r.expire(ctx, keep)
	if err := r.destroy(ctx, append(end, r.twins...)); err != nil {
		r.leftovers = append(r.leftovers, Leftover{What: "droplets that nothing needs", Err: err, Command: "cattle gc"})
	}
	return nil
}

// mark says with one request of the droplet that serves, and of the one that
// did, that they may be standbys.
func (r *run) mark(ctx context.Context) {
	var ids []int
	if !r.droplet.Has(droplets.ServedTag) {
		ids = append(ids, r.droplet.ID)
	}
	if live := r.world.Live; live != nil && !live.Has(droplets.ServedTag) {
		ids = append(ids, live.ID)
	}
	if len(ids) == 0 {
		return
	}
	if err := r.Cloud.TagDroplets(ctx, droplets.ServedTag, ids...); err != nil {
		r.leftovers = append(r.leftovers, Leftover{What: "the mark that this release served", Err: err, Command: "cattle gc"})
	}
}

// expire writes down when a standby ends, where the profile gives it a time.
func (r *run) expire(ctx context.Context, keep []Member) {
	if r.site.StandbyFor == 0 {
		return
	}
	tag := droplets.ExpiresTag(time.Now().Add(r.site.StandbyFor))
	for _, m := range keep {
		if _, has := m.Expires(); has {
			continue
		}
		if err := r.Cloud.TagDroplets(ctx, tag, m.ID); err != nil {
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
// site's state once more: a droplet that holds a reserved IP by now, or that
// lacks the app's tag, is left alone.
func (o *Operator) destroy(ctx context.Context, site Site, ms []Member, exempt int) error {
	if len(ms) == 0 {
		return nil
	}
	var ips []droplets.ReservedIP
	g, gctx := errgroup.WithContext(ctx)
	into(g, &ips, func() ([]droplets.ReservedIP, error) { return o.Cloud.ReservedIPs(gctx) })
	fresh := make([]droplets.Droplet, len(ms))
	for i, m := range ms {
		into(g, &fresh[i], func() (droplets.Droplet, error) { return o.unlocked(gctx, m.ID) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	errs := make([]error, len(ms))
	var all errgroup.Group
	for i, d := range fresh {
		all.Go(func() error {
			if d.ID == 0 {
				// It is gone already; its tags may not be.
				d.Tags = ms[i].Tags
			}
			errs[i] = o.end(ctx, site, d, ips, exempt)
			return nil
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// unlocked waits until no action holds the droplet. One that is gone is the
// zero Droplet.
func (o *Operator) unlocked(ctx context.Context, id int) (found droplets.Droplet, err error) {
	what := fmt.Sprintf("droplet %d to be unlocked", id)
	err = droplets.Wait(ctx, what, retireWithin, droplets.Every(pendingPause), func(ctx context.Context) (bool, error) {
		d, err := o.Cloud.Droplet(ctx, id)
		if droplets.NotFound(err) {
			return true, nil
		}
		found = d
		return err == nil && !d.Locked, err
	})
	return found, err
}

func (o *Operator) end(ctx context.Context, site Site, d droplets.Droplet, ips []droplets.ReservedIP, exempt int) error {
	if !d.Has(droplets.AppTag(site.App)) {
		return fmt.Errorf("droplet %d does not carry the tag of %s any more: left alone", d.ID, site.App)
	}
	for _, ip := range ips {
		if d.ID != 0 && ip.DropletID == d.ID && d.ID != exempt {
			return fmt.Errorf("droplet %d holds the reserved IP %s: left alone", d.ID, ip.IP)
		}
	}
	if d.ID != 0 {
		if err := o.Cloud.Destroy(ctx, d.ID); err != nil {
			return err
		}
	}
	for _, tag := range d.OwnTags() {
		if err := o.Cloud.DeleteTag(ctx, tag); err != nil {
			return err
		}
	}
	return nil
}
