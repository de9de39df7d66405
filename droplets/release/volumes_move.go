package release

import (
	"context"
	"errors"
	"fmt"

	"cattle/droplets"
)

// makeVolume makes a volume where there is none. A name is had once in a
// region: an order that was carried out without an answer is found by it.
func (r *run) makeVolume(ctx context.Context, want VolumeSpec) error {
	made, err := r.Cloud.CreateVolume(context.WithoutCancel(ctx), droplets.VolumeSpec{Name: want.Name, Region: r.site.Region, SizeGiB: want.SizeGiB,
		Tags: []string{droplets.AppTag(r.site.App)}, Description: "made by cattle for " + r.site.App})
	if droplets.Uncertain(err) {
		r.notice("the order of the volume %s was not answered (%v); looking whether it was carried out", want.Name, err)
		made, err = r.findVolume(ctx, want.Name)
	}
	if err != nil {
		return err
	}
	for i := range r.volumes {
		if r.volumes[i].Want == want {
			r.volumes[i].Is = &made
		}
	}
	r.pushUndo(undoStep{what: "leave the volume " + made.Name, run: func(context.Context) error {
		r.notice("the volume %s stays for the next release, and bills; without one: doctl compute volume delete %s", made.Name, made.ID)
		return nil
	}})
	return nil
}

// findVolume looks for a volume by its name: lists lag, by seconds.
func (r *run) findVolume(ctx context.Context, name string) (v droplets.Volume, err error) {
	looks := 0
	err = droplets.Wait(ctx, "the volume "+name, volumeWithin, droplets.Every(pendingPause), func(ctx context.Context) (bool, error) {
		found, err := r.Cloud.Volumes(ctx, r.site.Region, name)
		if err != nil {
			return false, err
		}
		if len(found) > 0 {
			v = found[0]
			return true, nil
		}
		looks++
		return looks > lookups, fmt.Errorf("the volume %s was ordered, and did not come to be", name)
	})
	return v, err
}

// moveVolumes takes the volumes off the droplets that have them, and puts them
// on the run's.
func (r *run) moveVolumes(ctx context.Context) error {
	if err := r.equip(ctx); err != nil {
		return orBudget(ctx, err)
	}
	wanted, err := r.wantedVolumes(ctx)
	if err != nil {
		return orBudget(ctx, err)
	}
	if len(wanted) == 0 {
		return &skipped{fmt.Sprintf("%s knows no volume: %s stays where it is", r.plan.Release, Named(r.volumes))}
	}
	// Who loses now has taken nothing off yet.
	if err := r.mayGoOn(ctx); err != nil {
		return orBudget(ctx, err)
	}
	remedy := "cattle gc"
	if r.plan.candidate != nil {
		remedy += " --attempt " + r.plan.candidate.Attempt
	}
	r.pushUndo(undoStep{what: "put " + Named(wanted) + " back", run: r.volumesBack, decides: true,
		leftover: Leftover{What: Named(wanted) + " may not be at the droplet that serves, which is closed then", Command: remedy}})
	for _, v := range wanted {
		if err := r.moveVolume(ctx, v); err != nil {
			return orBudget(ctx, err)
		}
	}
	return orBudget(ctx, r.self().join(ctx))
}

// wantedVolumes are those that the run's droplet mounts: an older release may
// know fewer of them.
func (r *run) wantedVolumes(ctx context.Context) (out []VolumeAt, err error) {
	if r.plan.target == nil {
		return r.volumes, nil
	}
	status, err := r.statusNow(ctx, "tell of its volumes", partTry)
	for _, v := range r.volumes {
		if _, known := mounts(status.State, v.Want.Name); known && v.Is != nil {
			out = append(out, v)
		}
	}
	return out, err
}

// moveVolume moves one. It has to be where the plan found it: elsewhere it is
// somebody else's to move.
func (r *run) moveVolume(ctx context.Context, v VolumeAt) error {
	now, err := r.settledVolume(ctx, *v.Is)
	if err != nil {
		return err
	}
	on := onOf(now)
	if on == r.droplet.ID {
		r.moved[now.ID] = now
		return nil
	}
	if on != r.home(v) && on != v.On() {
		r.contested, r.outdone = true, len(r.moved) > 0
		return &carriedOff{now.Name, on}
	}
	if on != 0 {
		if err := r.release(ctx, on, now); err != nil {
			return err
		}
	}
	r.moved[now.ID] = now
	return r.putOn(ctx, now, r.droplet.ID)
}

// release takes the volume off a droplet, which lets go of it before. One that
// is given up and does not answer is turned off in its place.
func (r *run) release(ctx context.Context, on int, v droplets.Volume) error {
	h, err := r.holderOf(on)
	if err != nil {
		return err
	}
	r.moved[v.ID] = v
	switch live := r.plan.leaves() && on == r.world.Live.ID; {
	case live && r.frozen.IsZero(): // see freezeIfReachable
		r.notice("%s does not hold its writes: it is shut down, so that the volume %s can be taken off it", h.Name, v.Name)
		err = r.cutOff(ctx, h)
	case live:
		err = h.part(ctx, volumeWithin)
	default:
		err = r.letGo(ctx, h)
	}
	if err != nil {
		return err
	}
	return r.takeOff(ctx, h, v)
}

// holderOf is the droplet that has, or had, a volume.
func (r *run) holderOf(id int) (*volumeHolder, error) {
	if h := r.holders[id]; h != nil {
		return h, nil
	}
	m := r.world.Member(id)
	if m == nil || !m.Born {
		return nil, fmt.Errorf("droplet %d has a volume of the site's, and is none that cattle made", id)
	}
	h := r.holder(*m, r.ip)
	if r.giver != nil && id == r.giver.ID {
		h.ask = r.onOld
	}
	r.holders[id] = h
	return h, nil
}

// self is the run's own droplet.
func (r *run) self() *volumeHolder {
	h := &volumeHolder{Member: Member{Droplet: r.droplet, Birth: r.birth, Born: true}, ask: r.onNew}
	return h
}

// home is the droplet at which a volume belongs if the plan is not carried out.
func (r *run) home(v VolumeAt) int {
	if r.plan.leaves() {
		return r.world.Live.ID
	}
	return v.On()
}

// volumesBack undoes the move: what is on the run's droplet, or on the way, goes
// back to where it belongs, and that droplet takes it up. What somebody else has
// meanwhile is his.
func (r *run) volumesBack(ctx context.Context) error {
	// Somebody else may have made the droplet live: it has its volume then.
	if live, err := r.holdsIP(ctx, r.droplet.ID); err != nil || live {
		r.outdone = live
		return err
	}
	homes := map[int]bool{}
	for _, v := range r.volumes {
		if v.Is == nil {
			continue
		}
		if _, touched := r.moved[v.Is.ID]; !touched {
			continue
		}
		if err := r.volumeBack(ctx, *v.Is, r.home(v)); err != nil {
			return err
		}
		if id := r.home(v); id != 0 {
			homes[id] = true
		}
	}
	if r.outdone {
		return nil
	}
	for id := range homes {
		h, err := r.holderOf(id)
		if err == nil && id != r.droplet.ID {
			err = h.join(ctx)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *run) volumeBack(ctx context.Context, v droplets.Volume, home int) error {
	now, err := r.settledVolume(ctx, v)
	if err != nil {
		return err
	}
	on := onOf(now)
	if on == r.droplet.ID && on != home {
		h := r.self()
		if err := h.part(ctx, freezeTry); err != nil {
			// It takes no writes, and nobody needs it any more.
			if err := r.off(ctx, h.ID, offWithin, r.Cloud.PowerOff); err != nil {
				return err
			}
			h.off = true
		}
		if err := r.takeOff(ctx, h, now); err != nil {
			return err
		}
		on = 0
	}
	if on == 0 && home != 0 {
		err = r.putOn(ctx, now, home)
		on = home
	}
	var taken *carriedOff
	if errors.As(err, &taken) || err == nil && on != home {
		r.outdone = true
		r.notice("the volume %s is somebody else's to move by now", v.Name)
		return nil
	}
	return err
}

// volumesHere finds, right before the switch, that nobody has taken a volume
// from the droplet.
func (r *run) volumesHere(ctx context.Context) error {
	for _, v := range r.moved {
		now, err := r.Cloud.Volume(ctx, v.ID)
		if err != nil {
			return err
		}
		if on := onOf(now); on != r.droplet.ID {
			return &carriedOff{v.Name, on}
		}
	}
	return nil
}

// returnVolumes gives the live droplet back what it waits for, before anything
// else: the site is closed.
func (r *run) returnVolumes(ctx context.Context) error {
	waits, err := r.Operator.returnVolumes(ctx, r.world, false)
	var underway *Underway
	if errors.As(err, &underway) {
		return &Known{"release-under-way", "wait until then, and release again; cattle status shows where they are", err}
	}
	if err != nil {
		return err
	}
	for i := range r.volumes {
		v := &r.volumes[i]
		if v.Is == nil {
			continue
		}
		now, err := r.Cloud.Volume(ctx, v.Is.ID)
		if err != nil {
			return err
		}
		v.Is = &now
	}
	if !waits {
		return &skipped{r.world.Live.Name + " does not wait for it"}
	}
	return nil
}
