// Package heap keeps the garbage collector out of start-up, which is all there
// is of most commands. The libraries of sops and Docker Compose allocate 7 MB
// before main begins; from Go's first 4 MB on that is three collections, a
// quarter of the time until `cattle --help` is there. So the heap may grow to
// five times of what is in use, and to 16 MB before anybody looks. GOGC says
// otherwise, as in any Go program.
//
// It is a package because only those that are imported start before main does:
// the runtime begins with the first one, by import path, whose own imports are
// there (Go specification, "Program initialization"). So it imports little.
package heap

import (
	"os"
	"runtime/debug"
)

// growth is GOGC's value: the new heap in percent of what the last collection left.
const growth = 400

var _ = relax()

func relax() (before int) {
	if os.Getenv("GOGC") != "" {
		return
	}
	return debug.SetGCPercent(growth)
}
