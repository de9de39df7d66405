package release_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"cattle/droplets/release"
	"cattle/droplets/release/simulation"
	"cattle/droplets/sandbox"
)

// stepwise is a cloud on which each boot step takes its time.
var stepwise = sandbox.Latency{Call: 100 * time.Millisecond, Active: 10 * time.Second, Assign: 5 * time.Second, Boot: 4 * time.Second, Step: 5 * time.Second, Power: 20 * time.Second}

func plan(b *simulation.Bench, verb string, change func(*release.Candidate)) *release.Plan {
	b.T.Helper()
	w, err := b.Op.SurveyRelease(b.T.Context(), b.Site)
	if err != nil {
		b.T.Fatal(err)
	}
	c := b.Candidate("v9")
	if change != nil {
		change(c)
	}
	p, err := release.PlanRelease(verb, b.Site, w, c)
	if err != nil {
		b.T.Fatal(err)
	}
	return p
}

// TestBake makes a snapshot and releases from it: faster, and it says so.
func TestBake(t *testing.T) {
	simulation.Simulate(t, stepwise, func(b *simulation.Bench) {
		b.Must("v1")
		slow := b.Must("v2")
		b.Op.Emit = func(e release.Event) {
			b.Record(e)
			if e.Step == "snapshot" && e.State == release.StateRunning {
				isStripped(b)
			}
		}
		baked := b.MustBake("v2")
		b.Expect("v2", "v1", "v2")
		got := b.Snapshots()
		if len(got) != 1 || got[0].ID != baked.Snapshot.ID || !got[0].Has("cattle:app:blog") {
			t.Fatalf("%+v, reported %+v", got, baked.Snapshot)
		}
		packages, at, _ := got[0].Baked()
		if age := time.Since(at); packages != b.Site.Packages || age < time.Minute || age > 5*time.Minute {
			t.Errorf("baked tag of %s, %s old", packages, age)
		}
		time.Sleep(3 * 24 * time.Hour)
		fast := b.Must("v3")
		b.Expect("v3", "v2", "v3")
		if fast.Snapshot == nil || fast.Snapshot.ID != got[0].ID || fast.Took > slow.Took-4*time.Second {
			t.Errorf("from %+v in %s, without in %s", fast.Snapshot, fast.Took, slow.Took)
		}
		if !strings.Contains(b.History(), "from the snapshot of 3 d ago") {
			t.Errorf("nobody was told:\n%s", b.History())
		}
		again := b.MustBake("v3")
		if got := b.Snapshots(); len(got) != 1 || got[0].ID != again.Snapshot.ID {
			t.Errorf("the older snapshot is still there: %+v", got)
		}
		noTags(b, "cattle:bake:", 0)
		noTags(b, "cattle:baked:", 1)
	})
}

// isStripped wants the baking droplet to have opened its secrets, and to have
// forgotten them.
func isStripped(b *simulation.Bench) {
	for _, d := range b.Cloud.Snapshot().Droplets {
		if strings.HasPrefix(d.Name, "blog-bake-") && (len(d.Secrets) > 0 || d.Boot != "ok") {
			b.T.Errorf("its snapshot is taken while it has secrets: %+v", d)
		}
	}
}

// noTags wants exactly n tags of a prefix in the account.
func noTags(b *simulation.Bench, prefix string, n int) {
	b.T.Helper()
	var answer struct{ Tags []struct{ Name string } }
	if err := json.Unmarshal(b.Call(http.MethodGet, "/v2/tags?per_page=200", nil), &answer); err != nil {
		b.T.Fatal(err)
	}
	var found []string
	for _, tag := range answer.Tags {
		if strings.HasPrefix(tag.Name, prefix) {
			found = append(found, tag.Name)
		}
	}
	if len(found) != n {
		b.T.Errorf("tags %q, want %d", found, n)
	}
}

// TestBakeIsNoCandidate: a release beside a bake is not held up, nor is a
// standby or the live droplet touched.
func TestBakeIsNoCandidate(t *testing.T) {
	simulation.Simulate(t, stepwise, func(b *simulation.Bench) {
		b.Must("v1")
		op := *b.Op
		done := make(chan error, 1)
		go func() {
			_, err := b.BakeBy(b.T.Context(), &op, "v1")
			done <- err
		}()
		time.Sleep(15 * time.Second)
		w, err := b.Op.Survey(b.T.Context(), b.Site)
		if err != nil || len(w.Baking) != 1 || len(w.Candidates)+len(w.Orphans)+len(w.Unknown) > 0 {
			t.Errorf("%v, %+v", err, w)
		}
		if items := release.PlanGC(b.Site, w, release.GCOptions{}).Items; len(items) > 0 {
			t.Errorf("gc would destroy %+v", items)
		}
		if items := release.PlanGC(b.Site, w, release.GCOptions{Attempt: w.Baking[0].Birth.Attempt}).Items; len(items) != 1 {
			t.Errorf("gc --attempt would destroy %+v", items)
		}
		b.Must("v2")
		if err := <-done; err != nil {
			t.Error(err)
		}
		b.Expect("v2", "v1", "v2")
	})
}

// TestBakeRefused: what fails leaves nothing, and says what it was.
func TestBakeRefused(t *testing.T) {
	tests := map[string]struct {
		fault      sandbox.Fault
		break_     string
		step, text string
	}{
		"boot step":        {break_: "packages", step: "boot", text: "packages"},
		"snapshot errored": {fault: sandbox.Fault{Method: "POST", Path: "/v2/droplets/*/actions", Body: "snapshot", Action: sandbox.Errored}, step: "snapshot", text: "did not come to be"},
		"snapshot refused": {fault: sandbox.Fault{Method: "POST", Path: "/v2/droplets/*/actions", Body: "snapshot", Status: 403}, step: "snapshot", text: "403"},
		"tag refused":      {fault: sandbox.Fault{Method: "POST", Path: "/v2/tags/cattle:app:blog/resources", Status: 403}, step: "snapshot", text: "403"},
		"quota":            {fault: sandbox.Fault{Method: "POST", Path: "/v2/droplets", Status: 422}, step: "create", text: "422"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			simulation.Simulate(t, stepwise, func(b *simulation.Bench) {
				b.Must("v1")
				if tt.break_ != "" {
					b.Cloud.Break("v2", sandbox.Behaviour{Kind: sandbox.FailsStep, Step: tt.break_})
				} else {
					b.Cloud.Fault(tt.fault)
				}
				_, err := b.BakeBy(b.T.Context(), b.Op, "v2")
				var not *release.NotBaked
				if !errors.As(err, &not) || not.Why.Step != tt.step || !strings.Contains(err.Error(), tt.text) || len(not.Why.Leftovers) > 0 {
					t.Fatalf("got %v, %+v\n%s", err, not, b.History())
				}
				b.Expect("v1", "v1")
				if left := b.Snapshots(); len(left) > 0 {
					t.Errorf("left over: %+v", left)
				}
			})
		})
	}
}

// TestStuckShutdown: a droplet that does not go down is cut off.
func TestStuckShutdown(t *testing.T) {
	simulation.Simulate(t, stepwise, func(b *simulation.Bench) {
		b.Must("v1")
		b.Cloud.Fault(sandbox.Fault{Method: "POST", Path: "/v2/droplets/*/actions", Body: "shutdown", Action: sandbox.NoOp})
		b.MustBake("v1")
		if !strings.Contains(b.History(), "its power is cut") {
			t.Errorf("nobody was told:\n%s", b.History())
		}
		b.Expect("v1", "v1")
	})
}

// TestWhatFits changes one thing at a time that decides whether a release
// begins from the snapshot.
func TestWhatFits(t *testing.T) {
	tests := map[string]struct {
		change  func(*simulation.Bench)
		verb    string
		without bool
		fits    bool
	}{
		"as it is":       {fits: true},
		"other packages": {change: func(b *simulation.Bench) { b.Site.Packages = strings.Repeat("f", 32) }},
		"no digest":      {change: func(b *simulation.Bench) { b.Site.Packages = "" }},
		"other region":   {change: func(b *simulation.Bench) { b.Site.Region = "nyc3"; b.Site.ReservedIP = "" }},
		"larger disk":    {change: func(b *simulation.Bench) { b.Site.Size = "s-2vcpu-4gb" }, fits: true},
		"smaller disk":   {change: func(b *simulation.Bench) { b.Site.Size = "s-1vcpu-512mb-10gb" }},
		"just in time":   {change: func(b *simulation.Bench) { time.Sleep(7*24*time.Hour - 10*time.Minute) }, fits: true},
		"too old":        {change: func(b *simulation.Bench) { time.Sleep(7 * 24 * time.Hour) }},
		"never":          {change: func(b *simulation.Bench) { b.Site.BakedWithin = 0 }},
		"a rebuild":      {verb: "rebuild"},
		"--no-snapshot":  {without: true},
		"not ours":       {change: func(b *simulation.Bench) { b.Call(http.MethodDelete, "/v2/tags/cattle:app:blog", nil) }},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			simulation.Simulate(t, stepwise, func(b *simulation.Bench) {
				b.MustBake("v1")
				if tt.change != nil {
					tt.change(b)
				}
				verb := tt.verb
				if verb == "" {
					verb = "release"
				}
				p := plan(b, verb, func(c *release.Candidate) { c.NoSnapshot = tt.without })
				if fits := p.Base != nil; fits != tt.fits || strings.Contains(p.Steps[0].Title, "snapshot") != tt.fits {
					t.Errorf("fits: %t; the plan says %q", fits, p.Steps[0].Title)
				}
			})
		})
	}
}

// TestSnapshotVanishes: what the plan says is what is done, or it is refused.
func TestSnapshotVanishes(t *testing.T) {
	simulation.Simulate(t, stepwise, func(b *simulation.Bench) {
		b.Must("v1")
		id := b.MustBake("v1").Snapshot.ID
		p := plan(b, "release", nil)
		b.Call(http.MethodDelete, fmt.Sprintf("/v2/images/%d", id), nil)
		_, err := b.Op.Execute(b.T.Context(), p)
		var refused *release.Refused
		if !errors.As(err, &refused) || refused.Step != "create" || !strings.Contains(refused.Hint, "--no-snapshot") {
			t.Errorf("got %v, %+v", err, refused)
		}
		b.Expect("v1", "v1")
	})
}

// TestSnapshotsCannotBeRead: they only save time.
func TestSnapshotsCannotBeRead(t *testing.T) {
	simulation.Simulate(t, stepwise, func(b *simulation.Bench) {
		b.Must("v1")
		b.MustBake("v1")
		b.Cloud.Fault(sandbox.Fault{Method: "GET", Path: "/v2/images", Status: 403, Count: -1})
		if r := b.Must("v2"); r.Snapshot != nil {
			t.Errorf("it began from %+v", r.Snapshot)
		}
		if _, err := b.Rollback(b.T.Context(), ""); err != nil {
			t.Error(err)
		}
		_, err := simulation.Destroys(b, b.T.Context(), b.Op)
		if err == nil || !strings.Contains(err.Error(), "snapshots may be left") {
			t.Errorf("destroy: %v", err)
		}
		b.Cloud.ClearFaults()
		if _, err := simulation.Destroys(b, b.T.Context(), b.Op); err != nil || len(b.Snapshots()) > 0 {
			t.Errorf("destroy: %v, left %+v", err, b.Snapshots())
		}
		noTags(b, "cattle:bake", 0)
	})
}

// TestSnapshotOfAnotherApp is neither used nor deleted.
func TestSnapshotOfAnotherApp(t *testing.T) {
	simulation.Simulate(t, stepwise, func(b *simulation.Bench) {
		b.Site.App = "shop"
		id := b.MustBake("v1").Snapshot.ID
		b.Site.App = "blog"
		b.Must("v1")
		if p := plan(b, "release", nil); p.Base != nil {
			t.Errorf("it would begin from %+v", p.Base)
		}
		b.MustBake("v1")
		if _, err := simulation.Destroys(b, b.T.Context(), b.Op); err != nil {
			t.Error(err)
		}
		if got := b.Snapshots(); len(got) != 1 || got[0].ID != id {
			t.Errorf("snapshots: %+v", got)
		}
	})
}
