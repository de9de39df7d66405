package release

import (
	"context"
	"fmt"
	"time"

	"cattle/droplets"
)

// A DataChoice is what is to become of the rows that a live droplet wrote,
// when it is left by a rollback.
type DataChoice string

const (
	// Carry takes them back to the standby.
	Carry DataChoice = "carry"
	// Discard gives them up: the standby goes on where it was left.
	Discard DataChoice = "discard"
)

// Data is what a rollback does with data. The zero value is for a site without.
type Data struct {
	Choice DataChoice // "": nobody has decided
	// Kit is brought to both droplets; nil where the site has no data.
	Kit *droplets.StateKit
	// Writes are those of the live droplet, see Operator.Writes; nil: not known.
	Writes *droplets.Writes
	// NoBackup leaves out the backup of what is given up. The droplet that has it
	// is kept.
	NoBackup bool
}

// DataReport is what became of a site's data.
type DataReport struct {
	// Freeze is how long writes waited: from the old droplet's answer that they
	// are held to the new one's that they go.
	Freeze  time.Duration `json:"freeze_ns"`
	Bytes   int64         `json:"bytes"` // that were carried over
	Entries []DataEntry   `json:"entries,omitempty"`
	Backup  string        `json:"backup,omitempty"` // id of the one that was made before
	// From is of when the backup is that was restored, and Restored its id.
	From     time.Time `json:"from,omitzero"`
	Restored string    `json:"restored,omitempty"`
}

// DataEntry is one entry of the profile's state: what its two passes moved, and
// how long the second one took, in which writes were held.
type DataEntry struct {
	Name  string        `json:"name"`
	Kind  string        `json:"kind"`
	Bulk  int64         `json:"bulk_bytes"`
	Delta int64         `json:"delta_bytes"`
	Took  time.Duration `json:"delta_ns"`
}

// writesWithin bounds the login and the question: a person waits for the answer.
const writesWithin = 15 * time.Second

// Writes asks the live droplet how much it has written since it went live: one
// login. The error leaves open whether that is anything.
func (o *Operator) Writes(ctx context.Context, w *World) (n droplets.Writes, err error) {
	if w.Live == nil || !w.Live.Born {
		return n, nil
	}
	err = o.onLive(ctx, w, writesWithin, func(ctx context.Context, m *droplets.Machine) (err error) {
		n, err = m.Writes(ctx)
		return err
	})
	return n, err
}

// StateOf asks the live droplet what it does with writes, and how its backups
// do; nil where it has neither.
func (o *Operator) StateOf(ctx context.Context, w *World) (b *droplets.StateBrief, err error) {
	err = o.onLive(ctx, w, readyWithin, func(ctx context.Context, m *droplets.Machine) error {
		s, err := m.Status(ctx)
		b = s.State
		return err
	})
	return b, err
}

// onLive does something on the live droplet, which there is.
func (o *Operator) onLive(ctx context.Context, w *World, within time.Duration, do func(context.Context, *droplets.Machine) error) error {
	live := w.Live
	ctx, cancel := context.WithTimeoutCause(ctx, within, fmt.Errorf("%s did not tell within %s", live.Name, brief(within)))
	defer cancel()
	m, err := droplets.Connect(ctx, o.Dialer, o.Login, live.Address(w.Reserved.IP), live.Birth.HostKey)
	if err != nil {
		return fmt.Errorf("log in to %s: %w", live.Name, orBudget(ctx, err))
	}
	defer m.Close()
	return do(ctx, m)
}
