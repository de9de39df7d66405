package sandbox

import "time"

// A volumeDisk is what stub machines have on a volume.
type volumeDisk struct {
	Mounted bool     `json:"mounted,omitempty"` // by the droplet that it is attached to
	Rows    []string `json:"rows,omitempty"`
}

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
