package release

import (
	"context"
	"fmt"
	"slices"
	"time"

	"cattle/droplets"
)

// Garbage is what gc will destroy, and why: the list that is printed is the
// list that is destroyed.
type Garbage struct {
	Site  Site
	Items []GarbageItem
	// Unmarked is a live droplet whose release died between switch and mark. It
	// has to be adopted: until it is, the standbys are all that is known to
	// serve, and Collect spares them.
	Unmarked *Member
	// Undecided is a live droplet whose release may still be taken back, until
	// Until at the latest, see World.Undecided: nothing that may be needed for
	// that is garbage.
	Undecided *Member
	Until     time.Time
	// News are what Collect has to tell, beside its error.
	News []string

	// Strays are volumes that a release, or a rollback, that died has left away
	// from the live droplet, which may wait for them; Spared tells that a release
	// is under way to which they may belong.
	Strays []VolumeAt
	Spared bool

	world *World
	dead  bool // an attempt was named: nobody is at it any more
}

// GarbageItem is one droplet to be destroyed.
type GarbageItem struct {
	Member
	Why string
}

// GCOptions widen what counts as garbage.
type GCOptions struct {
	Standbys bool   // all standbys too
	Attempt  string // the droplets of this attempt, though their lease is not over
}

// PlanGC finds what nothing needs: what releases left behind, standbys whose
// time is up or that are more than the profile keeps. Without a live droplet
// no standby is garbage: it may be all that is left of the site.
func PlanGC(site Site, w *World, opts GCOptions) *Garbage {
	g := &Garbage{Site: site, world: w}
	for _, m := range slices.Concat(w.Candidates, w.Baking) {
		if opts.Attempt != "" && m.Birth.Attempt == opts.Attempt {
			g.add(m, "named by --attempt")
		}
	}
	g.dead = opts.Attempt != ""
	if g.Undecided, g.Until = w.Undecided(site); g.Undecided != nil {
		return g
	}
	for _, m := range w.Orphans {
		g.add(m, "left behind by a "+map[bool]string{false: "release", true: "bake"}[m.Birth.Bake]+" that did not end")
	}
	if w.Live == nil {
		return g
	}
	if !w.Live.Has(droplets.ServedTag) {
		g.Unmarked = w.Live
	}
	if w.Live.Born {
		g.Strays = w.strays()
		g.Spared = slices.ContainsFunc(w.Candidates, func(m Member) bool { return m.Birth.Attempt != opts.Attempt })
	}
	expired := w.expired()
	kept := 0
	for _, m := range w.Standbys {
		over := slices.ContainsFunc(expired, func(e Member) bool { return e.ID == m.ID })
		switch {
		case opts.Standbys:
			g.add(m, "a standby, named by --standbys")
		case over:
			g.add(m, "a standby whose time is up")
		case kept >= site.Keep:
			g.add(m, fmt.Sprintf("a standby more than the %d that the profile keeps", site.Keep))
		default:
			kept++
		}
	}
	return g
}

// Undecided is a live droplet of which nobody but its release can say yet that
// it stays, and until when that is so at the latest. With release.bake its
// release watches it, and may go back; with release.guard another droplet may
// take the reserved IP back, where its operator is gone. The lease covers all
// but the watch. It is nil when there is nothing to go back to.
func (w *World) Undecided(site Site) (live *Member, until time.Time) {
	live = w.Live
	switch {
	case !site.Guard && site.Watch == 0, live == nil || !live.Born, live.Has(droplets.ServedTag):
		return nil, time.Time{}
	case len(w.Standbys)+len(w.Orphans) == 0:
		return nil, time.Time{}
	}
	until = live.Birth.Lease.Add(site.Watch)
	if !until.After(w.Now) {
		return nil, time.Time{}
	}
	return live, until
}

func (g *Garbage) add(m Member, why string) { g.Items = append(g.Items, GarbageItem{m, why}) }

// Adopt finishes a release that died between the switch and its mark: it
// confirms the live droplet and marks it, so that it can be a standby later.
// The Verdict says whether it serves; the error, why it could not be marked.
func (o *Operator) Adopt(ctx context.Context, g *Garbage) (Verdict, error) {
	v := o.Verify(ctx, g.Site, g.world)
	if !v.Serving {
		return v, nil
	}
	if err := o.Cloud.TagDroplets(ctx, droplets.ServedTag, g.Unmarked.ID); err != nil {
		return v, err
	}
	g.Unmarked = nil
	return v, nil
}

// Return brings the volumes back that the live droplet waits for; waits tells
// whether there were any. The error is *Underway where it is not known that
// nobody is moving them.
func (o *Operator) Return(ctx context.Context, g *Garbage) (waits bool, err error) {
	if len(g.Strays) == 0 || g.Spared {
		return false, nil
	}
	return o.returnVolumes(ctx, g.world, g.dead)
}

// Collect destroys the garbage, but for standbys while a live droplet is not adopted.
func (o *Operator) Collect(ctx context.Context, g *Garbage) error {
	var ms []Member
	for _, it := range g.Items {
		if g.Unmarked == nil || !it.Has(droplets.ServedTag) {
			ms = append(ms, it.Member)
		}
	}
	o.freeVolumes(ctx, g.world, ms)
	if live := g.world.Live; live != nil && live.Born {
		g.News = o.lastMail(ctx, g.Site, g.world.Reserved.IP, ms, *live)
	}
	return o.destroy(ctx, g.Site, ms, 0)
}
