package simulation

import (
	"fmt"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// alone has every trouble at every point of every scene, one by one. share is
// how many points there are to one that is played, in scenes that come alone
// and in those that are variants.
func alone(t *testing.T, th *theatre, kind string, troubles []trouble, share [2]int, ways func(i int, p Point) []string) (list []*schedule) {
	t.Helper()
	for nth, s := range scenes() {
		every := share[0]
		if s.variant {
			every = share[1]
		}
		for i, at := range th.points(t, s) {
			if (i+nth)%every > 0 {
				continue
			}
			for _, x := range troubles {
				if x.fits != nil && !x.fits(at) {
					continue
				}
				then := ways(i, at)
				if s.written {
					then = then[i%len(then):][:1]
				}
				for _, then := range then {
					list = append(list, s.alone(kind+x.name, 1, x, at, then))
				}
			}
		}
	}
	return list
}

// Shares: all points; all, but of variants a half, or an eighth; a third of all,
// and of variants a ninth.
var (
	all    = [2]int{1, 1}
	nearly = [2]int{1, 2}
	most   = [2]int{1, 8}
	sample = [2]int{3, 9}
)

// oneOf takes the ways to converge in turn.
func oneOf(i int, _ Point) []string {
	ways := []string{"gc", "release", "rollback"}
	return ways[i%3 : i%3+1]
}

func justGC(int, Point) []string { return []string{"gc"} }

// TestEveryCrash kills the operator before and after the effect of each call
// and each verb over SSH; another operator converges, in each of three ways.
func TestEveryCrash(t *testing.T) {
	th := house(t)
	sweep(t, th, each(alone(t, th, "", crashes(), nearly, func(i int, p Point) []string {
		if p.reads() {
			return oneOf(i, p)
		}
		return []string{"gc", "release", "rollback"}
	})))
}

// TestEveryInterrupt interrupts each verb at each of its calls: it undoes what
// it did, says what is true, and leaves nothing that it does not name.
func TestEveryInterrupt(t *testing.T) {
	th := house(t)
	sweep(t, th, each(alone(t, th, "", interrupts(), nearly, oneOf)))
}

// TestEveryFault has each call of each verb go wrong in each way, one by one.
// The outcome has to be true, what runs has to be accounted for, and with the
// fault gone another operator converges.
func TestEveryFault(t *testing.T) {
	th := house(t)
	sweep(t, th, each(alone(t, th, "", faults(), most, justGC)))
}

// TestEveryHand has somebody do each of his worst at moments of each verb.
func TestEveryHand(t *testing.T) {
	th := house(t)
	sweep(t, th, each(alone(t, th, "hand: ", hands(), sample, justGC)))
}

// TestEveryClock has the operator's clock be wrong from each call of each verb
// on, by hours and by minutes.
func TestEveryClock(t *testing.T) {
	th := house(t)
	sweep(t, th, each(alone(t, th, "", clocks(), most, justGC)))
}

// TestDeterminism plays schedules twice: the histories are the same, byte for byte.
func TestDeterminism(t *testing.T) {
	th := house(t)
	var list []*schedule
	for _, kind := range [][]trouble{crashes(), interrupts(), faults(), hands()} {
		list = append(list, alone(t, th, "", kind, all, justGC)...)
	}
	step := len(list)/60*thinner + 1
	for i := 0; i < len(list); i += step {
		s := list[i]
		s.tells = true
		_, first := s.play(t, th)
		_, second := s.play(t, th)
		if first != second {
			t.Errorf("%s: two histories:\n%s", s, difference(first, second))
		}
	}
}

// difference is the first line in which two texts differ, of either.
func difference(a, b string) string {
	as, bs := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(as), len(bs)) {
		if as[i] != bs[i] {
			return strings.Join(as[max(0, i-5):i+1], "\n") + "\n--- or ---\n" + bs[i]
		}
	}
	return "one is longer"
}

// again is what to type to play the schedule once more.
func (s *schedule) again() string {
	if s.random {
		return fmt.Sprintf("-run 'TestSeed$' -v -seed=%d", s.seed)
	}
	return "-only '^" + strings.ReplaceAll(regexp.QuoteMeta(s.String()), "'", "'\\''") + "$'"
}

// TestEveryTurn has two and three releases begin at once, and make the calls
// that matter for the lock in every order there is; and in every order in which
// one of them dies at one of these calls.
func TestEveryTurn(t *testing.T) {
	th := house(t)
	var list []*schedule
	for _, s := range scenes() {
		if s.name != "release" && s.name != "first release" {
			continue
		}
		for _, order := range interleavings(2, len(marked)) {
			for dies := range len(marked) + 1 {
				list = append(list, inTurn(s, order, marked, dies, false))
			}
			list = append(list, inTurn(s, order, marked, 0, true))
		}
		if s.name == "release" {
			for i, order := range interleavings(3, len(fewer)) {
				list = append(list, inTurn(s, order, fewer, 0, false))
				if i%3 == 0 {
					list = append(list, inTurn(s, order, fewer, 0, true))
				}
			}
		}
	}
	sweep(t, th, each(list))
}

// TestEveryGuest has another operator begin gc or rollback while each verb is
// under way, every five seconds of it: what is under way is nobody's garbage.
func TestEveryGuest(t *testing.T) {
	th := house(t)
	var list []*schedule
	for _, s := range scenes() {
		if s.ends {
			continue
		}
		for _, guest := range []part{{verb: Collects, name: "gc"}, {verb: RollsBack, name: "rollback"}} {
			for guest.after = 0; guest.after < 45*time.Second; guest.after += 5 * time.Second {
				list = append(list, &schedule{kind: "meanwhile: " + guest.name, scene: s, seed: 1,
					parts: []part{{verb: s.verb, name: s.name}, guest}, order: fmt.Sprintf("%s begins %s later", guest.name, guest.after), then: "gc"})
			}
		}
	}
	sweep(t, th, each(list))
}

// newStage looks up the points of every scene.
func newStage(t *testing.T, th *theatre) *stage {
	t.Helper()
	st := &stage{scenes: scenes(), points: map[string][]Point{}, troubles: [][]trouble{crashes(), interrupts(), faults(), faults(), faults(), hands(), clocks()}}
	for _, s := range st.scenes {
		st.points[s.name] = th.points(t, s)
	}
	return st
}

// TestSeeds plays the storms of so many seeds, beginning with 1.
func TestSeeds(t *testing.T) {
	th := house(t)
	st := newStage(t, th)
	var seed atomic.Uint64
	sweep(t, th, func() *schedule {
		n := seed.Add(1)
		if n > uint64(*seedsFlag / *thinFlag / thinner) {
			return nil
		}
		return st.storm(n)
	})
}

// TestSeed plays the storm of one seed and prints its history:
// go test ./droplets/release/simulation -run 'TestSeed$' -v -seed=N.
func TestSeed(t *testing.T) {
	if *seedFlag == 0 {
		t.Skip("no -seed")
	}
	th := house(t)
	s := newStage(t, th).storm(*seedFlag)
	s.tells = true
	found, history := s.play(t, th)
	t.Logf("%s\n%s", s, history)
	for _, v := range found {
		t.Error(v)
	}
}

// TestSoak goes on with new seeds for as long as it is told.
func TestSoak(t *testing.T) {
	if *soakFlag == 0 {
		t.Skip("no -soak")
	}
	th := house(t)
	st := newStage(t, th)
	var n atomic.Uint64
	n.Store(uint64(time.Now().UnixNano()))
	end := time.Now().Add(*soakFlag)
	sweep(t, th, func() *schedule {
		if time.Now().After(end) {
			return nil
		}
		return st.storm(n.Add(1))
	})
}

// TestListReadLate is the turn in which a defect was found: the reserved IP was
// read first and the list of rivals much later, when the one that had come first
// had switched already and was no candidate any more. Both switched.
func TestListReadLate(t *testing.T) {
	th := house(t)
	for _, s := range scenes()[:2] {
		order := []string{"op2", "op1", "op3", "op3", "op2", "op2", "op3", "op1", "op1"}
		schedule := inTurn(s, order, fewer, 0, true)
		if found, history := schedule.play(t, th); len(found) > 0 {
			tell(t, schedule, found, history)
		}
	}
}
