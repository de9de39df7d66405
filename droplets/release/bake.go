package release

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"cattle/droplets"
)

// Bounds of a bake's last part. DigitalOcean tells no times; a snapshot takes
// about as long as its data needs to be copied.
const (
	stripWithin    = 3 * time.Minute
	shutdownWithin = 2 * time.Minute
	snapshotWithin = 20 * time.Minute
	snapshotPause  = 5 * time.Second
)

// bakeName stands for the release in the names of a baking droplet and its snapshot.
const bakeName = "bake"

// bakeLeaseFor is how long a bake may need.
func bakeLeaseFor(site Site) time.Duration {
	return createWithin + site.BootWithin + stripWithin + 2*shutdownWithin + snapshotWithin + undoWithin
}

func (p *Plan) bakes() bool { return p.Verb == "bake" }

// PlanBake plans to make a snapshot of a droplet that has packages and images
// ready, and that never gets the reserved IP. The error is *Preflight.
func PlanBake(site Site, w *World, c *Candidate) (*Plan, error) {
	if faults := w.orderFaults(site, c); len(faults) > 0 {
		return nil, &Preflight{Faults: faults}
	}
	p := &Plan{Verb: "bake", Site: site, World: w, Release: c.Release, candidate: c}
	what := "packages"
	if c.Release != "" {
		what += " and the images of " + c.Release
	}
	p.Steps = []Step{
		{Name: "create", Title: p.createTitle(), run: (*run).create},
		{Name: "boot", Title: p.bootTitle() + "; " + what, run: (*run).boot},
		{Name: "strip", Title: "take keys, ids, logs and user-data off its disk", run: (*run).strip},
		{Name: "snapshot", Title: "shut it down and take the snapshot " + p.snapshotName(), run: (*run).snapshot},
		{Name: "retire", Title: p.afterBake(), run: (*run).retireBake, after: true},
	}
	p.Cost = p.cost(0, 0)
	p.Cost.Monthly, p.Cost.Overlap = p.Cost.Before, w.Size(site.Size).PriceHourly
	return p, nil
}

func (p *Plan) snapshotName() string {
	return droplets.Name(p.Site.App, bakeName, p.candidate.Attempt)
}

func (p *Plan) afterBake() string {
	title := "destroy the droplet"
	for _, s := range p.World.Snapshots {
		title += "; delete the snapshot of " + s.Ago(p.World.Now)
	}
	return title
}

// strip has the droplet make its disk one that can be copied.
func (r *run) strip(ctx context.Context) error {
	late := fmt.Errorf("it took longer than %s", brief(stripWithin))
	ctx, cancel := context.WithTimeoutCause(ctx, stripWithin, late)
	defer cancel()
	return r.machine.Strip(ctx)
}

// snapshot takes the snapshot and gives it its tags, of which the app's comes
// last: a list by that tag has finished ones alone. Until it has both, it ends
// with its droplet.
func (r *run) snapshot(ctx context.Context) error {
	if err := r.turnOff(ctx); err != nil {
		return err
	}
	if err := r.takeSnapshot(ctx); err != nil {
		return err
	}
	id, err := r.taken(ctx)
	if err != nil {
		return err
	}
	// Two calls that an interrupt does not come between.
	made, err := r.finish(context.WithoutCancel(ctx), id)
	if err != nil {
		return err
	}
	// It is made: from here on nothing is taken back.
	r.undo, r.report.Snapshot = nil, reportOf(*made, r.Cloud.Now())
	return nil
}

// finish gives the snapshot its tags and reads it back: what it carries then
// is what counts, whatever was answered.
func (r *run) finish(ctx context.Context, id int) (*Snapshot, error) {
	at := r.ordered.Truncate(time.Second)
	err := r.Cloud.TagSnapshot(ctx, droplets.BakedTag(r.site.Packages, at), id)
	if err == nil || droplets.Uncertain(err) {
		err = r.Cloud.TagSnapshot(ctx, droplets.AppTag(r.site.App), id)
	}
	now, rerr := r.Cloud.Snapshot(ctx, id)
	switch {
	case rerr == nil && r.isMade(now):
	case err == nil && rerr != nil:
		now = droplets.Snapshot{ID: id, Name: r.plan.snapshotName()}
	case err == nil:
		return nil, errors.New("it does not carry the tags that it was given")
	default:
		return nil, err
	}
	return &Snapshot{Snapshot: now, Packages: r.site.Packages, At: at}, nil
}

// isMade tells a snapshot that releases will find.
func (r *run) isMade(s droplets.Snapshot) bool {
	packages, _, ok := s.Baked()
	return ok && packages == r.site.Packages && s.Has(droplets.AppTag(r.site.App))
}

// turnOff shuts the droplet down, and cuts its power when it does not go.
func (r *run) turnOff(ctx context.Context) error {
	// Whether it is off is looked at, whatever is answered: it may be off already.
	if err := r.Cloud.Shutdown(ctx, r.droplet.ID); err != nil && !droplets.Uncertain(err) && !droplets.Busy(err) {
		return err
	}
	err := r.isOff(ctx)
	var late *droplets.WaitError
	if !errors.As(err, &late) || ctx.Err() != nil {
		return err
	}
	r.notice("the droplet does not shut down: its power is cut")
	if err := r.Cloud.PowerOff(ctx, r.droplet.ID); err != nil && !droplets.Uncertain(err) && !droplets.Busy(err) {
		return err
	}
	return r.isOff(ctx)
}

func (r *run) isOff(ctx context.Context) error {
	what := fmt.Sprintf("droplet %d to be off", r.droplet.ID)
	return droplets.Wait(ctx, what, shutdownWithin, droplets.Around(0, closely), func(ctx context.Context) (bool, error) {
		d, err := r.Cloud.Droplet(ctx, r.droplet.ID)
		return err == nil && d.Status == "off" && !d.Locked, err
	})
}

// takeSnapshot orders the snapshot. Without an answer it may be under way: the
// wait for it tells.
func (r *run) takeSnapshot(ctx context.Context) error {
	what := fmt.Sprintf("what is under way with droplet %d to end", r.droplet.ID)
	return droplets.Wait(ctx, what, switchWithin, droplets.Every(pendingPause), func(ctx context.Context) (bool, error) {
		err := r.Cloud.TakeSnapshot(context.WithoutCancel(ctx), r.droplet.ID, r.plan.snapshotName())
		if droplets.Uncertain(err) {
			r.notice("the order of the snapshot was not answered (%v); looking whether it was carried out", err)
			return true, nil
		}
		return !droplets.Busy(err), err
	})
}

// taken waits for the snapshot and returns its id. The action says when there
// is something to look for; what counts is the droplet's list.
func (r *run) taken(ctx context.Context) (id int, err error) {
	what := fmt.Sprintf("the snapshot of droplet %d", r.droplet.ID)
	missing := 0
	err = droplets.Wait(ctx, what, snapshotWithin, droplets.Every(snapshotPause), func(ctx context.Context) (bool, error) {
		d, err := r.Cloud.Droplet(ctx, r.droplet.ID)
		switch {
		case err != nil:
			return false, err
		case d.Locked:
			return false, nil
		case len(d.Snapshots) > 0:
			id = d.Snapshots[len(d.Snapshots)-1]
			return r.named(ctx, id)
		}
		// Nothing is under way, and nothing is there: lists lag, by seconds.
		missing++
		if missing > lookups {
			return true, errors.New("the snapshot was ordered, and did not come to be")
		}
		return false, nil
	})
	return id, err
}

// named makes sure that the snapshot is the one that was ordered, before it is
// given tags by which anybody may delete it.
func (r *run) named(ctx context.Context, id int) (bool, error) {
	s, err := r.Cloud.Snapshot(ctx, id)
	if err != nil {
		return !droplets.NotFound(err) && !droplets.Uncertain(err), err // lists lag
	}
	if s.Name != r.plan.snapshotName() {
		return true, fmt.Errorf("droplet %d has the snapshot %d %s, which nobody ordered", r.droplet.ID, id, s.Name)
	}
	return true, nil
}

// retireBake destroys the droplet and deletes the snapshots that the plan
// found: this one is newer.
func (r *run) retireBake(ctx context.Context) error {
	// More than one, when the order was carried out twice.
	mine, _ := r.mine(ctx)
	if len(ofID(mine, r.droplet.ID)) == 0 {
		mine = append(mine, Member{Droplet: r.droplet, Birth: r.birth, Born: true})
	}
	if err := r.Operator.destroy(ctx, r.site, mine, 0); err != nil {
		r.leftovers = append(r.leftovers, Leftover{What: "the baking droplet", Err: err, Command: "cattle gc --attempt " + r.birth.Attempt})
	}
	if err := r.DeleteSnapshots(ctx, r.site, r.world.Snapshots); err != nil {
		r.leftovers = append(r.leftovers, Leftover{What: "older snapshots", Err: err, Command: "the next cattle bake deletes them; cattle bake --delete ends all"})
	}
	if err := r.world.SnapshotsErr; err != nil {
		r.leftovers = append(r.leftovers, Leftover{What: "older snapshots, if there are any", Err: err, Command: "the next cattle bake deletes them; cattle bake --delete ends all"})
	}
	return nil
}

// dropHalfMade deletes the snapshots of a baking droplet that have not got both
// of their tags: nobody would find them once the droplet is gone.
func (o *Operator) dropHalfMade(ctx context.Context, site Site, d droplets.Droplet) error {
	b, born := d.Birth()
	if !born || !b.Bake {
		return nil
	}
	name := droplets.Name(site.App, bakeName, b.Attempt)
	for _, id := range slices.Clone(d.Snapshots) {
		s, err := o.Cloud.Snapshot(ctx, id)
		if err != nil && !droplets.NotFound(err) {
			return err
		}
		packages, at, tagged := s.Baked()
		if err != nil || s.Name != name || tagged && s.Has(droplets.AppTag(site.App)) {
			continue
		}
		if err := o.Cloud.DeleteSnapshot(ctx, id); err != nil {
			return err
		}
		if !tagged {
			continue
		}
		if err := o.Cloud.DeleteTag(ctx, droplets.BakedTag(packages, at)); err != nil {
			return err
		}
	}
	return nil
}
