package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"slices"
	"time"
)

// A site whose rows move from droplet to droplet has a program on each,
// which is brought there over SSH. A stub takes that program's bytes and does
// itself what it would do: its rows are in memory, and a phase says who may
// add to them.

// The phases of a droplet.
const (
	phaseOpen      = "open"
	phaseFrozen    = "frozen"    // until the lease ends, or somebody thaws it
	phaseCommitted = "committed" // after the lease it opens if it is live
	phaseNew       = "new"       // likewise; before it was ever open
)

// lookEvery is how often a droplet whose lease is over looks whether it is live.
const lookEvery = 10 * time.Second

// stateDisk is what a stub keeps of a site's rows and of their way from droplet
// to droplet.
type stateDisk struct {
	Rows []string `json:"rows,omitempty"` // in the order in which they were taken
	Base []string `json:"base,omitempty"` // what the pass in bulk brought; it serves nobody
	// Own are the rows that the last pass replaced, until the droplet opens; nil
	// where there are none to go back to.
	Own *[]string `json:"own,omitempty"`
	// Known says that the program has run here: brief.json is there.
	Known bool      `json:"known,omitempty"`
	Ready time.Time `json:"ready,omitzero"` // since when the app may run, where it waits for that
	Phase string    `json:"phase,omitempty"`
	Since time.Time `json:"since,omitzero"`
	Until time.Time `json:"until,omitzero"` // end of the lease, then the next look

	Opened   time.Time `json:"opened,omitzero"` // since when writes are counted
	Baseline int       `json:"baseline,omitempty"`

	LentKey   string    `json:"lent_key,omitempty"` // a line of authorized_keys
	LentPeer  string    `json:"lent_peer,omitempty"`
	LentUntil time.Time `json:"lent_until,omitzero"`

	Volumes *stateVolumes `json:"volumes,omitempty"` // nil: it never joined or parted

	Scheduled bool `json:"scheduled,omitempty"`
	Attended  int  `json:"attended,omitempty"` // how often somebody stayed on the line
}

const settingsPath = "/etc/cattle/settings"

// waits tells a release whose app runs once its rows are there.
func (s *seed) waits() bool {
	return slices.ContainsFunc(bytes.Split(s.files[settingsPath], []byte("\n")), func(line []byte) bool {
		return slices.Contains([]string{"STATE=1", "STATE='1'"}, string(bytes.TrimSpace(line)))
	})
}

// phase is a droplet's. One whose release knows nothing of phases is open, one
// whose app was never started is new.
func (c *Cloud) phase(d *droplet) string {
	switch {
	case d.Disk.State.Phase != "":
		return d.Disk.State.Phase
	case c.seed(d).waits():
		return phaseNew
	}
	return phaseOpen
}

// starts is since when the app may run; ok is false while it may not.
func (c *Cloud) starts(d *droplet) (at time.Time, ok bool) {
	s := d.Disk.State
	return s.Ready, !s.Ready.IsZero() || !c.seed(d).waits()
}

// enter puts a droplet into a phase.
func (c *Cloud) enter(d *droplet, phase string, at, until time.Time) {
	s := &d.Disk.State
	was := c.phase(d)
	if was != phase {
		s.Since = at
		c.note(Change{At: at, What: Phased, Droplet: d.ID, Note: phase})
	}
	if phase == phaseOpen && (was == phaseNew || was == phaseCommitted) {
		s.Opened, s.Baseline = at, len(s.Rows)
	}
	if phase == phaseOpen {
		s.Own = nil
	}
	s.Known, s.Phase, s.Until = true, phase, until
	c.touch()
}

// attendGrace is how long whoever lost his connection has to come back.
const attendGrace = 1500 * time.Millisecond

// attend waits for the end of the line: the lease of a droplet that is frozen
// then ends soon. Whoever attends later takes over.
func (s *session) attend(ctx context.Context) int {
	var mine int
	if !s.with(func(d *droplet, now time.Time) {
		d.Disk.State.Attended++
		mine = d.Disk.State.Attended
		s.cloud.touch()
	}) {
		return 1
	}
	if json.NewEncoder(s.stdout).Encode(obj{"attending": true}) != nil {
		return 1
	}
	io.Copy(io.Discard, s.stdin)
	s.with(func(d *droplet, now time.Time) {
		st := &d.Disk.State
		if st.Phase == phaseFrozen && st.Attended == mine {
			st.Until = now.Add(attendGrace)
			s.cloud.touch()
		}
	})
	return 0
}

// leases lets everything have happened by a time that droplets do by
// themselves: a freeze ends with its lease, and who finds himself live
// afterwards opens. Until then no address moves.
func (c *Cloud) leases(now time.Time) {
	if c.real() {
		return
	}
	for _, d := range c.state.Droplets {
		s, up := &d.Disk.State, d.Disk.OnAt.Add(d.Latency.Boot)
		if d.Disk.OnAt.IsZero() || up.After(now) || !c.tend(d, now) || s.Until.IsZero() {
			continue
		}
		at := later(s.Until, later(up, c.backAt(d)))
		switch {
		case at.After(now), s.Volumes == nil && c.lacks(d) != "":
		case s.Phase == phaseFrozen, c.reservedOf(d.ID) != nil:
			c.enter(d, phaseOpen, at, time.Time{})
		default:
			s.Until = at.Add((now.Sub(at)/lookEvery + 1) * lookEvery)
		}
	}
}
