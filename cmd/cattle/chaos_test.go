//go:build chaos && linux

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"text/tabwriter"
	"time"
)

const (
	// chaosSites run beside each other: a release mostly waits.
	chaosSites = 6
	// brokenInChaos never gets healthy.
	brokenInChaos = "v0.0.0-broken"
)

// usual is how long the verbs take on a sandbox of `--latency fast`.
func usual() map[string]time.Duration {
	return map[string]time.Duration{"release": 5 * time.Second, "rebuild": 5 * time.Second, "rollback": 2 * time.Second,
		"bake": 6 * time.Second, "gc": 250 * time.Millisecond, "destroy": 350 * time.Millisecond}
}

// TestChaos kills and interrupts commands at random moments, as processes of
// their own against a sandbox process, while visitors ask and the ways to the
// sandbox break. After each the harness goes on as a person would: it types
// some command, and what that says to type.
//
// CHAOS_SEED decides what is done to whom and when, CHAOS_KILLS how often, and
// CHAOS_RUN picks one run alone; see the Makefile.
func TestChaos(t *testing.T) {
	c := &chaos{t: t, seed: fromEnv(t, "CHAOS_SEED", uint64(time.Now().UnixNano()%1e9)), kills: int64(fromEnv(t, "CHAOS_KILLS", 200)),
		alone: int64(fromEnv(t, "CHAOS_RUN", 0)), rows: map[chaosRow]int{}}
	sites := chaosSites
	if c.alone != 0 {
		c.next.Store(c.alone - 1)
		c.kills, sites = 1, 1
	}
	if c.alone >= firsts {
		c.kills = 0
	}
	fmt.Printf("chaos: seed %d; to repeat: make chaos SEED=%d\n", c.seed, c.seed)
	start := time.Now()
	var wg sync.WaitGroup
	for i := range sites {
		wg.Go(func() { c.live(i) })
	}
	wg.Wait()
	c.print(time.Since(start))
}

// A chaos is all sites together.
type chaos struct {
	t     *testing.T
	seed  uint64
	kills int64        // wanted
	alone int64        // the number of the one run that is wanted; 0: all
	next  atomic.Int64 // run
	done  atomic.Int64 // kills so far

	mu                          sync.Mutex
	rows                        map[chaosRow]int
	requests, failed, cut       int
	gap, slowest                time.Duration
	shut, dropped, late, faults int
}

type chaosRow struct{ verb, step, signal string }

func fromEnv(t *testing.T, name string, otherwise uint64) uint64 {
	if os.Getenv(name) == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(os.Getenv(name), 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// live is the life of one site: a first release that is struck, runs under
// load until there were kills enough, and an end that is struck.
func (c *chaos) live(i int) {
	ctx := c.t.Context()
	s := newChaosSite(ctx, c.t)
	if c.wants(firsts) {
		c.play(ctx, s, c.deal(c.number(firsts, i), []string{"release"}))
	}
	for s.look().standbys() == 0 {
		if e := s.run(ctx, nil, "release", "--json", s.nextVersion()); e.exit != exitDone {
			c.t.Errorf("the site cannot be made: exit status %d\n%s", e.exit, e.out.text())
			return
		}
	}
	s.learn()
	if err := s.open(ctx); err != nil {
		c.t.Error(err)
		return
	}
	defer s.crowd.leave()
	for c.done.Load() < c.kills {
		c.play(ctx, s, c.deal(c.next.Add(1), nil))
	}
	s.crowd.leave()
	c.add(s.crowd)
	if c.wants(ends) {
		c.play(ctx, s, c.deal(c.number(ends, i), []string{"destroy"}))
	}
}

// Runs are numbered from 1; those that begin and end a site, from these on.
const (
	firsts = 1_000_000
	ends   = 2_000_000
)

// wants tells whether sites begin, or end, with a run of their own: always, but
// where one run is repeated alone.
func (c *chaos) wants(series int64) bool { return c.alone == 0 || c.alone/firsts == series/firsts }

func (c *chaos) number(series int64, site int) int64 {
	if c.alone != 0 {
		return c.alone
	}
	return series + int64(site)
}

// A chaosRun is what one seed decides.
type chaosRun struct {
	number int64
	args   []string // of the command that is struck; VERSION stands for a fresh one
	hit    strike
	api    outage
	socks  outage
	next   []string // the command that is typed afterwards
}

// An outage begins so long after the command.
type outage struct {
	trouble   trouble
	at, lasts time.Duration
}

// deal makes run number n of the seed, of one of these verbs; nil: of any.
func (c *chaos) deal(n int64, verbs []string) chaosRun {
	rnd := rand.New(rand.NewPCG(c.seed, uint64(n)))
	pick := func(of ...string) string { return of[rnd.IntN(len(of))] }
	span := func(d time.Duration) time.Duration { return time.Duration(rnd.Int64N(int64(d))) }
	if verbs == nil {
		verbs = []string{"release", "release", "release", "release", "broken", "rebuild", "rebuild", "rollback", "rollback", "rollback", "bake", "gc"}
	}
	verb := pick(verbs...)
	r := chaosRun{number: n}
	switch verb {
	case "broken":
		verb = "release"
		r.args = []string{"release", "--json", brokenInChaos}
	case "release":
		r.args = []string{"release", "--json", "VERSION"}
	case "gc":
		r.args = []string{"gc", "--standbys", "--yes"}
	case "destroy":
		r.args = []string{"destroy", "--yes", "--with-ip"}
	default:
		r.args = []string{verb, "--json"}
	}
	r.hit = strike{after: span(usual()[verb]), signal: []syscall.Signal{syscall.SIGKILL, syscall.SIGKILL, syscall.SIGKILL,
		syscall.SIGINT, syscall.SIGINT, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP}[rnd.IntN(8)]}
	if steps := strikeAt()[verb]; steps != nil && rnd.IntN(2) == 0 {
		r.hit.step, r.hit.after = pick(steps...), span(700*time.Millisecond)
	}
	if r.hit.signal == syscall.SIGINT && rnd.IntN(2) == 0 {
		r.hit.second = 20*time.Millisecond + span(time.Second)
	}
	if rnd.IntN(4) == 0 {
		r.api = outage{[]trouble{refused, reset, hanging}[rnd.IntN(3)], span(usual()[verb]), 200*time.Millisecond + span(3*time.Second)}
	}
	if rnd.IntN(6) == 0 {
		r.socks = outage{reset, span(usual()[verb]), 20*time.Millisecond + span(500*time.Millisecond)}
	}
	r.next = [][]string{{"release", "--json", "VERSION"}, {"release", "--json", "VERSION"}, {"rollback", "--json"}, {"rebuild", "--json"}, {"gc"}, {"gc"}}[rnd.IntN(6)]
	if n >= firsts {
		r.next = r.args
	}
	return r
}

// strikeAt are the steps at whose beginning half of the strikes aim: mostly at
// the switch.
func strikeAt() map[string][]string {
	release := []string{"create", "boot", "handoff", "gate", "switch", "switch", "switch", "confirm", "confirm", "certificate", "retire", "retire"}
	return map[string][]string{"release": release, "rebuild": release, "rollback": {"gate", "switch", "switch", "confirm", "retire"},
		"bake": {"strip", "snapshot", "snapshot", "retire"}}
}

// play carries one run out and checks what came of it.
func (c *chaos) play(ctx context.Context, s *chaosSite, r chaosRun) {
	before, began := s.look(), time.Now()
	var troubles sync.WaitGroup
	c.trouble(&troubles, s.api, r.api)
	c.trouble(&troubles, s.socks, r.socks)
	hit := s.run(ctx, &r.hit, s.fill(r.args)...)
	troubles.Wait()
	j := &judge{s: s, run: r, began: began, before: before, hit: hit, all: []*execution{hit}}
	j.struck()
	j.leftAtOnce(ctx)
	j.converge(ctx, r.next)
	if r.args[0] == "destroy" {
		j.gone()
	} else {
		j.settled(ctx)
	}
	j.history()
	c.count(j)
	if len(j.wrong) > 0 {
		c.t.Errorf("%s", j.report(c.seed))
	}
}

func (c *chaos) trouble(wg *sync.WaitGroup, w *wire, o outage) {
	if o.trouble == noTrouble {
		return
	}
	wg.Go(func() {
		time.Sleep(o.at)
		if err := w.suffer(o.trouble, o.lasts); err != nil {
			c.t.Errorf("the wire cannot be mended: %v", err)
		}
	})
}

func (c *chaos) count(j *judge) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.faults += len(j.wrong)
	if !j.hit.struck {
		c.late++
		return
	}
	signal := map[syscall.Signal]string{syscall.SIGKILL: "KILL", syscall.SIGINT: "INT", syscall.SIGTERM: "TERM", syscall.SIGHUP: "HUP"}[j.run.hit.signal]
	if j.leftNow {
		signal += " twice"
	}
	c.rows[chaosRow{j.run.args[0], j.hit.struckIn, signal}]++
	if j.run.api.trouble != noTrouble {
		c.shut++
	} else if j.run.socks.trouble == noTrouble && j.run.hit.signal != syscall.SIGKILL {
		c.slowest = max(c.slowest, j.hit.to.Sub(j.hit.struckAt))
	}
	if j.run.socks.trouble != noTrouble {
		c.dropped++
	}
	if n := c.done.Add(1); n%20 == 0 {
		fmt.Printf("chaos: %d kills, %d violations\n", n, c.faults)
	}
}

func (c *chaos) add(v *visitors) {
	v.mu.Lock()
	defer v.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.requests, c.failed, c.cut, c.gap = c.requests+v.requests, c.failed+v.failed, c.cut+v.cut, max(c.gap, v.gap)
}

func (c *chaos) print(took time.Duration) {
	signals := []string{"KILL", "INT", "INT twice", "TERM", "HUP"}
	var keys []chaosRow
	for k := range c.rows {
		k.signal = ""
		if !slices.Contains(keys, k) {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, func(a, b chaosRow) int { return strings.Compare(a.verb+" "+a.step, b.verb+" "+b.step) })
	t := tabwriter.NewWriter(os.Stdout, 0, 0, 3, ' ', 0)
	fmt.Fprintf(t, "\nverb\tin step\t%s\n", strings.Join(signals, "\t"))
	for _, k := range keys {
		fmt.Fprintf(t, "%s\t%s", k.verb, k.step)
		for _, signal := range signals {
			fmt.Fprintf(t, "\t%d", c.rows[chaosRow{k.verb, k.step, signal}])
		}
		fmt.Fprintln(t)
	}
	t.Flush()
	fmt.Printf("\nchaos: %d kills in %s (%d more came too late), violations %d; requests %d, failed %d, cut by the dropped listener %d, longest gap %d ms\n",
		c.done.Load(), took.Round(time.Second), c.late, c.faults, c.requests, c.failed, c.cut, c.gap.Milliseconds())
	fmt.Printf("chaos: API shut off %d times, listener dropped %d times; longest from an interrupt to the end, ways unbroken: %s; seed %d\n",
		c.shut, c.dropped, seconds(c.slowest), c.seed)
}
