package simulation

import (
	"context"
	"errors"
	"hash/fnv"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"cattle/droplets/release"
	"cattle/droplets/sandbox"
)

// A wire is one operator's way to the cloud. Each call takes its time before
// and after it has its effect, and each connection before it is made: odd
// nanoseconds that the seed gives, so that no two effects share an instant and
// the Go scheduler decides nothing. An operator that is killed is a wire that is
// cut: what the process still does reaches nobody.
type wire struct {
	b     *Bench
	agent string
	skew  skew

	mu    sync.Mutex
	nth   map[string]int
	conns []net.Conn
	dead  chan struct{}
}

// An actor is an operator of a schedule: a process that can be interrupted or
// die.
type actor struct {
	*release.Operator
	*wire
	ctx    context.Context
	cancel context.CancelCauseFunc
	left   func() // is called when his verb has ended
}

// actor puts somebody to work who is called name.
func (b *Bench) actor(name string) *actor {
	w := &wire{b: b, agent: name, nth: map[string]int{}, dead: make(chan struct{})}
	a := &actor{wire: w, left: func() {}}
	a.ctx, a.cancel = context.WithCancelCause(b.T.Context())
	a.Operator = &release.Operator{Cloud: b.api(w), Dialer: w, Login: b.key.login, GuardToken: plainKey(guardToken),
		RunHook: w.runHook,
		Emit: func(e release.Event) {
			if !w.isDead() {
				b.say(name, e)
			}
		}}
	return a
}

var (
	errKilled      = errors.New("killed")
	errInterrupted = errors.New("interrupted")
)

// kill ends the process in the middle of whatever it does.
func (a *actor) kill() {
	a.b.mark(a.agent, "is killed")
	a.cut()
	a.cancel(errKilled)
}

// interrupt is Ctrl-C.
func (a *actor) interrupt() {
	a.b.mark(a.agent, "is interrupted")
	a.cancel(errInterrupted)
}

func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.isDead() {
		close(w.dead)
	}
	for _, c := range w.conns {
		c.Close()
	}
}

func (w *wire) isDead() bool {
	select {
	case <-w.dead:
		return true
	default:
		return false
	}
}

// span is how long something takes: from least on, up to a tenth of a second
// more, by the seed and by which time it is done.
func (w *wire) span(what string, least time.Duration) time.Duration {
	what = long.ReplaceAllString(what, "") // keys, which are new each time
	w.mu.Lock()
	w.nth[what]++
	n := w.nth[what]
	w.mu.Unlock()
	return least + time.Duration(mix(sum(w.agent+what)^mix(w.b.seed+uint64(n)))%uint64(100*time.Millisecond))
}

func sum(s string) uint64 {
	h := fnv.New64a()
	io.WriteString(h, s)
	return h.Sum64()
}

// mix scatters the bits of x (splitmix64).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// RoundTrip carries one call.
func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	what := r.Method + " " + r.URL.String()
	before := w.span(what, 20*time.Millisecond)
	if err := w.wait(r.Context(), before); err != nil {
		// Of several calls that end with one interrupt, each has its instant.
		time.Sleep(before / 1000)
		return nil, err
	}
	if w.isDead() {
		return nil, errKilled
	}
	resp, err := w.skew.roundTrip(named{w.b.Cloud.Client().Transport, w.agent}, r)
	if w.isDead() {
		return nil, errKilled
	}
	if werr := w.wait(r.Context(), w.span("answer "+what, 20*time.Millisecond)); werr != nil {
		time.Sleep(before / 1000)
		return nil, werr
	}
	return resp, err
}

// named says of each call whose it is.
type named struct {
	http.RoundTripper
	agent string
}

func (n named) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("User-Agent", n.agent)
	return n.RoundTripper.RoundTrip(r)
}

// wait is the time that a call takes; a process that dies meanwhile is told so.
func (w *wire) wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-w.dead:
		return errKilled
	}
}

// DialContext connects to a droplet or to the reserved IP.
func (w *wire) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if err := w.wait(ctx, w.span(address, time.Millisecond)/10); err != nil {
		return nil, err
	}
	c, err := w.b.Cloud.Dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.isDead() {
		c.Close()
		return nil, errKilled
	}
	w.conns = append(w.conns, c)
	return c, nil
}

// Killed is an operator who is killed after the effect of a call.
func (b *Bench) Killed(at Point) *release.Operator {
	a := b.actor("op1")
	b.Cloud.Fault(at.at(sandbox.Fault{Reset: true, After: true, Strike: a.kill}, a.agent))
	return a.Operator
}

// Mortal is an operator, and what kills him.
func (b *Bench) Mortal() (op *release.Operator, kill func()) {
	a := b.actor("op1")
	return a.Operator, a.kill
}
