package release

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"cattle/droplets"
)

// A Member is a droplet of the app with what it was born with.
type Member struct {
	droplets.Droplet
	Birth droplets.Birth
	Born  bool // false: its tags were edited, nobody knows what it is
}

// World is what a survey found. It is a value: it does not change afterwards.
type World struct {
	Now time.Time // the cloud's, see droplets.Cloud
	// Reserved is the app's reserved IP; IP is "" when there is none yet.
	Reserved droplets.ReservedIP
	// Live holds the reserved IP; nil when no droplet of the app does.
	Live *Member
	// Standbys were live once and can be again, newest first.
	Standbys []Member
	// Candidates are releases under way: never live yet, lease not over.
	Candidates []Member
	// Orphans are what a release left behind: never live, lease over.
	Orphans []Member
	// Baking become snapshots: never candidates, lease not over.
	Baking []Member
	// Unknown carry the app's tag and no readable birth; they are shown and left alone.
	Unknown []Member
	// Ending are such droplets with which something is under way: their tags go
	// as soon as their end is ordered, they themselves a little later.
	Ending []Member
	// Snapshots are those that bakes of the app made, newest first. They only
	// save time: that they cannot be read, SnapshotsErr, stops nothing.
	Snapshots    []Snapshot
	SnapshotsErr error

	// What only a release needs; see Operator.SurveyRelease.
	Account   droplets.Account
	InAccount int // droplets of the account, whoever made them
	IPs       []droplets.ReservedIP
	Sizes     []droplets.Size
	Image     droplets.Image
	ImageErr  error // why the image cannot be looked up
	Keys      []droplets.SSHKey
	Mine      []string // fingerprints of the operator's keys; nil: he showed none

	// Volumes are the site's, in the order of the profile.
	Volumes []VolumeAt

	// Around is what else the profile asks for; see Operator.SurveyAround.
	Around Surroundings
}

// arriveWithin is how long a survey waits for a reserved IP that is on its way.
const arriveWithin = 30 * time.Second

// Survey reads the site's state: three requests, at the same time, and one more
// for each volume. While the
// reserved IP is on its way it reads again, for 30 s at most: an operator who
// was killed may have ordered that, and a plan against where it was is void.
func (o *Operator) Survey(ctx context.Context, site Site) (w *World, err error) {
	return arrived(ctx, func() (*World, error) { return o.survey(ctx, site) })
}

// SurveyRelease reads also what ordering a droplet depends on: eight requests,
// at the same time, and one more for each of dns, firewall.cloud, project and
// droplet.vpc that the profile has.
func (o *Operator) SurveyRelease(ctx context.Context, site Site) (*World, error) {
	return arrived(ctx, func() (*World, error) { return o.surveyRelease(ctx, site) })
}

func arrived(ctx context.Context, survey func() (*World, error)) (w *World, err error) {
	for start := time.Now(); ; {
		if w, err = survey(); err != nil || !w.Reserved.Locked || time.Since(start) >= arriveWithin {
			return w, err
		}
		if err := pause(ctx, pendingPause); err != nil {
			return nil, err
		}
	}
}

func (o *Operator) survey(ctx context.Context, site Site) (*World, error) {
	var s survey
	g, ctx := errgroup.WithContext(ctx)
	s.readSite(ctx, g, o.Cloud, site)
	return s.world(g, o.Cloud, site)
}

func (o *Operator) surveyRelease(ctx context.Context, site Site) (*World, error) {
	var s survey
	g, gctx := errgroup.WithContext(ctx)
	s.readSite(gctx, g, o.Cloud, site)
	s.readAround(gctx, g, o.Cloud, site)
	s.readGroups(gctx, g, o.Cloud, site)
	if o.Login != nil {
		s.Mine = o.Login.Fingerprints()
	}
	into(g, &s.Account, func() (droplets.Account, error) { return o.Cloud.Account(gctx) })
	into(g, &s.InAccount, func() (int, error) { return o.Cloud.CountDroplets(gctx) })
	into(g, &s.Sizes, func() ([]droplets.Size, error) { return o.Cloud.Sizes(gctx) })
	into(g, &s.Keys, func() ([]droplets.SSHKey, error) { return o.Cloud.SSHKeys(gctx) })
	into(g, &s.Image, func() (droplets.Image, error) {
		img, err := o.Cloud.Image(gctx, site.Image)
		if droplets.NotFound(err) {
			s.ImageErr, err = err, nil
		}
		return img, err
	})
	w, err := s.worldAround(ctx, g, o, site)
	if err == nil {
		err = w.Around.Err
	}
	return w, err
}

// survey is a World in the making.
type survey struct {
	World
	found  []droplets.Droplet
	unread [2]error // of records and firewall
}

func (s *survey) readSite(ctx context.Context, g *errgroup.Group, cloud droplets.Cloud, site Site) {
	into(g, &s.found, func() ([]droplets.Droplet, error) { return cloud.Droplets(ctx, droplets.AppTag(site.App)) })
	into(g, &s.IPs, func() ([]droplets.ReservedIP, error) { return cloud.ReservedIPs(ctx) })
	s.readVolumes(ctx, g, cloud, site)
	g.Go(func() error {
		s.Snapshots, s.SnapshotsErr = readSnapshots(ctx, cloud, site.App)
		return nil
	})
}

func (s *survey) world(g *errgroup.Group, cloud droplets.Cloud, site Site) (_ *World, err error) {
	if err := g.Wait(); err != nil {
		return nil, err
	}
	s.Now = cloud.Now()
	all := members(s.found)
	if s.Reserved, err = reservedFor(site, all, s.IPs); err != nil {
		return nil, err
	}
	if err := s.ownedBy(site); err != nil {
		return nil, err
	}
	s.classify(s.withHolder(site, all))
	return &s.World, nil
}

// ownedBy refuses a reserved IP that is another site's of cattle's: a profile
// that was copied would take its address away.
func (s *survey) ownedBy(site Site) error {
	other := s.Reserved.Droplet.App()
	if other == "" || other == site.App {
		return nil
	}
	return &Preflight{Faults: []Fault{{Code: "reserved-ip-taken", Input: true,
		Msg:  fmt.Sprintf("the reserved IP %s is the app %s's: it points at %s", s.Reserved.IP, other, s.Reserved.Droplet.Name),
		Hint: "take the line reserved_ip out of the profile, or name another address"}}}
}

// withHolder adds the droplet that holds the reserved IP where the list, which
// lags, does not know it yet.
func (s *survey) withHolder(site Site, all []Member) []Member {
	holder := s.Reserved.Droplet
	if holder.Has(droplets.AppTag(site.App)) && len(ofID(all, holder.ID)) == 0 {
		return members(append(s.found, holder))
	}
	return all
}

func into[T any](g *errgroup.Group, dst *T, read func() (T, error)) {
	g.Go(func() (err error) {
		*dst, err = read()
		return err
	})
}

func members(ds []droplets.Droplet) []Member {
	out := make([]Member, len(ds))
	for i, d := range ds {
		b, ok := d.Birth()
		out[i] = Member{Droplet: d, Birth: b, Born: ok}
	}
	// Newest first: ids grow.
	slices.SortFunc(out, func(a, b Member) int { return cmp.Compare(b.ID, a.ID) })
	return out
}

// reservedFor finds the app's reserved IP: the one that the profile names, or
// the one that points at a droplet of the app.
func reservedFor(site Site, all []Member, ips []droplets.ReservedIP) (droplets.ReservedIP, error) {
	var found []droplets.ReservedIP
	for _, ip := range ips {
		if site.ReservedIP != "" && ip.IP == site.ReservedIP {
			return ip, nil
		}
		if ip.Droplet.App() == site.App || len(ofID(all, ip.DropletID)) > 0 {
			found = append(found, ip)
		}
	}
	switch {
	case site.ReservedIP != "":
		return droplets.ReservedIP{}, &Preflight{Faults: []Fault{{Code: "reserved-ip-unknown", Input: true,
			Msg:  "the account has no reserved IP " + site.ReservedIP,
			Hint: "take the line reserved_ip out of the profile and the first release makes one"}}}
	case len(found) > 1:
		return droplets.ReservedIP{}, &Preflight{Faults: []Fault{{Code: "reserved-ip-ambiguous", Input: true,
			Msg:  "more than one reserved IP points at a droplet of " + site.App + ": " + found[0].IP + ", " + found[1].IP,
			Hint: "say which one is the site's: reserved_ip: " + found[0].IP}}}
	case len(found) == 1:
		return found[0], nil
	}
	return droplets.ReservedIP{}, nil
}

// classify says what each droplet of the app is. Live is who holds the
// reserved IP, whatever its tags say.
func (w *World) classify(all []Member) {
	for _, m := range all {
		switch {
		case w.Reserved.IP != "" && m.ID == w.Reserved.DropletID:
			// Nobody but a hand can have moved the address to a baking droplet.
			m.Born = m.Born && !m.Birth.Bake
			w.Live = &m
		case !m.Born && m.Locked:
			w.Ending = append(w.Ending, m)
		case !m.Born:
			w.Unknown = append(w.Unknown, m)
		case m.Has(droplets.ServedTag):
			w.Standbys = append(w.Standbys, m)
		case m.Birth.Lease.After(w.Now) && m.Birth.Bake:
			w.Baking = append(w.Baking, m)
		case m.Birth.Lease.After(w.Now):
			w.Candidates = append(w.Candidates, m)
		default:
			w.Orphans = append(w.Orphans, m)
		}
	}
}

// Serving is the live droplet's release, "" when there is none.
func (w *World) Serving() string {
	if w.Live == nil {
		return ""
	}
	return w.Live.Birth.Release
}

// expired are the standbys whose time is up.
func (w *World) expired() []Member {
	var out []Member
	for _, m := range w.Standbys {
		if at, ok := m.Expires(); ok && !at.After(w.Now) {
			out = append(out, m)
		}
	}
	return out
}

// Size is the size of that slug, or nil.
func (w *World) Size(slug string) *droplets.Size {
	i := slices.IndexFunc(w.Sizes, func(s droplets.Size) bool { return s.Slug == slug })
	if i < 0 {
		return nil
	}
	return &w.Sizes[i]
}
