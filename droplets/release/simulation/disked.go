package simulation

import (
	"errors"
	"time"

	"cattle/droplets/release"
	"cattle/droplets/sandbox"
)

// Disked is a site whose rows are on a volume of block storage.
func Disked(b *Bench) {
	stateful(b)
	b.Site.MaxFreeze = time.Minute
	b.Site.Volumes, b.Site.VolumesAlone = []release.VolumeSpec{{Name: "blog-db", SizeGiB: 10}}, true
}

// diskedScenes are those of a site whose rows move on a volume.
func diskedScenes() []*scene {
	two := []string{"v1", "v2"}
	return []*scene{
		{name: "release with a volume", before: two, keep: 1, verb: Releases("v3"), site: Disked},
		{name: "release with a volume, taken back", before: two, keep: 1, break_: "v3", fails: true, verb: Releases("v3"), site: Disked, variant: true},
		{name: "rollback with a volume", before: two, keep: 1, verb: RollsBack, site: Disked, variant: true},
		{name: "first release with a volume", keep: 1, verb: Releases("v3"), site: Disked, variant: true},
	}
}

// strayed tells that the volume is not at the droplet that is live.
func (b *Bench) strayed() bool { return b.strayedIn(b.Cloud.Snapshot()) }

func (b *Bench) strayedIn(s sandbox.Snapshot) bool {
	live := b.holder(s)
	for _, v := range s.Volumes {
		if live != nil && v.Droplet != live.ID {
			return true
		}
	}
	return false
}

// closedByAnother tells a site that is closed in that moment because somebody
// else is moving its volume, or a hand has sent the address to where there is none.
func (b *Bench) closedByAnother(r *run, s *schedule) bool {
	return (len(s.parts) > 1 || s.traits().hand) && r.served == "" && b.strayedIn(r.after)
}

// fetch has a person find the site closed, and type what status tells him: gc,
// with the attempt that is dead, or after the time that gc says.
func (b *Bench) fetch() error {
	if !b.strayed() {
		return nil
	}
	ctx := b.T.Context()
	w, err := b.Op.Survey(ctx, b.Site)
	if err != nil {
		return err
	}
	var opts release.GCOptions
	if len(w.Candidates) > 0 {
		opts.Attempt = w.Candidates[0].Birth.Attempt
	}
	err = b.GCBy(ctx, b.Op, opts)
	var underway *release.Underway
	if errors.As(err, &underway) {
		b.idle(time.Until(underway.Until) + time.Second)
		err = b.GCBy(ctx, b.Op, release.GCOptions{})
	}
	return err
}

// judgeDisk wants no volume to have been torn off a droplet that ran, and in the
// end each to be mounted on what is live.
func (b *Bench) judgeDisk(changes []sandbox.Change, what traits) {
	if what.hand || what.stuck {
		return
	}
	for _, c := range changes {
		if c.What == sandbox.Torn {
			b.violate(neverTorn, "%s: %s is detached from droplet %d, which has it mounted", c.At.Format("15:04:05"), c.Note, c.Droplet)
		}
	}
	live := b.Holder()
	for _, v := range b.Cloud.Snapshot().Volumes {
		if live != nil && (v.Droplet != live.ID || !v.Mounted) {
			b.violate(staysWith, "%s is at droplet %d, mounted: %t; live is droplet %d", v.Name, v.Droplet, v.Mounted, live.ID)
		}
	}
}
