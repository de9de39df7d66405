package release_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"cattle/droplets"
	"cattle/droplets/release"
	"cattle/droplets/release/simulation"
	"cattle/droplets/sandbox"
)

// nasty are latencies in which orders overlap: a droplet that is destroyed
// lives on for longer than an assign takes.
var nasty = sandbox.Latency{Call: 100 * time.Millisecond, Active: 30 * time.Second, Assign: 5 * time.Second, Delete: 12 * time.Second}

// Others have their hands in the account too: another operator, somebody in the
// console, a network that hangs.

// TestRollbackBesideRelease starts a rollback at each moment of a release. One
// of the two switches, both say what is true, and nothing falls over.
func TestRollbackBesideRelease(t *testing.T) {
	for i := range 36 {
		at := 30*time.Second + time.Duration(i)*700*time.Millisecond
		t.Run(at.String(), func(t *testing.T) {
			simulation.Simulate(t, nasty, func(b *simulation.Bench) {
				b.Must("v1")
				b.Must("v2")
				var released, rolled error
				var g sync.WaitGroup
				g.Go(func() { _, released = b.Release(b.T.Context(), "v3") })
				time.Sleep(at)
				op := *b.Op
				op.Emit = nil
				g.Go(func() { _, rolled = b.RollbackBy(b.T.Context(), &op, "") })
				g.Wait()
				time.Sleep(time.Minute)
				b.Report()
				if released != nil && rolled != nil {
					t.Errorf("neither came through: %v; %v", released, rolled)
				}
				var refused *release.Refused
				for _, err := range []error{released, rolled} {
					if errors.As(err, &refused) && refused.Serving != b.Serving() {
						t.Errorf("said that %s serves, %s does: %v", refused.Serving, b.Serving(), err)
					}
				}
				if t.Failed() {
					t.Log(released, rolled, b.History())
				}
			})
		})
	}
}

// TestThreeAtOnce starts three releases a moment apart, on a cloud whose lists
// do not know new droplets for ten seconds. Exactly one switches, and the
// others clean up after themselves.
func TestThreeAtOnce(t *testing.T) {
	for _, apart := range []time.Duration{0, 50 * time.Millisecond, 300 * time.Millisecond, time.Second, 4 * time.Second, 12 * time.Second} {
		t.Run(apart.String(), func(t *testing.T) {
			simulation.Simulate(t, nasty, func(b *simulation.Bench) {
				b.Must("v1")
				b.Cloud.Fault(sandbox.Fault{Method: "GET", Path: "/v2/droplets", Count: -1, Stale: 10 * time.Second})
				errs := make([]error, 3)
				var g sync.WaitGroup
				for i, version := range []string{"v2", "v3", "v4"} {
					c := b.Candidate(version)
					g.Go(func() {
						time.Sleep(time.Duration(i) * apart)
						op := *b.Op
						_, errs[i] = b.Execute(b.T.Context(), &op, c)
					})
				}
				g.Wait()
				time.Sleep(time.Minute)
				b.Report()
				won := 0
				var refused *release.Refused
				var faults *release.Preflight
				for _, err := range errs {
					switch {
					case err == nil:
						won++
					case !errors.As(err, &refused) && !errors.As(err, &faults):
						t.Errorf("a loser ended with %v", err)
					}
				}
				if won != 1 {
					t.Errorf("%d won: %v\n%s", won, errs, b.History())
				}
				b.Tidy()
			})
		})
	}
}

// TestTwoFirstReleases: the second one planned before the first one had made
// the reserved IP, and came to its switch afterwards. There is one address.
func TestTwoFirstReleases(t *testing.T) {
	simulation.Simulate(t, nasty, func(b *simulation.Bench) {
		w, err := b.Op.SurveyRelease(b.T.Context(), b.Site)
		if err != nil {
			t.Fatal(err)
		}
		late, err := release.PlanRelease("release", b.Site, w, b.Candidate("v2"))
		if err != nil {
			t.Fatal(err)
		}
		b.Must("v1")
		_, err = b.Op.Execute(b.T.Context(), late)
		if err == nil || !strings.Contains(err.Error(), "somebody else switched") {
			t.Errorf("got %v", err)
		}
		b.Expect("v1", "v1")
		if n := len(b.Cloud.Snapshot().ReservedIPs); n != 1 {
			t.Errorf("%d reserved IPs", n)
		}
	})
}

// TestLiveDestroyedByHand: the outcome does not say that something serves.
func TestLiveDestroyedByHand(t *testing.T) {
	for _, step := range []string{"boot", "gate", "switch"} {
		t.Run(step, func(t *testing.T) {
			simulation.Simulate(t, nasty, func(b *simulation.Bench) {
				b.Must("v1")
				live := b.Holder().ID
				var once sync.Once
				b.Op.Emit = func(e release.Event) {
					b.Record(e)
					if e.Step == step {
						once.Do(func() { b.Call(http.MethodDelete, fmt.Sprintf("/v2/droplets/%d", live), nil) })
					}
				}
				_, err := b.Release(b.T.Context(), "v2")
				var broken *release.Broken
				if !errors.As(err, &broken) {
					t.Errorf("got %v\n%s", err, b.History())
				}
			})
		})
	}
}

// TestDestroyBesideRelease: the candidate that is ordered while destroy is at
// work keeps the tag by which it is found.
func TestDestroyBesideRelease(t *testing.T) {
	simulation.Simulate(t, nasty, func(b *simulation.Bench) {
		b.Must("v1")
		w, err := b.Op.Survey(b.T.Context(), b.Site)
		if err != nil {
			t.Fatal(err)
		}
		doomed := release.PlanDestroy(b.Site, w, true)
		b.Orphan("f")
		err = b.Op.Destroy(b.T.Context(), b.Site, doomed)
		if err == nil || !strings.Contains(err.Error(), "destroy once more") {
			t.Errorf("got %v", err)
		}
		if _, err := simulation.Destroys(b, b.T.Context(), b.Op); err != nil {
			t.Error(err)
		}
		b.Expect("")
	})
}

// TestGCSparesTheLastGoodOne: the live droplet was never confirmed and does
// not serve. The standby, though the profile keeps none, is the way back.
func TestGCSparesTheLastGoodOne(t *testing.T) {
	simulation.Simulate(t, nasty, func(b *simulation.Bench) {
		b.Must("v1")
		b.Site.Keep = 0
		b.Cloud.Break("v2", sandbox.Behaviour{Kind: sandbox.FailsLive})
		op := b.Killed(simulation.Point{Method: "POST", Route: "/v2/reserved_ips/*/actions", Nth: 1})
		b.Release(b.T.Context(), "v1b")
		b.ReleaseBy(b.T.Context(), op, "v2")
		time.Sleep(simulation.LeaseOver)
		if err := b.GCBy(b.T.Context(), b.Op, release.GCOptions{}); err != nil {
			t.Error(err)
		}
		b.Expect("", "v1b", "v2")
		if _, err := b.Rollback(b.T.Context(), ""); err != nil {
			t.Error(err)
		}
		b.Expect("v1b", "v1b")
	})
}

// TestUnconfirmedDoesNotPushOut: the release that repairs a switch that was
// never confirmed keeps the standby that is known to serve.
func TestUnconfirmedDoesNotPushOut(t *testing.T) {
	simulation.Simulate(t, nasty, func(b *simulation.Bench) {
		b.Must("v1")
		b.Cloud.Break("v2", sandbox.Behaviour{Kind: sandbox.FailsLive})
		op := b.Killed(simulation.Point{Method: "POST", Route: "/v2/reserved_ips/*/actions", Nth: 1})
		b.ReleaseBy(b.T.Context(), op, "v2")
		time.Sleep(10 * time.Second)
		b.Must("v3")
		b.Expect("v3", "v1", "v3")
	})
}

// TestStandbyTimeBeginsAnew: a droplet that was live again is a standby for
// the whole of standby_for, not for what was left of the last time.
func TestStandbyTimeBeginsAnew(t *testing.T) {
	simulation.Simulate(t, nasty, func(b *simulation.Bench) {
		b.Site.Keep, b.Site.StandbyFor = 2, 2*time.Hour
		b.Must("v1")
		b.Must("v2")
		time.Sleep(time.Hour)
		if _, err := b.Rollback(b.T.Context(), ""); err != nil {
			t.Fatal(err)
		}
		time.Sleep(24 * time.Hour)
		b.Must("v3")
		if err := b.GCBy(b.T.Context(), b.Op, release.GCOptions{}); err != nil {
			t.Error(err)
		}
		b.Expect("v3", "v1", "v3")
		time.Sleep(3 * time.Hour)
		if err := b.GCBy(b.T.Context(), b.Op, release.GCOptions{}); err != nil {
			t.Error(err)
		}
		b.Expect("v3", "v3")
	})
}

// TestRollbackWithoutAddress: a rollback does not make a second address for a
// site whose first one was unassigned.
func TestRollbackWithoutAddress(t *testing.T) {
	simulation.Simulate(t, nasty, func(b *simulation.Bench) {
		b.Must("v1")
		b.Must("v2")
		b.Call(http.MethodDelete, fmt.Sprintf("/v2/droplets/%d", b.Holder().ID), nil)
		time.Sleep(time.Minute)
		_, err := b.Rollback(b.T.Context(), "")
		var faults *release.Preflight
		if !errors.As(err, &faults) {
			t.Fatalf("got %v", err)
		}
		b.Site.ReservedIP = b.Cloud.Snapshot().ReservedIPs[0].IP
		if _, err := b.Rollback(b.T.Context(), ""); err != nil {
			t.Error(err)
		}
		b.Expect("v1", "v1")
	})
}

// TestAppTagTakenOff: a site whose live droplet has lost the app's tag does not
// get a second address, but word of how to put the tag back.
func TestAppTagTakenOff(t *testing.T) {
	simulation.Simulate(t, nasty, func(b *simulation.Bench) {
		b.Must("v1")
		live := b.Holder().ID
		tag := droplets.AppTag("blog")
		b.Call(http.MethodDelete, "/v2/tags/"+tag+"/resources", tagged(live))
		_, err := b.Release(b.T.Context(), "v2")
		var faults *release.Preflight
		if !errors.As(err, &faults) || !strings.HasSuffix(faults.Faults[0].Hint, fmt.Sprintf("doctl compute droplet tag %d --tag-name %s", live, tag)) {
			t.Fatalf("got %v", err)
		}
		b.Call(http.MethodPost, "/v2/tags/"+tag+"/resources", tagged(live))
		b.Must("v2")
		b.Expect("v2", "v1", "v2")
	})
}

func tagged(droplet int) []byte {
	return fmt.Appendf(nil, `{"resources":[{"resource_id":"%d","resource_type":"droplet"}]}`, droplet)
}

// TestEditedTagsAreNamed: a droplet that nobody can tell what it is bills on,
// and the plan says so.
func TestEditedTagsAreNamed(t *testing.T) {
	simulation.Simulate(t, nasty, func(b *simulation.Bench) {
		b.Must("v1")
		live := b.Holder()
		for _, tag := range live.Tags {
			if tag != droplets.AppTag("blog") {
				b.Call(http.MethodDelete, "/v2/tags/"+tag, nil)
			}
		}
		w, err := b.Op.SurveyRelease(b.T.Context(), b.Site)
		if err != nil {
			t.Fatal(err)
		}
		p, err := release.PlanRelease("release", b.Site, w, b.Candidate("v2"))
		if err != nil {
			t.Fatal(err)
		}
		retire := p.Steps[len(p.Steps)-2]
		if retire.Name != "retire" || !strings.Contains(retire.Title, fmt.Sprintf("droplet %d", live.ID)) {
			t.Errorf("the plan ends with %q", retire.Title)
		}
	})
}

// TestOnItsWayOut: a droplet whose end is ordered loses its tags first. It is
// told, and is not taken for one that somebody tampered with.
func TestOnItsWayOut(t *testing.T) {
	simulation.Simulate(t, nasty, func(b *simulation.Bench) {
		b.Must("v1")
		b.Must("v2")
		b.Must("v3") // v1 is destroyed
		look := func() *release.World {
			w, err := b.Op.Survey(b.T.Context(), b.Site)
			if err != nil {
				t.Fatal(err)
			}
			return w
		}
		if w := look(); len(w.Ending) != 1 || len(w.Unknown) != 0 {
			t.Errorf("ending %d, unknown %d; want 1 and 0", len(w.Ending), len(w.Unknown))
		}
		time.Sleep(time.Minute)
		if w := look(); len(w.Ending)+len(w.Unknown) != 0 {
			t.Errorf("ending %d, unknown %d; want none", len(w.Ending), len(w.Unknown))
		}
	})
}

// TestCertificateComesDuringConfirm: the names point at the reserved IP, and
// the droplet asks for its certificate as soon as it is live.
func TestCertificateComesDuringConfirm(t *testing.T) {
	simulation.Simulate(t, nasty, func(b *simulation.Bench) {
		b.Must("v1")
		b.Must("v2")
		ip := b.Cloud.Snapshot().ReservedIPs[0].IP
		b.Op.Emit = func(e release.Event) {
			b.Record(e)
			if e.Step == "confirm" && e.State == release.StateRunning {
				b.Post("/v2/domains", map[string]string{"name": "blog.example.com", "ip_address": ip})
			}
		}
		if r := b.Must("v3"); !r.HTTPS {
			t.Error("it has no certificate")
		}
	})
}

// TestVerdictTellsTheReason: a site on HTTPS that fails is not said to redirect.
func TestVerdictTellsTheReason(t *testing.T) {
	simulation.Simulate(t, nasty, func(b *simulation.Bench) {
		ip := b.Must("v1").IP
		b.Post("/v2/domains", map[string]string{"name": "blog.example.com", "ip_address": ip})
		b.Must("v2")
		b.Cloud.Break("v2", sandbox.Behaviour{Kind: sandbox.NeverHealthy})
		w, err := b.Op.Survey(b.T.Context(), b.Site)
		if err != nil {
			t.Fatal(err)
		}
		if v := b.Op.Verify(b.T.Context(), b.Site, w); v.Serving || !strings.Contains(v.Err.Error(), "answered 503") {
			t.Errorf("got %+v", v)
		}
	})
}

// TestStuckAssignIsNotOver: an assign that never ends leaves the candidate
// alone, for it may still arrive, and names it. gc does not touch it either.
func TestStuckAssignIsNotOver(t *testing.T) {
	simulation.Simulate(t, nasty, func(b *simulation.Bench) {
		b.Must("v1")
		b.Cloud.Fault(sandbox.Fault{Method: "POST", Path: "/v2/reserved_ips/*/actions", Action: sandbox.Stuck})
		_, err := b.Release(b.T.Context(), "v2")
		var broken *release.Broken
		if !errors.As(err, &broken) || !strings.Contains(simulation.Told(err), "cattle gc --attempt") {
			t.Errorf("got %v\n%s", err, simulation.Told(err))
		}
		time.Sleep(simulation.LeaseOver)
		if err := b.GCBy(b.T.Context(), b.Op, release.GCOptions{}); err == nil {
			t.Error("gc destroyed what the reserved IP is on its way to")
		}
		b.Expect("v1", "v1", "v2")
	})
}
