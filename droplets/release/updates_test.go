package release_test

import (
	"strings"
	"testing"
	"time"

	"cattle/droplets/release"
	"cattle/droplets/release/simulation"
	"cattle/droplets/sandbox"
)

// TestRebuildTellsUpdates: what a rebuild brought is what was pending, in the
// report and in the history; a release does not ask.
func TestRebuildTellsUpdates(t *testing.T) {
	simulation.Simulate(t, realistic, func(b *simulation.Bench) {
		b.Must("v1")
		w, err := b.Op.Survey(b.T.Context(), b.Site)
		if err != nil {
			t.Fatal(err)
		}
		if p, err := b.Op.Pending(b.T.Context(), w); err != nil || len(p.Packages) != 0 {
			t.Errorf("pending on a new droplet: %+v, %v", p, err)
		}
		time.Sleep(30 * 24 * time.Hour)
		pending, err := b.Op.Pending(b.T.Context(), w)
		if err != nil || len(pending.Packages) < 3 {
			t.Fatalf("pending after a month: %+v, %v", pending, err)
		}
		r, err := simulation.Rebuilds(b, b.T.Context(), b.Op)
		if err != nil {
			t.Fatal(err)
		}
		u := r.Updates
		if u == nil || len(u.Packages) != len(pending.Packages) || u.Packages[0] != pending.Packages[0] || u.Kernel == nil || u.Kernel.From == u.Kernel.To || len(u.Images) != 0 {
			t.Errorf("got %+v of %+v", u, pending)
		}
		if _, h := history(b); h.Entries[1].Updates == nil || len(h.Entries[1].Updates.Packages) != len(u.Packages) {
			t.Errorf("in the history: %+v", h.Entries)
		}
		if r := b.Must("v2"); r.Updates != nil {
			t.Errorf("of a release: %+v", r.Updates)
		}
	})
}

// TestRebuildWithoutAnswer: that a droplet does not tell what it has stops no
// rebuild, and is said.
func TestRebuildWithoutAnswer(t *testing.T) {
	for name, f := range map[string]sandbox.Fault{
		"the old one": {Status: 1}, "the old one hangs": {Delay: time.Hour}, "the new one": {Status: 1, Nth: 2},
		"the new one hangs": {Delay: time.Hour, Nth: 2}, "the new one hangs up": {Reset: true, Nth: 2}, "nonsense": {Answer: "\x1b[2J\n"},
	} {
		t.Run(name, func(t *testing.T) {
			simulation.Simulate(t, realistic, func(b *simulation.Bench) {
				b.Must("v1")
				f.Method, f.Path = "SSH", "/dpkg-query"
				b.Cloud.Fault(f)
				ip := b.Cloud.Snapshot().ReservedIPs[0].IP
				b.Op.Emit = func(e release.Event) {
					b.Record(e)
					// What comes behind needs the connection too.
					if e.Step == "certificate" && e.State == release.StateRunning {
						b.Post("/v2/domains", map[string]string{"name": "blog.example.com", "ip_address": ip})
					}
				}
				r, err := simulation.Rebuilds(b, b.T.Context(), b.Op)
				if err != nil || !r.HTTPS || r.Updates != nil || !strings.Contains(strings.Join(r.Notices, "\n"), "what the rebuild changes is not known") {
					t.Errorf("got %+v, %v\n%s", r, err, b.History())
				}
				if w, _ := history(b); w.Serving() != "v1" {
					t.Errorf("%s serves", w.Serving())
				}
			})
		})
	}
}
