//go:build e2e

package main

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"cattle/droplets/sandbox"
)

const volumeCompose = `services:
  web:
    image: public.example.net/rows:${RELEASE}
    user: "0:0"  # a fresh volume is root's
    environment: {DATABASE: "sqlite:/data/rows.db"}
    volumes: ["/mnt/rows:/data"]
    expose: ["8000"]
`

const volumeState = `state:
  - name: db
    volume: {mount: /mnt/rows, size: 1}
`

// TestBootedDataVolume is an SQLite file on a volume of block storage, under a
// writer that never stops, through releases, a reboot, a rollback, one release
// that is refused with the volume on the new droplet, and one whose operator is
// killed when it is on neither.
func TestBootedDataVolume(t *testing.T) {
	r := newRig(t)
	r.rowsSite(t, volumeState, volumeCompose, nil)
	r.opens(t)
	w := r.write(t, "row")
	r.must(t, exitDone, "v2", "release", "v2")
	r.volumeIsLive(t)
	r.must(t, exitDone, "v3", "release", "v3")
	r.volumeIsLive(t)
	r.must(t, exitDone, "v2", "rollback")
	r.must(t, exitDone, "v2", "unpin")
	r.volumeIsLive(t)
	r.killedWithoutVolume(t, "v4")
	r.volumeIsLive(t)
	r.must(t, exitDone, "v5", "release", "v5")
	r.volumeIsLive(t)
	time.Sleep(time.Second)
	w.end()
	acked, waits, others := w.seen()
	r.holds(t, acked)
	fmt.Fprintf(r.printed, "writes waited: %s\n", waits)
	if len(others) > 0 {
		t.Errorf("%d answers were neither taken nor told to come back: %q", len(others), others[:min(len(others), 5)])
	}
	for _, c := range r.sandbox.cloud.Changes() {
		if c.What == sandbox.Torn {
			t.Errorf("the volume was torn off droplet %d", c.Droplet)
		}
	}
}

// volumeIsLive wants the volume to be mounted on the live droplet, and on no other.
func (r *rig) volumeIsLive(t *testing.T) {
	t.Helper()
	live := r.member(t, "live").ID
	r.mustIn(t, live, "findmnt --noheadings --types ext4 /mnt/rows")
	if v := r.sandbox.cloud.Snapshot().Volumes[0]; v.Droplet != live || v.Fault != "" {
		t.Errorf("the volume is at droplet %d, not at %d: %s", v.Droplet, live, v.Fault)
	}
}

// killedWithoutVolume ends an operator who has taken the volume off the live
// droplet: the site is closed until gc brings it back.
func (r *rig) killedWithoutVolume(t *testing.T, version string) {
	t.Helper()
	live := r.member(t, "live").ID
	cmd := r.begin(t, "release", version)
	eventually(t, "the detach", 3*time.Minute, func() bool { return r.sandbox.cloud.Snapshot().Volumes[0].Droplet != live })
	cmd.Process.Signal(syscall.SIGKILL)
	cmd.Wait()
	time.Sleep(3 * time.Second) // what was ordered is carried out
	if out, exit := r.run(t, "status"); exit == exitDone {
		t.Errorf("status finds nothing wrong:\n%s", out)
	}
	start := time.Now()
	for _, d := range r.candidates(t) {
		r.must(t, exitDone, "v2", "gc", "--attempt", d.Attempt)
	}
	fmt.Fprintf(r.printed, "killed without its volume: gc brought it back in %s\n", time.Since(start).Round(100*time.Millisecond))
	eventually(t, "the thaw", time.Minute, func() bool { return !r.frozen(t, live) })
}
