package simulation

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"cattle/droplets"
	"cattle/droplets/sandbox"
)

// Turns decide in which order operators make the calls that matter for the
// lock: each is held back, before it is sent, until the order says so. What a
// call needs before it is its own operator's business; who has ended, or died,
// has no turns any more.
type turns struct {
	mu      sync.Mutex
	changed chan struct{}
	order   []string // agents, one entry a call
	gone    map[string]bool
}

// Marked are the calls that matter: the order of the droplet, the look after
// it, the two reads of the second look, and the move of the address or its
// making.
var marked = []string{"create", "list 2", "list 3", "address 1", "move"}

// fewer leave out what three operators would make too many of.
var fewer = []string{"create", "list 3", "move"}

func newTurns(order []string) *turns {
	return &turns{changed: make(chan struct{}), order: order, gone: map[string]bool{}}
}

// take waits for the agent's turn. The next one's comes when done is called.
func (t *turns) take(ctx context.Context, agent string) (done func()) {
	for {
		t.mu.Lock()
		for len(t.order) > 0 && t.gone[t.order[0]] {
			t.order = t.order[1:]
		}
		mine, changed := len(t.order) == 0 || t.order[0] == agent, t.changed
		t.mu.Unlock()
		if mine {
			return t.next
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return func() {}
		}
	}
}

func (t *turns) next() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.order) > 0 {
		t.order = t.order[1:]
	}
	t.wake()
}

// leave gives the turns of somebody back who has none to take any more.
func (t *turns) leave(agent string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.gone[agent] = true
	t.wake()
}

func (t *turns) wake() {
	close(t.changed)
	t.changed = make(chan struct{})
}

// waiting is a cloud to which an operator's marked calls go in turn.
type waiting struct {
	droplets.Cloud
	turns *turns
	marks []string
	a     *actor

	dies int // the marked call before which he is killed; 0: none

	mu    sync.Mutex
	calls map[string]int
	made  int // marked calls
}

func (w *waiting) turn(ctx context.Context, kind string) func() {
	w.mu.Lock()
	w.calls[kind]++
	name := fmt.Sprintf("%s %d", kind, w.calls[kind])
	first := w.calls[kind] == 1
	w.mu.Unlock()
	for _, m := range w.marks {
		if m == name || m == kind && first {
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			defer context.AfterFunc(w.a.ctx, cancel)()
			done := w.turns.take(ctx, w.a.agent)
			w.mu.Lock()
			defer w.mu.Unlock()
			if w.made++; w.made == w.dies {
				w.a.kill()
			}
			return done
		}
	}
	return func() {}
}

func (w *waiting) Create(ctx context.Context, s droplets.Spec) (droplets.Droplet, error) {
	defer w.turn(ctx, "create")()
	return w.Cloud.Create(ctx, s)
}

func (w *waiting) Droplets(ctx context.Context, tag string) ([]droplets.Droplet, error) {
	defer w.turn(ctx, "list")()
	return w.Cloud.Droplets(ctx, tag)
}

func (w *waiting) ReservedIP(ctx context.Context, ip string) (droplets.ReservedIP, error) {
	defer w.turn(ctx, "address")()
	return w.Cloud.ReservedIP(ctx, ip)
}

func (w *waiting) Assign(ctx context.Context, ip string, id int) error {
	defer w.turn(ctx, "move")()
	return w.Cloud.Assign(ctx, ip, id)
}

func (w *waiting) ReserveIP(ctx context.Context, id int) (droplets.ReservedIP, error) {
	defer w.turn(ctx, "move")()
	return w.Cloud.ReserveIP(ctx, id)
}

// interleavings are all orders of the marked calls of so many operators.
func interleavings(operators, calls int) (all [][]string) {
	left := make([]int, operators)
	for i := range left {
		left[i] = calls
	}
	var order []string
	var extend func()
	extend = func() {
		if len(order) == operators*calls {
			all = append(all, append([]string(nil), order...))
			return
		}
		for i := range left {
			if left[i] == 0 {
				continue
			}
			left[i]--
			order = append(order, fmt.Sprintf("op%d", i+1))
			extend()
			order = order[:len(order)-1]
			left[i]++
		}
	}
	extend()
	return all
}

// lagging is for how long lists do not know a new droplet: longer than it takes
// to look after an order, shorter than a boot.
const lagging = 8 * time.Second

// inTurn is a schedule in which releases take turns; in lists that lag, or not. dies, if it is not 0, is
// the marked call before which the first operator is killed.
func inTurn(s *scene, order, marks []string, dies int, lag bool) *schedule {
	n := len(order) / len(marks)
	out := &schedule{kind: fmt.Sprintf("%d operators, calls in turn", n), scene: s, seed: 1, then: "gc"}
	for i := range n {
		version := fmt.Sprintf("v%d", 3+i)
		out.parts = append(out.parts, part{verb: Releases(version), name: "release " + version})
	}
	out.order = strings.NewReplacer("op", "").Replace(strings.Join(order, ""))
	if dies > 0 {
		out.kind += ", one killed"
		out.order += fmt.Sprintf(", op1 killed at his call %d", dies)
		out.dies = true
	}
	if lag {
		out.kind += ", lists lag"
		out.order += ", lists lag"
	}
	out.arrange = func(b *Bench, actors []*actor) {
		if lag {
			b.Cloud.Fault(sandbox.Fault{Method: http.MethodGet, Path: "/v2/droplets", Count: -1, Stale: lagging})
		}
		t := newTurns(append([]string(nil), order...))
		for i, a := range actors {
			w := &waiting{Cloud: a.Operator.Cloud, turns: t, marks: marks, a: a, calls: map[string]int{}}
			if i == 0 {
				w.dies = dies
			}
			a.Operator.Cloud = w
			a.left = func() { t.leave(a.agent) }
		}
	}
	out.also = func(b *Bench) { b.oneWon(dies > 0) }
	return out
}

// oneWon wants exactly one of the releases to be done, and the others to say
// who won.
func (b *Bench) oneWon(killed bool) {
	won := 0
	for _, r := range b.runs {
		if r.err == nil && !r.killed {
			won++
		}
	}
	if won > 1 || won == 0 && !killed {
		b.violate(oneSwitches, "%d of %d releases are done", won, len(b.runs))
	}
}
