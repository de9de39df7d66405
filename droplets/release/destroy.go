package release

import (
	"context"
	"fmt"
	"slices"

	"cattle/droplets"
)

// Doomed is all that destroy ends: every droplet of the app, the live one too.
type Doomed struct {
	Droplets []Member
	// IP keeps existing, and bills, unless WithIP was asked for.
	IP     string
	WithIP bool
	holder droplets.Droplet // what the IP pointed at
	// Snapshots end with the site; SnapshotsErr is why they are not known.
	Snapshots    []Snapshot
	SnapshotsErr error
	// Records end before the address that they lead to, which may be somebody
	// else's the next day.
	Records  []droplets.Record
	Firewall string // its name; "" for none

	// Volumes stay, whole: nobody but a person ends them.
	Volumes []VolumeAt

	around Surroundings
	world  *World
}

// PlanDestroy lists what destroy will end.
func PlanDestroy(site Site, w *World, withIP bool) *Doomed {
	d := &Doomed{IP: w.Reserved.IP, WithIP: withIP, holder: w.Reserved.Droplet, Snapshots: w.Snapshots, SnapshotsErr: w.SnapshotsErr, around: w.Around, world: w}
	for _, c := range d.nameless(site).left() {
		d.Records = append(d.Records, c.was)
	}
	if f, err := site.wallOf(w.Around.Firewalls); err == nil && f != nil {
		d.Firewall = f.Name
	}
	d.Volumes = slices.DeleteFunc(slices.Clone(w.Volumes), func(v VolumeAt) bool { return v.Is == nil })
	if w.Live != nil {
		d.Droplets = append(d.Droplets, *w.Live)
	}
	d.Droplets = slices.Concat(d.Droplets, w.Standbys, w.Candidates, w.Baking, w.Orphans, w.Unknown, w.Ending)
	return d
}

// nameless has the site's names lead nowhere, where the address goes too.
func (d *Doomed) nameless(site Site) keeper {
	if !d.WithIP || !site.DNS {
		return keeper{}
	}
	return keeper{app: site.App, ip: d.IP, zones: d.around.Zones}
}

// Destroy ends the site. Each droplet is read once more and left alone unless
// it carries the app's tag. The reserved IP goes first, and the app's tag last:
// they are how another destroy finds what this one did not come to.
func (o *Operator) Destroy(ctx context.Context, site Site, d *Doomed) error {
	if err := d.around.Err; err != nil {
		return fmt.Errorf("nothing was destroyed: %w", err)
	}
	if d.WithIP {
		if err := o.giveBack(ctx, site, d); err != nil {
			return err
		}
	}
	o.freeVolumes(ctx, d.world, d.Droplets)
	// Nothing to guard: the user asked for the end of the live droplet too.
	unguarded := func() ([]droplets.ReservedIP, error) { return nil, nil }
	if err := o.endAll(ctx, site, d.Droplets, unguarded, 0); err != nil {
		return err
	}
	if err := o.nothingNew(ctx, site, d); err != nil {
		return err
	}
	if err := d.SnapshotsErr; err != nil {
		return fmt.Errorf("the droplets are gone; snapshots may be left: %w", err)
	}
	if err := o.DeleteSnapshots(ctx, site, d.Snapshots); err != nil {
		return err
	}
	if err := o.endWall(ctx, site); err != nil {
		return err
	}
	if err := o.Cloud.DeleteTag(ctx, droplets.AppTag(site.App)); err != nil {
		return err
	}
	return d.unsure(site)
}

// unsure names the records that stay because nobody can tell any more whether
// they lead to the site's address: it was moved or given back by hand.
func (d *Doomed) unsure(site Site) error {
	if !d.WithIP || !site.DNS || d.IP != "" {
		return nil
	}
	var left []Leftover
	for _, z := range d.around.Zones {
		for _, r := range z.Records {
			if r.Type == "A" && slices.ContainsFunc(z.Records, func(m droplets.Record) bool { return marks(m, site.App) == r.Name }) {
				left = append(left, Leftover{What: fmt.Sprintf("the record %s, for the site has no address any more to compare it with", r), Command: recordChange{zone: z.Name, was: r}.command()})
			}
		}
	}
	if len(left) == 0 {
		return nil
	}
	return &Incomplete{left}
}

// giveBack ends a reserved IP, and before it the names' records, once nothing is
// under way with it, unless it serves somebody else: the profile may name any address of the account.
func (o *Operator) giveBack(ctx context.Context, site Site, d *Doomed) error {
	ip, holder := d.IP, d.holder
	if ip == "" { // a mark that an earlier destroy did not come to
		return o.keep(ctx, d.nameless(site))
	}
	now, err := o.Cloud.ReservedIP(ctx, ip)
	switch {
	case err == nil:
		holder = now.Droplet
	case !droplets.NotFound(err):
		return err
	}
	if holder.ID != 0 && site.owns(holder) != nil {
		return fmt.Errorf("%s points at droplet %d %s, which is not %s's: nothing was destroyed; leave out --with-ip", ip, holder.ID, holder.Name, site.App)
	}
	if err := o.keep(ctx, d.nameless(site)); err != nil {
		return err
	}
	what := fmt.Sprintf("what is under way with %s to end", ip)
	return droplets.Wait(ctx, what, switchWithin, droplets.Every(pendingPause), func(ctx context.Context) (bool, error) {
		err := o.Cloud.ReleaseIP(ctx, ip)
		return !droplets.Busy(err), err
	})
}

// nothingNew looks for a droplet of the app that was ordered after the list of
// what to destroy was made. Without the app's tag nobody would find it again.
func (o *Operator) nothingNew(ctx context.Context, site Site, d *Doomed) error {
	now, err := o.Cloud.Droplets(ctx, droplets.AppTag(site.App))
	if err != nil {
		return err
	}
	for _, m := range now {
		if len(ofID(d.Droplets, m.ID)) == 0 {
			return fmt.Errorf("droplet %d %s was ordered meanwhile, by a release that is under way: run cattle destroy once more", m.ID, m.Name)
		}
	}
	return nil
}
