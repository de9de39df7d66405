package simulation

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"regexp"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var (
	seedFlag  = flag.Uint64("seed", 0, "play this seed alone, and print its history")
	seedsFlag = flag.Int("seeds", 800, "how many random schedules TestSeeds plays")
	soakFlag  = flag.Duration("soak", 0, "have TestSoak play new random schedules for so long")
	stopFlag  = flag.Bool("stop", false, "end the whole run at the first violation")
	onlyFlag  = flag.String("only", "", "play only the schedules whose line fits this regular expression")
	thinFlag  = flag.Int("thin", 1, "play one schedule of so many")
)

func TestMain(m *testing.M) {
	flag.Parse()
	// A schedule makes much garbage and keeps little: collected often, it would
	// take a third of the time.
	debug.SetGCPercent(1600)
	status := m.Run()
	tally.print()
	os.Exit(status)
}

// tally counts what was played, by what went wrong and in which scene.
var tally = &table{counts: map[string]map[string]int{}}

type table struct {
	mu     sync.Mutex
	counts map[string]map[string]int // what, then scene
	busy   time.Duration
}

func (t *table) add(s *schedule) {
	t.mu.Lock()
	defer t.mu.Unlock()
	what := s.kind
	if t.counts[what] == nil {
		t.counts[what] = map[string]int{}
	}
	t.counts[what][s.scene.name]++
}

func (t *table) took(d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.busy += d
}

// column is the letter, or digit, of the nth scene; of a later one with a stroke.
func column(n int) string {
	const all = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	return all[n%len(all):][:1] + strings.Repeat("'", n/len(all))
}

// print writes the table: a line for what went wrong, a column for each scene.
func (t *table) print() {
	all := 0
	scenes := scenes()
	var out strings.Builder
	for i, s := range scenes {
		fmt.Fprintf(&out, "%4s  %s\n", column(i), s.name)
	}
	fmt.Fprintf(&out, "%-34s", "schedules")
	for i := range scenes {
		fmt.Fprintf(&out, "%6s", column(i))
	}
	out.WriteString("    all\n")
	for _, what := range slices.Sorted(maps.Keys(t.counts)) {
		fmt.Fprintf(&out, "%-34s", what)
		sum := 0
		for _, s := range scenes {
			n := t.counts[what][s.name]
			fmt.Fprintf(&out, "%6d", n)
			sum += n
		}
		fmt.Fprintf(&out, "%7d\n", sum)
		all += sum
	}
	if all == 0 {
		return
	}
	fmt.Printf("%s%d schedules in %s: %.0f a second\n", out.String(), all, t.busy.Round(time.Second), float64(all)/t.busy.Seconds())
}

// house is the one theatre of all tests: they follow one another.
func house(t *testing.T) *theatre {
	if theHouse == nil {
		theHouse = newTheatre(t)
	}
	return theHouse
}

var theHouse *theatre

// sweep plays schedules on all cores. A violation tells the schedule's line,
// how to play it again and its history.
func sweep(t *testing.T, th *theatre, next func() *schedule) {
	t.Helper()
	if *onlyFlag != "" {
		next = only(next, regexp.MustCompile(*onlyFlag))
	}
	start := time.Now()
	var failed atomic.Bool
	t.Run("all", func(t *testing.T) {
		for i := range runtime.GOMAXPROCS(0) {
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				t.Parallel()
				for s := next(); s != nil && !(failed.Load() && *stopFlag); s = next() {
					tally.add(s)
					if found, history := s.play(t, th); len(found) > 0 {
						failed.Store(true)
						tell(t, s, found, history)
					}
				}
			})
		}
	})
	tally.took(time.Since(start))
	if failed.Load() && *stopFlag {
		tally.print()
		os.Exit(1)
	}
}

func only(next func() *schedule, fits *regexp.Regexp) func() *schedule {
	return func() *schedule {
		s := next()
		for s != nil && !fits.MatchString(s.String()) {
			s = next()
		}
		return s
	}
}

func tell(t *testing.T, s *schedule, found []violation, history string) {
	t.Helper()
	var w strings.Builder
	for _, v := range found {
		fmt.Fprintln(&w, v)
	}
	if *stopFlag {
		fmt.Printf("%s\n%sagain: go test ./droplets/release/simulation %s\n", s, &w, s.again())
	}
	t.Errorf("%s\n%sagain: go test ./droplets/release/simulation %s\n%s", s, &w, s.again(), history)
}

// each gives the schedules of a list one by one, to several goroutines.
func each(list []*schedule) func() *schedule {
	var i atomic.Int64
	return func() *schedule {
		n := int(i.Add(1)) - 1
		for ; n < len(list); n = int(i.Add(1)) - 1 {
			if n%(*thinFlag*thinner) == 0 {
				return list[n]
			}
		}
		return nil
	}
}
