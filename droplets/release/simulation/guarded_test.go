package simulation

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"cattle/droplets/release"
	"cattle/droplets/sandbox"
)

// aroundTheGuard are times after a switch: each minute, and each few seconds
// around the moment when the guard goes off.
func aroundTheGuard() (out []time.Duration) {
	for at := time.Duration(0); at < 12*time.Minute; {
		out = append(out, at)
		if at += time.Minute; at > 5*time.Minute && at <= 7*time.Minute {
			at -= 57 * time.Second
		}
	}
	return out
}

// TestEveryMeeting has an operator die right after a guarded switch, and another
// one begin each verb at any time afterwards, until the guard is long over.
func TestEveryMeeting(t *testing.T) {
	th := house(t)
	var list []*schedule
	for _, s := range undecided() {
		if !strings.Contains(s.name, "after one that vanished") {
			continue
		}
		for _, wait := range aroundTheGuard() {
			list = append(list, &schedule{kind: "at a time", scene: s, seed: 1, parts: []part{{verb: s.verb, name: s.name, after: wait}},
				order: fmt.Sprintf("begins %s later", wait), then: "gc"})
		}
	}
	sweep(t, th, each(list))
}

// naps are of a computer that is closed: for less than the guard waits, for as
// long as that takes, and for longer than it can do anything.
var naps = []time.Duration{time.Minute, 5*time.Minute + 50*time.Second, 20 * time.Minute}

// TestEveryNap has the operator's computer sleep at the beginning of each step,
// and before and after each call of the API: what he says when it wakes is true.
func TestEveryNap(t *testing.T) {
	th := house(t)
	var list []*schedule
	for _, s := range scenes() {
		if !strings.Contains(s.name, "guarded") {
			continue
		}
		for _, nap := range naps {
			for _, step := range th.steps(t, s) {
				list = append(list, asleep(s, step, nap))
			}
			for _, at := range th.points(t, s) {
				if overAPI(at) {
					list = append(list, s.alone("sleeps", 1, sleeps(nap, false), at, "gc"), s.alone("sleeps", 1, sleeps(nap, true), at, "gc"))
				}
			}
		}
	}
	sweep(t, th, each(list))
}

// sleeps is a trouble in which nothing of the operator's goes on for a time.
func sleeps(nap time.Duration, after bool) trouble {
	when := map[bool]string{false: "before", true: "after"}[after]
	return trouble{name: fmt.Sprintf("sleeps %s %s", nap, when), fault: func(b *Bench, a *actor) sandbox.Fault {
		return sandbox.Fault{After: after, Strike: func() { b.sleep(a, nap) }}
	}}
}

func (b *Bench) sleep(a *actor, nap time.Duration) {
	b.mark(a.agent, "sleeps for %s", nap)
	time.Sleep(nap)
}

// asleep is a schedule in which the operator sleeps when he comes to a step.
func asleep(s *scene, step string, nap time.Duration) *schedule {
	return &schedule{kind: "sleeps", scene: s, seed: 1, parts: []part{{verb: s.verb, name: s.name}}, then: "gc",
		order: fmt.Sprintf("sleeps %s at %s", nap, step),
		arrange: func(b *Bench, actors []*actor) {
			a := actors[0]
			emit := a.Emit
			a.Emit = func(e release.Event) {
				emit(e)
				if e.Kind == release.KindStep && e.Step == step && e.State == release.StateRunning {
					b.sleep(a, nap)
				}
			}
		}}
}

// steps are the names of the steps that a scene's verb comes to.
func (th *theatre) steps(t *testing.T, s *scene) (names []string) {
	t.Helper()
	th.begin(t, s, 1, func(b *Bench) {
		if s.trips != nil {
			s.trips(b)
		}
		r := b.perform(b.actor("op1"), s.name, s.verb)
		for _, e := range r.events {
			if e.Kind == release.KindStep && e.State == release.StateRunning && e.Step != "undo" {
				names = append(names, e.Step)
			}
		}
		b.rest()
	})
	return names
}

// TestScenes finds nothing wrong with what is open for a time, when nothing
// goes wrong. It prints the points of each scene.
func TestScenes(t *testing.T) {
	th := house(t)
	for _, s := range scenes() {
		quiet := &schedule{kind: "nothing", scene: s, seed: 1, parts: []part{{verb: s.verb, name: s.name}}, then: "gc"}
		if found, history := quiet.play(t, th); len(found) > 0 {
			tell(t, quiet, found, history)
		}
		t.Logf("%3d points: %s", len(th.points(t, s)), s.name)
	}
}
