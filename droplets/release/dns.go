package release

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"cattle/droplets"
)

// How the records of a site's names are read and changed; names.go has what
// they should be.

// readRecords reads the records of the keeper's zones one by one, with their
// ids, all at the same time.
func (o *Operator) readRecords(ctx context.Context, zones []droplets.Zone) ([]droplets.Zone, error) {
	out := slices.Clone(zones)
	g, ctx := errgroup.WithContext(ctx)
	for i := range out {
		out[i].Known = true
		into(g, &out[i].Records, func() ([]droplets.Record, error) {
			rs, err := o.Cloud.Records(ctx, out[i].Name)
			return rs, lacks(err, keyDNS, "domain:read")
		})
	}
	return out, g.Wait()
}

// readDifferent reads the records of zones whose files are not known to say
// what they should: a change needs the ids, and a fault names them.
func (o *Operator) readDifferent(ctx context.Context, w *World, site Site) (err error) {
	k := w.keeper(site)
	changes, faults := k.compare()
	unknown := slices.ContainsFunc(k.zones, func(z droplets.Zone) bool { return !z.Known })
	if unknown || len(changes)+len(faults) > 0 {
		w.Around.Zones, err = o.readRecords(ctx, k.zones)
	}
	return err
}

// keep makes the records what they should be. It reads them once more: the
// plan may be minutes old. After an order whose outcome is open it looks
// before it sends anything again.
func (o *Operator) keep(ctx context.Context, k keeper) (err error) {
	for try := range lookups {
		if try > 0 {
			if perr := pause(ctx, lookupPause); perr != nil {
				return err
			}
		}
		if k.zones, err = o.readRecords(ctx, k.zones); err != nil {
			return err
		}
		changes, faults := k.compare()
		if len(faults) > 0 {
			return &byHand{errors.New(faults[0].Msg), faults[0].Hint}
		}
		if err = o.changeRecords(ctx, changes); !droplets.Uncertain(err) && !droplets.NotFound(err) {
			return err
		}
	}
	return err
}

func (o *Operator) changeRecords(ctx context.Context, changes []recordChange) error {
	for _, c := range changes {
		if err := o.changeRecord(ctx, c); err != nil {
			return &byHand{lacks(err, keyDNS, "domain:update"), c.command()}
		}
	}
	return nil
}

// changeRecord looks at what it changes or deletes once more, by its id: what a
// list says is no proof.
func (o *Operator) changeRecord(ctx context.Context, c recordChange) error {
	if c.was.Type == "" {
		return o.Cloud.MakeRecord(ctx, c.zone, c.will)
	}
	now, err := o.Cloud.Record(ctx, c.zone, c.was.ID)
	switch {
	case c.will.Type == "" && droplets.NotFound(err):
		return nil
	case err != nil:
		return err
	case now.String() != c.was.String():
		return fmt.Errorf("record %d is %s now: left alone", c.was.ID, now)
	case c.will.Type == "":
		return o.Cloud.DeleteRecord(ctx, c.zone, c.was.ID)
	}
	return o.Cloud.ChangeRecord(ctx, c.zone, c.will)
}

// dnsFaults are the records that forbid a release.
func (w *World) dnsFaults(site Site) []Fault {
	if !site.DNS {
		return nil
	}
	_, faults := w.keeper(site).compare()
	return faults
}

// dns is the step that makes the names lead to the address, where they do not.
func (p *Plan) dns() []Step {
	if !p.Site.DNS || p.World.Around.Err != nil {
		return nil
	}
	changes, faults := p.World.keeper(p.Site).compare()
	if len(changes) == 0 || len(faults) > 0 {
		return nil
	}
	return []Step{{Name: "dns", Title: titled(changes), run: (*run).keepRecords, after: true}}
}

func titled(changes []recordChange) string {
	out := make([]string, len(changes))
	for i, c := range changes {
		out[i] = c.String()
	}
	return strings.Join(out, "; ")
}

func (r *run) keepRecords(ctx context.Context) error {
	k := r.world.keeper(r.site)
	k.ip = r.ip
	r.records = r.keep(ctx, k)
	r.report.DNS = r.records == nil
	return r.records
}

// dnsChanges are those of address records, for the plan.
func (p *Plan) dnsChanges() (out []Change) {
	if len(p.dns()) == 0 {
		return nil
	}
	changes, _ := p.World.keeper(p.Site).compare()
	show := func(r droplets.Record) string {
		if r.Type == "" {
			return ""
		}
		return leading(r)
	}
	for _, c := range changes {
		if c.was.Type != "TXT" && c.will.Type != "TXT" {
			out = append(out, Change{"dns", show(c.was), show(c.will)})
		}
	}
	return out
}
