package release_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"cattle/droplets"
	"cattle/droplets/release"
	"cattle/droplets/sandbox"
)

// stepwise is a cloud on which each boot step takes its time.
var stepwise = sandbox.Latency{Call: 100 * time.Millisecond, Active: 10 * time.Second, Assign: 5 * time.Second, Boot: 4 * time.Second, Step: 5 * time.Second, Power: 20 * time.Second}

func bakes(b *bench, ctx context.Context, o *release.Operator) (*release.Report, error) {
	_, err := b.bakeBy(ctx, o, "v2")
	return nil, err
}

func (b *bench) bakeBy(ctx context.Context, o *release.Operator, version string) (*release.Report, error) {
	b.t.Helper()
	w, err := o.SurveyRelease(ctx, b.site)
	if err != nil {
		return nil, err
	}
	p, err := release.PlanBake(b.site, w, b.render(version, true))
	if err != nil {
		return nil, err
	}
	return o.Execute(ctx, p)
}

func (b *bench) mustBake(version string) *release.Report {
	b.t.Helper()
	r, err := b.bakeBy(b.t.Context(), b.op, version)
	if err != nil {
		b.t.Fatalf("bake %s: %v\n%s", version, err, b.history())
	}
	return r
}

// snapshots are all of the account, tagged or not.
func (b *bench) snapshots() []droplets.Snapshot {
	b.t.Helper()
	var answer struct{ Images []droplets.Snapshot }
	decode(b.t, b.call(http.MethodGet, "/v2/images?private=true&per_page=200", nil), &answer)
	return answer.Images
}

func (b *bench) plan(verb string, change func(*release.Candidate)) *release.Plan {
	b.t.Helper()
	w, err := b.op.SurveyRelease(b.t.Context(), b.site)
	if err != nil {
		b.t.Fatal(err)
	}
	c := b.candidate("v9")
	if change != nil {
		change(c)
	}
	p, err := release.PlanRelease(verb, b.site, w, c)
	if err != nil {
		b.t.Fatal(err)
	}
	return p
}

// TestBake makes a snapshot and releases from it: faster, and it says so.
func TestBake(t *testing.T) {
	simulate(t, stepwise, func(b *bench) {
		b.must("v1")
		slow := b.must("v2")
		b.op.Emit = func(e release.Event) {
			b.record(e)
			if e.Step == "snapshot" && e.State == release.StateRunning {
				b.isStripped()
			}
		}
		baked := b.mustBake("v2")
		b.expect("v2", "v1", "v2")
		got := b.snapshots()
		if len(got) != 1 || got[0].ID != baked.Snapshot.ID || !got[0].Has("cattle:app:blog") {
			t.Fatalf("%+v, reported %+v", got, baked.Snapshot)
		}
		packages, at, _ := got[0].Baked()
		if age := time.Since(at); packages != b.site.Packages || age < time.Minute || age > 5*time.Minute {
			t.Errorf("baked tag of %s, %s old", packages, age)
		}
		time.Sleep(3 * 24 * time.Hour)
		fast := b.must("v3")
		b.expect("v3", "v2", "v3")
		if fast.Snapshot == nil || fast.Snapshot.ID != got[0].ID || fast.Took > slow.Took-4*time.Second {
			t.Errorf("from %+v in %s, without in %s", fast.Snapshot, fast.Took, slow.Took)
		}
		if !strings.Contains(b.history(), "from the snapshot of 3 d ago") {
			t.Errorf("nobody was told:\n%s", b.history())
		}
		again := b.mustBake("v3")
		if got := b.snapshots(); len(got) != 1 || got[0].ID != again.Snapshot.ID {
			t.Errorf("the older snapshot is still there: %+v", got)
		}
		b.noTags("cattle:bake:", 0)
		b.noTags("cattle:baked:", 1)
	})
}

// isStripped wants the baking droplet to have opened its secrets, and to have
// forgotten them.
func (b *bench) isStripped() {
	for _, d := range b.cloud.Snapshot().Droplets {
		if strings.HasPrefix(d.Name, "blog-bake-") && (len(d.Secrets) > 0 || d.Boot != "ok") {
			b.t.Errorf("its snapshot is taken while it has secrets: %+v", d)
		}
	}
}

// noTags wants exactly n tags of a prefix in the account.
func (b *bench) noTags(prefix string, n int) {
	b.t.Helper()
	var answer struct{ Tags []struct{ Name string } }
	decode(b.t, b.call(http.MethodGet, "/v2/tags?per_page=200", nil), &answer)
	var found []string
	for _, tag := range answer.Tags {
		if strings.HasPrefix(tag.Name, prefix) {
			found = append(found, tag.Name)
		}
	}
	if len(found) != n {
		b.t.Errorf("tags %q, want %d", found, n)
	}
}

// TestBakeIsNoCandidate: a release beside a bake is not held up, nor is a
// standby or the live droplet touched.
func TestBakeIsNoCandidate(t *testing.T) {
	simulate(t, stepwise, func(b *bench) {
		b.must("v1")
		op := *b.op
		done := make(chan error, 1)
		go func() {
			_, err := b.bakeBy(b.t.Context(), &op, "v1")
			done <- err
		}()
		time.Sleep(15 * time.Second)
		w, err := b.op.Survey(b.t.Context(), b.site)
		if err != nil || len(w.Baking) != 1 || len(w.Candidates)+len(w.Orphans)+len(w.Unknown) > 0 {
			t.Errorf("%v, %+v", err, w)
		}
		if items := release.PlanGC(b.site, w, release.GCOptions{}).Items; len(items) > 0 {
			t.Errorf("gc would destroy %+v", items)
		}
		if items := release.PlanGC(b.site, w, release.GCOptions{Attempt: w.Baking[0].Birth.Attempt}).Items; len(items) != 1 {
			t.Errorf("gc --attempt would destroy %+v", items)
		}
		b.must("v2")
		if err := <-done; err != nil {
			t.Error(err)
		}
		b.expect("v2", "v1", "v2")
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
			simulate(t, stepwise, func(b *bench) {
				b.must("v1")
				if tt.break_ != "" {
					b.cloud.Break("v2", sandbox.Behaviour{Kind: sandbox.FailsStep, Step: tt.break_})
				} else {
					b.cloud.Fault(tt.fault)
				}
				_, err := b.bakeBy(b.t.Context(), b.op, "v2")
				var not *release.NotBaked
				if !errors.As(err, &not) || not.Why.Step != tt.step || !strings.Contains(err.Error(), tt.text) || len(not.Why.Leftovers) > 0 {
					t.Fatalf("got %v, %+v\n%s", err, not, b.history())
				}
				b.expect("v1", "v1")
				if left := b.snapshots(); len(left) > 0 {
					t.Errorf("left over: %+v", left)
				}
			})
		})
	}
}

// TestStuckShutdown: a droplet that does not go down is cut off.
func TestStuckShutdown(t *testing.T) {
	simulate(t, stepwise, func(b *bench) {
		b.must("v1")
		b.cloud.Fault(sandbox.Fault{Method: "POST", Path: "/v2/droplets/*/actions", Body: "shutdown", Action: sandbox.NoOp})
		b.mustBake("v1")
		if !strings.Contains(b.history(), "its power is cut") {
			t.Errorf("nobody was told:\n%s", b.history())
		}
		b.expect("v1", "v1")
	})
}

// TestWhatFits changes one thing at a time that decides whether a release
// begins from the snapshot.
func TestWhatFits(t *testing.T) {
	tests := map[string]struct {
		change  func(*bench)
		verb    string
		without bool
		fits    bool
	}{
		"as it is":       {fits: true},
		"other packages": {change: func(b *bench) { b.site.Packages = strings.Repeat("f", 32) }},
		"no digest":      {change: func(b *bench) { b.site.Packages = "" }},
		"other region":   {change: func(b *bench) { b.site.Region = "nyc3"; b.site.ReservedIP = "" }},
		"larger disk":    {change: func(b *bench) { b.site.Size = "s-2vcpu-4gb" }, fits: true},
		"smaller disk":   {change: func(b *bench) { b.site.Size = "s-1vcpu-512mb-10gb" }},
		"just in time":   {change: func(b *bench) { time.Sleep(7*24*time.Hour - 10*time.Minute) }, fits: true},
		"too old":        {change: func(b *bench) { time.Sleep(7 * 24 * time.Hour) }},
		"never":          {change: func(b *bench) { b.site.BakedWithin = 0 }},
		"a rebuild":      {verb: "rebuild"},
		"--no-snapshot":  {without: true},
		"not ours":       {change: func(b *bench) { b.call(http.MethodDelete, "/v2/tags/cattle:app:blog", nil) }},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			simulate(t, stepwise, func(b *bench) {
				b.mustBake("v1")
				if tt.change != nil {
					tt.change(b)
				}
				verb := tt.verb
				if verb == "" {
					verb = "release"
				}
				p := b.plan(verb, func(c *release.Candidate) { c.NoSnapshot = tt.without })
				if fits := p.Base != nil; fits != tt.fits || strings.Contains(p.Steps[0].Title, "snapshot") != tt.fits {
					t.Errorf("fits: %t; the plan says %q", fits, p.Steps[0].Title)
				}
			})
		})
	}
}

// TestSnapshotVanishes: what the plan says is what is done, or it is refused.
func TestSnapshotVanishes(t *testing.T) {
	simulate(t, stepwise, func(b *bench) {
		b.must("v1")
		id := b.mustBake("v1").Snapshot.ID
		p := b.plan("release", nil)
		b.call(http.MethodDelete, fmt.Sprintf("/v2/images/%d", id), nil)
		_, err := b.op.Execute(b.t.Context(), p)
		var refused *release.Refused
		if !errors.As(err, &refused) || refused.Step != "create" || !strings.Contains(refused.Hint, "--no-snapshot") {
			t.Errorf("got %v, %+v", err, refused)
		}
		b.expect("v1", "v1")
	})
}

// TestSnapshotsCannotBeRead: they only save time.
func TestSnapshotsCannotBeRead(t *testing.T) {
	simulate(t, stepwise, func(b *bench) {
		b.must("v1")
		b.mustBake("v1")
		b.cloud.Fault(sandbox.Fault{Method: "GET", Path: "/v2/images", Status: 403, Count: -1})
		if r := b.must("v2"); r.Snapshot != nil {
			t.Errorf("it began from %+v", r.Snapshot)
		}
		if _, err := b.rollback(b.t.Context(), ""); err != nil {
			t.Error(err)
		}
		_, err := destroys(b, b.t.Context(), b.op)
		if err == nil || !strings.Contains(err.Error(), "snapshots may be left") {
			t.Errorf("destroy: %v", err)
		}
		b.cloud.ClearFaults()
		if _, err := destroys(b, b.t.Context(), b.op); err != nil || len(b.snapshots()) > 0 {
			t.Errorf("destroy: %v, left %+v", err, b.snapshots())
		}
		b.noTags("cattle:bake", 0)
	})
}

// TestSnapshotOfAnotherApp is neither used nor deleted.
func TestSnapshotOfAnotherApp(t *testing.T) {
	simulate(t, stepwise, func(b *bench) {
		b.site.App = "shop"
		id := b.mustBake("v1").Snapshot.ID
		b.site.App = "blog"
		b.must("v1")
		if p := b.plan("release", nil); p.Base != nil {
			t.Errorf("it would begin from %+v", p.Base)
		}
		b.mustBake("v1")
		if _, err := destroys(b, b.t.Context(), b.op); err != nil {
			t.Error(err)
		}
		if got := b.snapshots(); len(got) != 1 || got[0].ID != id {
			t.Errorf("snapshots: %+v", got)
		}
	})
}
