package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"cattle/droplets/sandbox"
)

// TestCleanSparesWhatRuns: of three folders one is a running rehearsal's, one is
// just being made, and one was left.
func TestCleanSparesWhatRuns(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	folder := func(name string) string { return filepath.Join(os.TempDir(), "cattle-rehearsal-"+name) }
	for _, name := range []string{"runs", "killed"} {
		cloud, err := sandbox.New(sandbox.Options{Dir: folder(name)})
		if err != nil {
			t.Fatal(err)
		}
		if name == "runs" {
			t.Cleanup(func() { cloud.Close() })
		} else if err := cloud.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for name, age := range map[string]time.Duration{"new": 0, "old": time.Hour} {
		if err := os.Mkdir(folder(name), 0o700); err != nil {
			t.Fatal(err)
		}
		at := time.Now().Add(-age)
		if err := os.Chtimes(folder(name), at, at); err != nil {
			t.Fatal(err)
		}
	}
	n, err := cleanRehearsals(func(string) {})
	if err != nil || n != 2 {
		t.Errorf("%d folders removed, %v", n, err)
	}
	for name, there := range map[string]bool{"runs": true, "new": true, "killed": false, "old": false} {
		if _, err := os.Stat(folder(name)); (err == nil) != there {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestOperatorKeyStays: a sandbox that is started again in its folder takes the
// key that is there, for the account knows no other.
func TestOperatorKeyStays(t *testing.T) {
	opts := sandboxOptions{dir: t.TempDir(), listen: "127.0.0.1:0", socks: "127.0.0.1:0", latency: "none"}
	var keys [2]string
	for i := range keys {
		box, err := startSandbox(t.Context(), opts)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := os.ReadFile(box.env["CATTLE_SSH_KEY"])
		if err != nil {
			t.Fatal(err)
		}
		keys[i] = string(raw)
		if n := len(box.cloud.Keys()); n != 1 {
			t.Errorf("the account has %d keys", n)
		}
		if err := box.close(); err != nil {
			t.Fatal(err)
		}
	}
	if keys[0] != keys[1] {
		t.Error("the second start made another key")
	}
}
