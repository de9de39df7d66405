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
	"cattle/droplets/sandbox"
)

// Others have their hands in the account too: another operator, somebody in the
// console, a network that hangs.

// TestRollbackBesideRelease starts a rollback at each moment of a release. One
// of the two switches, both say what is true, and nothing falls over.
func TestRollbackBesideRelease(t *testing.T) {
	for i := range 36 {
		at := 30*time.Second + time.Duration(i)*700*time.Millisecond
		if skipped(i) {
			continue
		}
		t.Run(at.String(), func(t *testing.T) {
			simulate(t, nasty, func(b *bench) {
				b.must("v1")
				b.must("v2")
				w := b.watch()
				var released, rolled error
				var g sync.WaitGroup
				g.Go(func() { _, released = b.release(b.t.Context(), "v3") })
				time.Sleep(at)
				op := *b.op
				op.Emit = nil
				g.Go(func() { _, rolled = b.rollbackBy(b.t.Context(), &op, "") })
				g.Wait()
				time.Sleep(time.Minute)
				w.end()
				if released != nil && rolled != nil {
					t.Errorf("neither came through: %v; %v", released, rolled)
				}
				var refused *release.Refused
				for _, err := range []error{released, rolled} {
					if errors.As(err, &refused) && refused.Serving != b.serving() {
						t.Errorf("said that %s serves, %s does: %v", refused.Serving, b.serving(), err)
					}
				}
				if t.Failed() {
					t.Log(released, rolled, b.history())
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
			simulate(t, nasty, func(b *bench) {
				b.must("v1")
				b.cloud.Fault(sandbox.Fault{Method: "GET", Path: "/v2/droplets", Count: -1, Stale: 10 * time.Second})
				w := b.watch()
				errs := make([]error, 3)
				var g sync.WaitGroup
				for i, version := range []string{"v2", "v3", "v4"} {
					c := b.candidate(version)
					g.Go(func() {
						time.Sleep(time.Duration(i) * apart)
						op := *b.op
						_, errs[i] = b.execute(b.t.Context(), &op, c)
					})
				}
				g.Wait()
				time.Sleep(time.Minute)
				w.end()
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
					t.Errorf("%d won: %v\n%s", won, errs, b.history())
				}
				b.tidy()
			})
		})
	}
}

// TestTwoFirstReleases: the second one planned before the first one had made
// the reserved IP, and came to its switch afterwards. There is one address.
func TestTwoFirstReleases(t *testing.T) {
	simulate(t, nasty, func(b *bench) {
		w, err := b.op.SurveyRelease(b.t.Context(), b.site)
		if err != nil {
			t.Fatal(err)
		}
		late, err := release.PlanRelease("release", b.site, w, b.candidate("v2"))
		if err != nil {
			t.Fatal(err)
		}
		b.must("v1")
		_, err = b.op.Execute(b.t.Context(), late)
		if err == nil || !strings.Contains(err.Error(), "somebody else switched") {
			t.Errorf("got %v", err)
		}
		b.expect("v1", "v1")
		if n := len(b.cloud.Snapshot().ReservedIPs); n != 1 {
			t.Errorf("%d reserved IPs", n)
		}
	})
}

// TestLiveDestroyedByHand: the outcome does not say that something serves.
func TestLiveDestroyedByHand(t *testing.T) {
	for _, step := range []string{"boot", "gate", "switch"} {
		t.Run(step, func(t *testing.T) {
			simulate(t, nasty, func(b *bench) {
				b.must("v1")
				live := holder(b.cloud.Snapshot()).ID
				var once sync.Once
				b.op.Emit = func(e release.Event) {
					b.record(e)
					if e.Step == step {
						once.Do(func() { b.call(http.MethodDelete, fmt.Sprintf("/v2/droplets/%d", live), nil) })
					}
				}
				_, err := b.release(b.t.Context(), "v2")
				var broken *release.Broken
				if !errors.As(err, &broken) {
					t.Errorf("got %v\n%s", err, b.history())
				}
			})
		})
	}
}

// TestDestroyBesideRelease: the candidate that is ordered while destroy is at
// work keeps the tag by which it is found.
func TestDestroyBesideRelease(t *testing.T) {
	simulate(t, nasty, func(b *bench) {
		b.must("v1")
		w, err := b.op.Survey(b.t.Context(), b.site)
		if err != nil {
			t.Fatal(err)
		}
		doomed := release.PlanDestroy(w, true)
		b.orphan("f")
		err = b.op.Destroy(b.t.Context(), b.site, doomed)
		if err == nil || !strings.Contains(err.Error(), "destroy once more") {
			t.Errorf("got %v", err)
		}
		if _, err := destroys(b, b.t.Context(), b.op); err != nil {
			t.Error(err)
		}
		b.expect("")
	})
}

// TestGCSparesTheLastGoodOne: the live droplet was never confirmed and does
// not serve. The standby, though the profile keeps none, is the way back.
func TestGCSparesTheLastGoodOne(t *testing.T) {
	simulate(t, nasty, func(b *bench) {
		b.must("v1")
		b.site.Keep = 0
		b.cloud.Break("v2", sandbox.Behaviour{Kind: sandbox.FailsLive})
		p, op := b.process(point{"POST", "/v2/reserved_ips/*/actions", 1}, true)
		b.release(b.t.Context(), "v1b")
		b.releaseBy(b.t.Context(), op, "v2")
		<-p.dead
		time.Sleep(leaseOver)
		if err := b.gcBy(b.t.Context(), b.op, release.GCOptions{}); err != nil {
			t.Error(err)
		}
		b.expect("", "v1b", "v2")
		if _, err := b.rollback(b.t.Context(), ""); err != nil {
			t.Error(err)
		}
		b.expect("v1b", "v1b")
	})
}

// TestUnconfirmedDoesNotPushOut: the release that repairs a switch that was
// never confirmed keeps the standby that is known to serve.
func TestUnconfirmedDoesNotPushOut(t *testing.T) {
	simulate(t, nasty, func(b *bench) {
		b.must("v1")
		b.cloud.Break("v2", sandbox.Behaviour{Kind: sandbox.FailsLive})
		_, op := b.process(point{"POST", "/v2/reserved_ips/*/actions", 1}, true)
		b.releaseBy(b.t.Context(), op, "v2")
		time.Sleep(10 * time.Second)
		b.must("v3")
		b.expect("v3", "v1", "v3")
	})
}

// TestStandbyTimeBeginsAnew: a droplet that was live again is a standby for
// the whole of standby_for, not for what was left of the last time.
func TestStandbyTimeBeginsAnew(t *testing.T) {
	simulate(t, nasty, func(b *bench) {
		b.site.Keep, b.site.StandbyFor = 2, 2*time.Hour
		b.must("v1")
		b.must("v2")
		time.Sleep(time.Hour)
		if _, err := b.rollback(b.t.Context(), ""); err != nil {
			t.Fatal(err)
		}
		time.Sleep(24 * time.Hour)
		b.must("v3")
		if err := b.gcBy(b.t.Context(), b.op, release.GCOptions{}); err != nil {
			t.Error(err)
		}
		b.expect("v3", "v1", "v3")
		time.Sleep(3 * time.Hour)
		if err := b.gcBy(b.t.Context(), b.op, release.GCOptions{}); err != nil {
			t.Error(err)
		}
		b.expect("v3", "v3")
	})
}

// TestRollbackWithoutAddress: a rollback does not make a second address for a
// site whose first one was unassigned.
func TestRollbackWithoutAddress(t *testing.T) {
	simulate(t, nasty, func(b *bench) {
		b.must("v1")
		b.must("v2")
		b.call(http.MethodDelete, fmt.Sprintf("/v2/droplets/%d", holder(b.cloud.Snapshot()).ID), nil)
		time.Sleep(time.Minute)
		_, err := b.rollback(b.t.Context(), "")
		var faults *release.Preflight
		if !errors.As(err, &faults) {
			t.Fatalf("got %v", err)
		}
		b.site.ReservedIP = b.cloud.Snapshot().ReservedIPs[0].IP
		if _, err := b.rollback(b.t.Context(), ""); err != nil {
			t.Error(err)
		}
		b.expect("v1", "v1")
	})
}

// TestEditedTagsAreNamed: a droplet that nobody can tell what it is bills on,
// and the plan says so.
func TestEditedTagsAreNamed(t *testing.T) {
	simulate(t, nasty, func(b *bench) {
		b.must("v1")
		live := holder(b.cloud.Snapshot())
		for _, tag := range live.Tags {
			if tag != droplets.AppTag("blog") {
				b.call(http.MethodDelete, "/v2/tags/"+tag, nil)
			}
		}
		w, err := b.op.SurveyRelease(b.t.Context(), b.site)
		if err != nil {
			t.Fatal(err)
		}
		p, err := release.PlanRelease("release", b.site, w, b.candidate("v2"))
		if err != nil {
			t.Fatal(err)
		}
		last := p.Steps[len(p.Steps)-1].Title
		if !strings.Contains(last, fmt.Sprintf("droplet %d", live.ID)) {
			t.Errorf("the plan ends with %q", last)
		}
	})
}

// TestOnItsWayOut: a droplet whose end is ordered loses its tags first. It is
// told, and is not taken for one that somebody tampered with.
func TestOnItsWayOut(t *testing.T) {
	simulate(t, nasty, func(b *bench) {
		b.must("v1")
		b.must("v2")
		b.must("v3") // v1 is destroyed
		look := func() *release.World {
			w, err := b.op.Survey(b.t.Context(), b.site)
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
	simulate(t, nasty, func(b *bench) {
		b.must("v1")
		b.must("v2")
		ip := b.cloud.Snapshot().ReservedIPs[0].IP
		b.op.Emit = func(e release.Event) {
			b.record(e)
			if e.Step == "confirm" && e.State == release.StateRunning {
				b.post("/v2/domains", map[string]string{"name": "blog.example.com", "ip_address": ip})
			}
		}
		if r := b.must("v3"); !r.HTTPS {
			t.Error("it has no certificate")
		}
	})
}

// TestVerdictTellsTheReason: a site on HTTPS that fails is not said to redirect.
func TestVerdictTellsTheReason(t *testing.T) {
	simulate(t, nasty, func(b *bench) {
		ip := b.must("v1").IP
		b.post("/v2/domains", map[string]string{"name": "blog.example.com", "ip_address": ip})
		b.must("v2")
		b.cloud.Break("v2", sandbox.Behaviour{Kind: sandbox.NeverHealthy})
		w, err := b.op.Survey(b.t.Context(), b.site)
		if err != nil {
			t.Fatal(err)
		}
		if v := b.op.Verify(b.t.Context(), b.site, w); v.Serving || !strings.Contains(v.Err.Error(), "answered 503") {
			t.Errorf("got %+v", v)
		}
	})
}

// TestStuckAssignIsNotOver: an assign that never ends leaves the candidate
// alone, for it may still arrive, and names it. gc does not touch it either.
func TestStuckAssignIsNotOver(t *testing.T) {
	simulate(t, nasty, func(b *bench) {
		b.must("v1")
		b.cloud.Fault(sandbox.Fault{Method: "POST", Path: "/v2/reserved_ips/*/actions", Action: sandbox.Stuck})
		_, err := b.release(b.t.Context(), "v2")
		var broken *release.Broken
		if !errors.As(err, &broken) || !strings.Contains(named(err), "cattle gc --attempt") {
			t.Errorf("got %v\n%s", err, named(err))
		}
		time.Sleep(leaseOver)
		if err := b.gcBy(b.t.Context(), b.op, release.GCOptions{}); err == nil {
			t.Error("gc destroyed what the reserved IP is on its way to")
		}
		b.expect("v1", "v1", "v2")
	})
}
