package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"cattle/droplets"
	"cattle/droplets/release"
)

// What status says of a site's data: whether the live droplet takes writes.

// stateJSON is what the live droplet says of the site's data.
type stateJSON struct {
	Phase string    `json:"phase"` // open, or why writes wait: frozen, committed or new
	Since time.Time `json:"since,omitzero"`
	Until time.Time `json:"until,omitzero"` // when it opens by itself
	// Backup is how the backups do that the droplet makes.
	Backup *keptJSON `json:"backup,omitempty"`
}

// briefToJSON is nil where the droplet has nothing to say of data.
func briefToJSON(said *droplets.MachineStatus) *stateJSON {
	b := briefOf(said)
	if b == nil || b.Phase == "" {
		return nil
	}
	return &stateJSON{string(b.Phase), moment(b.Since), moment(b.Until), keptToJSON(b.Backup)}
}

// briefOf is what the live droplet says of its data; nil where it does not.
func briefOf(said *droplets.MachineStatus) *droplets.StateBrief {
	if said == nil {
		return nil
	}
	return said.State
}

// moment is a droplet's time in milliseconds; zero for none.
func moment(ms int64) time.Time {
	if ms <= 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

// heldFailure is what is wrong where the live droplet holds writes and no
// release is under way that will let them go; nil where all is well.
func heldFailure(b *droplets.StateBrief, w *release.World) []failure {
	if b == nil || !b.Phase.Holds() || len(w.Candidates) > 0 {
		return nil
	}
	return []failure{{Code: "writes-held", Msg: heldText(b) + ", and no release is under way",
		Hint: "to let them go now: cattle ssh /opt/cattle/state thaw"}}
}

// heldText says that writes wait, and until when.
func heldText(b *droplets.StateBrief) string {
	text := "the live droplet holds writes"
	if until := moment(b.Until); !until.IsZero() {
		text += ", until " + until.Format(time.TimeOnly+" MST") + " at the latest"
	}
	return text
}

// needing is the failure of status where the site serves and something needs
// the operator.
type needing struct{ all []failure }

func (e *needing) Error() string {
	var parts []string
	for _, f := range e.all {
		parts = append(parts, f.Msg)
	}
	return strings.Join(parts, "; ")
}

// state is what doctor finds of the same.
func (p *patient) state(context.Context) []finding {
	d, err := p.live()
	if err != nil || len(p.profile.State) == 0 {
		return nil // of which droplet tells
	}
	w, _ := p.world() // d is of it
	switch b := d.status.State; {
	case b == nil:
		return []finding{fine("data", "the live droplet has not been asked for any yet; the next release carries it")}
	case len(heldFailure(b, w)) > 0:
		return []finding{needs("data", heldText(b)+", and no release is under way", "cattle ssh /opt/cattle/state thaw")}
	case b.Phase.Holds():
		return []finding{fine("data", "%s, since a release is under way", heldText(b))}
	}
	return []finding{fine("data", "the live droplet takes writes")}
}

// privateNetwork tells by which way data would go.
func (p *patient) privateNetwork(context.Context) []finding {
	w, err := p.world()
	if err != nil || len(p.profile.State) == 0 || w.Live == nil {
		return nil
	}
	if w.Live.Private == "" {
		return []finding{fine("network", "the live droplet has no private address: data goes over its public one, by SSH")}
	}
	return []finding{fine("network", "data goes over the private network, by SSH")}
}

// stateLine tells of writes that wait.
func (s statusJSON) stateLine() string {
	if s.State == nil || s.State.Phase == string(droplets.PhaseOpen) {
		return ""
	}
	text := "writes are held: " + s.State.Phase
	if !s.State.Until.IsZero() {
		text += fmt.Sprintf(", until %s at the latest", s.State.Until.Format(time.TimeOnly+" MST"))
	}
	return text + "\n"
}
