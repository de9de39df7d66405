package release

import (
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
