package release_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"cattle/droplets"
	"cattle/droplets/release"
	"cattle/droplets/release/simulation"
	"cattle/droplets/sandbox"
)

// watched renders a candidate whose droplet knows the verb traffic, as one does
// whose profile has release.bake.
func watched(b *simulation.Bench, version string) *release.Candidate {
	c := b.Candidate(version)
	const script = "write_files:\n- {path: /opt/cattle/traffic, permissions: '0755', content: x}\n"
	c.UserData = bytes.Replace(c.UserData, []byte("write_files:\n"), []byte(script), 1)
	return c
}

// watch10 is a site with one good release and a watch of ten minutes.
func watch10(t *testing.T, f func(*simulation.Bench)) {
	t.Helper()
	simulation.Simulate(t, realistic, func(b *simulation.Bench) {
		b.Site.Watch = 10 * time.Minute
		if _, err := b.Execute(b.T.Context(), b.Op, watched(b, "v1")); err != nil {
			b.T.Fatal(err)
		}
		f(b)
	})
}

// visit asks for the site through the reserved IP twice a second, as a browser.
func visit(b *simulation.Bench) (stop func()) {
	ctx, cancel := context.WithCancel(b.T.Context())
	ip := b.Cloud.Snapshot().ReservedIPs[0].IP
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return b.Cloud.Dial(ctx, network, ip+":80")
	}}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			if resp, err := client.Get("http://blog.example.com/"); err == nil {
				resp.Body.Close()
			}
			time.Sleep(500 * time.Millisecond)
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

// during calls do when the watch has run for so long.
func during(b *simulation.Bench, after time.Duration, do func()) {
	b.Op.Emit = func(e release.Event) {
		b.Record(e)
		if e.Kind == release.KindStep && e.Step == "watch" && e.State == release.StateRunning {
			time.AfterFunc(after, do)
		}
	}
}

func refused(b *simulation.Bench, err error) *release.Refused {
	b.T.Helper()
	var refused *release.Refused
	if !errors.As(err, &refused) || refused.Step != "watch" {
		b.T.Fatalf("got %v, want a refusal by the watch\n%s", err, b.History())
	}
	return refused
}

// TestWatchPasses: a good release is watched, for the time that was asked for
// and without a request to the API, and is compared with the old one.
func TestWatchPasses(t *testing.T) {
	watch10(t, func(b *simulation.Bench) {
		defer visit(b)()
		time.Sleep(15 * time.Minute)
		calls := -1
		during(b, time.Second, func() { calls = len(b.Cloud.Requests()) })
		during2(b, b.Site.Watch-time.Second, func() {
			if n := len(b.Cloud.Requests()); n != calls {
				b.T.Errorf("%d requests to the API during the watch", n-calls)
			}
		})
		r, err := b.Execute(b.T.Context(), b.Op, watched(b, "v2"))
		if err != nil {
			b.T.Fatal(err, b.History())
		}
		w := r.Watch
		if w == nil || w.Took != b.Site.Watch || w.Errors != 0 || w.Before == nil {
			b.T.Fatalf("the report: %+v", w)
		}
		// Two a second in ten minutes; cattle's own checks are not counted.
		if w.Requests < 1100 || w.Requests > 1210 || w.Before.Requests < 1100 || w.Before.Requests > 1210 {
			b.T.Errorf("%d requests, %d before", w.Requests, w.Before.Requests)
		}
		// The probe is over when the watch begins: its requests do not pile up.
		if n := len(r.Visits); n == 0 || time.Since(r.Visits[n-1].Ended) < w.Took {
			b.T.Errorf("%d requests through the switch, the last one %s before the end", n, time.Since(r.Visits[n-1].Ended))
		}
		if n := strings.Count(b.History(), "requests, 0 failed; before: "); n < 9 || n > 11 {
			b.T.Errorf("the operator was told %d times\n%s", n, b.History())
		}
		b.Expect("v2", "v1", "v2")
	})
}

// during2 adds to during.
func during2(b *simulation.Bench, after time.Duration, do func()) {
	emit := b.Op.Emit
	b.Op.Emit = func(e release.Event) {
		emit(e)
		if e.Kind == release.KindStep && e.Step == "watch" && e.State == release.StateRunning {
			time.AfterFunc(after, do)
		}
	}
}

// TestWatchTakesBack turns a release bad in each way, minutes after the confirm.
func TestWatchTakesBack(t *testing.T) {
	tests := []struct {
		kind sandbox.Kind
		text string
	}{
		{sandbox.FailsLater, "failed 3 times in a row: http://blog.example.com/ answered 500"},
		{sandbox.FailsSome, "requests failed; before: 0 of"},
		{sandbox.Restarts, "service web restarted"},
		{sandbox.ExitsLater, "service web exited with status 1"},
	}
	for _, tt := range tests {
		t.Run(string(tt.kind), func(t *testing.T) {
			watch10(t, func(b *simulation.Bench) {
				defer visit(b)()
				time.Sleep(time.Minute)
				b.Cloud.Break("v2", sandbox.Behaviour{Kind: tt.kind, After: 3 * time.Minute})
				_, err := b.Execute(b.T.Context(), b.Op, watched(b, "v2"))
				refused := refused(b, err)
				if !strings.Contains(refused.Error(), tt.text) || refused.Serving != "v1" || len(refused.Leftovers) > 0 {
					b.T.Errorf("serving %q, left over %v: %v", refused.Serving, refused.Leftovers, refused)
				}
				b.Expect("v1", "v1")
			})
		})
	}
}

// TestWatchHoldsWhatItDestroys: with keep: 0 the old one lives until the watch
// is over.
func TestWatchHoldsWhatItDestroys(t *testing.T) {
	watch10(t, func(b *simulation.Bench) {
		b.Site.Keep = 0
		during(b, 9*time.Minute, func() {
			if got := b.Running(); !slices.Equal(got, []string{"v1", "v2"}) {
				b.T.Errorf("during the watch %v run", got)
			}
		})
		if _, err := b.Execute(b.T.Context(), b.Op, watched(b, "v2")); err != nil {
			b.T.Fatal(err)
		}
		b.Expect("v2", "v2")
		b.Op.Emit = b.Record
		b.Cloud.Break("v3", sandbox.Behaviour{Kind: sandbox.FailsLater, After: 3 * time.Minute})
		_, err := b.Execute(b.T.Context(), b.Op, watched(b, "v3"))
		refused(b, err)
		b.Expect("v2", "v2")
	})
}

// TestWatchInterrupted: an interrupt takes the switch back, whenever it comes.
func TestWatchInterrupted(t *testing.T) {
	for _, after := range []time.Duration{0, time.Millisecond, 10 * time.Second, 4*time.Minute + 123*time.Millisecond, 10*time.Minute - time.Millisecond} {
		t.Run(after.String(), func(t *testing.T) {
			watch10(t, func(b *simulation.Bench) {
				ctx, cancel := context.WithCancelCause(b.T.Context())
				stop := errors.New("interrupted")
				during(b, after, func() { cancel(stop) })
				_, err := b.Execute(ctx, b.Op, watched(b, "v2"))
				if refused := refused(b, err); !errors.Is(err, stop) || refused.Serving != "v1" || len(refused.Leftovers) > 0 {
					b.T.Errorf("%v, serving %q, left over %v", err, refused.Serving, refused.Leftovers)
				}
				b.Expect("v1", "v1")
			})
		})
	}
}

// TestWatchSkipped: there is none where nothing can be gone back to, and none
// that nobody asked for.
func TestWatchSkipped(t *testing.T) {
	steps := func(r *release.Report) (out []string) {
		for _, s := range r.Steps {
			out = append(out, s.Name)
		}
		return out
	}
	simulation.Simulate(t, realistic, func(b *simulation.Bench) {
		b.Site.Watch = time.Hour
		if r := b.Must("v1"); slices.Contains(steps(r), "watch") || r.Watch != nil {
			b.T.Error("a first release is watched")
		}
		b.Site.Watch = 0
		if r := b.Must("v2"); slices.Contains(steps(r), "watch") {
			b.T.Error("a release is watched that is not to be")
		}
		b.Site.Watch = time.Hour
		back, err := b.Rollback(b.T.Context(), "")
		if err != nil || slices.Contains(steps(back), "watch") {
			b.T.Errorf("a rollback is watched, or failed: %v", err)
		}
	})
}

// TestWatchWithoutFigures: the old droplet does not know the verb, or cannot be
// asked. The release is watched for what is wrong in itself, and it is said so.
func TestWatchWithoutFigures(t *testing.T) {
	simulation.Simulate(t, realistic, func(b *simulation.Bench) {
		b.Must("v1")
		b.Site.Watch = 5 * time.Minute
		r, err := b.Execute(b.T.Context(), b.Op, watched(b, "v2"))
		if err != nil || r.Watch == nil || r.Watch.Before != nil || !strings.Contains(strings.Join(r.Notices, "\n"), "without release.bake") {
			b.T.Errorf("%v, %+v, %q", err, r.Watch, r.Notices)
		}
		b.Cloud.Break("v3", sandbox.Behaviour{Kind: sandbox.Restarts, After: 2 * time.Minute})
		_, err = b.Execute(b.T.Context(), b.Op, watched(b, "v3"))
		refused(b, err)
		b.Expect("v2", "v1", "v2")
	})
}

// TestWatchStays: what it would go back to is not sound any more. The release
// stays; it is told, and whether it serves.
func TestWatchStays(t *testing.T) {
	tests := []struct {
		name   string
		broken sandbox.Behaviour // of v2
		serves bool
	}{
		{"errors", sandbox.Behaviour{Kind: sandbox.Restarts, After: 5 * time.Minute}, true},
		{"down", sandbox.Behaviour{Kind: sandbox.FailsLater, After: 5 * time.Minute}, false},
	}
	ruin := map[string]func(*simulation.Bench, int){
		"off": func(b *simulation.Bench, id int) {
			b.Post(fmt.Sprintf("/v2/droplets/%d/actions", id), map[string]string{"type": "power_off"})
		},
		"destroyed": func(b *simulation.Bench, id int) { b.Call("DELETE", fmt.Sprintf("/v2/droplets/%d", id), nil) },
		"sick":      func(b *simulation.Bench, _ int) { b.Cloud.Break("v1", sandbox.Behaviour{Kind: sandbox.NeverHealthy}) },
	}
	for _, tt := range tests {
		for how, do := range ruin {
			t.Run(tt.name+" "+how, func(t *testing.T) {
				watch10(t, func(b *simulation.Bench) {
					old := b.Cloud.Snapshot().Droplets[0].ID
					b.Cloud.Break("v2", tt.broken)
					during(b, time.Minute, func() { do(b, old) })
					r, err := b.Execute(b.T.Context(), b.Op, watched(b, "v2"))
					var stays *release.Incomplete
					var broken *release.Broken
					switch {
					case tt.serves && !errors.As(err, &stays), !tt.serves && !errors.As(err, &broken):
						b.T.Fatalf("got %v\n%s", err, b.History())
					case !strings.Contains(err.Error(), "is not sound any more"):
						b.T.Errorf("it does not say why it stays: %v", err)
					}
					if live := b.Holder(); live == nil || live.ID != r.Droplet {
						b.T.Errorf("the reserved IP is at %+v", live)
					}
					if tt.serves && !slices.Contains(b.Holder().Tags, droplets.ServedTag) {
						b.T.Error("what stays is not marked")
					}
				})
			})
		}
	}
}

// TestWatchBesideOthers has another operator at work while a release is
// watched: who moves the IP on keeps what he needs, and the watch says so.
func TestWatchBesideOthers(t *testing.T) {
	other := func(b *simulation.Bench) *release.Operator {
		op := *b.Op
		op.Emit = nil
		return &op
	}
	t.Run("rollback", func(t *testing.T) {
		watch10(t, func(b *simulation.Bench) {
			done := make(chan error, 1)
			during(b, time.Minute, func() {
				_, err := b.RollbackBy(b.T.Context(), other(b), "")
				done <- err
			})
			_, err := b.Execute(b.T.Context(), b.Op, watched(b, "v2"))
			refused := refused(b, err)
			if refused.Serving != "v1" || !strings.Contains(err.Error(), "somebody moved") || len(refused.Leftovers) != 1 {
				b.T.Errorf("serving %q: %v, left over %v", refused.Serving, err, refused.Leftovers)
			}
			if err := <-done; err != nil {
				b.T.Error(err)
			}
			// Which is what he can roll forward to.
			b.Expect("v1", "v1", "v2")
		})
	})
	t.Run("release", func(t *testing.T) {
		watch10(t, func(b *simulation.Bench) {
			done := make(chan error, 1)
			during(b, time.Minute, func() {
				_, err := b.Execute(b.T.Context(), other(b), watched(b, "v3"))
				done <- err
			})
			_, err := b.Execute(b.T.Context(), b.Op, watched(b, "v2"))
			refused := refused(b, err)
			if refused.Serving != "v3" || !strings.Contains(err.Error(), "somebody moved") || len(refused.Leftovers) != 1 {
				b.T.Errorf("serving %q: %v, left over %v", refused.Serving, err, refused.Leftovers)
			}
			if got := b.Running(); !slices.Contains(got, "v2") {
				b.T.Error("what the other one goes back to was destroyed")
			}
			if err := <-done; err != nil {
				b.T.Error(err)
			}
			b.Expect("v3", "v1", "v3")
		})
	})
	t.Run("release that fails its own watch", func(t *testing.T) {
		watch10(t, func(b *simulation.Bench) {
			done := make(chan error, 1)
			b.Cloud.Break("v3", sandbox.Behaviour{Kind: sandbox.FailsLater, After: 3 * time.Minute})
			during(b, time.Minute, func() {
				_, err := b.Execute(b.T.Context(), other(b), watched(b, "v3"))
				done <- err
			})
			_, err := b.Execute(b.T.Context(), b.Op, watched(b, "v2"))
			refused(b, err)
			if refused := refused(b, <-done); refused.Serving != "v2" {
				b.T.Errorf("v3 is taken back to %q", refused.Serving)
			}
			b.Expect("v2", "v1", "v2")
		})
	})
	t.Run("gc", func(t *testing.T) {
		watch10(t, func(b *simulation.Bench) {
			b.Site.Keep = 0
			b.Cloud.Break("v2", sandbox.Behaviour{Kind: sandbox.FailsLater, After: 5 * time.Minute})
			during(b, time.Minute, func() {
				for _, opts := range []release.GCOptions{{}, {Standbys: true}} {
					if err := b.GCBy(b.T.Context(), other(b), opts); err != nil {
						b.T.Error(err)
					}
				}
				if live := b.Holder(); slices.Contains(live.Tags, droplets.ServedTag) {
					b.T.Error("gc adopted a release that is watched")
				}
			})
			_, err := b.Execute(b.T.Context(), b.Op, watched(b, "v2"))
			refused(b, err)
			b.Expect("v1", "v1")
		})
	})
}

// TestWatchKilled: the operator dies in the watch. The site is served, the
// standby is spared while somebody may watch, and then gc finishes the release.
func TestWatchKilled(t *testing.T) {
	for _, by := range []string{"gc", "release", "rollback"} {
		t.Run(by, func(t *testing.T) {
			watch10(t, func(b *simulation.Bench) {
				op, kill := b.Mortal()
				done := make(chan struct{})
				during(b, 2*time.Minute, kill)
				op.Emit = b.Op.Emit
				go func() {
					defer close(done)
					b.Execute(b.T.Context(), op, watched(b, "v2"))
				}()
				<-done
				b.Op.Emit = b.Record
				if err := b.GCBy(b.T.Context(), b.Op, release.GCOptions{}); err != nil {
					b.T.Error(err)
				}
				b.Expect("v2", "v1", "v2")
				b.Site.Watch = time.Minute
				b.Converge(by, true)
				if b.Serving() == "" {
					b.T.Error("nothing serves")
				}
			})
		})
	}
}

// TestWatchReconnects: the connection to the droplet breaks, or carries nothing
// any more. The watch makes another one, and goes on without where it cannot.
func TestWatchReconnects(t *testing.T) {
	tests := []struct {
		name   string
		for_   time.Duration // how long no connection carries anything
		notice string
	}{
		{"breaks", 0, ""},
		{"hangs for a minute", time.Minute, "does not tell its error rate"},
		{"hangs for good", time.Hour, "does not tell its error rate"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			watch10(t, func(b *simulation.Bench) {
				defer visit(b)()
				own := &lines{Dialer: b.Op.Dialer}
				b.Op.Dialer = own
				during(b, 3*time.Minute, func() { own.cut(tt.for_) })
				r, err := b.Execute(b.T.Context(), b.Op, watched(b, "v2"))
				var left *release.Incomplete
				switch unwritten := errors.As(err, &left) && len(left.Leftovers) == 1 && strings.Contains(err.Error(), "the history lacks this release"); {
				case tt.for_ == time.Hour && !unwritten, tt.for_ < time.Hour && err != nil:
					b.T.Fatal(err, b.History())
				}
				notices := strings.Join(r.Notices, "\n")
				if tt.notice == "" && strings.Contains(notices, "error rate") || !strings.Contains(notices, tt.notice) {
					b.T.Errorf("notices: %q", notices)
				}
				if n := strings.Count(notices, "does not tell"); n > 1 {
					b.T.Errorf("told %d times", n)
				}
				// After the cut there is one more login, not one a sample; and one to
				// write the history, if the watch ended in the middle of a sample.
				if after := own.after; tt.for_ < time.Hour && (after < 1 || after > 6) {
					b.T.Errorf("%d logins after the cut", after)
				}
				if tt.for_ < time.Hour && r.Watch.Requests < 1000 {
					b.T.Errorf("%d requests were seen", r.Watch.Requests)
				}
				b.Expect("v2", "v1", "v2")
			})
		})
	}
}

// lines are an operator's connections to port 22, which can be cut.
type lines struct {
	droplets.Dialer
	mu    sync.Mutex
	open  []*mutable
	mute  bool
	isCut bool
	after int // connections that were made since
}

func (l *lines) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := l.Dialer.DialContext(ctx, network, address)
	if err != nil || !strings.HasSuffix(address, ":22") {
		return c, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.isCut {
		l.after++
	}
	m := &mutable{Conn: c, mute: l.isMute, done: make(chan struct{})}
	l.open = append(l.open, m)
	return m, nil
}

func (l *lines) isMute() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mute
}

// cut closes what is open, or has it and whatever comes hang for so long.
func (l *lines) cut(hang time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.isCut = true
	if hang > 0 {
		l.mute = true
		time.AfterFunc(hang, func() {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.mute = false
		})
		return
	}
	for _, c := range l.open {
		c.Close()
	}
}
