//go:build e2e

package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"cattle/droplets"
)

// TestBootedGuard kills an operator between switch and confirm, on booted
// machines: the droplet that was left takes the address back by itself. The
// token that it does so with is on no disk and in no journal.
func TestBootedGuard(t *testing.T) {
	r := newRig(t)
	r.file = r.shop(t, refusal{name: "shop", profile: "release: {guard: true}\n"})
	r.values["the guard's token"] = sandboxGuardToken // which is searched for with the secrets
	r.must(t, exitDone, v1, "release", "--file", r.file, v1)
	if out := r.must(t, exitDone, v2, "release", "--file", r.file, v2); !strings.Contains(out, "it takes ") {
		t.Error("the plan does not tell of the guard")
	}
	r.guardIs(t, r.member(t, "standby").ID, "disarmed", false)

	left := r.member(t, "live").ID
	r.killSwitched(t, left, "release", "--file", r.file, v1)
	r.guardIs(t, left, "armed", true)
	took := eventually(t, "the reserved IP", 8*time.Minute, func() bool { return r.holder() == left })
	fmt.Fprintf(r.printed, "guard: the reserved IP was back %s after the operator's end\n", seconds(took))
	if serving, err := r.serving(t.Context()); err != nil || serving != v2 {
		t.Errorf("%q serves: %v", serving, err)
	}
	eventually(t, "the guard's end", time.Minute, func() bool {
		out, _ := r.in(t.Context(), left, "systemctl is-active cattle-guard.service")
		return out == "inactive"
	})
	r.guardIs(t, left, "fired", false)
	said := r.mustIn(t, left, "journalctl --no-pager --unit=cattle-guard --output=cat")
	fmt.Fprintln(r.printed, said)
	if !strings.Contains(said, "the API answered 201") || !strings.Contains(said, "the address is here") {
		t.Error("the journal does not tell of it")
	}
	r.sound(t, left)
	r.must(t, exitDone, v2, "gc", "--file", r.file, "--attempt", r.member(t, "candidate").Attempt)
	r.must(t, exitDone, v1, "release", "--file", r.file, v1)
}

// holder is the droplet that the reserved IP is at.
func (r *rig) holder() int { return r.sandbox.cloud.Snapshot().ReservedIPs[0].Droplet }

// killSwitched runs a command and kills it in the moment when the reserved IP
// has left a droplet.
func (r *rig) killSwitched(t *testing.T, left int, args ...string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, args...)
	cmd.Args[0] = "cattle"
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = r.dir, r.env, r.printed, r.printed
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(5 * time.Minute)
	for r.holder() == left && time.Now().Before(deadline) {
		time.Sleep(time.Millisecond)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	if r.holder() == left {
		t.Fatal("it was never switched")
	}
}

// guardIs looks where a machine's guard is, and for its token: in memory while
// it is armed, and nowhere else ever.
func (r *rig) guardIs(t *testing.T, id int, state string, armed bool) {
	t.Helper()
	kept := r.mustIn(t, id, "cat /run/cattle/guard.json")
	if !strings.Contains(kept, `"state": "`+state+`"`) || strings.Contains(kept, sandboxGuardToken) != armed {
		t.Errorf("the guard is %s", droplets.Printable(kept))
	}
	if mode := r.mustIn(t, id, "stat --format '%a %U %F' /run/cattle/guard.json; findmnt --noheadings --output FSTYPE /run/cattle"); mode != "600 root regular file\ntmpfs" {
		t.Errorf("it is kept as %s", mode)
	}
	r.search(t, "the journal", []byte(r.mustIn(t, id, "journalctl --no-pager --output=export")))
	if out, _ := r.in(t.Context(), id, "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ; systemctl show 'cattle-*'"); strings.Contains(out, sandboxGuardToken) {
		t.Error("the token is an argument, or in an environment")
	}
	files := 0
	for _, folder := range r.sandbox.world.host.DiskFolders(id) {
		files += r.searchFolder(t, state, folder)
	}
	if files < 1000 {
		t.Error("that is no whole disk")
	}
	r.search(t, "output", []byte(r.printed.String()))
}
