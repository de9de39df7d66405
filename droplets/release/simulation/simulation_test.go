package simulation

import (
	"regexp"
	"strings"
	"testing"
)

// alone has every trouble at every point of every scene, one by one.
func alone(t *testing.T, th *theatre, kind string, troubles []trouble, ways func(i int, p Point) []string) (list []*schedule) {
	t.Helper()
	for _, s := range scenes() {
		for i, at := range th.points(t, s, 1) {
			for _, x := range troubles {
				if x.fits != nil && !x.fits(at) {
					continue
				}
				for _, then := range ways(i, at) {
					list = append(list, s.alone(kind+x.name, 1, x, at, then))
				}
			}
		}
	}
	return list
}

// oneOf takes the ways to converge in turn.
func oneOf(i int, _ Point) []string {
	ways := []string{"gc", "release", "rollback"}
	return ways[i%3 : i%3+1]
}

func justGC(int, Point) []string { return []string{"gc"} }

// TestEveryCrash kills the operator before and after the effect of each call
// and each verb over SSH; another operator converges, in each of three ways.
func TestEveryCrash(t *testing.T) {
	th := newTheatre(t)
	sweep(t, th, each(alone(t, th, "", crashes(), func(i int, p Point) []string {
		if p.reads() {
			return oneOf(i, p)
		}
		return []string{"gc", "release", "rollback"}
	})))
}

// TestEveryInterrupt interrupts each verb at each of its calls: it undoes what
// it did, says what is true, and leaves nothing that it does not name.
func TestEveryInterrupt(t *testing.T) {
	th := newTheatre(t)
	sweep(t, th, each(alone(t, th, "", interrupts(), oneOf)))
}

// TestEveryFault has each call of each verb go wrong in each way, one by one.
// The outcome has to be true, what runs has to be accounted for, and with the
// fault gone another operator converges.
func TestEveryFault(t *testing.T) {
	th := newTheatre(t)
	sweep(t, th, each(alone(t, th, "", faults(), justGC)))
}

// TestEveryHand has somebody do each of his worst at each moment of each verb.
func TestEveryHand(t *testing.T) {
	th := newTheatre(t)
	sweep(t, th, each(alone(t, th, "hand: ", hands(), justGC)))
}

// TestDeterminism plays schedules twice: the histories are the same, byte for byte.
func TestDeterminism(t *testing.T) {
	th := newTheatre(t)
	var list []*schedule
	for _, kind := range [][]trouble{crashes(), interrupts(), faults(), hands()} {
		list = append(list, alone(t, th, "", kind, justGC)...)
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
	return "-only '^" + strings.ReplaceAll(regexp.QuoteMeta(s.String()), "'", "'\\''") + "$'"
}
