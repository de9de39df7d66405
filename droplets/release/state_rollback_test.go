package release_test

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"cattle/droplets/release"
	"cattle/droplets/release/simulation"
	"cattle/droplets/sandbox"
)

// rollback does what the command does: it asks for the writes first.
func rollback(b *simulation.Bench, choice release.DataChoice) (*release.Report, error) {
	ctx := b.T.Context()
	w, err := b.Op.SurveyAround(ctx, b.Site)
	if err != nil {
		b.T.Fatal(err)
	}
	data := release.Data{Choice: choice, Kit: &stateKit}
	if n, err := b.Op.Writes(ctx, w); err == nil {
		data.Writes = &n
	}
	p, err := release.PlanRollback(b.Site, w, "", data)
	if err != nil {
		return nil, err
	}
	return b.Op.Execute(ctx, p)
}

// left has v1 left for v2, on which rows were written since.
func left(b *simulation.Bench) {
	b.T.Helper()
	kept(b)
	releases(b, "v1")
	mustPost(b, "1", "2")
	releases(b, "v2")
}

// TestRollbackWantsADecision: with rows on the live droplet nothing is moved
// before somebody has decided.
func TestRollbackWantsADecision(t *testing.T) {
	for name, tt := range map[string]struct {
		rows   bool
		spoil  bool
		faults string
	}{
		"rows":    {rows: true, faults: "v2 has accepted 1 write since"},
		"unknown": {spoil: true, faults: "is not known"},
		"none":    {},
	} {
		t.Run(name, func(t *testing.T) {
			simulation.Simulate(t, realistic, func(b *simulation.Bench) {
				left(b)
				if tt.rows {
					mustPost(b, "3")
				}
				if tt.spoil {
					b.Cloud.Fault(sandbox.EngineFails("writes", "engine", "old", "no"))
				}
				r, err := rollback(b, "")
				var faults *release.Preflight
				if tt.faults == "" {
					if err != nil || r.Release != "v1" {
						t.Fatalf("got %v\n%s", err, b.History())
					}
					wantRows(b, "1", "2")
					return
				}
				if !errors.As(err, &faults) || !faults.Input() || faults.Faults[0].Code != "data-decision" || !strings.Contains(err.Error(), tt.faults) {
					t.Fatalf("got %v", err)
				}
				for _, flag := range []string{"--carry-data", "--discard-data"} {
					if !strings.Contains(faults.Faults[0].Hint, flag) {
						t.Errorf("the hint %q does not have %s", faults.Faults[0].Hint, flag)
					}
				}
				if ran(b, "state-freeze") != 1 {
					t.Error("something was frozen")
				}
				b.Expect("v2", "v1", "v2")
			})
		})
	}
}

// TestRollbackCarriesData there and back again.
func TestRollbackCarriesData(t *testing.T) {
	simulation.Simulate(t, realistic, func(b *simulation.Bench) {
		left(b)
		mustPost(b, "3")
		r, err := rollback(b, release.Carry)
		if err != nil {
			t.Fatalf("%v\n%s", err, b.History())
		}
		if got := stepNames(r); !strings.HasPrefix(got, "reach handoff copy freeze delta start gate switch confirm open") {
			t.Errorf("steps: %s", got)
		}
		wantRows(b, "1", "2", "3")
		mustPost(b, "4")
		releases(b, "v3")
		wantRows(b, "1", "2", "3", "4")
		b.Expect("v3", "v1", "v3")
	})
}

// TestRollbackCannotCarry: what fails is undone, and the standby is one still.
func TestRollbackCannotCarry(t *testing.T) {
	simulation.Simulate(t, realistic, func(b *simulation.Bench) {
		left(b)
		mustPost(b, "3")
		f := sandbox.EngineFails("pull-delta", "cut", "old", "cut")
		f.After = true // its app is stopped by then
		b.Cloud.Fault(f)
		_, err := rollback(b, release.Carry)
		var refused *release.Refused
		if !errors.As(err, &refused) || refused.Code != "state-engine" || len(refused.Leftovers) > 0 {
			t.Fatalf("got %v\n%s", err, b.History())
		}
		mustPost(b, "4")
		wantRows(b, "1", "2", "3", "4")
		w, err := b.Op.Survey(b.T.Context(), b.Site)
		if err != nil {
			t.Fatal(err)
		}
		if _, standbys := b.Op.Check(b.T.Context(), b.Site, w); len(standbys) != 1 || standbys[0].Problem != nil {
			t.Errorf("the standby is %+v", standbys)
		}
		if _, err = rollback(b, release.Carry); err != nil {
			t.Fatalf("%v\n%s", err, b.History())
		}
		wantRows(b, "1", "2", "3", "4")
	})
}

// standbyRows are a release's, wherever visitors go.
func standbyRows(b *simulation.Bench, version string) []string {
	all := b.Cloud.Snapshot().Droplets
	i := slices.IndexFunc(all, func(d sandbox.Machine) bool { return d.Release == version })
	return all[i].Rows
}

// TestDiscardAfterACarry: a carry that was taken back has changed nothing of what
// the standby was left with, whoever undoes it.
func TestDiscardAfterACarry(t *testing.T) {
	for name, broken := range map[string]int{"undone by itself": 1, "its undo failed": 2} {
		t.Run(name, func(t *testing.T) {
			simulation.Simulate(t, realistic, func(b *simulation.Bench) {
				left(b)
				mustPost(b, "3")
				f := sandbox.EngineFails("start", "engine", "new", "no")
				f.Count = broken
				b.Cloud.Fault(f)
				_, err := rollback(b, release.Carry)
				var refused *release.Refused
				if !errors.As(err, &refused) || refused.Step != "start" || len(refused.Leftovers) != broken-1 {
					t.Fatalf("got %v\n%s", err, b.History())
				}
				own := []string{"1", "2"}
				if got := standbyRows(b, "v1"); broken == 1 && !slices.Equal(got, own) {
					t.Errorf("taken back, the standby has %v", got)
				}
				mustPost(b, "4")
				b.Op.Emit = func(e release.Event) {
					b.Record(e)
					if got := standbyRows(b, "v1"); e.Step == "gate" && !slices.Equal(got, own) {
						t.Errorf("gated with %v", got)
					}
				}
				if _, err := rollback(b, release.Discard); err != nil {
					t.Fatalf("%v\n%s", err, b.History())
				}
				wantRows(b, own...)
			})
		})
	}
}

// TestRollbackDiscardsData: what is given up is in a backup, or on the droplet
// that is left.
func TestRollbackDiscardsData(t *testing.T) {
	for name, backups := range map[string]bool{"with backups": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			simulation.Simulate(t, realistic, func(b *simulation.Bench) {
				b.Site.Backups = backups
				left(b)
				mustPost(b, "3")
				r, err := rollback(b, release.Discard)
				if err != nil {
					t.Fatalf("%v\n%s", err, b.History())
				}
				wantRows(b, "1", "2")
				mustPost(b, "4")
				all := b.Cloud.Snapshot().Backups
				i := slices.IndexFunc(all, func(k sandbox.StateBackup) bool { return k.Reason == "discard" })
				if backups && (i < 0 || all[i].ID != r.Data.Backup || !slices.Equal(all[i].Rows, []string{"1", "2", "3"}) || !strings.Contains(strings.Join(r.Notices, "\n"), all[i].ID)) {
					t.Errorf("backups %+v, report %+v, notices %q", all, r.Data, r.Notices)
				}
				if !backups && phaseOf(b, "v2") != "committed" {
					t.Errorf("v2 is %s", phaseOf(b, "v2"))
				}
			})
		})
	}
}

// TestDiscardTakenBack: a standby that fails once it is live has accepted
// nothing, though it was left to open by itself.
func TestDiscardTakenBack(t *testing.T) {
	simulation.Simulate(t, realistic, func(b *simulation.Bench) {
		left(b)
		mustPost(b, "3")
		time.Sleep(10 * time.Minute)
		b.Cloud.Break("v1", sandbox.Behaviour{Kind: sandbox.FailsLive})
		took := false
		b.Op.Emit = func(e release.Event) {
			b.Record(e)
			if e.Step == "confirm" && e.State == release.StateRunning {
				time.Sleep(20 * time.Second)
				took = phaseOf(b, "v1") == "open"
			}
		}
		_, err := rollback(b, release.Discard)
		var refused *release.Refused
		if !errors.As(err, &refused) || took {
			t.Fatalf("got %v; it took writes: %v\n%s", err, took, b.History())
		}
		mustPost(b, "4")
		wantRows(b, "1", "2", "3", "4")
	})
}

// TestDiscardIsRefused where nothing would be left of the rows.
func TestDiscardIsRefused(t *testing.T) {
	simulation.Simulate(t, realistic, func(b *simulation.Bench) {
		left(b)
		mustPost(b, "3")
		b.Site.Keep = 0
		_, err := rollback(b, release.Discard)
		var faults *release.Preflight
		if !errors.As(err, &faults) || faults.Faults[0].Code != "data-decision" {
			t.Fatalf("got %v", err)
		}
	})
}

// TestDiscardFromTheBroken: that the live droplet does not answer holds nobody
// up, and it is kept.
func TestDiscardFromTheBroken(t *testing.T) {
	simulation.Simulate(t, realistic, func(b *simulation.Bench) {
		b.Site.Backups = true
		left(b)
		mustPost(b, "3")
		b.Site.Keep = 0
		old := b.Holder().IP
		b.Op.Dialer = hanging{b.Op.Dialer, func(address string) bool { return address == old+":22" }}
		_, err := rollback(b, release.Discard)
		var incomplete *release.Incomplete
		if !errors.As(err, &incomplete) || !strings.Contains(err.Error(), "rows or mail that are nowhere else") {
			t.Fatalf("got %v\n%s", err, b.History())
		}
		b.Expect("v1", "v1", "v2")
		wantRows(b, "1", "2")
	})
}

// TestNothingIsLostWithoutAWord: what would begin without the live one's data is
// refused, unless it was said.
func TestNothingIsLostWithoutAWord(t *testing.T) {
	simulation.Simulate(t, realistic, func(b *simulation.Bench) {
		kept(b)
		releases(b, "v1")
		mustPost(b, "1")
		for name, change := range map[string]func(*release.Candidate){
			"no handoff":         func(c *release.Candidate) { c.NoHandoff = true },
			"empty beside live":  func(c *release.Candidate) { c.Empty = true },
			"backup beside live": func(c *release.Candidate) { c.Restore = "latest" },
		} {
			c := withState(b, "v2")
			change(c)
			_, err := b.Execute(b.T.Context(), b.Op, c)
			var faults *release.Preflight
			if !errors.As(err, &faults) || faults.Faults[0].Code != "state-needs-handoff" {
				t.Errorf("%s: got %v", name, err)
			}
		}
		c := withState(b, "v2")
		c.NoHandoff, c.Empty = true, true
		if _, err := b.Execute(b.T.Context(), b.Op, c); err != nil {
			t.Fatalf("%v\n%s", err, b.History())
		}
		wantRows(b)
		mustPost(b, "9")
	})
}

// TestReleaseFromNothing: the live droplet is lost, and the data comes from the
// newest backup; it is said of when that is.
func TestReleaseFromNothing(t *testing.T) {
	simulation.Simulate(t, realistic, func(b *simulation.Bench) {
		b.Site.Backups = true
		left(b)
		mustPost(b, "3")
		if n := len(b.Cloud.Snapshot().Backups); n != 1 {
			t.Errorf("%d backups before a release", n)
		}
		for _, d := range b.Cloud.Snapshot().Droplets {
			b.Call("DELETE", "/v2/droplets/"+strconv.Itoa(d.ID), nil)
		}
		time.Sleep(time.Minute)
		b.Site.ReservedIP = b.Cloud.Snapshot().ReservedIPs[0].IP
		r := releases(b, "v3")
		wantRows(b, "1", "2")
		mustPost(b, "4")
		if r.Data == nil || r.Data.From.IsZero() || !strings.Contains(strings.Join(r.Notices, "\n"), r.Data.From.Format(time.RFC3339)) {
			t.Errorf("report %+v, notices %q", r.Data, r.Notices)
		}
	})
}

// TestBackupBeforeRelease: one that cannot be made refuses, and can be left out.
func TestBackupBeforeRelease(t *testing.T) {
	simulation.Simulate(t, realistic, func(b *simulation.Bench) {
		kept(b)
		b.Site.Backups = true
		r := releases(b, "v1")
		if !strings.Contains(strings.Join(r.Notices, "\n"), "no backup yet") {
			t.Errorf("notices %q", r.Notices)
		}
		mustPost(b, "1")
		f := sandbox.EngineFails("backup", "repository", "old", "it does not answer")
		f.Count = -1
		b.Cloud.Fault(f)
		_, err := b.Execute(b.T.Context(), b.Op, withState(b, "v2"))
		var refused *release.Refused
		if !errors.As(err, &refused) || refused.Code != "state-repository" || !strings.Contains(refused.Hint, "--no-backup") || ran(b, "state-freeze") > 0 {
			t.Fatalf("got %v\n%s", err, b.History())
		}
		c := withState(b, "v3")
		c.NoBackup = true
		if _, err := b.Execute(b.T.Context(), b.Op, c); err != nil {
			t.Fatal(err)
		}
		wantRows(b, "1")
	})
}
