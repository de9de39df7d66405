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

// TestOpensByItself: an operator is killed between the confirm and the opening.
// The new droplet finds out by itself that it is live.
func TestOpensByItself(t *testing.T) {
	simulation.Simulate(t, realistic, func(b *simulation.Bench) {
		kept(b)
		releases(b, "v1")
		mustPost(b, "1")
		op, kill := b.Mortal()
		op.Emit = func(e release.Event) {
			if e.Step == "open" && e.State == release.StateRunning {
				kill()
			}
		}
		go b.Execute(b.T.Context(), op, withState(b, "v2"))
		time.Sleep(5 * time.Minute)
		if got, _ := ask(b, "POST", "2"); got != 503 {
			t.Errorf("a row while nobody has opened it: %d", got)
		}
		time.Sleep(11 * time.Minute)
		mustPost(b, "2")
		wantRows(b, "1", "2")
		releases(b, "v3")
		wantRows(b, "1", "2")
	})
}

// TestKilledWhileFrozen: the old droplet thaws by itself, and the next release
// has all rows.
func TestKilledWhileFrozen(t *testing.T) {
	for _, step := range []string{"copy", "freeze", "delta", "start", "gate", "switch"} {
		t.Run(step, func(t *testing.T) {
			simulation.Simulate(t, realistic, func(b *simulation.Bench) {
				kept(b)
				releases(b, "v1")
				mustPost(b, "1")
				op, kill := b.Mortal()
				op.Emit = func(e release.Event) {
					if e.Step == step && e.State == release.StateRunning {
						time.AfterFunc(250*time.Millisecond, kill)
					}
				}
				go b.Execute(b.T.Context(), op, withState(b, "v2"))
				time.Sleep(16 * time.Minute)
				mustPost(b, "2")
				time.Sleep(simulation.LeaseOver)
				releases(b, "v3")
				wantRows(b, "1", "2")
			})
		})
	}
}

// TestKeptUntilOpened: with keep 0 the old droplet stays for as long as it is
// not known that the new one takes writes.
func TestKeptUntilOpened(t *testing.T) {
	simulation.Simulate(t, realistic, func(b *simulation.Bench) {
		kept(b)
		releases(b, "v1")
		mustPost(b, "1")
		b.Site.Keep = 0
		f := sandbox.EngineFails("thaw", "engine", "new", "no")
		f.Count = -1
		b.Cloud.Fault(f)
		_, err := b.Execute(b.T.Context(), b.Op, withState(b, "v2"))
		var incomplete *release.Incomplete
		if !errors.As(err, &incomplete) || !strings.Contains(err.Error(), "open: ") {
			t.Fatalf("got %v\n%s", err, b.History())
		}
		b.Expect("v2", "v1", "v2")
		time.Sleep(11 * time.Minute)
		mustPost(b, "2")
		b.Cloud.ClearFaults()
		releases(b, "v3")
		wantRows(b, "1", "2")
		b.Expect("v3", "v3")
	})
}

// TestGuardThaws: the operator vanishes after the switch. The guard takes the
// address back, and the old droplet takes writes again.
func TestGuardThaws(t *testing.T) {
	simulation.Simulate(t, realistic, func(b *simulation.Bench) {
		kept(b)
		b.Site.Guard = true
		releases(b, "v1")
		mustPost(b, "1")
		time.Sleep(simulation.LeaseOver)
		op := b.Killed(theSwitch)
		op.GuardToken = b.Op.GuardToken
		go b.Execute(b.T.Context(), op, withState(b, "v2"))
		time.Sleep(15 * time.Minute)
		if got := b.Serving(); got != "v1" {
			t.Fatalf("%s serves, and the guard is %s", got, guardOf(b, "v1"))
		}
		mustPost(b, "2")
		wantRows(b, "1", "2")
	})
}

// TestGuardWithData is disarmed when all goes well, though the switch is later.
func TestGuardWithData(t *testing.T) {
	simulation.Simulate(t, realistic, func(b *simulation.Bench) {
		kept(b)
		b.Site.Guard, b.Site.MaxFreeze = true, 5*time.Minute
		releases(b, "v1")
		mustPost(b, "1")
		b.Cloud.Fault(sandbox.Fault{Method: "SSH", Path: "/state-pull-delta", Delay: 4 * time.Minute})
		if got := stepNames(releases(b, "v2")); !strings.Contains(got, "copy guard freeze delta start gate switch confirm open") {
			t.Errorf("steps: %s", got)
		}
		wantRows(b, "1")
	})
}

// TestWatchKeepsRows: a release that gets worse has rows that the old one lacks,
// so it stays until a person decides.
func TestWatchKeepsRows(t *testing.T) {
	simulation.Simulate(t, realistic, func(b *simulation.Bench) {
		kept(b)
		b.Site.Watch = 5 * time.Minute
		releases(b, "v1")
		mustPost(b, "1")
		b.Op.Emit = func(e release.Event) {
			b.Record(e)
			if e.Step == "watch" && e.State == release.StateRunning && e.Kind == release.KindStep {
				mustPost(b, "2")
				time.AfterFunc(time.Minute, func() { b.Cloud.Break("v2", sandbox.Behaviour{Kind: sandbox.NeverHealthy}) })
			}
		}
		_, err := b.Execute(b.T.Context(), b.Op, withState(b, "v2"))
		var incomplete *release.Incomplete
		if !errors.As(err, &incomplete) || len(incomplete.Leftovers) != 1 || incomplete.Leftovers[0].Command != "cattle rollback --carry-data" {
			t.Fatalf("got %v\n%s", err, b.History())
		}
		b.Op.Emit = b.Record
		if _, err := rollback(b, release.Carry); err != nil {
			t.Fatalf("%v\n%s", err, b.History())
		}
		wantRows(b, "1", "2")
	})
}

// TestSleptBeforeTheConfirm: the operator's computer slept for so long that the
// new droplet opened by itself. What it took is not taken back.
func TestSleptBeforeTheConfirm(t *testing.T) {
	simulation.Simulate(t, realistic, func(b *simulation.Bench) {
		kept(b)
		releases(b, "v1")
		mustPost(b, "1")
		atStep(b, "confirm", func() {
			time.Sleep(12 * time.Minute)
			mustPost(b, "2")
			b.Cloud.Break("v2", sandbox.Behaviour{Kind: sandbox.NeverHealthy})
		})
		_, err := b.Execute(b.T.Context(), b.Op, withState(b, "v2"))
		var broken *release.Broken
		if !errors.As(err, &broken) || !strings.Contains(err.Error(), "its writes go by now") {
			t.Fatalf("got %v\n%s", err, b.History())
		}
		if h := b.Holder(); h.Release != "v2" || len(h.Rows) != 2 {
			t.Errorf("%s is live, with %q", h.Release, h.Rows)
		}
	})
}

// TestTwoAtOnceWithData: one of them switches, and no row is lost.
func TestTwoAtOnceWithData(t *testing.T) {
	simulation.Simulate(t, realistic, func(b *simulation.Bench) {
		kept(b)
		releases(b, "v1")
		mustPost(b, "1", "2")
		w, err := b.Op.SurveyRelease(b.T.Context(), b.Site)
		if err != nil {
			t.Fatal(err)
		}
		results := make(chan error, 2)
		for _, v := range []string{"v2", "v3"} {
			op, c := *b.Op, withState(b, v)
			p, err := release.PlanRelease("release", b.Site, w, c)
			if err != nil {
				t.Fatal(err)
			}
			go func() {
				_, err := op.Execute(b.T.Context(), p)
				results <- err
			}()
		}
		won := 0
		for range 2 {
			if err := <-results; err == nil {
				won++
			}
		}
		if won != 1 {
			t.Errorf("%d won\n%s", won, b.History())
		}
		mustPost(b, "3")
		wantRows(b, "1", "2", "3")
	})
}

// TestHeldIsSeen: status tells of writes that are held.
func TestHeldIsSeen(t *testing.T) {
	simulation.Simulate(t, realistic, func(b *simulation.Bench) {
		kept(b)
		releases(b, "v1")
		look := func() release.Verdict {
			w, err := b.Op.Survey(b.T.Context(), b.Site)
			if err != nil {
				t.Fatal(err)
			}
			v, _ := b.Op.Check(b.T.Context(), b.Site, w)
			return v
		}
		if v := look(); !v.Serving || v.Held() || v.State == nil {
			t.Errorf("got %+v", v)
		}
		w, err := b.Op.Survey(b.T.Context(), b.Site)
		if err != nil {
			t.Fatal(err)
		}
		m, err := droplets.Connect(b.T.Context(), b.Op.Dialer, b.Op.Login, w.Live.Address(w.Reserved.IP), w.Live.Birth.HostKey)
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		if err := m.Freeze(b.T.Context(), time.Minute); err != nil {
			t.Fatal(err)
		}
		if v := look(); !v.Held() || !v.Serving {
			t.Errorf("got %+v", v)
		}
	})
}
