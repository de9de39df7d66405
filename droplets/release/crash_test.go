package release_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// TestEveryCrash kills the operator before and after the effect of each call
// of each verb; another operator converges, in each of three ways.
func TestEveryCrash(t *testing.T) {
	keyFile, public := operatorKey(t)
	for _, s := range scenes() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			n := 0
			for i, at := range points(t, s) {
				for _, after := range []bool{false, true} {
					if at.reads() && after {
						continue // the same as before it
					}
					by := []string{"gc", "release", "rollback"}
					if at.reads() {
						by = by[i%3 : i%3+1]
					}
					for _, by := range by {
						if n++; skipped(n) {
							continue
						}
						name := fmt.Sprintf("%s after=%v then %s", at, after, by)
						t.Run(name, func(t *testing.T) {
							synctest.Test(t, func(t *testing.T) {
								withBench(t, keyFile, public, nasty, func(b *bench) { s.crash(b, at, after, by) })
							})
						})
					}
				}
			}
		})
	}
}

func (s scene) crash(b *bench, at point, after bool, by string) {
	s.set(b)
	served := len(s.before) > 0 && !s.ends
	p, op := b.process(at, after)
	done := make(chan struct{})
	w := b.watch()
	go func() {
		defer close(done)
		s.verb(b, b.t.Context(), op)
	}()
	select {
	case <-p.dead:
	case <-done:
		b.t.Errorf("%s was not reached", at)
	}
	// What the process had sent in the same moment arrives, a call's latency
	// later; no other operator is that fast.
	time.Sleep(time.Second)
	if s.ends {
		w.end()
		if _, err := destroys(b, b.t.Context(), b.op); err != nil {
			b.t.Errorf("destroy once more: %v", err)
		}
	} else {
		b.converge(by, served)
		w.end()
	}
	<-done
}

// TestEveryInterrupt interrupts each verb at each of its calls: it undoes what
// it did, says what is true, and leaves nothing that it does not name.
func TestEveryInterrupt(t *testing.T) {
	keyFile, public := operatorKey(t)
	for _, s := range scenes() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			for i, at := range points(t, s) {
				if skipped(i) {
					continue
				}
				t.Run(at.String(), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						withBench(t, keyFile, public, nasty, func(b *bench) { s.interrupt(b, at) })
					})
				})
			}
		})
	}
}

func (s scene) interrupt(b *bench, at point) {
	s.set(b)
	before := b.cloud.Snapshot()
	ctx, cancel := context.WithCancelCause(b.t.Context())
	defer cancel(nil)
	p, op := b.process(at, false)
	p.strike = func() { time.AfterFunc(50*time.Millisecond, func() { cancel(errors.New("interrupted")) }) }
	w := b.watch()
	r, err := s.verb(b, ctx, op)
	time.Sleep(time.Minute)
	if s.ends {
		w.end()
		return
	}
	b.truthful(before, r, err)
	b.accounted(before, err)
	b.converge("gc", len(s.before) > 0)
	w.end()
	if b.t.Failed() {
		b.t.Logf("the outcome was: %v\n%s\n%s", err, named(err), b.history())
	}
}
