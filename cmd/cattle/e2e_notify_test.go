//go:build e2e

package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// told sends a notice by the live droplet's own Postfix, once, and has doctor
// look at a real disk, memory and certificate.
func (r *rig) told(t *testing.T) {
	profile := filepath.Join(r.dir, "told.yaml")
	if err := os.WriteFile(profile, []byte("extends: cattle.yaml\nnotify:\n  - mail: notified@example.net\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, exit := r.run(t, "notify", "--test", "--file", profile); exit != exitDone {
		t.Fatal(exit, out)
	}
	arrived := func() (n int) {
		for _, m := range r.sandbox.world.internet.Relay.Messages() {
			if strings.Contains(string(m.Data), "a test of cattle notify") && strings.Contains(string(m.Data), "To: notified@example.net") {
				n++
			}
		}
		return n
	}
	eventually(t, "the notice", 30*time.Second, func() bool { return arrived() > 0 })
	time.Sleep(2 * time.Second)
	if n := arrived(); n != 1 {
		t.Errorf("the notice came %d times", n)
	}
	out, exit := r.run(t, "doctor")
	for _, want := range []string{`(?m)^ok +droplet +the disk is \d+% full, [0-9.]+ GB are free, \d+ of \d+ MB of memory are free`, `(?m)^ok +certificate +\d+ days left`, `(?m)^ok +issuing +1 of 5`} {
		if !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("exit status %d, no line %s", exit, want)
		}
	}
}
