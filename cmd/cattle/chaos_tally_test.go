//go:build chaos && linux

package main

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"text/tabwriter"
	"time"
)

// A chaosTally is what came of all runs so far.
type chaosTally struct {
	mu                    sync.Mutex
	rows                  map[chaosRow]int
	struck, late          int // commands that were hit, or were over before
	violations            int
	shut, dropped         int // runs with the API shut off, or the listener dropping
	slowest               time.Duration
	requests, failed, cut int
	gap                   time.Duration
}

type chaosRow struct{ verb, step, signal string }

func (c *chaosTally) kills() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return int64(c.struck)
}

func (c *chaosTally) judged(j *judge) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.violations += len(j.wrong)
	if !j.hit.struck {
		c.late++
		return
	}
	if c.rows == nil {
		c.rows = map[chaosRow]int{}
	}
	c.rows[chaosRow{j.run.args[0], j.hit.struckIn, j.signal()}]++
	unbroken := true
	if j.run.api.trouble != noTrouble {
		c.shut, unbroken = c.shut+1, false
	}
	if j.run.socks.trouble != noTrouble {
		c.dropped, unbroken = c.dropped+1, false
	}
	if unbroken && j.run.hit.signal != syscall.SIGKILL {
		c.slowest = max(c.slowest, j.hit.to.Sub(j.hit.struckAt))
	}
	if c.struck++; c.struck%20 == 0 {
		fmt.Printf("chaos: %d kills, %d violations\n", c.struck, c.violations)
	}
}

func (c *chaosTally) visited(v *visitors) {
	v.mu.Lock()
	defer v.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.requests, c.failed, c.cut, c.gap = c.requests+v.requests, c.failed+v.failed, c.cut+v.cut, max(c.gap, v.gap)
}

// signal is what the command was hit by, in a word.
func (j *judge) signal() string {
	name := map[syscall.Signal]string{syscall.SIGKILL: "KILL", syscall.SIGINT: "INT", syscall.SIGTERM: "TERM", syscall.SIGHUP: "HUP"}[j.run.hit.signal]
	if j.leftNow {
		name += " twice"
	}
	return name
}

func (c *chaosTally) print(took time.Duration, seed uint64) {
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
		c.struck, took.Round(time.Second), c.late, c.violations, c.requests, c.failed, c.cut, c.gap.Milliseconds())
	fmt.Printf("chaos: API shut off %d times, listener dropped %d times; longest from an interrupt to the end, ways unbroken: %s; seed %d\n",
		c.shut, c.dropped, seconds(c.slowest), seed)
}
