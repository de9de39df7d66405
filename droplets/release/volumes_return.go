package release

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"cattle/droplets"
)

// A release, or a rollback, that died on its way leaves volumes nowhere, or at a
// droplet that is not live. The live one waits for them, closed, until somebody
// brings them back: gc does, and a release before it begins.

// strays are the volumes that are not at the live droplet, and could be.
func (w *World) strays() (out []VolumeAt) {
	for _, v := range w.Volumes {
		if v.Is == nil || w.Live != nil && v.Is.At(w.Live.ID) {
			continue
		}
		if m := w.Member(v.On()); v.On() == 0 || m != nil && m.Born {
			out = append(out, v)
		}
	}
	return out
}

// without tells that a volume is elsewhere than at that droplet.
func (w *World) without(id int) bool {
	return slices.ContainsFunc(w.Volumes, func(v VolumeAt) bool { return v.Is != nil && !v.Is.At(id) })
}

// Awaited are the volumes that the live droplet waits for, closed, as its status
// says.
func (w *World) Awaited(b *droplets.StateBrief) []VolumeAt {
	return slices.DeleteFunc(w.strays(), func(v VolumeAt) bool {
		mounted, known := mounts(b, v.Want.Name)
		return mounted || !known
	})
}

// Underway means that another operator may be moving the volumes: nobody else
// touches them before Until.
type Underway struct{ Until time.Time }

func (e *Underway) Error() string {
	return fmt.Sprintf("somebody may be moving them until %s", e.Until.UTC().Format(time.RFC3339))
}

// returnVolumes brings to the live droplet what it waits for; waits tells
// whether there was any. While it holds its writes for somebody, who may be a
// rollback under way, nothing is touched, unless that one is known to be dead.
func (o *Operator) returnVolumes(ctx context.Context, w *World, dead bool) (waits bool, err error) {
	live := o.holder(*w.Live, w.Reserved.IP)
	var brief *droplets.StateBrief
	err = live.ask(ctx, "say what it waits for", writesWithin, writesWithin, func(ctx context.Context, m *droplets.Machine) error {
		s, err := m.Status(ctx)
		brief = s.State
		return err
	})
	if err != nil {
		return false, err
	}
	awaited := w.Awaited(brief)
	if len(awaited) == 0 {
		return false, nil
	}
	if until := time.UnixMilli(brief.Until); !dead && brief.Phase.Holds() && until.After(o.Cloud.Now()) {
		return true, &Underway{until}
	}
	for _, v := range awaited {
		if err := o.returnVolume(ctx, w, live, *v.Is); err != nil {
			return true, err
		}
	}
	return true, live.join(ctx)
}

func (o *Operator) returnVolume(ctx context.Context, w *World, live *volumeHolder, v droplets.Volume) error {
	now, err := o.settledVolume(ctx, v)
	if err != nil {
		return err
	}
	if on := onOf(now); on != 0 && on != live.ID {
		m := w.Member(on)
		if m == nil || !m.Born || on != onOf(v) {
			return &carriedOff{v.Name, on}
		}
		h := o.holder(*m, w.Reserved.IP)
		if err := o.letGo(ctx, h); err != nil {
			return err
		}
		if err := o.takeOff(ctx, h, now); err != nil {
			return err
		}
	}
	return o.putOn(ctx, now, live.ID)
}

// letGo has a droplet let go of its volumes, or turns it off. One that was live
// holds its writes first.
func (o *Operator) letGo(ctx context.Context, h *volumeHolder) error {
	err := h.part(ctx, freezeTry)
	var said *droplets.StateError
	if errors.As(err, &said) && said.Code == droplets.StateNotFrozen {
		err = h.ask(ctx, "hold its writes", freezeTry, freezeTry, func(ctx context.Context, m *droplets.Machine) error {
			return m.Freeze(ctx, partFor)
		})
		if err == nil {
			err = h.part(ctx, freezeTry)
		}
	}
	if err == nil || ctx.Err() != nil {
		return err
	}
	if live, lerr := o.holdsIP(ctx, h.ID); lerr != nil || live { // by now
		return errors.Join(err, lerr)
	}
	return o.cutOff(ctx, h)
}

// holdsIP tells whether a reserved IP leads to the droplet.
func (o *Operator) holdsIP(ctx context.Context, id int) (bool, error) {
	ips, err := o.Cloud.ReservedIPs(ctx)
	return slices.ContainsFunc(ips, func(ip droplets.ReservedIP) bool { return ip.DropletID == id }), err
}

// freeVolumes has droplets that are about to be destroyed let go of the site's
// volumes: those stay, and shall be whole. What does not work holds up nothing.
func (o *Operator) freeVolumes(ctx context.Context, w *World, ms []Member) {
	if o.Login == nil {
		return
	}
	for _, v := range w.Volumes {
		i := slices.IndexFunc(ms, func(m Member) bool { return v.Is != nil && m.Born && v.Is.At(m.ID) })
		if i < 0 {
			continue
		}
		h := o.holder(ms[i], w.Reserved.IP)
		if o.letGo(ctx, h) == nil {
			o.takeOff(ctx, h, *v.Is)
		}
	}
}
