package release_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"cattle/droplets/release"
	"cattle/droplets/sandbox"
)

// A trouble is one thing that goes wrong with a call.
type trouble struct {
	name string
	sandbox.Fault
	fits func(point) bool // nil: every call
}

func troubles() []trouble {
	// One failure of a read is repeated, and nothing to speak of.
	writes := func(p point) bool { return !p.reads() }
	acts := func(p point) bool {
		return p.method == "POST" && p.route != "/v2/tags" && p.route != "/v2/tags/*/resources"
	}
	return []trouble{
		{name: "500 before", Fault: sandbox.Fault{Status: 500}, fits: writes},
		{name: "500 after", Fault: sandbox.Fault{Status: 500, After: true}, fits: writes},
		{name: "500 from here on", Fault: sandbox.Fault{Status: 500, Count: 8}},
		{name: "reset before", Fault: sandbox.Fault{Reset: true}, fits: writes},
		{name: "reset after", Fault: sandbox.Fault{Reset: true, After: true}, fits: writes},
		{name: "timeout", Fault: sandbox.Fault{Delay: 3 * time.Minute}},
		{name: "slow", Fault: sandbox.Fault{Delay: 40 * time.Second}, fits: writes},
		{name: "429", Fault: sandbox.TooManyRequests("", "", 3*time.Second), fits: writes},
		{name: "422", Fault: sandbox.Fault{Status: 422}, fits: writes},
		{name: "422 for a minute", Fault: sandbox.Fault{Status: 422, Count: 15}, fits: writes},
		{name: "403", Fault: sandbox.Fault{Status: 403}},
		{name: "403 from here on", Fault: sandbox.Fault{Status: 403, Count: -1}},
		// A DELETE that is not found is done: nobody could tell a lie from that.
		{name: "404", Fault: sandbox.Fault{Status: 404}, fits: func(p point) bool { return p.method != "DELETE" }},
		{name: "stale", Fault: sandbox.Fault{Stale: 2 * time.Minute}, fits: point.reads},
		{name: "errored", Fault: sandbox.Fault{Action: sandbox.Errored}, fits: acts},
		{name: "no-op", Fault: sandbox.Fault{Action: sandbox.NoOp}, fits: acts},
		{name: "stuck", Fault: sandbox.Fault{Action: sandbox.Stuck}, fits: acts},
		{name: "lost", Fault: sandbox.Fault{Action: sandbox.Lost}, fits: acts},
	}
}

// TestEveryFault has each call of each verb go wrong in each way, one by one.
// The outcome has to be true, what runs has to be accounted for, and with the
// fault gone another operator converges.
func TestEveryFault(t *testing.T) {
	keyFile, public := operatorKey(t)
	for _, s := range scenes() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			n := 0
			for _, at := range points(t, s) {
				for _, f := range troubles() {
					if f.fits != nil && !f.fits(at) {
						continue
					}
					if n++; skipped(n) {
						continue
					}
					t.Run(fmt.Sprintf("%s %s", at, f.name), func(t *testing.T) {
						synctest.Test(t, func(t *testing.T) {
							withBench(t, keyFile, public, nasty, func(b *bench) { s.fault(b, at.fault(f.Fault)) })
						})
					})
				}
			}
		})
	}
}

// longest is what no verb may take, whatever goes wrong once.
const longest = 25 * time.Minute

func (s scene) fault(b *bench, f sandbox.Fault) {
	s.set(b)
	before := b.cloud.Snapshot()
	b.cloud.Fault(f)
	w := b.watch()
	start := time.Now()
	r, err := s.verb(b, b.t.Context(), b.op)
	if took := time.Since(start); took > longest {
		b.t.Errorf("took %s", took)
	}
	b.cloud.ClearFaults()
	time.Sleep(time.Minute)
	if s.ends {
		w.end()
		if _, err := destroys(b, b.t.Context(), b.op); err != nil && f.Action != sandbox.Stuck {
			b.t.Errorf("destroy once more: %v", err)
		}
		return
	}
	b.truthful(before, r, err)
	b.accounted(before, err)
	if f.Action == sandbox.Stuck {
		// It stays stuck: nobody can do more than to say so.
		w.end()
		return
	}
	b.converge("gc", len(s.before) > 0)
	w.end()
	if b.t.Failed() {
		b.t.Logf("the outcome was: %v\n%s\n%s", err, named(err), b.history())
	}
}

// TestRefusedIsNotBroken: an order that never becomes a droplet leaves what
// serves alone, and is named.
func TestRefusedIsNotBroken(t *testing.T) {
	simulate(t, nasty, func(b *bench) {
		b.must("v1")
		b.cloud.Fault(sandbox.Fault{Method: "POST", Path: "/v2/droplets", Action: sandbox.Stuck})
		_, err := b.release(b.t.Context(), "v2")
		var refused *release.Refused
		if !errors.As(err, &refused) || refused.Serving != "v1" || len(refused.Leftovers) != 1 {
			t.Errorf("got %v\n%s", err, named(err))
		}
	})
}
