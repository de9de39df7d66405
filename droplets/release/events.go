package release

import "time"

// Kind is what an event is about.
type Kind string

const (
	KindStep   Kind = "step"   // a step of the plan started or ended
	KindBoot   Kind = "boot"   // a step of the droplet's boot started or ended
	KindNotice Kind = "notice" // something that the operator should know
	KindWatch  Kind = "watch"  // how the live site does while it is watched
	KindImages Kind = "images" // how far the images are that are brought to the candidate
	KindData   Kind = "data"   // how far the data is that is copied from droplet to droplet
	KindBuild  Kind = "build"  // a line of what builds or pushes an image
)

// State is how far a step is.
type State string

const (
	StateRunning State = "running"
	StateOK      State = "ok"
	StateFailed  State = "failed"
	StateSkipped State = "skipped"
)

// An Event is one thing that happened. The printers make lines, a live list or
// NDJSON of it.
type Event struct {
	Time    time.Time     `json:"time"`
	Kind    Kind          `json:"message_type"`
	Step    string        `json:"step,omitempty"`
	State   State         `json:"state,omitempty"`
	Text    string        `json:"text,omitempty"`
	Elapsed time.Duration `json:"elapsed_ns,omitempty"` // of a step that ended
	Tail    string        `json:"tail,omitempty"`       // last lines of a failed boot step
	// Droplet is when a step of the boot began or ended by the droplet's clock:
	// the journal may be read long after it.
	Droplet time.Time `json:"droplet_time,omitzero"`
}
