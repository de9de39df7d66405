package release_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"cattle/droplets"
	"cattle/droplets/release"
	"cattle/droplets/sandbox"
)

// A schedule is a verb, a point in it, and what goes wrong there. The tests in
// crash_test.go and fault_test.go go through all of them, one by one; this file
// has the verbs and the points, check_test.go the checker.

// nasty are latencies in which orders overlap: a droplet that is destroyed
// lives on for longer than an assign takes.
var nasty = sandbox.Latency{Call: 100 * time.Millisecond, Active: 30 * time.Second, Assign: 5 * time.Second, Delete: 12 * time.Second}

// leaseOver is longer than any candidate's lease.
const leaseOver = 70 * time.Minute

// A scene is a verb on a site that is in a state.
type scene struct {
	name   string
	before []string // releases that were put up
	keep   int
	break_ string // this release answers 500 once it is live
	orphan bool   // a candidate was left behind long ago
	baked  bool   // there is a snapshot
	verb   func(*bench, context.Context, *release.Operator) (*release.Report, error)
	// ends tells that the verb is there to take the site down.
	ends bool
}

func scenes() []scene {
	return []scene{
		{name: "first release", keep: 1, verb: releases("v3")},
		{name: "release", before: []string{"v1", "v2"}, keep: 1, orphan: true, verb: releases("v3")},
		{name: "release that keeps nothing", before: []string{"v1", "v2"}, keep: 0, verb: releases("v3")},
		{name: "release that is taken back", before: []string{"v1", "v2"}, keep: 1, break_: "v3", verb: releases("v3")},
		{name: "first release that is taken back", keep: 1, break_: "v3", verb: releases("v3")},
		{name: "rollback", before: []string{"v1", "v2"}, keep: 1, verb: rollsBack},
		{name: "gc", before: []string{"v1", "v2"}, keep: 0, orphan: true, verb: collects},
		{name: "bake", before: []string{"v1", "v2"}, keep: 1, baked: true, verb: bakes},
		{name: "destroy", baked: true, before: []string{"v1", "v2"}, keep: 1, orphan: true, ends: true, verb: destroys},
	}
}

func releases(version string) func(*bench, context.Context, *release.Operator) (*release.Report, error) {
	return func(b *bench, ctx context.Context, o *release.Operator) (*release.Report, error) {
		return b.releaseBy(ctx, o, version)
	}
}

func rollsBack(b *bench, ctx context.Context, o *release.Operator) (*release.Report, error) {
	return b.rollbackBy(ctx, o, "")
}

func collects(b *bench, ctx context.Context, o *release.Operator) (*release.Report, error) {
	return nil, b.gcBy(ctx, o, release.GCOptions{})
}

func destroys(b *bench, ctx context.Context, o *release.Operator) (*release.Report, error) {
	w, err := o.Survey(ctx, b.site)
	if err != nil {
		return nil, err
	}
	return nil, o.Destroy(ctx, b.site, release.PlanDestroy(w, true))
}

// set brings the site into the scene's state.
func (s scene) set(b *bench) {
	b.t.Helper()
	for _, v := range s.before {
		b.must(v)
	}
	if s.orphan {
		b.orphan("e")
		time.Sleep(time.Minute)
	}
	if s.baked {
		b.mustBake("v1")
	}
	b.site.Keep = s.keep
	if s.break_ != "" {
		b.cloud.Break(s.break_, sandbox.Behaviour{Kind: sandbox.FailsLive})
	}
	time.Sleep(leaseOver)
	b.cloud.ResetRequests()
}

// orphan orders a droplet as a release does that is killed right afterwards.
func (b *bench) orphan(digit string) {
	b.t.Helper()
	birth := droplets.Birth{Release: "v0", Attempt: strings.Repeat(digit, 16), Lease: time.Now().Add(10 * time.Minute),
		Digest: strings.Repeat("d", 32), HostKey: strings.Repeat("c", 64)}
	b.post("/v2/droplets", map[string]any{"name": "left", "region": "fra1", "size": "s-1vcpu-1gb", "image": "debian-13-x64",
		"tags": []string{droplets.AppTag(b.site.App), birth.Tag()}})
}

// A point is one call of a verb: the nth one of its route.
type point struct {
	method, route string
	nth           int
}

func (p point) String() string { return fmt.Sprintf("%s %s #%d", p.method, p.route, p.nth) }

// reads tells whether the call changes nothing.
func (p point) reads() bool { return p.method == http.MethodGet }

var variable = regexp.MustCompile(`/(\d+(\.\d+)*|cattle:[^/]+)`)

func routeOf(urlPath string) string { return variable.ReplaceAllString(urlPath, "/*") }

// points are the calls of the scene's verb when nothing goes wrong. Of a wait
// that looks again and again they have the first look and the last one.
func points(t *testing.T, s scene) (out []point) {
	t.Helper()
	simulate(t, nasty, func(b *bench) {
		s.set(b)
		if _, err := s.verb(b, b.t.Context(), b.op); (err != nil) != (s.break_ != "") {
			t.Fatalf("%s: %v\n%s", s.name, err, b.history())
		}
		n := map[point]int{}
		for _, r := range b.cloud.Requests() {
			p := point{method: r.Method, route: routeOf(r.Path)}
			n[p]++
			p.nth = n[p]
			if l := len(out); l > 1 && p.reads() && p.route == out[l-1].route && p.route == out[l-2].route {
				out = out[:l-1]
			}
			out = append(out, p)
		}
	})
	return out
}

func (p point) fault(f sandbox.Fault) sandbox.Fault {
	f.Method, f.Path, f.Nth = p.method, path.Clean(p.route), p.nth
	return f
}

// A process is an operator's way to the cloud. It can be killed at a call:
// nothing that it says reaches anybody from then on, so it may well run on.
type process struct {
	*sandbox.Cloud
	at    point
	after bool // the call has its effect, and its answer is lost
	// strike is what happens instead of the kill, before the call goes on.
	strike func()

	mu    sync.Mutex
	seen  int
	conns []net.Conn
	dead  chan struct{}
}

func (b *bench) process(at point, after bool) (*process, *release.Operator) {
	p := &process{Cloud: b.cloud, at: at, after: after, dead: make(chan struct{})}
	api, err := droplets.Open(droplets.Config{Token: "t", HTTP: &http.Client{Transport: p}, URL: "http://api.test"})
	if err != nil {
		b.t.Fatal(err)
	}
	return p, &release.Operator{Cloud: api, Dialer: p, Login: b.op.Login, Emit: b.record}
}

func (p *process) RoundTrip(r *http.Request) (*http.Response, error) {
	if p.isDead() {
		return nil, errKilled
	}
	switch hit := p.hits(r); {
	case hit && p.strike != nil:
		p.strike()
	case hit:
		if p.after {
			p.Client().Transport.RoundTrip(r.Clone(context.WithoutCancel(r.Context())))
		}
		p.kill()
		return nil, errKilled
	}
	resp, err := p.Client().Transport.RoundTrip(r)
	if p.isDead() {
		return nil, errKilled
	}
	return resp, err
}

func (p *process) hits(r *http.Request) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r.Method != p.at.method || routeOf(r.URL.Path) != p.at.route {
		return false
	}
	p.seen++
	return p.seen == p.at.nth
}

func (p *process) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.dead)
	for _, c := range p.conns {
		c.Close()
	}
}

func (p *process) isDead() bool {
	select {
	case <-p.dead:
		return true
	default:
		return false
	}
}

var errKilled = errors.New("killed")

func (p *process) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.isDead() {
		return nil, errKilled
	}
	c, err := p.Dial(ctx, network, address)
	if err == nil {
		p.conns = append(p.conns, c)
	}
	return c, err
}
