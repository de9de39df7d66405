package release_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"cattle/droplets"
	"cattle/droplets/release"
	"cattle/droplets/release/simulation"
	"cattle/droplets/sandbox"
)

// history is what anybody's survey and one login find.
func history(b *simulation.Bench) (*release.World, droplets.History) {
	b.T.Helper()
	w, err := b.Op.Survey(b.T.Context(), b.Site)
	if err != nil {
		b.T.Fatal(err)
	}
	h, err := b.Op.History(b.T.Context(), w)
	if err != nil {
		b.T.Fatal(err)
	}
	return w, h
}

// told is a history in short: a word an entry, oldest first.
func told(h droplets.History) string {
	var out []string
	for _, e := range h.Entries {
		out = append(out, e.Verb+" "+e.Release+" "+e.Outcome)
	}
	return strings.Join(out, "; ")
}

// TestHistoryTravels: every release and rollback finds the whole history and
// adds its own entry, refused ones too.
func TestHistoryTravels(t *testing.T) {
	simulation.Simulate(t, realistic, func(b *simulation.Bench) {
		b.Op.By = droplets.Author{Who: "anna", Host: "laptop", Commit: "c0ffee", Dirty: true}
		b.Must("v1")
		b.Must("v2")
		b.Cloud.Break("v3", sandbox.Behaviour{Kind: sandbox.NeverHealthy})
		if _, err := b.Release(b.T.Context(), "v3"); err == nil {
			t.Fatal("v3 is healthy")
		}
		if _, err := b.Rollback(b.T.Context(), ""); err != nil {
			t.Fatal(err)
		}
		last := b.Must("v4")
		w, h := history(b)
		const want = "release v1 released; release v2 released; release v3 refused; rollback v1 released; release v4 released"
		if got := told(h); got != want {
			t.Errorf("got %s, want %s\n%s", got, want, b.History())
		}
		if w.Unrecorded(h.Entries) {
			t.Error("what is live is not recorded")
		}
		if h.Manifest == nil || h.Manifest.Release != "v4" {
			t.Errorf("the droplet was made of %+v", h.Manifest)
		}
		if e := h.Entries[2]; !strings.Contains(e.Reason, "answered 503") || e.By.Who != "anna" || !e.By.Dirty || e.Steps[len(e.Steps)-1].Name != "gate" {
			t.Errorf("of the refused one: %+v", e)
		}
		e := h.Entries[4]
		if e.Attempt != last.Attempt || e.Droplet != last.Droplet || e.Took < 30_000 || e.Cutover == nil || e.Cutover.Requests != last.Cutover.Requests || e.Standby != "v1" || e.Steps[0].Name != "create" {
			t.Errorf("of the last one: %+v, report %+v", e, last)
		}
	})
}

// TestHistoryWithoutTheLiveDroplet: a rollback from a droplet that cannot be
// reached goes on with what the standby knew.
func TestHistoryWithoutTheLiveDroplet(t *testing.T) {
	simulation.Simulate(t, realistic, func(b *simulation.Bench) {
		b.Must("v1")
		b.Must("v2")
		b.Cloud.Fault(sandbox.Fault{Method: "SSH", Path: "/certificates", Count: -1, Reset: true})
		if _, err := b.Rollback(b.T.Context(), ""); err != nil {
			t.Fatal(err)
		}
		b.Cloud.ClearFaults()
		if _, h := history(b); told(h) != "release v1 released; rollback v1 released" {
			t.Errorf("got %s", told(h))
		}
	})
}

// TestUnrecorded: an operator who dies before the last step loses the entry
// alone; the next one sees that there is something.
func TestUnrecorded(t *testing.T) {
	simulation.Simulate(t, realistic, func(b *simulation.Bench) {
		b.Must("v1")
		b.Cloud.Fault(sandbox.Fault{Method: "SSH", Path: "/record", Count: -1, Status: 1, Answer: "disk full"})
		_, err := b.Release(b.T.Context(), "v2")
		var incomplete *release.Incomplete
		if !errors.As(err, &incomplete) || len(incomplete.Leftovers) != 1 || !strings.Contains(err.Error(), "disk full") {
			t.Errorf("got %v", err)
		}
		b.Cloud.ClearFaults()
		w, h := history(b)
		if told(h) != "release v1 released" || !w.Unrecorded(h.Entries) {
			t.Errorf("got %s, unrecorded %v", told(h), w.Unrecorded(h.Entries))
		}
		b.Must("v3")
		if w, h := history(b); told(h) != "release v1 released; release v3 released" || w.Unrecorded(h.Entries) {
			t.Errorf("got %s", told(h))
		}
	})
}

// TestRefusedWaitsForNoHistory: that what serves cannot write changes nothing
// of a refusal, and holds it up for seconds.
func TestRefusedWaitsForNoHistory(t *testing.T) {
	refused := func(b *simulation.Bench) time.Duration {
		start := time.Now()
		_, err := b.Release(b.T.Context(), "v2")
		var refused *release.Refused
		if !errors.As(err, &refused) || refused.Serving != "v1" || len(refused.Leftovers) != 0 {
			t.Errorf("got %v", err)
		}
		return time.Since(start)
	}
	simulation.Simulate(t, realistic, func(b *simulation.Bench) {
		b.Must("v1")
		b.Cloud.Break("v2", sandbox.Behaviour{Kind: sandbox.NeverHealthy})
		usual := refused(b)
		b.Cloud.Fault(sandbox.Fault{Method: "SSH", Path: "/record", Count: -1, Delay: time.Hour})
		if took := refused(b); took > usual+6*time.Second {
			t.Errorf("took %s, usually %s", took, usual)
		}
	})
}

// TestRecordedOverNewConnection: the droplet hangs up before it writes; the
// entry is written all the same, once.
func TestRecordedOverNewConnection(t *testing.T) {
	for name, after := range map[string]bool{"before": false, "after": true} {
		t.Run(name, func(t *testing.T) {
			simulation.Simulate(t, realistic, func(b *simulation.Bench) {
				b.Cloud.Fault(sandbox.Fault{Method: "SSH", Path: "/record", Reset: true, After: after})
				if _, err := b.Release(b.T.Context(), "v1"); err != nil {
					t.Fatal(err)
				}
				if _, h := history(b); told(h) != "release v1 released" {
					t.Errorf("got %s", told(h))
				}
			})
		})
	}
}
