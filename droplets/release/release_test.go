package release_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"cattle/droplets"
	"cattle/droplets/release"
	"cattle/droplets/release/simulation"
	"cattle/droplets/sandbox"
)

func TestReleasesRollBackAndRetire(t *testing.T) {
	simulation.Simulate(t, realistic, func(b *simulation.Bench) {
		first := b.Must("v1.0.0")
		if !first.NewIP || first.IP == "" {
			t.Errorf("the first release makes the reserved IP: %+v", first)
		}
		b.Expect("v1.0.0", "v1.0.0")

		b.Must("v1.1.0+b/2")
		b.Expect("v1.1.0+b/2", "v1.0.0", "v1.1.0+b/2")

		second := b.Must("v1.2.0")
		if second.NewIP || second.IP != first.IP {
			t.Errorf("the reserved IP changed: %s, then %s", first.IP, second.IP)
		}
		b.Expect("v1.2.0", "v1.1.0+b/2", "v1.2.0")

		back, err := b.Rollback(b.T.Context(), "")
		if err != nil {
			t.Fatal(err, b.History())
		}
		if back.Release != "v1.1.0+b/2" {
			t.Errorf("rolled back to %s", back.Release)
		}
		b.Expect("v1.1.0+b/2", "v1.1.0+b/2", "v1.2.0")

		// The droplet that was live just now is the standby, not the newest one.
		b.Must("v1.3.0")
		b.Expect("v1.3.0", "v1.1.0+b/2", "v1.3.0")
	})
}

func TestSwitchIsMeasured(t *testing.T) {
	simulation.Simulate(t, realistic, func(b *simulation.Bench) {
		b.Must("v1")
		r := b.Must("v2")
		if r.Cutover.Requests < 10 || r.Cutover.Failed != 0 || r.Cutover.Gap > time.Second {
			t.Errorf("cutover: %+v", r.Cutover)
		}
	})
}

func TestCertificatesTravel(t *testing.T) {
	simulation.Simulate(t, realistic, func(b *simulation.Bench) {
		ip := b.Must("v1").IP
		b.Post("/v2/domains", map[string]string{"name": "blog.example.com", "ip_address": ip})
		for _, v := range []string{"v2", "v3", "v4", "v5", "v6", "v7"} {
			if r := b.Must(v); !r.HTTPS {
				t.Fatalf("%s has no certificate\n%s", v, b.History())
			}
		}
		if n := len(b.Cloud.Snapshot().Issued); n != 1 {
			t.Errorf("%d certificates were issued, want 1", n)
		}
	})
}

// TestRefused breaks the second release in every way that the sandbox knows:
// the first one serves on, and nothing of the second is left.
func TestRefused(t *testing.T) {
	tests := []struct {
		name     string
		break_   sandbox.Behaviour
		fault    sandbox.Fault
		step     string
		text     string
		bootStep string
	}{
		{name: "never healthy", break_: sandbox.Behaviour{Kind: sandbox.NeverHealthy}, step: "gate", text: "answered 503"},
		{name: "slow", break_: sandbox.Behaviour{Kind: sandbox.Slow}, step: "gate", text: "did not answer within 5s"},
		{name: "wrong version", break_: sandbox.Behaviour{Kind: sandbox.WrongVersion}, step: "gate", text: "serves attempt"},
		{name: "service exited", break_: sandbox.Behaviour{Kind: sandbox.Exited}, step: "gate", text: "exited"},
		{name: "open port", break_: sandbox.Behaviour{Kind: sandbox.OpenPort}, step: "gate", text: "5432"},
		{name: "boot step", break_: sandbox.Behaviour{Kind: sandbox.FailsStep, Step: "packages"}, step: "boot", text: "packages", bootStep: "packages"},
		{name: "boot hangs", break_: sandbox.Behaviour{Kind: sandbox.HangsStep, Step: "docker"}, step: "boot", text: "not over within 10m"},
		{name: "fails once it is live", break_: sandbox.Behaviour{Kind: sandbox.FailsLive}, step: "confirm", text: "answered 500"},
		{name: "create refused", fault: sandbox.Fault{Method: "POST", Path: "/v2/droplets", Status: 422, Answer: `{"id":"unprocessable_entity","message":"no"}`}, step: "create", text: "422"},
		{name: "assign refused", fault: sandbox.Fault{Method: "POST", Path: "/v2/reserved_ips/*/actions", Status: 403, Answer: `{"id":"forbidden","message":"no"}`}, step: "switch", text: "403"},
		{name: "assign errored", fault: sandbox.Fault{Method: "POST", Path: "/v2/reserved_ips/*/actions", Action: sandbox.Errored}, step: "switch", text: "waited"},
		{name: "assign completes without moving", fault: sandbox.Fault{Method: "POST", Path: "/v2/reserved_ips/*/actions", Action: sandbox.NoOp}, step: "switch", text: "waited"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			simulation.Simulate(t, realistic, func(b *simulation.Bench) {
				b.Must("v1")
				if tt.break_.Kind != "" {
					b.Cloud.Break("v2", tt.break_)
				} else {
					b.Cloud.Fault(tt.fault)
				}
				_, err := b.Release(b.T.Context(), "v2")
				var refused *release.Refused
				if !errors.As(err, &refused) {
					t.Fatalf("got %v, want Refused\n%s", err, b.History())
				}
				if refused.Step != tt.step || !strings.Contains(refused.Error(), tt.text) || refused.BootStep != tt.bootStep {
					t.Errorf("refused at %s (boot step %q): %v", refused.Step, refused.BootStep, refused)
				}
				if refused.Serving != "v1" || len(refused.Leftovers) != 0 {
					t.Errorf("serving %q, left over %v", refused.Serving, refused.Leftovers)
				}
				if tt.bootStep != "" && refused.Tail == "" {
					t.Error("the failed boot step's last lines are missing")
				}
				b.Expect("v1", "v1")
				b.Cloud.ClearFaults()
				b.Must("v3")
				b.Expect("v3", "v1", "v3")
			})
		})
	}
}

func TestFirstReleaseRefusedLeavesNothing(t *testing.T) {
	simulation.Simulate(t, realistic, func(b *simulation.Bench) {
		b.Cloud.Break("v1", sandbox.Behaviour{Kind: sandbox.FailsLive})
		_, err := b.Release(b.T.Context(), "v1")
		var refused *release.Refused
		if !errors.As(err, &refused) || refused.Serving != "" {
			t.Fatalf("got %v", err)
		}
		b.Expect("")
		if ips := b.Cloud.Snapshot().ReservedIPs; len(ips) != 0 {
			t.Errorf("the new reserved IP was left: %v", ips)
		}
	})
}

// TestCreateIsNotRepeated answers the order with a failure that leaves its
// outcome open: there is one droplet all the same.
func TestCreateIsNotRepeated(t *testing.T) {
	order := sandbox.Fault{Method: "POST", Path: "/v2/droplets"}
	tests := map[string]func(sandbox.Fault) sandbox.Fault{
		"502 after the effect":   func(f sandbox.Fault) sandbox.Fault { f.Status, f.After = 502, true; return f },
		"502 before the effect":  func(f sandbox.Fault) sandbox.Fault { f.Status = 502; return f },
		"reset after the effect": func(f sandbox.Fault) sandbox.Fault { f.Reset, f.After = true, true; return f },
		"429": func(sandbox.Fault) sandbox.Fault {
			return sandbox.TooManyRequests("POST", "/v2/droplets", 3*time.Second)
		},
	}
	for name, break_ := range tests {
		t.Run(name, func(t *testing.T) {
			simulation.Simulate(t, realistic, func(b *simulation.Bench) {
				b.Must("v1")
				b.Cloud.Fault(break_(order))
				b.Must("v2")
				b.Expect("v2", "v1", "v2")
				if n := len(b.Cloud.Bills()); n != 2 {
					t.Errorf("%d droplets were billed, want 2", n)
				}
			})
		})
	}
}

func TestKeepFailed(t *testing.T) {
	simulation.Simulate(t, realistic, func(b *simulation.Bench) {
		b.Must("v1")
		b.Cloud.Break("v2", sandbox.Behaviour{Kind: sandbox.NeverHealthy})
		b.Op.KeepFailed = true
		_, err := b.Release(b.T.Context(), "v2")
		var refused *release.Refused
		if !errors.As(err, &refused) || len(refused.Leftovers) != 1 || !strings.Contains(refused.Leftovers[0].Command, "cattle gc --attempt") {
			t.Fatalf("a kept droplet has to be named with the command that ends it: %v %+v", err, refused)
		}
		b.Expect("v1", "v1", "v2")
	})
}

// TestInterrupted stops the release in the middle of each step: it undoes what
// it did, on a context of its own.
func TestInterrupted(t *testing.T) {
	for _, step := range []string{"create", "boot", "handoff", "gate", "switch"} {
		t.Run(step, func(t *testing.T) {
			simulation.Simulate(t, realistic, func(b *simulation.Bench) {
				b.Must("v1")
				ctx, cancel := context.WithCancelCause(b.T.Context())
				stop := errors.New("interrupted")
				b.Op.Emit = func(e release.Event) {
					b.Record(e)
					if e.Step == step && e.State == release.StateRunning {
						time.AfterFunc(50*time.Millisecond, func() { cancel(stop) })
					}
				}
				_, err := b.Release(ctx, "v2")
				var refused *release.Refused
				if !errors.As(err, &refused) {
					t.Fatalf("got %v\n%s", err, b.History())
				}
				b.Op.Emit = b.Record
				b.Expect("v1", "v1")
			})
		})
	}
}

// TestTwoAtOnce starts two releases together: one switches, the other says who
// won and cleans up after itself.
func TestTwoAtOnce(t *testing.T) {
	simulation.Simulate(t, realistic, func(b *simulation.Bench) {
		b.Must("v1")
		w, err := b.Op.SurveyRelease(b.T.Context(), b.Site)
		if err != nil {
			t.Fatal(err)
		}
		results := make(chan error, 2)
		for _, v := range []string{"v2", "v3"} {
			op := *b.Op
			p, err := release.PlanRelease("release", b.Site, w, b.Candidate(v))
			if err != nil {
				t.Fatal(err)
			}
			go func() {
				_, err := op.Execute(b.T.Context(), p)
				results <- err
			}()
		}
		var lost *release.Refused
		won := 0
		for range 2 {
			if err := <-results; err == nil {
				won++
			} else if !errors.As(err, &lost) {
				t.Errorf("the loser ended with %v", err)
			}
		}
		if won != 1 || lost == nil || !strings.Contains(lost.Error(), "came first") {
			t.Fatalf("%d won; the loser: %v\n%s", won, lost, b.History())
		}
		if got := len(b.Running()); got != 2 {
			t.Errorf("%d droplets run, want live and standby: %v", got, b.Running())
		}
	})
}

// TestMovedByHand moves the reserved IP while the release boots: the release
// stops, and leaves the IP where it was put.
func TestMovedByHand(t *testing.T) {
	simulation.Simulate(t, realistic, func(b *simulation.Bench) {
		b.Must("v1")
		b.Must("v2")
		once := false
		b.Op.Emit = func(e release.Event) {
			b.Record(e)
			if e.Step == "gate" && !once {
				once = true
				op := *b.Op
				op.Emit = nil
				w, err := op.Survey(b.T.Context(), b.Site)
				if err != nil {
					t.Error(err)
					return
				}
				p, err := release.PlanRollback(b.Site, w, "", release.Data{})
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := op.Execute(b.T.Context(), p); err != nil {
					t.Error(err)
				}
			}
		}
		_, err := b.Release(b.T.Context(), "v3")
		b.Op.Emit = b.Record
		if err == nil || !strings.Contains(err.Error(), "somebody else switched") {
			t.Fatalf("got %v\n%s", err, b.History())
		}
		b.Expect("v1", "v1", "v2")
	})
}

func TestNoStandby(t *testing.T) {
	simulation.Simulate(t, realistic, func(b *simulation.Bench) {
		b.Must("v1")
		_, err := b.Rollback(b.T.Context(), "")
		var none *release.Preflight
		if !errors.As(err, &none) || !strings.Contains(none.Faults[0].Hint, "cattle release") {
			t.Fatalf("got %v", err)
		}
		b.Must("v2")
		if _, err := b.Rollback(b.T.Context(), "v0"); err == nil || !strings.Contains(err.Error(), "no standby runs release v0; there is v1") {
			t.Fatalf("got %v", err)
		}
	})
}

// TestStandbyIsGatedAgain: a standby that broke meanwhile is not switched to.
func TestStandbyIsGatedAgain(t *testing.T) {
	simulation.Simulate(t, realistic, func(b *simulation.Bench) {
		b.Must("v1")
		b.Must("v2")
		b.Cloud.Break("v1", sandbox.Behaviour{Kind: sandbox.NeverHealthy})
		_, err := b.Rollback(b.T.Context(), "")
		var refused *release.Refused
		if !errors.As(err, &refused) || refused.Step != "gate" {
			t.Fatalf("got %v", err)
		}
		b.Expect("v2", "v1", "v2")
	})
}

func TestKeepNothingAndExpiry(t *testing.T) {
	simulation.Simulate(t, realistic, func(b *simulation.Bench) {
		b.Must("v1")
		b.Site.Keep = 0
		b.Must("v2")
		b.Expect("v2", "v2")
		b.Site.Keep, b.Site.StandbyFor = 1, time.Hour
		b.Must("v3")
		b.Expect("v3", "v2", "v3")
		time.Sleep(2 * time.Hour)
		w, err := b.Op.Survey(b.T.Context(), b.Site)
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Op.Collect(b.T.Context(), release.PlanGC(b.Site, w, release.GCOptions{})); err != nil {
			t.Fatal(err)
		}
		b.Expect("v3", "v3")
	})
}

// TestGarbage leaves a candidate as a killed release does: it is spared while
// its lease runs, and collected afterwards. Somebody else's droplet is not touched.
func TestGarbage(t *testing.T) {
	simulation.Simulate(t, realistic, func(b *simulation.Bench) {
		b.Must("v1")
		b.Post("/v2/droplets", map[string]any{"name": "other", "region": "fra1", "size": "s-1vcpu-1gb", "image": "debian-13-x64"})
		birth := droplets.Birth{Release: "v2", Attempt: strings.Repeat("e", 16), Lease: time.Now().Add(time.Hour),
			Digest: strings.Repeat("d", 32), HostKey: strings.Repeat("c", 64)}
		b.Post("/v2/droplets", map[string]any{"name": "left", "region": "fra1", "size": "s-1vcpu-1gb", "image": "debian-13-x64",
			"tags": []string{droplets.AppTag("blog"), birth.Tag()}})
		time.Sleep(time.Minute)
		collect := func() int {
			w, err := b.Op.Survey(b.T.Context(), b.Site)
			if err != nil {
				t.Fatal(err)
			}
			g := release.PlanGC(b.Site, w, release.GCOptions{})
			if err := b.Op.Collect(b.T.Context(), g); err != nil {
				t.Fatal(err)
			}
			return len(g.Items)
		}
		if n := collect(); n != 0 {
			t.Errorf("%d collected while the lease runs", n)
		}
		if _, err := b.Release(b.T.Context(), "v3"); err == nil || !strings.Contains(err.Error(), "v2") {
			t.Errorf("a release beside one that is under way: %v", err)
		}
		time.Sleep(time.Hour)
		if n := collect(); n != 1 {
			t.Errorf("%d collected after the lease", n)
		}
		b.Expect("v1", "", "v1")
	})
}

func TestPreflightCreatesNothing(t *testing.T) {
	tests := []struct {
		name   string
		change func(*release.Site)
		text   string
		input  bool
	}{
		{"size", func(s *release.Site) { s.Size = "huge" }, "no such droplet size: huge", true},
		{"image", func(s *release.Site) { s.Image = "debian-99-x64" }, "no such droplet image", true},
		{"ssh key", func(s *release.Site) { s.SSHKeys = []string{"nobody"} }, "no SSH key nobody", true},
		{"reserved IP", func(s *release.Site) { s.ReservedIP = "198.19.1.1" }, "no reserved IP 198.19.1.1", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			simulation.Simulate(t, realistic, func(b *simulation.Bench) {
				tt.change(&b.Site)
				_, err := b.Release(b.T.Context(), "v1")
				var faults *release.Preflight
				if !errors.As(err, &faults) || !strings.Contains(err.Error(), tt.text) || faults.Input() != tt.input {
					t.Fatalf("got %v", err)
				}
				b.Expect("")
			})
		})
	}
}

func TestDestroy(t *testing.T) {
	simulation.Simulate(t, realistic, func(b *simulation.Bench) {
		b.Must("v1")
		b.Must("v2")
		b.Post("/v2/droplets", map[string]any{"name": "other", "region": "fra1", "size": "s-1vcpu-1gb", "image": "debian-13-x64"})
		w, err := b.Op.Survey(b.T.Context(), b.Site)
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Op.Destroy(b.T.Context(), b.Site, release.PlanDestroy(b.Site, w, true)); err != nil {
			t.Fatal(err)
		}
		b.Expect("", "")
		if ips := b.Cloud.Snapshot().ReservedIPs; len(ips) != 0 {
			t.Errorf("left: %v", ips)
		}
	})
}

// TestImpostor has a machine answer with another host key than the one that
// the droplet was made with: nothing is handed to it.
func TestImpostor(t *testing.T) {
	simulation.Simulate(t, realistic, func(b *simulation.Bench) {
		b.Must("v1")
		w, err := b.Op.SurveyRelease(b.T.Context(), b.Site)
		if err != nil {
			t.Fatal(err)
		}
		c := b.Candidate("v2")
		c.HostKey = strings.Repeat("0", 64)
		p, err := release.PlanRelease("release", b.Site, w, c)
		if err != nil {
			t.Fatal(err)
		}
		_, err = b.Op.Execute(b.T.Context(), p)
		var impostor *droplets.HostKeyError
		if !errors.As(err, &impostor) {
			t.Fatalf("got %v", err)
		}
		b.Expect("v1", "v1")
	})
}

// TestStrangerIsToldBefore: who holds none of the keys that the droplet will
// take hears so before one is ordered.
func TestStrangerIsToldBefore(t *testing.T) {
	stranger := simulation.NewKey(t)
	simulation.Simulate(t, realistic, func(b *simulation.Bench) {
		b.Op = b.Operator(stranger)
		_, err := b.Release(b.T.Context(), "v1")
		var faults *release.Preflight
		if !errors.As(err, &faults) || !faults.Input() || !strings.Contains(err.Error(), "none of the SSH keys on the droplet is yours") {
			t.Fatalf("got %v", err)
		}
		b.Expect("")
	})
}

// TestLoginRefused: a key that the droplet does not take ends the release soon,
// not at the boot's deadline.
func TestLoginRefused(t *testing.T) {
	stranger := simulation.NewKey(t)
	simulation.Simulate(t, realistic, func(b *simulation.Bench) {
		w, err := b.Op.SurveyRelease(b.T.Context(), b.Site)
		if err != nil {
			t.Fatal(err)
		}
		p, err := release.PlanRelease("release", b.Site, w, b.Candidate("v1"))
		if err != nil {
			t.Fatal(err)
		}
		b.Op = b.Operator(stranger)
		start := time.Now()
		_, err = b.Op.Execute(b.T.Context(), p)
		var refused *droplets.AuthError
		if !errors.As(err, &refused) {
			t.Fatalf("got %v\n%s", err, b.History())
		}
		if took := time.Since(start); took > 2*time.Minute {
			t.Errorf("took %s", took)
		}
		b.Expect("")
	})
}

// TestCopiedProfile: another app that names this site's reserved IP must not
// take it away.
func TestCopiedProfile(t *testing.T) {
	simulation.Simulate(t, realistic, func(b *simulation.Bench) {
		b.Site.ReservedIP = ""
		ip := b.Must("v1").IP
		mine := b.Site
		b.Site.App, b.Site.ReservedIP = "shop", ip
		_, err := b.Release(b.T.Context(), "v1")
		var faults *release.Preflight
		if !errors.As(err, &faults) || !faults.Input() || !strings.Contains(err.Error(), "is the app blog's") {
			t.Fatalf("got %v", err)
		}
		b.Site = mine
		b.Expect("v1", "v1")
	})
}

// TestLegacyMachine moves a reserved IP away from a machine that cattle did
// not make, and leaves that machine alone.
func TestLegacyMachine(t *testing.T) {
	simulation.Simulate(t, realistic, func(b *simulation.Bench) {
		b.Post("/v2/droplets", map[string]any{"name": "old-server", "region": "fra1", "size": "s-1vcpu-1gb", "image": "debian-13-x64"})
		time.Sleep(time.Minute)
		old := b.Cloud.Snapshot().Droplets[0].ID
		b.Post("/v2/reserved_ips", map[string]any{"droplet_id": old})
		time.Sleep(time.Minute)
		b.Site.ReservedIP = b.Cloud.Snapshot().ReservedIPs[0].IP
		// Nothing answers on the old machine, so the interruption is its own.
		b.Site.Cutover = release.Cutover{Failed: 1000, Gap: time.Hour}
		b.Must("v1")
		b.Expect("v1", "", "v1")
		b.Must("v2")
		b.Expect("v2", "", "v1", "v2")
	})
}

// TestListsLag: the live droplet is missing from a list that is stale; it is
// known all the same, by the reserved IP that it holds.
func TestListsLag(t *testing.T) {
	simulation.Simulate(t, realistic, func(b *simulation.Bench) {
		b.Must("v1")
		b.Cloud.Fault(sandbox.Fault{Method: "GET", Path: "/v2/droplets", Count: 1, Nth: 1, Stale: time.Hour})
		w, err := b.Op.Survey(b.T.Context(), b.Site)
		if err != nil {
			t.Fatal(err)
		}
		if w.Live == nil || w.Serving() != "v1" {
			t.Errorf("live: %+v", w.Live)
		}
	})
}
