package release

import (
	"context"
	"fmt"
	"time"

	"cattle/droplets"
)

const (
	// volumeWithin bounds a detach, and an attach: how long they take nobody
	// tells, and 2 min are what a pending event gets elsewhere.
	volumeWithin = 2 * time.Minute
	volumePause  = time.Second
	// partTry bounds one try at letting go: services get ten seconds to stop.
	partTry = 30 * time.Second
	// partFor is how long a droplet that let go does not mount its volumes again
	// by itself: a detach is carried out by then.
	partFor = 4 * time.Minute
	// partFresh is how old its word may be when the detach is ordered.
	partFresh = 5 * time.Second
	// joinTry is longer than the droplet waits for the device.
	joinTry    = 45 * time.Second
	joinWithin = 2 * time.Minute
	// downWithin is how long a droplet's system may take to go down by itself.
	downWithin = 30 * time.Second
	// offWithin is how long a droplet may take to be off.
	offWithin = time.Minute
)

// A volumeHolder is a droplet that is to let go of them.
type volumeHolder struct {
	Member
	// ask does something on it, until there is an answer.
	ask    func(ctx context.Context, what string, within, try time.Duration, do func(context.Context, *droplets.Machine) error) error
	parted time.Time // when it was last asked to let go, and did
	off    bool
}

// holder is the droplet, over connections that are made for this alone.
func (o *Operator) holder(m Member, ip string) *volumeHolder {
	h := &volumeHolder{Member: m}
	h.ask = func(ctx context.Context, what string, within, try time.Duration, do func(context.Context, *droplets.Machine) error) error {
		return insist(ctx, fmt.Sprintf("%s to %s", m.Name, what), within, try, func(ctx context.Context) error {
			machine, err := droplets.Connect(ctx, o.Dialer, o.Login, m.Address(ip), m.Birth.HostKey)
			if err != nil {
				return fmt.Errorf("log in to %s: %w", m.Name, err)
			}
			defer machine.Close()
			return do(ctx, machine)
		})
	}
	return h
}

// part has the droplet let go of its volumes, and not take them up for a while.
// Its word is asked for anew where it is old.
func (h *volumeHolder) part(ctx context.Context, within time.Duration) error {
	for !h.off && since(h.parted) >= partFresh {
		var asked time.Time
		err := h.ask(ctx, "let go of its volumes", within, min(within, partTry), func(ctx context.Context, m *droplets.Machine) error {
			asked = time.Now()
			_, err := m.PartVolumes(ctx, partFor)
			return err
		})
		if err != nil {
			return err
		}
		h.parted = asked
	}
	return nil
}

// mounts tells whether a droplet knows the volume, and has it mounted.
func mounts(b *droplets.StateBrief, name string) (mounted, known bool) {
	if b == nil {
		return false, false
	}
	for _, v := range b.Volumes {
		if v.Name == name {
			return v.Mounted, true
		}
	}
	return false, false
}

// join has the droplet take its volumes up.
func (h *volumeHolder) join(ctx context.Context) error {
	if h.off {
		return nil
	}
	return h.ask(ctx, "mount its volumes", joinWithin, joinTry, func(ctx context.Context, m *droplets.Machine) error { return m.JoinVolumes(ctx) })
}

// cutOff ends a droplet that does not let go: what is on a volume is not
// written any more then. Its system is asked first, for it may write what it
// has not written yet.
func (o *Operator) cutOff(ctx context.Context, h *volumeHolder) error {
	if h.off {
		return nil
	}
	if err := o.off(ctx, h.ID, downWithin, o.Cloud.Shutdown); err != nil {
		if err := o.off(ctx, h.ID, offWithin, o.Cloud.PowerOff); err != nil {
			return fmt.Errorf("%s does not let go of its volumes, and cannot be powered off: %w", h.Name, err)
		}
	}
	h.off = true
	return nil
}

// off orders, and waits until the droplet is off, or gone.
func (o *Operator) off(ctx context.Context, id int, within time.Duration, order func(context.Context, int) error) error {
	ordered := false
	what := fmt.Sprintf("droplet %d to be off", id)
	return droplets.Wait(ctx, what, within, droplets.Every(volumePause), func(ctx context.Context) (bool, error) {
		d, err := o.Cloud.Droplet(ctx, id)
		switch {
		case droplets.NotFound(err) || err == nil && d.Status == "off":
			return true, nil
		case err != nil:
			return false, err
		case !ordered:
			err = order(context.WithoutCancel(ctx), id)
			ordered = err == nil
		}
		return refused(err)
	})
}

// carriedOff means that a volume is at a droplet to which nobody here has sent it.
type carriedOff struct {
	name string
	on   int
}

func (e *carriedOff) Error() string {
	if e.on == 0 {
		return fmt.Sprintf("somebody else has taken the volume %s off its droplet", e.name)
	}
	return fmt.Sprintf("somebody else has put the volume %s on droplet %d", e.name, e.on)
}

// takeOff detaches the volume from a droplet that has let go of it.
func (o *Operator) takeOff(ctx context.Context, h *volumeHolder, v droplets.Volume) error {
	return o.bring(ctx, v, fmt.Sprintf("the volume %s to leave %s", v.Name, h.Name), 0, h.ID, func(ctx context.Context) (bool, error) {
		if err := h.part(ctx, volumeWithin); err != nil {
			return true, err
		}
		// An interrupt does not keep the answer from being waited for.
		return refused(o.Cloud.DetachVolume(context.WithoutCancel(ctx), v.ID, h.ID))
	})
}

// putOn attaches the volume, which is nowhere, to the droplet.
func (o *Operator) putOn(ctx context.Context, v droplets.Volume, id int) error {
	return o.bring(ctx, v, fmt.Sprintf("the volume %s to be at droplet %d", v.Name, id), id, 0, func(ctx context.Context) (bool, error) {
		return refused(o.Cloud.AttachVolume(context.WithoutCancel(ctx), v.ID, id))
	})
}

// refused tells whether an order was refused for good.
func refused(err error) (bool, error) {
	return err != nil && !droplets.Busy(err) && !droplets.Uncertain(err), err
}

// bring orders, and waits until the volume is where it shall be. What is refused
// for now, not answered, or does not come to be is ordered again, each time
// only after a look has found the volume where it was, and nothing under way.
func (o *Operator) bring(ctx context.Context, v droplets.Volume, what string, to, from int, order func(context.Context) (over bool, err error)) error {
	ordered, strange := false, 0
	return droplets.Wait(ctx, what, volumeWithin, droplets.Every(volumePause), func(ctx context.Context) (bool, error) {
		now, err := o.Cloud.Volume(ctx, v.ID)
		if err != nil {
			return droplets.NotFound(err), err
		}
		switch on := onOf(now); {
		case on == to:
			return true, nil
		case on != from: // one look may be stale
			strange++
			return strange >= lookups, &carriedOff{v.Name, on}
		}
		strange = 0
		if ordered {
			if busy, err := o.volumeBusy(ctx, v.ID); busy || err != nil {
				return false, err
			}
		}
		ordered = true
		return order(ctx)
	})
}

// volumeBusy tells whether an action is in progress on the volume.
func (o *Operator) volumeBusy(ctx context.Context, id string) (bool, error) {
	actions, err := o.Cloud.VolumeActions(ctx, id)
	for _, a := range actions {
		if a.Status == droplets.ActionInProgress {
			return true, nil
		}
	}
	return false, err
}

// settledVolume reads the volume when nothing is under way with it, twice:
// an order whose answer was lost may still be on its way.
func (o *Operator) settledVolume(ctx context.Context, v droplets.Volume) (now droplets.Volume, err error) {
	what := fmt.Sprintf("what is under way with the volume %s to end", v.Name)
	quiet, was := 0, -1
	err = droplets.Wait(ctx, what, volumeWithin, droplets.Every(volumePause), func(ctx context.Context) (bool, error) {
		busy, err := o.volumeBusy(ctx, v.ID)
		if err == nil && !busy {
			now, err = o.Cloud.Volume(ctx, v.ID)
		}
		if err != nil || busy {
			quiet = 0
			return droplets.NotFound(err), err
		}
		if onOf(now) != was {
			quiet, was = 0, onOf(now)
		}
		quiet++
		return quiet > 1, nil
	})
	return now, err
}
