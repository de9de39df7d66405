//go:build chaos && linux

package main

import (
	"math/rand/v2"
	"syscall"
	"time"
)

// A chaosRun is what one number of a seed decides.
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

// commands are what may be struck.
func commands() map[string][]string {
	return map[string][]string{
		"release": {"release", "--json", "VERSION"}, "broken": {"release", "--json", brokenInChaos}, "rebuild": {"rebuild", "--json"},
		"rollback": {"rollback", "--json"}, "bake": {"bake", "--json"}, "gc": {"gc", "--standbys", "--yes"}, "destroy": {"destroy", "--yes", "--with-ip"},
	}
}

// dealt are the commands that a site under load is dealt, each as often as it is here.
func dealt() []string {
	return []string{"release", "release", "release", "release", "broken", "rebuild", "rebuild", "rollback", "rollback", "rollback", "bake", "gc"}
}

// usual is how long the commands take on a sandbox of `--latency fast`.
func usual() map[string]time.Duration {
	return map[string]time.Duration{"release": 4500 * time.Millisecond, "broken": 5 * time.Second, "rebuild": 4500 * time.Millisecond, "rollback": 1800 * time.Millisecond,
		"bake": 5 * time.Second, "gc": 200 * time.Millisecond, "destroy": 350 * time.Millisecond}
}

// aims are the steps at whose beginning half of the strikes aim: mostly at
// the switch. One that is broken never gets far.
func aims() map[string][]string {
	release := []string{"create", "boot", "handoff", "gate", "switch", "switch", "switch", "confirm", "confirm", "certificate", "retire", "retire", "record"}
	return map[string][]string{"release": release, "rebuild": release, "rollback": {"gate", "switch", "switch", "confirm", "retire", "record"},
		"bake": {"strip", "snapshot", "snapshot", "retire"}}
}

// deal makes a run of one of these commands: the same one for the same numbers.
func deal(seed uint64, number int64, of ...string) chaosRun {
	d := dealer{rand.New(rand.NewPCG(seed, uint64(number)))}
	name := oneOf(d, of)
	r := chaosRun{number: number, args: commands()[name], hit: d.strike(name)}
	if d.IntN(4) == 0 {
		r.api = outage{oneOf(d, []trouble{refused, reset, hanging}), d.span(0, usual()[name]), d.span(200*time.Millisecond, 3*time.Second)}
	}
	if d.IntN(6) == 0 {
		r.socks = outage{reset, d.span(0, usual()[name]), d.span(20*time.Millisecond, 500*time.Millisecond)}
	}
	r.next = oneOf(d, [][]string{commands()["release"], commands()["release"], commands()["rollback"], commands()["rebuild"], {"gc"}, {"gc"}})
	if number >= firsts { // a site begins, or ends: with nothing else
		r.next = r.args
	}
	return r
}

type dealer struct{ *rand.Rand }

func oneOf[T any](d dealer, of []T) T { return of[d.IntN(len(of))] }

// span is a time from least on, shorter than least + most.
func (d dealer) span(least, most time.Duration) time.Duration {
	return least + time.Duration(d.Int64N(int64(most)))
}

func (d dealer) strike(name string) strike {
	hit := strike{after: d.span(0, usual()[name]), signal: oneOf(d, []syscall.Signal{syscall.SIGKILL, syscall.SIGKILL, syscall.SIGKILL,
		syscall.SIGINT, syscall.SIGINT, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP})}
	if steps := aims()[name]; steps != nil && d.IntN(2) == 0 {
		hit.step, hit.after = oneOf(d, steps), d.span(0, 700*time.Millisecond)
	}
	if hit.signal == syscall.SIGINT && d.IntN(2) == 0 {
		hit.second = d.span(20*time.Millisecond, time.Second)
	}
	return hit
}
