package release_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"cattle/droplets"
	"cattle/droplets/release"
	"cattle/droplets/release/simulation"
	"cattle/droplets/sandbox"
)

// guardOver is longer than a guard can do anything, from its arming on.
const guardOver = 15 * time.Minute

// theSwitch is the call that a release begins to be live with.
var theSwitch = simulation.Point{Method: http.MethodPost, Route: "/v2/reserved_ips/*/actions", Nth: 1}

// guardPlay runs f in virtual time on a site with a guard, v1 being live. The
// guard's token may move reserved IPs and nothing else.
func guardPlay(t *testing.T, f func(*simulation.Bench)) {
	t.Helper()
	simulation.Simulate(t, nasty, func(b *simulation.Bench) {
		b.Site.Guard = true
		b.Must("v1")
		time.Sleep(simulation.LeaseOver)
		b.Cloud.ResetRequests()
		f(b)
	})
}

// A token is what an operator gives to a guard.
type token string

func (t token) Reveal() string { return string(t) }

// guardOf is what became of the guard on the droplet of a release.
func guardOf(b *simulation.Bench, version string) string {
	for _, d := range b.Cloud.Snapshot().Droplets {
		if d.Release == version {
			return d.Guard
		}
	}
	return "gone"
}

// stays holds when a release serves, and goes on serving.
func stays(b *simulation.Bench, version string) {
	b.T.Helper()
	for range 2 {
		if got := b.Serving(); got != version {
			b.T.Errorf("%q serves, not %s; the guards are %s, %s\n%s", got, version, guardOf(b, "v1"), guardOf(b, "v2"), b.History())
		}
		time.Sleep(guardOver)
	}
}

// TestGuardIsDisarmed: a guarded release that ends well leaves no armed guard
// and no move back, and stays in the budgets.
func TestGuardIsDisarmed(t *testing.T) {
	guardPlay(t, func(b *simulation.Bench) {
		start := time.Now()
		b.Must("v2")
		took, least := time.Since(start), floor(b, nasty)
		calls := len(b.Cloud.Requests())
		t.Logf("%d API calls, %.3f of the floor", calls, float64(took)/float64(least))
		if calls >= callBudget || float64(took)/float64(least) > 1.05 { // the look at the token is one more
			t.Errorf("%d API calls, %s of %s", calls, took, least)
		}
		if got := guardOf(b, "v1"); got != "disarmed" {
			t.Errorf("the guard is %s", got)
		}
		stays(b, "v2")
		b.Must("v3")
		stays(b, "v3")
		b.Tidy()
	})
}

// TestGuardAndSlowAPI: the guard has found the unconfirmed release at the
// address, and its order is long under way. Whoever releases meanwhile must not
// be told that all is well, and then lose the address to that order.
func TestGuardAndSlowAPI(t *testing.T) {
	for i := range 20 {
		wait := 5*time.Minute + time.Duration(i)*3*time.Second
		guardPlay(t, func(b *simulation.Bench) {
			back := fmt.Sprintf(`"droplet_id":%d`, b.Holder().ID)
			dieSwitched(b)
			b.Cloud.Fault(sandbox.Fault{Method: http.MethodPost, Path: "/v2/reserved_ips/*/actions", Body: back, Count: -1, Delay: 9 * time.Second})
			time.Sleep(wait)
			if r, err := b.Release(b.T.Context(), "v9"); err == nil {
				stays(b, r.Release)
			}
			time.Sleep(guardOver)
			if t.Failed() {
				t.Fatalf("a release %s after the switch; the guard is %s\n%s", wait, guardOf(b, "v1"), b.History())
			}
		})
	}
}

// TestGuardGoesOffTooEarly: to an operator whose computer slept, time passed as
// if the droplet's clock ran fast. The public saw the release, and that counts
// for nothing: the guard is taking it back.
func TestGuardGoesOffTooEarly(t *testing.T) {
	guardPlay(t, func(b *simulation.Bench) {
		w, err := b.Op.Survey(b.T.Context(), b.Site)
		if err != nil {
			t.Fatal(err)
		}
		c := b.Candidate("v2")
		atStep(b, "confirm", func() {
			m, err := droplets.Connect(b.T.Context(), b.Op.Dialer, b.Op.Login, w.Live.Address(w.Reserved.IP), w.Live.Birth.HostKey)
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			order := droplets.Guard{Token: b.Op.GuardToken, IP: w.Reserved.IP, Droplet: w.Live.ID, Attempt: c.Attempt, For: time.Second}
			if err := m.Guard(b.T.Context(), order); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second + time.Millisecond)
		})
		_, err = b.Execute(b.T.Context(), b.Op, c)
		var refused *release.Refused
		if !errors.As(err, &refused) || refused.Serving != "v1" || !strings.Contains(err.Error(), "went off before") {
			t.Errorf("%v\n%s", err, b.History())
		}
		stays(b, "v1")
		b.Expect("v1", "v1")
	})
}

// TestGuardAndTwoMishaps: the operator's computer sleeps before the switch, and
// he is killed right after it. A guard that went off in between, and found
// nothing to take back, must not leave the switch without one.
func TestGuardAndTwoMishaps(t *testing.T) {
	for _, nap := range []time.Duration{time.Minute, 3 * time.Minute, 6 * time.Minute, 20 * time.Minute} {
		t.Run(nap.String(), func(t *testing.T) {
			guardPlay(t, func(b *simulation.Bench) {
				op := b.Killed(theSwitch)
				op.Emit = func(e release.Event) {
					if e.Step == "switch" && e.State == release.StateRunning {
						time.Sleep(nap)
					}
				}
				go b.ReleaseBy(b.T.Context(), op, "v2")
				time.Sleep(nap + guardOver)
				if got := b.Serving(); got != "v1" {
					t.Errorf("%s serves, and the guard is %s", got, guardOf(b, "v1"))
				}
			})
		})
	}
}

// atStep runs do in the moment when the release comes to a step.
func atStep(b *simulation.Bench, step string, do func()) {
	var once sync.Once
	b.Op.Emit = func(e release.Event) {
		b.Record(e)
		if e.Step == step && e.State == release.StateRunning {
			once.Do(do)
		}
	}
}

// TestGuardCannotBeDisarmed: the droplet that was left does not answer SSH any
// more. The release ends when its guard can do nothing, and tells what is.
func TestGuardCannotBeDisarmed(t *testing.T) {
	t.Run("dead", func(t *testing.T) {
		guardPlay(t, func(b *simulation.Bench) {
			old := b.Holder().ID
			atStep(b, "confirm", func() { b.Post(fmt.Sprintf("/v2/droplets/%d/actions", old), map[string]string{"type": "power_off"}) })
			r, err := b.Release(b.T.Context(), "v2")
			if err != nil || !strings.Contains(strings.Join(r.Notices, "\n"), "cannot be disarmed") {
				t.Fatalf("%v\n%s", err, b.History())
			}
			stays(b, "v2")
		})
	})
	mute := func(b *simulation.Bench) {
		old := b.Holder().IP
		var muted atomic.Bool
		b.Op.Dialer = hanging{b.Op.Dialer, func(address string) bool { return muted.Load() && strings.HasPrefix(address, old+":") }}
		atStep(b, "confirm", func() { muted.Store(true) })
	}
	t.Run("alive", func(t *testing.T) {
		guardPlay(t, func(b *simulation.Bench) {
			mute(b)
			_, err := b.Release(b.T.Context(), "v2")
			var refused *release.Refused
			if !errors.As(err, &refused) || refused.Serving != "v1" {
				t.Errorf("%v\n%s", err, b.History())
			}
			stays(b, "v1")
		})
	})
	t.Run("interrupted", func(t *testing.T) {
		guardPlay(t, func(b *simulation.Bench) {
			mute(b)
			ctx, cancel := context.WithTimeout(b.T.Context(), 4*time.Minute)
			defer cancel()
			_, err := b.Release(ctx, "v2")
			if !strings.Contains(simulation.Told(err), "may take") {
				t.Errorf("%v\n%s", err, b.History())
			}
			if got := b.Serving(); got != "v2" {
				t.Errorf("%q serves", got)
			}
		})
	})
}

// TestGuardDisarmedLate: the answer of disarm is lost, and while it is asked for
// again somebody deletes the droplet that just went live. It is not done then.
func TestGuardDisarmedLate(t *testing.T) {
	guardPlay(t, func(b *simulation.Bench) {
		old := b.Holder().IP
		var muted atomic.Bool
		b.Op.Dialer = hanging{b.Op.Dialer, func(address string) bool { return muted.Load() && strings.HasPrefix(address, old+":") }}
		atStep(b, "confirm", func() {
			muted.Store(true)
			time.AfterFunc(2*time.Second, func() { b.Call("DELETE", fmt.Sprintf("/v2/droplets/%d", b.Holder().ID), nil) })
			time.AfterFunc(40*time.Second, func() { muted.Store(false) })
		})
		_, err := b.Release(b.T.Context(), "v2")
		if err == nil || strings.Contains(err.Error(), "left over") {
			t.Errorf("%v\n%s", err, b.History())
		}
	})
}

// TestGuardForgets: a droplet that was restarted knows of no guard. The release
// looks where the reserved IP is.
func TestGuardForgets(t *testing.T) {
	guardPlay(t, func(b *simulation.Bench) {
		old := b.Holder().ID
		atStep(b, "confirm", func() {
			b.Post(fmt.Sprintf("/v2/droplets/%d/actions", old), map[string]string{"type": "reboot"})
		})
		if _, err := b.Release(b.T.Context(), "v2"); err != nil {
			t.Fatalf("%v\n%s", err, b.History())
		}
		if got := guardOf(b, "v1"); got != "" {
			t.Errorf("the guard is %s", got)
		}
		stays(b, "v2")
	})
}

// TestGuardOfARefusedRelease is disarmed when the switch was taken back.
func TestGuardOfARefusedRelease(t *testing.T) {
	guardPlay(t, func(b *simulation.Bench) {
		b.Cloud.Break("v2", sandbox.Behaviour{Kind: sandbox.FailsLive})
		_, err := b.Release(b.T.Context(), "v2")
		var refused *release.Refused
		if !errors.As(err, &refused) || refused.Step != "confirm" || len(refused.Leftovers) > 0 {
			t.Errorf("%v\n%s", err, b.History())
		}
		if got := guardOf(b, "v1"); got != "disarmed" {
			t.Errorf("the guard is %s", got)
		}
		stays(b, "v1")
		b.Expect("v1", "v1")
	})
}

// TestGuardInBadWeather: what the API answers to a guard that went off.
func TestGuardInBadWeather(t *testing.T) {
	for name, c := range map[string]struct {
		fault   sandbox.Fault
		token   string
		serving string
		guard   string
	}{
		"422":       {fault: sandbox.Fault{Status: 422, Count: 5}, serving: "v1", guard: "fired: the address is here"},
		"429":       {fault: sandbox.Fault{Status: 429, Count: 5}, serving: "v1", guard: "fired: the address is here"},
		"500":       {fault: sandbox.Fault{Status: 500, Count: 5}, serving: "v1", guard: "fired: the address is here"},
		"500 after": {fault: sandbox.Fault{Status: 500, After: true}, serving: "v1", guard: "fired: the address is here"},
		"no answer": {fault: sandbox.Fault{Reset: true, Count: 5}, serving: "v1", guard: "fired: the address is here"},
		"no-op":     {fault: sandbox.Fault{Action: sandbox.NoOp}, serving: "v1", guard: "fired: the address is here"},
		"errored":   {fault: sandbox.Fault{Action: sandbox.Errored}, serving: "v1", guard: "fired: the address is here"},
		"down":      {fault: sandbox.Fault{Status: 503, Count: -1}, serving: "v2", guard: "fired: gave up"},
		"revoked":   {token: simulation.WeakToken, serving: "v2", guard: "fired: the API answered 403"},
	} {
		t.Run(name, func(t *testing.T) {
			guardPlay(t, func(b *simulation.Bench) {
				if c.token != "" {
					b.Op.GuardToken = token(c.token)
				}
				dieSwitched(b)
				if c.token == "" {
					c.fault.Method, c.fault.Path = http.MethodPost, "/v2/reserved_ips/*/actions"
					b.Cloud.Fault(c.fault)
				}
				time.Sleep(guardOver)
				if serving, guard := b.Serving(), guardOf(b, "v1"); serving != c.serving || guard != c.guard {
					t.Errorf("%s serves, and the guard is %s", serving, guard)
				}
			})
		})
	}
}

// dieSwitched leaves the site as an operator does who is killed right after
// the switch to v2.
func dieSwitched(b *simulation.Bench) {
	b.T.Helper()
	op := b.Killed(theSwitch)
	op.GuardToken = b.Op.GuardToken
	go b.ReleaseBy(b.T.Context(), op, "v2")
	for b.Serving() != "v2" {
		time.Sleep(time.Second)
	}
}

// TestGuardLeavesOthersAlone: somebody without a guard has switched meanwhile.
func TestGuardLeavesOthersAlone(t *testing.T) {
	guardPlay(t, func(b *simulation.Bench) {
		dieSwitched(b)
		b.Site.Guard = false
		if r, err := b.Release(b.T.Context(), "v9"); err != nil {
			t.Fatalf("%v %v", r, err)
		}
		stays(b, "v9")
	})
}

// TestGuardIsTried: a token that the guard could do nothing with is found out
// before anything is made.
func TestGuardIsTried(t *testing.T) {
	guardPlay(t, func(b *simulation.Bench) {
		w, err := b.Op.Survey(b.T.Context(), b.Site)
		if err != nil {
			t.Fatal(err)
		}
		for token, want := range map[string]string{b.Op.GuardToken.Reveal(): "", simulation.WeakToken: "lacks the scope reserved_ip:update"} {
			api, err := droplets.Open(droplets.Config{Token: token, HTTP: b.Cloud.Client(), URL: "http://api.test"})
			if err != nil {
				t.Fatal(err)
			}
			err = release.TryGuard(b.T.Context(), api, w)
			var faults *release.Preflight
			if want == "" && err != nil || want != "" && (!errors.As(err, &faults) || !faults.Input() || !strings.Contains(err.Error(), want)) {
				t.Errorf("%s: %v", token, err)
			}
		}
		stays(b, "v1")
	})
}

// TestGuardBeginsWithTheNextRelease: a live droplet without a guard cannot be
// armed, and one that cannot be reached is not asked.
func TestGuardBeginsWithTheNextRelease(t *testing.T) {
	guardPlay(t, func(b *simulation.Bench) {
		b.Site.Guard = false
		b.Must("v2") // which has no guard on it
		b.Site.Guard = true
		r := b.Must("v3")
		if !slices.ContainsFunc(r.Notices, func(s string) bool { return strings.Contains(s, "was released without release.guard") }) {
			t.Errorf("notices: %v", r.Notices)
		}
		stays(b, "v3")
		c := b.Candidate("v4")
		c.NoHandoff = true
		r, err := b.Execute(b.T.Context(), b.Op, c)
		if err != nil || slices.ContainsFunc(r.Steps, func(s release.StepTime) bool { return s.Name == "guard" }) {
			t.Errorf("%v %+v", err, r)
		}
	})
}
