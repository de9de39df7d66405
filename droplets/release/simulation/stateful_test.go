package simulation

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"cattle/droplets/sandbox"
)

// longNaps are of an operator's computer that wakes up when droplets have gone
// on by themselves: the old one has thawed, or the new one has opened.
var longNaps = []time.Duration{45 * time.Second, 5 * time.Minute, 8 * time.Minute, 15 * time.Minute}

// TestEveryAwakening has the operator's computer sleep at each call while rows
// are on their way, and him interrupt what he finds going on when it wakes.
func TestEveryAwakening(t *testing.T) {
	th := house(t)
	var list []*schedule
	for _, s := range scenes() {
		if !slices.Contains([]string{"release with state", "rollback, data carried", "rollback, data discarded"}, s.name) {
			continue
		}
		for i, at := range th.points(t, s) {
			if !overAPI(at) {
				continue
			}
			for j, nap := range longNaps {
				list = append(list, s.alone("sleeps, interrupted", 1, wakesRudely(nap, (i+j)%2 == 0), at, oneOf(i+j, at)[0]),
					s.alone("sleeps", 1, sleeps(nap, (i+j)%2 == 1), at, "gc"))
			}
		}
	}
	sweep(t, th, each(list))
}

// wakesRudely is sleeps, with an interrupt at its end.
func wakesRudely(nap time.Duration, after bool) trouble {
	when := map[bool]string{false: "before", true: "after"}[after]
	return trouble{name: fmt.Sprintf("sleeps %s %s, and interrupted", nap, when), fault: func(b *Bench, a *actor) sandbox.Fault {
		return sandbox.Fault{After: after, Strike: func() {
			b.sleep(a, nap)
			a.interrupt()
		}}
	}}
}
