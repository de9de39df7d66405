package sandbox

import (
	"context"
	"encoding/json"
	"slices"
	"time"
)

// A volumeDisk is what stub machines have on a volume.
type volumeDisk struct {
	Mounted bool     `json:"mounted,omitempty"` // by the droplet that it is attached to
	Rows    []string `json:"rows,omitempty"`    // in the order in which they were taken
}

// stateVolumes are the volumes that a droplet does not open without, since it
// joined or parted.
type stateVolumes struct {
	Names []string  `json:"names"`
	Until time.Time `json:"until,omitzero"` // it mounts none before
	// Thaw says that somebody wanted the phase of that moment to end.
	Thaw time.Time `json:"thaw,omitzero"`
}

// tend does what a droplet does by itself for the volumes that it had, and tells
// whether it may open, as far as they go.
func (c *Cloud) tend(d *droplet, now time.Time) bool {
	s := &d.Disk.State
	if s.Volumes == nil {
		return true
	}
	if !c.back(d, now) {
		return false
	}
	wished := !s.Volumes.Thaw.IsZero() && s.Volumes.Thaw.Equal(s.Since)
	if wished && (s.Phase == phaseFrozen || s.Phase != phaseOpen && c.reservedOf(d.ID) != nil) {
		s.Volumes.Thaw = time.Time{}
		c.enter(d, phaseOpen, now, time.Time{})
	}
	return true
}

// backAt is since when a droplet has all of its volumes, and may mount them.
func (c *Cloud) backAt(d *droplet) (at time.Time) {
	if d.Disk.State.Volumes == nil {
		return at
	}
	at = d.Disk.State.Volumes.Until
	for _, name := range d.Disk.State.Volumes.Names {
		if v := c.volumeNamed(d.Region, name); v != nil {
			at = later(at, v.MovedAt)
		}
	}
	return at
}

// joinWait is how long join waits for a device.
const joinWait = 30 * time.Second

// volumeLeaves is called in the moment before a volume leaves a droplet. One
// that is mounted there is torn: what was not written yet is lost.
func (c *Cloud) volumeLeaves(v *volume, d *droplet, at time.Time) {
	if v.Disk.Mounted {
		c.note(Change{At: at, What: Torn, Droplet: d.ID, Note: v.Name})
	}
	v.Disk.Mounted = false
}

// unmountAll is what the end of a droplet's power does.
func (c *Cloud) unmountAll(d *droplet) {
	for _, v := range c.volumesOf(d.ID) {
		v.Disk.Mounted = false
	}
}

// volumeNames are those of a spec, by DigitalOcean's name.
func volumeNames(text []byte) (names []string) {
	var spec stateSpec
	if json.Unmarshal(text, &spec) != nil {
		return nil
	}
	for _, e := range spec.Entries {
		if e.Kind == kindVolume {
			names = append(names, e.Volume)
		}
	}
	return names
}

// kindVolume is the entry that is a disk of its own.
const kindVolume = "volume"

// needs are the volumes that a droplet is to have.
func (c *Cloud) needs(d *droplet) []string {
	if v := d.Disk.State.Volumes; v != nil {
		return v.Names
	}
	text, _ := c.specText(d)
	return volumeNames(text)
}

// mounted is a volume that a droplet has mounted, nil else.
func (c *Cloud) mounted(d *droplet, name string) *volume {
	if v := c.volumeNamed(d.Region, name); v != nil && v.Droplet == d.ID && v.Disk.Mounted {
		return v
	}
	return nil
}

// lacks is the first volume that a droplet has not mounted, "" where it has all.
func (c *Cloud) lacks(d *droplet) string {
	for _, name := range c.needs(d) {
		if c.mounted(d, name) == nil {
			return name
		}
	}
	return ""
}

// shut tells a droplet that answers no visitor, for a volume is elsewhere.
func (c *Cloud) shut(d *droplet, now time.Time) bool {
	v := d.Disk.State.Volumes
	return v != nil && (now.Before(v.Until) || c.lacks(d) != "")
}

// back mounts what is attached to a droplet by now, unless it promised not to,
// and tells whether it may open.
func (c *Cloud) back(d *droplet, now time.Time) bool {
	if v := d.Disk.State.Volumes; v != nil && now.Before(v.Until) {
		return false
	}
	names := c.needs(d)
	if slices.ContainsFunc(names, func(name string) bool { return !c.attached(d, name) }) {
		return false
	}
	for _, name := range names {
		if v := c.volumeNamed(d.Region, name); !v.Disk.Mounted {
			v.Disk.Mounted = true
			c.touch()
		}
	}
	return true
}

func (c *Cloud) attached(d *droplet, name string) bool {
	v := c.volumeNamed(d.Region, name)
	return v != nil && v.Droplet == d.ID
}

// wanted are a droplet's volumes, what it had when it parted, and what somebody
// mounted there that the next release has.
func (q *stateCall) wanted() []string {
	own, _ := q.cloud.specText(q.d)
	names := volumeNames(own)
	if v := q.d.Disk.State.Volumes; v != nil {
		names = append(names, v.Names...)
	}
	if f, there := q.d.Disk.Files[":"+offeredSpec]; there {
		names = append(names, slices.DeleteFunc(volumeNames(f.Data), func(name string) bool { return q.cloud.mounted(q.d, name) == nil })...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// side is which droplet a fault is about.
func (q *stateCall) side() string {
	if q.cloud.phase(q.d) == phaseNew {
		return "new"
	}
	return "old"
}

// part lets go of the volumes, and promises not to mount them for so long.
func (q *stateCall) part(promise time.Duration) error {
	s := &q.d.Disk.State
	phase := q.cloud.phase(q.d)
	if phase == phaseOpen || phase == phaseFrozen && !q.now.Before(s.Until) {
		return &stateFault{Code: "not-frozen", Side: "old", Message: "this droplet takes writes: its volumes are in use"}
	}
	s.Known, s.Volumes = true, &stateVolumes{Names: q.wanted(), Until: q.now.Add(promise)}
	for _, name := range s.Volumes.Names {
		if v := q.cloud.mounted(q.d, name); v != nil {
			v.Disk.Mounted = false
		}
	}
	if phase == phaseNew {
		s.Ready = time.Time{} // the app is stopped first
	}
	q.cloud.touch()
	q.say(obj{"parted": true, "until_ms": s.Volumes.Until.UnixMilli()})
	return nil
}

// join notes that nothing is promised any more, and waits for what is to come.
func (s *session) join(ctx context.Context) error {
	var end time.Time
	for ctx.Err() == nil {
		var now time.Time
		var changed chan struct{}
		var err error
		done := false
		if !s.with(func(d *droplet, at time.Time) {
			now, changed = at, s.cloud.changed
			if end.IsZero() {
				end = at.Add(joinWait)
				q := &stateCall{session: s, d: d, now: at}
				d.Disk.State.Known, d.Disk.State.Volumes = true, &stateVolumes{Names: q.wanted(), Thaw: d.Disk.State.thawed()}
				s.cloud.touch()
			}
			switch v := d.Disk.State.Volumes; {
			case at.Before(v.Until):
				err = &stateFault{Code: "busy", Message: "another command had this droplet let go of its volumes"}
			case s.cloud.back(d, at):
				done = true
			case !at.Before(end):
				err = (&stateCall{session: s, d: d}).missing()
			}
		}) {
			return context.Canceled
		}
		if done || err != nil {
			return err
		}
		s.wait(ctx, changed, now, end)
	}
	return ctx.Err()
}

func (s *stateDisk) thawed() (at time.Time) {
	if s.Volumes != nil {
		at = s.Volumes.Thaw
	}
	return at
}

// missing is the fault of a droplet without a volume, nil where it has all.
func (q *stateCall) missing() error {
	name := q.cloud.lacks(q.d)
	if name == "" {
		return nil
	}
	return &stateFault{Code: "volume-missing", Entry: q.entryOf(name), Side: q.side(), Message: "the volume " + name + " is not mounted here"}
}

// entryOf names the entry of the spec that a volume is.
func (q *stateCall) entryOf(volume string) string {
	spec, _ := q.spec()
	for _, e := range spec.Entries {
		if e.Volume == volume && e.Kind == kindVolume {
			return e.Name
		}
	}
	return ""
}

// opens is what thaw does without the volumes: the wish is kept.
func (q *stateCall) opens() error {
	if q.cloud.back(q.d, q.now) {
		return nil
	}
	s := &q.d.Disk.State
	if s.Volumes == nil {
		s.Volumes = &stateVolumes{Names: q.wanted()}
	}
	s.Volumes.Thaw = s.Since
	q.cloud.touch()
	if err := q.missing(); err != nil {
		return err
	}
	return &stateFault{Code: "volume-missing", Side: q.side(), Message: "this droplet has let go of its volumes"}
}

// briefVolumes is what status tells of them.
func (c *Cloud) briefVolumes(d *droplet) []obj {
	list := []obj{}
	for _, name := range c.needs(d) {
		list = append(list, obj{"name": name, "mounted": c.mounted(d, name) != nil})
	}
	return list
}
