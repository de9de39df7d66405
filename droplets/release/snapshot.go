package release

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"cattle/droplets"
)

// A Snapshot is what a bake made: a disk with packages and images, and nothing
// of any one droplet.
type Snapshot struct {
	droplets.Snapshot
	Packages string    // the digest of what is installed
	At       time.Time // of when the packages are
}

// SnapshotPrice is what a snapshot bills, in US dollars a GB and month:
// https://docs.digitalocean.com/products/images/snapshots/details/pricing/,
// read in November 2026.
const SnapshotPrice = 0.06

// PriceMonthly is what the snapshot bills, in US dollars.
func (s Snapshot) PriceMonthly() float64 { return s.SizeGB * SnapshotPrice }

// Ago says how old the snapshot's packages are, for people.
func (s Snapshot) Ago(now time.Time) string {
	d := now.Sub(s.At)
	switch {
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min ago", int(max(d, 0).Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h ago", int(d.Hours()))
	}
	return fmt.Sprintf("%d d ago", int(d.Hours()/24))
}

// snapshotsWithin bounds the look at the snapshots, which nothing depends on.
const snapshotsWithin = 15 * time.Second

func readSnapshots(ctx context.Context, cloud droplets.Cloud, app string) ([]Snapshot, error) {
	ctx, cancel := context.WithTimeout(ctx, snapshotsWithin)
	defer cancel()
	found, err := cloud.Snapshots(ctx, droplets.AppTag(app))
	if err != nil {
		return nil, err
	}
	var out []Snapshot
	for _, s := range found {
		if packages, at, ok := s.Baked(); ok {
			out = append(out, Snapshot{s, packages, at})
		}
	}
	slices.SortFunc(out, func(a, b Snapshot) int { return cmp.Or(b.At.Compare(a.At), b.ID-a.ID) })
	return out, nil
}

// Fits says why a release cannot begin from the snapshot, "" when it can.
func (w *World) Fits(site Site, s Snapshot) string {
	size := w.Size(site.Size)
	switch {
	case s.Status != "available" && s.Status != "":
		return "it is " + s.Status
	case site.Packages == "" || s.Packages != site.Packages:
		return "the profile asks for other packages by now"
	case !slices.Contains(s.Regions, site.Region):
		return "it is not in region " + site.Region
	case size != nil && s.MinDisk > size.DiskGiB:
		return fmt.Sprintf("it needs a disk of %d GB, %s has %d", s.MinDisk, site.Size, size.DiskGiB)
	case w.Now.Sub(s.At) >= site.BakedWithin:
		return "it is older than droplet.baked_within: " + brief(site.BakedWithin)
	}
	return ""
}

// base is the newest snapshot that the candidate can begin from, or nil.
func (w *World) base(site Site, c *Candidate) *Snapshot {
	if c.NoSnapshot {
		return nil
	}
	i := slices.IndexFunc(w.Snapshots, func(s Snapshot) bool { return w.Fits(site, s) == "" })
	if i < 0 {
		return nil
	}
	return &w.Snapshots[i]
}

// DeleteSnapshots ends snapshots of the app, and the tags that are theirs
// alone. Each is read once more: one without the app's tag is left alone.
func (o *Operator) DeleteSnapshots(ctx context.Context, site Site, ss []Snapshot) error {
	for _, s := range ss {
		now, err := o.Cloud.Snapshot(ctx, s.ID)
		switch {
		case droplets.NotFound(err): // its tag may still be there
		case err != nil:
			return err
		case !now.Has(droplets.AppTag(site.App)):
			return fmt.Errorf("snapshot %d %s does not carry the tag of %s any more: left alone", s.ID, s.Name, site.App)
		}
		if err := o.Cloud.DeleteSnapshot(ctx, s.ID); err != nil {
			return err
		}
		if err := o.Cloud.DeleteTag(ctx, droplets.BakedTag(s.Packages, s.At)); err != nil {
			return err
		}
	}
	return nil
}
