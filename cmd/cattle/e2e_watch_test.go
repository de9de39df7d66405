//go:build e2e

package main

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestBootedWatch has visitors at a site that is watched after its switch. A
// release whose pages fail them, while its health check holds, goes back by
// itself; one that serves them stays. The figures are those of nginx's own log.
func TestBootedWatch(t *testing.T) {
	r := newRig(t)
	path := filepath.Join(r.dir, "cattle.yaml")
	profile, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// With data nothing goes back by itself.
	profile = regexp.MustCompile(`(?m)^state:\n(  .*\n)+`).ReplaceAll(profile, nil)
	if err := os.WriteFile(path, append(profile, "release: {bake: 1m}\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	r.must(t, exitDone, v1, "release", v1)
	if err := r.public(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.load.Stop() // whose visitors get what they want
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	go r.read(ctx, t)

	start := time.Now()
	out := r.must(t, exitNotReleased, v1, "release", vTires)
	if !regexp.MustCompile(`watch: [1-9][0-9]* of [0-9]+ requests failed; before: 0 of [1-9]`).MatchString(out) {
		t.Error("it does not say what was worse")
	}
	t.Logf("a release that tires, from its order to the old one's serving: %s", time.Since(start).Round(time.Second))

	out = r.must(t, exitDone, v2, "release", v2)
	seen := regexp.MustCompile(`watched for 1m0s: (\d+) requests, 0 failed; before: (\d+) requests, (\d+) failed`).FindStringSubmatch(out)
	if seen == nil {
		t.Fatal("it does not say what it saw")
	}
	// Ten a second at most, for the minute of the watch and what was before it.
	if n, _ := strconv.Atoi(seen[1]); n < 100 || n > 1_200 {
		t.Errorf("%d requests in a minute", n)
	}
	if !strings.Contains(out, "watch: ") {
		t.Error("it does not tell how it goes")
	}
}

// read asks for the front page ten times a second, as a browser does.
func (r *rig) read(ctx context.Context, t *testing.T) {
	st, err := r.status(ctx)
	if err != nil {
		t.Error(err)
		return
	}
	door, err := r.door(st.IP)
	if err != nil {
		t.Error(err)
		return
	}
	client := door.Client()
	for ctx.Err() == nil {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+door.Host+"/", nil)
		if err != nil {
			t.Error(err)
			return
		}
		if res, err := client.Do(req); err == nil {
			res.Body.Close()
		}
		time.Sleep(100 * time.Millisecond)
	}
}
