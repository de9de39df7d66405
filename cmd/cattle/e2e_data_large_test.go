//go:build e2e

package main

import (
	"fmt"
	"testing"
	"time"
)

// oneDisk is what a droplet has: what was copied is put in place by giving it
// another name. Docker's folder is on a disk of its own in a sandbox's machines.
const oneDisk = "mkdir -p /var/lib/cattle/state /var/lib/docker/stage && ln -s /var/lib/docker/stage /var/lib/cattle/state/stage"

// TestBootedDataLarge is an SQLite file of a gigabyte, of which one in a hundred rows
// changes between the two passes: writes wait for what changed, not for all of it.
func TestBootedDataLarge(t *testing.T) {
	const megabytes, bar = 1000, 6 * time.Second
	r := newRig(t)
	r.rowsSite(t, sqliteState, sqliteCompose, nil)
	r.opens(t)
	for range 10 {
		r.mustPost(t, fmt.Sprintf("/fill?mb=%d", megabytes/10), "")
	}
	w := r.write(t, "row")
	told := r.overhear(t, map[string]func(){
		"boot ok": func() { r.mustIn(t, r.candidate(t), oneDisk) },
		"copy ok": func() { r.mustPost(t, "/touch?of=100", "") },
	}, "release", "--json", "v2")
	time.Sleep(time.Second)
	w.end()
	if told.exit != exitDone || told.data == nil {
		t.Fatalf("exit status %d: %+v", told.exit, told.failures)
	}
	acked, waits, _ := w.seen()
	r.holds(t, acked)
	var longest time.Duration
	for _, wait := range waits {
		longest = max(longest, wait)
	}
	db := told.data.Entries[0]
	fmt.Fprintf(r.printed, "a database of %d MB, 1%% changed between the passes: writes waited %s, the report says %s; delta %d MB in %s\n", megabytes,
		longest.Round(10*time.Millisecond), told.data.Freeze.Round(10*time.Millisecond), db.Delta>>20, db.Took.Round(10*time.Millisecond))
	if longest == 0 || longest > bar {
		t.Errorf("writes waited %s, the bar is %s", longest, bar)
	}
	if db.Name != "db" || db.Delta < megabytes<<20/100 || db.Delta > megabytes<<20/10 {
		t.Errorf("the second pass moved %d bytes of %s: one in a hundred was to move", db.Delta, db.Name)
	}
}
