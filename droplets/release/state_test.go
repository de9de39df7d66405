package release_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"cattle/droplets"
	"cattle/droplets/release"
	"cattle/droplets/release/simulation"
	"cattle/droplets/sandbox"
)

// stateSpec is what the site's data is, for the stub machines.
const stateSpec = `{"version":1,"app":"blog","entries":[{"name":"db","kind":"sqlite","volume":"blog_data","path":"blog.db"}],"services":["web"],` +
	`"migrate":{"service":"web","command":["up"]},"backup":{"repository":"s3:blog","overdue_s":172800}}`

// kept gives the bench's site data.
func kept(b *simulation.Bench) { b.Site.State, b.Site.MaxFreeze = true, 30*time.Second }

// stateKit is brought to the droplets.
var stateKit = droplets.StateKit{Engine: []byte("engine"), Spec: []byte(stateSpec)}

// withState renders a candidate whose app waits for its data.
func withState(b *simulation.Bench, version string) *release.Candidate {
	c := b.Candidate(version)
	if !bytes.Contains(c.UserData, []byte("STATE=1")) {
		c.UserData = bytes.Replace(c.UserData, []byte("ssh_keys:\n"), []byte("- {path: /etc/cattle/settings, permissions: '0600', content: \"STATE=1\\n\"}\nssh_keys:\n"), 1)
	}
	c.State = &stateKit
	return c
}

// releases releases with data, and ends the test when that fails.
func releases(b *simulation.Bench, version string) *release.Report {
	b.T.Helper()
	r, err := b.Execute(b.T.Context(), b.Op, withState(b, version))
	if err != nil {
		b.T.Fatalf("release %s: %v\n%s", version, err, b.History())
	}
	return r
}

// ask asks the site for its rows, through the reserved IP: 0 is no answer.
func ask(b *simulation.Bench, method, body string) (status int, text string) {
	b.T.Helper()
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, DialContext: b.Cloud.Dial}}
	req, err := http.NewRequest(method, "http://"+b.Cloud.Snapshot().ReservedIPs[0].IP+"/rows", strings.NewReader(body))
	if err != nil {
		b.T.Fatal(err)
	}
	req.Host = b.Site.Domains[0]
	resp, err := client.Do(req)
	if err != nil {
		b.T.Log(err)
		return 0, ""
	}
	defer resp.Body.Close()
	said, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(said)
}

// mustPost writes rows that have to be acknowledged.
func mustPost(b *simulation.Bench, rows ...string) {
	b.T.Helper()
	for _, row := range rows {
		if got, _ := ask(b, http.MethodPost, row); got != http.StatusCreated {
			b.T.Fatalf("row %s: %d\n%s", row, got, b.History())
		}
	}
}

func rowsOf(b *simulation.Bench) []string {
	_, text := ask(b, http.MethodGet, "")
	return strings.Fields(text)
}

func wantRows(b *simulation.Bench, want ...string) {
	b.T.Helper()
	if got := rowsOf(b); !slices.Equal(got, want) {
		b.T.Errorf("rows %q, want %q\n%s", got, want, b.History())
	}
}

// ran counts how often a verb of the engine's was run.
func ran(b *simulation.Bench, verb string) (n int) {
	for _, c := range b.Cloud.Changes() {
		if c.What == sandbox.Ran && c.Note == verb {
			n++
		}
	}
	return n
}

// phaseOf is what the droplet of a release does with writes.
func phaseOf(b *simulation.Bench, version string) string {
	for _, d := range b.Cloud.Snapshot().Droplets {
		if d.Release == version {
			return d.Phase
		}
	}
	return "gone"
}

func stepNames(r *release.Report) string {
	var out []string
	for _, s := range r.Steps {
		out = append(out, s.Name)
	}
	return strings.Join(out, " ")
}

// TestDataGoesAlong: each row that was acknowledged is on the new droplet, and
// the old one takes no more.
func TestDataGoesAlong(t *testing.T) {
	simulation.Simulate(t, realistic, func(b *simulation.Bench) {
		kept(b)
		first := releases(b, "v1")
		if got := stepNames(first); !strings.Contains(got, "boot restore start gate switch confirm project"[:38]) {
			t.Errorf("steps of the first: %s", got)
		}
		mustPost(b, "1", "2")
		b.Cloud.ResetRequests()
		r := releases(b, "v2")
		if got := stepNames(r); got != "create boot handoff copy freeze delta start gate switch confirm open certificate retire record" {
			t.Errorf("steps: %s", got)
		}
		if n := len(b.Cloud.Requests()); n > callBudget {
			t.Errorf("%d API calls, the budget is %d", n, callBudget)
		}
		if d := r.Data; d == nil || d.Freeze <= 0 || d.Freeze > 10*time.Second || d.Bytes == 0 || len(d.Entries) != 1 || d.Entries[0].Kind != "sqlite" {
			t.Errorf("report: %+v", r.Data)
		} else {
			t.Logf("writes waited %s", d.Freeze)
		}
		wantRows(b, "1", "2")
		mustPost(b, "3")
		wantRows(b, "1", "2", "3")
		if got := phaseOf(b, "v1"); got != "committed" {
			t.Errorf("the old one is %s", got)
		}
		for _, d := range b.Cloud.Snapshot().Droplets {
			if d.Lent {
				t.Errorf("%s still takes the one-time key", d.Release)
			}
		}
		releases(b, "v3")
		wantRows(b, "1", "2", "3")
		b.Expect("v3", "v2", "v3")
	})
}

// TestNoStateNoCalls: a site without data pays nothing for those that have some.
func TestNoStateNoCalls(t *testing.T) {
	simulation.Simulate(t, realistic, func(b *simulation.Bench) {
		b.Must("v1")
		if got := stepNames(b.Must("v2")); got != "create boot handoff gate switch confirm certificate retire record" {
			t.Errorf("steps: %s", got)
		}
		for _, c := range b.Cloud.Changes() {
			if strings.HasPrefix(c.Note, "state-") {
				t.Errorf("it asked for %s", c.Note)
			}
		}
	})
}

// TestRefusedWithData breaks a release in each of its steps with data: the old
// one takes writes again within five seconds, and has all rows.
func TestRefusedWithData(t *testing.T) {
	engine := func(verb, code string) func(*simulation.Bench) {
		return func(b *simulation.Bench) {
			f := sandbox.EngineFails(verb, code, "new", "it does not work")
			f.Count = -1
			b.Cloud.Fault(f)
		}
	}
	for name, tt := range map[string]struct {
		spoil func(*simulation.Bench)
		step  string
		code  string
	}{
		"space":         {spoil: engine("prepare", "disk-full"), step: "copy", code: "state-disk-full"},
		"password":      {spoil: engine("pull-bulk", "wrong-password"), step: "copy", code: "state-wrong-password"},
		"cut":           {spoil: engine("pull-bulk", "cut"), step: "copy", code: "state-cut"},
		"freeze":        {spoil: engine("freeze", "engine"), step: "freeze", code: "state-engine"},
		"delta":         {spoil: engine("pull-delta", "disk-full"), step: "delta", code: "state-disk-full"},
		"delta cut":     {spoil: engine("pull-delta", "cut"), step: "delta", code: "state-cut"},
		"delta differs": {spoil: engine("pull-delta", "not-equal"), step: "delta", code: "state-not-equal"},
		"lapsed early":  {spoil: engine("pull-delta", "not-frozen"), step: "delta", code: "state-lapsed"},
		"migration":     {spoil: engine("migrate", "migrate"), step: "migrate", code: "migrate"},
		"start":         {spoil: engine("start", "engine"), step: "start", code: "state-engine"},
		"gate":          {spoil: func(b *simulation.Bench) { b.Cloud.Break("v2", sandbox.Behaviour{Kind: sandbox.NeverHealthy}) }, step: "gate", code: "freeze-too-long"},
		"port":          {spoil: func(b *simulation.Bench) { b.Cloud.Break("v2", sandbox.Behaviour{Kind: sandbox.OpenPort}) }, step: "gate", code: "port-open"},
		"commit":        {spoil: engine("commit", "lapsed"), step: "switch", code: "state-lapsed"},
		"confirm":       {spoil: func(b *simulation.Bench) { b.Cloud.Break("v2", sandbox.Behaviour{Kind: sandbox.FailsLive}) }, step: "confirm", code: "not-confirmed"},
	} {
		t.Run(name, func(t *testing.T) {
			simulation.Simulate(t, realistic, func(b *simulation.Bench) {
				kept(b)
				b.Site.Migrates = true
				releases(b, "v1")
				mustPost(b, "1", "2")
				tt.spoil(b)
				var failed, open time.Time
				b.Op.Emit = func(e release.Event) {
					b.Record(e)
					if e.Kind == release.KindStep && e.State == release.StateFailed && failed.IsZero() {
						failed = time.Now()
					}
					if e.Step == "undo" && e.State == release.StateOK && open.IsZero() && phaseOf(b, "v1") == "open" {
						open = time.Now()
					}
				}
				_, err := b.Execute(b.T.Context(), b.Op, withState(b, "v2"))
				var refused *release.Refused
				if !errors.As(err, &refused) || refused.Step != tt.step || refused.Code != tt.code || refused.Serving != "v1" || len(refused.Leftovers) > 0 {
					t.Fatalf("got %v: %+v\n%s", err, refused, b.History())
				}
				if took := open.Sub(failed); tt.step != "confirm" && (open.IsZero() || took > 5*time.Second) {
					t.Errorf("the old one was open after %s\n%s", took, b.History())
				}
				mustPost(b, "3")
				wantRows(b, "1", "2", "3")
				b.Op.Emit = b.Record
				b.Expect("v1", "v1")
				b.Cloud.ClearFaults()
				releases(b, "v3")
				wantRows(b, "1", "2", "3")
			})
		})
	}
}

// TestAnswersOfDataAreLost: what may be asked for twice is, and the release ends well.
func TestAnswersOfDataAreLost(t *testing.T) {
	for _, verb := range []string{"prepare", "lend", "pull-bulk", "freeze", "pull-delta", "start", "commit", "thaw", "return"} {
		for name, f := range map[string]sandbox.Fault{"cut before": {Reset: true}, "cut after": {Reset: true, After: true}} {
			t.Run(verb+" "+name, func(t *testing.T) {
				simulation.Simulate(t, realistic, func(b *simulation.Bench) {
					kept(b)
					releases(b, "v1")
					mustPost(b, "1", "2")
					f.Method, f.Path, f.Count = "SSH", "/state-"+verb, 1
					b.Cloud.Fault(f)
					r := releases(b, "v2")
					if len(r.Steps) == 0 {
						t.Error("no steps")
					}
					mustPost(b, "3")
					wantRows(b, "1", "2", "3")
					b.Expect("v2", "v1", "v2")
				})
			})
		}
	}
}

// TestFreezeTooLong: what does not fit is refused before anything is held, and
// what takes longer than was thought is given up in time.
func TestFreezeTooLong(t *testing.T) {
	simulation.Simulate(t, realistic, func(b *simulation.Bench) {
		kept(b)
		releases(b, "v1")
		mustPost(b, "1")
		b.Site.MaxFreeze = 600 * time.Millisecond
		_, err := b.Execute(b.T.Context(), b.Op, withState(b, "v2"))
		var refused *release.Refused
		if !errors.As(err, &refused) || refused.Code != "freeze-would-be-too-long" || ran(b, "state-freeze") > 0 {
			t.Fatalf("got %v\n%s", err, b.History())
		}
		mustPost(b, "2")
		b.Site.MaxFreeze = 30 * time.Second
		b.Cloud.Fault(sandbox.Fault{Method: "SSH", Path: "/state-pull-delta", Delay: 2 * time.Minute})
		begun := time.Now()
		_, err = b.Execute(b.T.Context(), b.Op, withState(b, "v3"))
		if !errors.As(err, &refused) || refused.Code != "freeze-too-long" || refused.Step != "delta" {
			t.Fatalf("got %v\n%s", err, b.History())
		}
		if took := time.Since(begun); took > 3*time.Minute {
			t.Errorf("that took %s", took)
		}
		mustPost(b, "3")
		wantRows(b, "1", "2", "3")
	})
}

// TestInterruptedWithData stops a release in the middle of each step.
func TestInterruptedWithData(t *testing.T) {
	for _, step := range []string{"copy", "freeze", "delta", "start", "gate", "switch", "confirm"} {
		t.Run(step, func(t *testing.T) {
			simulation.Simulate(t, realistic, func(b *simulation.Bench) {
				kept(b)
				releases(b, "v1")
				mustPost(b, "1", "2")
				ctx, cancel := context.WithCancelCause(b.T.Context())
				b.Op.Emit = func(e release.Event) {
					b.Record(e)
					if e.Step == step && e.State == release.StateRunning {
						time.AfterFunc(50*time.Millisecond, func() { cancel(errors.New("interrupted")) })
					}
				}
				_, err := b.Execute(ctx, b.Op, withState(b, "v2"))
				var refused *release.Refused
				if !errors.As(err, &refused) || refused.Serving != "v1" || len(refused.Leftovers) > 0 {
					t.Fatalf("got %v\n%s", err, b.History())
				}
				mustPost(b, "3")
				wantRows(b, "1", "2", "3")
				b.Op.Emit = b.Record
				b.Expect("v1", "v1")
			})
		})
	}
}

// TestWays: by the private network where there is one, else by the public one,
// or through the operator.
func TestWays(t *testing.T) {
	for name, tt := range map[string]func(*simulation.Bench, *release.Operator){
		"private":      func(*simulation.Bench, *release.Operator) {},
		"via operator": func(_ *simulation.Bench, o *release.Operator) { o.ViaOperator = true },
	} {
		t.Run(name, func(t *testing.T) {
			simulation.Simulate(t, realistic, func(b *simulation.Bench) {
				kept(b)
				releases(b, "v1")
				mustPost(b, "1")
				tt(b, b.Op)
				releases(b, "v2")
				wantRows(b, "1")
			})
		})
	}
}

// TestWallLetsDropletsIn: SSH from chosen addresses alone, and from the app's
// own droplets.
func TestWallLetsDropletsIn(t *testing.T) {
	simulation.Simulate(t, realistic, func(b *simulation.Bench) {
		kept(b)
		b.Site.Firewall, b.Site.SSHFrom = true, []string{"0.0.0.0/0"}
		releases(b, "v1")
		text := string(b.Call("GET", "/v2/firewalls", nil))
		if !strings.Contains(text, `"tags":["cattle:app:blog"]},"ports":"22"`) && strings.Count(text, "cattle:app:blog") < 2 {
			t.Errorf("the firewall is %s", text)
		}
		mustPost(b, "1")
		r := releases(b, "v2")
		if strings.Contains(stepNames(r), "firewall") {
			t.Errorf("it is changed each time: %s", fmt.Sprint(r.Steps))
		}
		wantRows(b, "1")
	})
}
