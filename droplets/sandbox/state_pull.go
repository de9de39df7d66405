package sandbox

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strings"
	"time"
)

// pull copies the other droplet's rows: in bulk, beside what is there, or at
// last, in its place.
func (q *stateCall) pull(final bool) error {
	spec, err := q.spec()
	if err != nil {
		return err
	}
	from, err := q.source()
	if err != nil {
		return err
	}
	if p := q.cloud.phase(from); final && p != phaseFrozen && p != phaseCommitted {
		return &stateFault{Code: "not-frozen", Side: "old", Message: "the other droplet takes writes: it is " + p}
	}
	rows, s := slices.Clone(from.Disk.State.Rows), &q.d.Disk.State
	s.Known = true
	moved := rows
	if final {
		moved = rows[min(len(s.Base), len(rows)):]
		if s.Own == nil && (!s.Opened.IsZero() || q.cloud.phase(q.d) != phaseNew) {
			own := append([]string{}, s.Rows...)
			s.Own = &own
		}
		s.Rows, s.Base, s.Ready = rows, nil, time.Time{} // the app is stopped first
		if s.Volumes != nil {
			s.Volumes.Thaw = time.Time{} // what was to end has
		}
	} else {
		s.Base = rows
	}
	q.cloud.touch()
	all, more := rows, moved
	for i, e := range spec.Entries {
		if rows, moved = nil, nil; i == spec.first() {
			rows, moved = all, more
		}
		q.say(obj{"entry": e.Name, "bytes": sizeOf(moved), "of": sizeOf(moved)})
		q.say(obj{"entry": e.Name, "bytes": sizeOf(moved), "ms": 1, "estimate_ms": pullEstimate, "equal": true,
			"digest": fmt.Sprintf("%x", sha256.Sum256([]byte(strings.Join(rows, "\n")))), "rows": obj{"rows": len(rows)}})
	}
	q.say(obj{"done": true, "ms": 1, "estimate_ms": pullEstimate})
	return nil
}

// pullEstimate is how long the last pass will take, in ms, a stub says.
const pullEstimate = 300
