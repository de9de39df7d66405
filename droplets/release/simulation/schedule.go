package simulation

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cattle/droplets/release"
	"cattle/droplets/sandbox"
)

// A schedule is a scene, who does what in it and when, and what goes wrong.
type schedule struct {
	kind  string // for the table: crash, fault, …
	scene *scene
	seed  uint64
	parts []part
	wrong []wrong
	then  string // how the calm operator converges: gc, release or rollback
	// also judges what is particular to the schedule, after all runs have ended.
	also func(*Bench)
	// arrange, if there is one, has the operators' calls go on in an order.
	arrange func(*Bench, []*actor)
	order   string // which, in words
	random  bool   // it is a seed's
	dies    bool   // one of the operators is killed by arrange
	tells   bool   // the history is wanted in any case
}

// A part is an operator with his verb.
type part struct {
	verb  Verb
	name  string // of the verb
	after time.Duration
}

// wrong is a trouble at a point of an operator's.
type wrong struct {
	trouble
	at Point
	op int // index of the part
}

func (s *schedule) String() string {
	var w strings.Builder
	fmt.Fprintf(&w, "%s: ", s.scene.name)
	w.WriteString(s.order)
	for i, x := range s.wrong {
		if i > 0 {
			w.WriteString("; ")
		}
		fmt.Fprintf(&w, "%s at %s", x.name, x.at)
		if len(s.parts) > 1 {
			fmt.Fprintf(&w, " of op%d", x.op+1)
		}
	}
	if s.then != "" {
		fmt.Fprintf(&w, "; then %s", s.then)
	}
	return w.String()
}

func (s *schedule) traits() (all traits) {
	all.kills = s.dies
	for _, w := range s.wrong {
		all = all.and(w.traits)
	}
	return all
}

// interruptsOnly tells a schedule in which nothing else goes wrong.
func (s *schedule) interruptsOnly() bool {
	return len(s.parts) == 1 && len(s.wrong) > 0 && !slices.ContainsFunc(s.wrong, func(w wrong) bool { return w.name != "interrupted" })
}

// alone is a schedule of the scene's own verb with one thing wrong.
func (s *scene) alone(kind string, seed uint64, t trouble, at Point, then string) *schedule {
	return &schedule{kind: kind, scene: s, seed: seed, parts: []part{{verb: s.verb, name: s.name}}, wrong: []wrong{{t, at, 0}}, then: then}
}

// longest is what no verb may take, whatever goes wrong once; one that carries
// rows has half an hour for these alone.
const longest = 30 * time.Minute

func (s *schedule) longest(b *Bench) time.Duration {
	d := longest * time.Duration(max(1, len(s.wrong)))
	if b.Site.State {
		d += 30 * time.Minute
	}
	return d
}

// play carries the schedule out and returns what was violated, with the history.
func (s *schedule) play(t *testing.T, th *theatre) (found []violation, history string) {
	th.begin(t, s.scene, s.seed, func(b *Bench) {
		s.playOn(b)
		b.writer.end()
		b.judge(s)
		found = b.found
		if len(found) > 0 || s.tells {
			history = b.History()
		}
	})
	return found, history
}

// playOn runs the parts, then calms the cloud down and has another operator
// converge.
func (s *schedule) playOn(b *Bench) {
	actors := make([]*actor, len(s.parts))
	for i := range s.parts {
		actors[i] = b.actor(fmt.Sprintf("op%d", i+1))
	}
	hit := make([]atomic.Bool, len(s.wrong))
	for i, w := range s.wrong {
		b.Cloud.Fault(w.at.at(noting(w.fault(b, actors[w.op]), &hit[i]), actors[w.op].agent))
	}
	if s.scene.trips != nil {
		s.scene.trips(b)
	}
	if s.arrange != nil {
		s.arrange(b, actors)
	}
	done := make(chan *run, len(s.parts))
	for i, p := range s.parts {
		go func() {
			time.Sleep(p.after)
			r := b.perform(actors[i], p.name, p.verb)
			actors[i].left()
			done <- r
		}()
	}
	for range s.parts {
		r := <-done
		if took := r.ended.Sub(r.began); took > s.longest(b) && !r.killed {
			b.violate(ends, "%s took %s", r.verb, took)
		}
	}
	b.others.Wait()
	b.Cloud.ClearFaults()
	for i, w := range s.wrong {
		if !s.random && !hit[i].Load() {
			b.violate(reached, "%s was not", w.at)
		}
	}
	s.settle(b)
}

// noting has a fault tell that it has hit: of a storm's, some come too late.
func noting(f sandbox.Fault, hit *atomic.Bool) sandbox.Fault {
	strike := f.Strike
	f.Strike = func() {
		hit.Store(true)
		if strike != nil {
			strike()
		}
	}
	return f
}

// settle has another operator put things in order, once what was ordered has
// had its time.
func (s *schedule) settle(b *Bench) {
	time.Sleep(time.Minute)
	what := s.traits()
	if s.also != nil {
		s.also(b)
	}
	if s.then != "rollback" && !what.hand && !s.scene.ends { // which finds it by itself
		if err := b.fetch(); err != nil && !what.stuck {
			b.violate(converges, "gc brings no volume back: %v", err)
		}
	}
	if s.waits() && !b.strayed() {
		b.opensAgain()
	}
	switch {
	case s.scene.ends:
		if _, err := Destroys(b, b.T.Context(), b.Op); err != nil && !what.stuck && !what.hand {
			b.violate(converges, "destroy once more: %v", err)
		} else if err == nil {
			b.judgeGone()
		}
	case what.stuck:
		// It stays stuck: nobody can do more than to say so.
		if !b.strayed() {
			b.opensAgain()
		}
	case what.hand:
		b.recover(s)
	default:
		b.converge(s.then, b.holder(b.Before) != nil)
	}
}

// waits tells a schedule in which nobody converges before writes have come back
// by themselves: every other one.
func (s *schedule) waits() bool {
	return !s.scene.ends && !s.traits().hand && mix(sum(s.String()))%2 == 0
}

// perform has an operator carry out a verb, and keeps what came of it. It
// returns when the verb does, or when the operator is killed.
func (b *Bench) perform(a *actor, name string, verb Verb) *run {
	r := &run{who: a.agent, op: a.Operator, verb: name, began: time.Now(), before: b.Cloud.Snapshot()}
	b.mu.Lock()
	b.runs = append(b.runs, r)
	b.mu.Unlock()
	b.mark(a.agent, "begins: %s", name)
	done := make(chan struct{})
	b.verbs.Go(func() {
		defer close(done)
		report, err := verb(b, a.ctx, a.Operator)
		if !a.isDead() {
			r.report, r.err = report, err
		}
	})
	select {
	case <-done:
	case <-a.dead:
	}
	if r.killed = a.isDead(); r.killed {
		// What the process had sent in the same moment arrives, a call's latency
		// later; no other operator is that fast.
		time.Sleep(time.Second)
	} else {
		r.after, r.served, r.around = b.Cloud.Snapshot(), b.Serving(), b.surroundings()
		b.mark(a.agent, "ends: %s", outcome(r.err))
	}
	b.mu.Lock()
	r.ended = time.Now()
	b.mu.Unlock()
	return r
}

func outcome(err error) string {
	if err == nil {
		return "done"
	}
	kind := fmt.Sprintf("%T: ", err)
	return strings.TrimPrefix(kind, "*release.") + err.Error() + " " + Told(err)
}

// recover is converge where somebody had his hands in: what is served may be
// nothing, and what is wrong may need a word from a person. The next release
// goes through, or says what it wants.
func (b *Bench) recover(s *schedule) {
	ctx := b.T.Context()
	b.idle(LeaseOver)
	if err := b.GCBy(ctx, b.Op, release.GCOptions{}); err != nil && !explains(err) {
		b.violate(converges, "gc afterwards: %v", err)
	}
	_, err := b.Release(ctx, "v9")
	var refused *release.Refused
	if errors.As(err, &refused) && strings.Contains(refused.Hint, "--no-handoff") {
		time.Sleep(time.Minute)
		c := b.Candidate("v9")
		c.NoHandoff = true
		_, err = b.Execute(ctx, b.Op, c)
	}
	if err != nil && !explains(err) && len(b.Site.Volumes) > 0 {
		// A standby that is live by a hand, in the middle of being gone back to, has
		// no app that runs: going back to the other one has.
		_, err = b.rollback(ctx, b.Op, "", release.Discard)
	}
	if err != nil && !explains(err) {
		b.violate(converges, "release afterwards: %v", err)
	}
}

// explains tells an error that says what a person has to do.
func explains(err error) bool {
	var faults *release.Preflight
	return errors.As(err, &faults) && faults.Faults[0].Hint != "" || strings.Contains(err.Error(), "left alone")
}
