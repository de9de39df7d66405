package release

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"cattle/droplets"
)

const (
	// createWithin bounds the time from the order to an active droplet with an
	// address. DigitalOcean's usual is under a minute.
	createWithin = 5 * time.Minute
	// closely is how often a droplet that is due is looked at.
	closely = time.Second
	// lookups of an attempt whose create was not answered: lists lag by seconds.
	lookups     = 4
	lookupPause = 3 * time.Second
)

// create orders the droplet, makes sure that this release may go on, and waits
// for the droplet's address.
func (r *run) create(ctx context.Context) error {
	c := r.plan.candidate
	r.began, r.ordered = time.Now(), r.Cloud.Now()
	r.birth = r.plan.birth(r.ordered)
	what, left := "destroy the candidate", "a candidate of "+c.Release
	if r.birth.Bake {
		what, left = "destroy the baking droplet", "a baking droplet"
	}
	r.pushUndo(undoStep{
		what: what, run: r.destroyCandidate,
		leftover: Leftover{What: left + " may still run", Command: "cattle gc --attempt " + c.Attempt},
	})
	g, gctx := errgroup.WithContext(ctx)
	var expected time.Duration
	g.Go(func() error {
		expected = r.lastCreation(gctx)
		return nil
	})
	var ordered droplets.Droplet
	g.Go(func() (err error) {
		ordered, err = r.order(gctx)
		return err
	})
	if err := g.Wait(); err != nil {
		return err
	}
	r.droplet = ordered
	g, gctx = errgroup.WithContext(ctx)
	if !r.birth.Bake { // which competes with nobody
		g.Go(func() error { return r.mayGoOn(gctx) })
	}
	active := ordered
	g.Go(func() (err error) {
		active, err = r.active(gctx, ordered, expected)
		return err
	})
	err := g.Wait()
	r.droplet = active
	return err
}

// birth is what the plan's droplet is born with, ordered at that time of the cloud.
func (p *Plan) birth(ordered time.Time) droplets.Birth {
	c := p.candidate
	b := droplets.Birth{Release: c.Release, Attempt: c.Attempt, Digest: c.Digest, HostKey: c.HostKey}
	lease := leaseFor(p.Site)
	if len(c.ahead(p.Site)) > 0 {
		lease += aheadWithin + stopWithin
	}
	if p.bakes() {
		b.Release, b.Bake = "", true
		lease = bakeLeaseFor(p.Site)
	}
	b.Lease = ordered.Add(lease).Truncate(time.Second)
	return b
}

// lastCreation is how long the live droplet's creation took, 0 when nobody
// knows: the next one will take about as long, and need not be looked at before.
func (r *run) lastCreation(ctx context.Context) time.Duration {
	if r.world.Live == nil {
		return 0
	}
	actions, err := r.Cloud.Actions(ctx, r.world.Live.ID)
	if err != nil {
		return 0
	}
	for _, a := range actions {
		if a.Type == "create" && a.Completed.After(a.Started) {
			return a.Completed.Sub(a.Started)
		}
	}
	return 0
}

// order creates the droplet. Creating is not idempotent and has no key that
// would make it so: after a failure that leaves the outcome open, the
// attempt's droplet is looked for before anything is sent again.
func (r *run) order(ctx context.Context) (droplets.Droplet, error) {
	d, err := r.sendOrder(ctx)
	if !droplets.Uncertain(err) {
		return d, err
	}
	r.unanswered = true
	r.notice("the order of the droplet was not answered (%v); looking whether it was carried out", err)
	for range lookups {
		if serr := pause(ctx, lookupPause); serr != nil {
			return droplets.Droplet{}, serr
		}
		if mine, lerr := r.mine(ctx); lerr == nil && len(mine) > 0 {
			return mine[0].Droplet, nil
		}
	}
	return r.sendOrder(ctx)
}

// sendOrder waits for the answer also when it is interrupted: without it
// nobody knows what there is to undo.
func (r *run) sendOrder(ctx context.Context) (droplets.Droplet, error) {
	return r.Cloud.Create(context.WithoutCancel(ctx), r.spec())
}

func (r *run) spec() droplets.Spec {
	s := r.site
	spec := droplets.Spec{
		Name:   droplets.Name(s.App, r.plan.nameOf(), r.birth.Attempt),
		Region: s.Region, Size: s.Size, Image: s.Image, VPC: s.VPC,
		Monitoring: s.Monitoring, IPv6: s.IPv6,
		SSHKeys:  r.world.keyIDs(s),
		Tags:     append([]string{droplets.AppTag(s.App), r.birth.Tag()}, s.Tags...),
		UserData: r.plan.candidate.UserData,
	}
	if r.plan.Base != nil {
		spec.Snapshot = r.plan.Base.ID
	}
	return spec
}

// nameOf is what stands for the release in the droplet's name.
func (p *Plan) nameOf() string {
	if p.bakes() {
		return bakeName
	}
	return p.candidate.Release
}

// active waits for the droplet's address and returns the droplet with it. The
// order's own answer is the first look.
func (r *run) active(ctx context.Context, d droplets.Droplet, expected time.Duration) (droplets.Droplet, error) {
	what := fmt.Sprintf("droplet %d to become active", d.ID)
	looked := false
	err := droplets.Wait(ctx, what, createWithin, droplets.Around(expected, closely), func(ctx context.Context) (bool, error) {
		if looked {
			now, err := r.Cloud.Droplet(ctx, d.ID)
			if err != nil {
				// A new droplet may not be found for seconds.
				return false, err
			}
			d = now
		}
		looked = true
		return d.Status == "active" && d.Address(r.ip) != "", nil
	})
	return d, err
}

// mine are the droplets that carry this attempt's id: one, or more when an
// order was carried out twice.
func (r *run) mine(ctx context.Context) ([]Member, error) {
	ds, err := r.Cloud.Droplets(ctx, droplets.AppTag(r.site.App))
	if err != nil {
		return nil, err
	}
	return ofAttempt(members(ds), r.birth.Attempt), nil
}

func ofAttempt(all []Member, attempt string) []Member {
	var out []Member
	for _, m := range all {
		if m.Born && m.Birth.Attempt == attempt {
			out = append(out, m)
		}
	}
	return out
}

// destroyCandidate undoes create: it destroys every droplet of this attempt,
// also one that the order never told of. It leaves the live droplet alone,
// which is a last line of defence: the switch was undone before.
func (r *run) destroyCandidate(ctx context.Context) error {
	if r.KeepFailed && r.droplet.ID != 0 {
		r.keepFailed()
		return nil
	}
	if r.droplet.ID == 0 && !r.unanswered {
		return nil // the order was refused
	}
	found, err := r.search(ctx)
	if err != nil && r.droplet.ID == 0 {
		return err
	}
	if r.droplet.ID != 0 && len(ofID(found, r.droplet.ID)) == 0 {
		ordered := r.droplet
		ordered.Tags = r.spec().Tags
		found = append(found, Member{Droplet: ordered, Birth: r.birth, Born: true})
	}
	r.returnMail(ctx)
	return r.destroy(ctx, found)
}

// search finds this attempt's droplets for their end. One that was ordered
// without an answer may take some seconds to be listed; that it is not listed
// then is likely, and no proof.
func (r *run) search(ctx context.Context) ([]Member, error) {
	for range lookups {
		found, err := r.mine(ctx)
		if err != nil || len(found) > 0 || r.droplet.ID != 0 {
			return found, err
		}
		if err := pause(ctx, lookupPause); err != nil {
			return nil, err
		}
	}
	return nil, errUnanswered
}

var errUnanswered = errors.New("the order was not answered, and no droplet of it is listed")

func (r *run) keepFailed() {
	address := r.droplet.Address(r.ip)
	r.leftovers = append(r.leftovers, Leftover{
		What:    fmt.Sprintf("the failed droplet %d was kept: ssh root@%s", r.droplet.ID, address),
		Command: "cattle gc --attempt " + r.birth.Attempt,
	})
}

func ofID(all []Member, id int) []Member {
	for i, m := range all {
		if m.ID == id {
			return all[i : i+1]
		}
	}
	return nil
}

func (r *run) pushUndo(u undoStep) { r.undo = append(r.undo, u) }

func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return context.Cause(ctx)
	}
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
