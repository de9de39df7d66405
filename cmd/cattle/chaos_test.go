//go:build chaos && linux

package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	// chaosSites run beside each other: a release mostly waits.
	chaosSites = 6
	// brokenInChaos never gets healthy.
	brokenInChaos = "v0.0.0-broken"
)

// TestChaos kills and interrupts commands at random moments, as processes of
// their own against a sandbox process, while visitors ask and the ways to the
// sandbox break. After each the harness goes on as a person would: it types
// some command, and what that says to type.
//
// CHAOS_SEED decides what is done to whom and when, CHAOS_KILLS how often, and
// CHAOS_RUN picks one run alone; see the Makefile.
func TestChaos(t *testing.T) {
	c := &chaos{t: t, seed: fromEnv(t, "CHAOS_SEED", uint64(time.Now().UnixNano()%1e9)),
		kills: int64(fromEnv(t, "CHAOS_KILLS", 200)), alone: int64(fromEnv(t, "CHAOS_RUN", 0))}
	sites := chaosSites
	if c.alone != 0 {
		c.next.Store(c.alone - 1)
		sites = 1
	}
	fmt.Printf("chaos: seed %d; to repeat: make chaos SEED=%d\n", c.seed, c.seed)
	start := time.Now()
	var wg sync.WaitGroup
	for i := range sites {
		wg.Go(func() { c.live(i) })
	}
	wg.Wait()
	c.tally.print(time.Since(start), c.seed)
}

// A chaos is all sites together.
type chaos struct {
	t     *testing.T
	seed  uint64
	kills int64        // wanted
	alone int64        // the number of the one run that is wanted; 0: all
	next  atomic.Int64 // run
	tally chaosTally
}

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
		c.play(ctx, s, deal(c.seed, c.number(firsts, i), "release"))
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
	// The standby is from before the certificate, which status tells of; the next
	// one has it.
	if e := s.run(ctx, nil, "release", "--json", s.nextVersion()); e.exit != exitDone {
		c.t.Errorf("the site cannot be made: exit status %d\n%s", e.exit, e.out.text())
		return
	}
	time.Sleep(time.Second) // for what it has destroyed
	s.learn()
	for c.alone < firsts && c.tally.kills() < c.kills {
		c.play(ctx, s, deal(c.seed, c.next.Add(1), dealt()...))
		if c.alone != 0 {
			break
		}
	}
	s.crowd.leave()
	if late := s.crowd.takeComplaints(); len(late) > 0 || s.crowd.requests == 0 {
		c.t.Errorf("%d visits, and after the last run %q", s.crowd.requests, late)
	}
	c.tally.visited(s.crowd)
	if c.wants(ends) {
		c.play(ctx, s, deal(c.seed, c.number(ends, i), "destroy"))
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
	j.named(ctx)
	j.leftAtOnce(ctx)
	j.converge(ctx, r.next)
	if r.args[0] == "destroy" {
		j.gone()
	} else {
		j.settled(ctx)
	}
	j.history()
	c.tally.judged(j)
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
