package release

import (
	"context"
	"errors"
	"slices"

	"golang.org/x/sync/errgroup"

	"cattle/droplets"
)

// Doomed is all that destroy ends: every droplet of the app, the live one too.
type Doomed struct {
	Droplets []Member
	// IP keeps existing, and bills, unless WithIP was asked for.
	IP     string
	WithIP bool
}

// PlanDestroy lists what destroy will end.
func PlanDestroy(w *World, withIP bool) *Doomed {
	d := &Doomed{IP: w.Reserved.IP, WithIP: withIP}
	if w.Live != nil {
		d.Droplets = append(d.Droplets, *w.Live)
	}
	d.Droplets = slices.Concat(d.Droplets, w.Standbys, w.Candidates, w.Orphans, w.Unknown)
	return d
}

// Destroy ends the site. Each droplet is read once more and left alone unless
// it carries the app's tag.
func (o *Operator) Destroy(ctx context.Context, site Site, d *Doomed) error {
	errs := make([]error, len(d.Droplets))
	var g errgroup.Group
	for i, m := range d.Droplets {
		g.Go(func() error {
			fresh, err := o.unlocked(ctx, m.ID)
			if fresh.ID == 0 {
				fresh.Tags = m.Tags
			}
			if err == nil {
				// No reserved IPs to guard: the user asked for the end of the live droplet too.
				err = o.end(ctx, site, fresh, nil, 0)
			}
			errs[i] = err
			return nil
		})
	}
	g.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if err := o.Cloud.DeleteTag(ctx, droplets.AppTag(site.App)); err != nil {
		return err
	}
	if d.WithIP && d.IP != "" {
		return o.Cloud.ReleaseIP(ctx, d.IP)
	}
	return nil
}
