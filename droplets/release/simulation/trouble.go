package simulation

import (
	"net/http"
	"time"

	"cattle/droplets/sandbox"
)

// A trouble is one thing that goes wrong at a point.
type trouble struct {
	name string
	// fault makes it, for an operator.
	fault func(*Bench, *actor) sandbox.Fault
	fits  func(Point) bool // nil: every point
	// What the checker has to know of it.
	traits
}

// traits are what a schedule does to the operators, beside what the cloud does.
type traits struct {
	kills bool // somebody dies
	hand  bool // somebody else changes the site
	lies  bool // lists are stale: the lock needs ones that are right
	stuck bool // an order never ends: nobody can do more than to say so
}

func (t traits) and(o traits) traits {
	return traits{t.kills || o.kills, t.hand || o.hand, t.lies || o.lies, t.stuck || o.stuck}
}

func plain(f sandbox.Fault) func(*Bench, *actor) sandbox.Fault {
	return func(*Bench, *actor) sandbox.Fault { return f }
}

func writes(p Point) bool  { return !p.reads() && !p.ssh() }
func reads(p Point) bool   { return p.reads() && !p.ssh() }
func overAPI(p Point) bool { return !p.ssh() }
func overSSH(p Point) bool { return p.ssh() }

// acts are the calls that start an action.
func acts(p Point) bool {
	return p.Method == http.MethodPost && p.Route != "/v2/tags" && p.Route != "/v2/tags/*/resources"
}

// faults are all that the cloud and droplets can do wrong with a call.
func faults() []trouble {
	pending := sandbox.PendingEvent(1)
	again := pending
	again.Count = 15
	return []trouble{
		// One failure of a read is repeated, and nothing to speak of.
		{name: "500 before", fault: plain(sandbox.Fault{Status: 500}), fits: writes},
		{name: "500 after", fault: plain(sandbox.Fault{Status: 500, After: true}), fits: writes},
		{name: "502 after", fault: plain(sandbox.Fault{Status: 502, After: true}), fits: acts},
		{name: "500 from here on", fault: plain(sandbox.Fault{Status: 500, Count: 8}), fits: overAPI},
		{name: "reset before", fault: plain(sandbox.Fault{Reset: true}), fits: overAPI},
		{name: "reset after", fault: plain(sandbox.Fault{Reset: true, After: true}), fits: overAPI},
		{name: "timeout", fault: plain(sandbox.Fault{Delay: 3 * time.Minute}), fits: overAPI},
		{name: "slow", fault: plain(sandbox.Fault{Delay: 40 * time.Second}), fits: overAPI},
		{name: "429", fault: plain(sandbox.TooManyRequests("", "", 3*time.Second)), fits: writes},
		{name: "429, no word of when", fault: plain(sandbox.TooManyRequests("", "", 0)), fits: overAPI},
		{name: "429 for long", fault: plain(sandbox.Fault{Status: 429, Count: 12}), fits: overAPI},
		{name: "422 pending", fault: plain(pending), fits: writes},
		{name: "422 for a minute", fault: plain(again), fits: writes},
		{name: "403", fault: plain(sandbox.Fault{Status: 403}), fits: overAPI},
		{name: "403 from here on", fault: plain(sandbox.Fault{Status: 403, Count: -1}), fits: overAPI},
		// A DELETE that is not found is done: nobody could tell a lie from that.
		{name: "404", fault: plain(sandbox.Fault{Status: 404}), fits: func(p Point) bool { return overAPI(p) && p.Method != http.MethodDelete }},
		{name: "stale", fault: plain(sandbox.Fault{Stale: 2 * time.Minute}), fits: reads, traits: traits{lies: true}},
		{name: "action errored", fault: plain(sandbox.Fault{Action: sandbox.Errored}), fits: acts},
		{name: "action does nothing", fault: plain(sandbox.Fault{Action: sandbox.NoOp}), fits: acts},
		{name: "action stuck", fault: plain(sandbox.Fault{Action: sandbox.Stuck}), fits: acts, traits: traits{stuck: true}},
		{name: "action lost", fault: plain(sandbox.Fault{Action: sandbox.Lost}), fits: acts},
		{name: "verb cut before", fault: plain(sandbox.Fault{Reset: true}), fits: overSSH},
		{name: "verb cut after", fault: plain(sandbox.Fault{Reset: true, After: true}), fits: overSSH},
		{name: "verb fails", fault: plain(sandbox.Fault{Status: 1}), fits: overSSH},
		{name: "verb fails after", fault: plain(sandbox.Fault{Status: 1, After: true}), fits: overSSH},
		{name: "verb hangs", fault: plain(sandbox.Fault{Delay: 2 * time.Hour}), fits: overSSH},
		{name: "verb hangs in its answer", fault: plain(sandbox.Fault{Delay: 2 * time.Hour, After: true}), fits: overSSH},
		{name: "verb says nonsense", fault: plain(sandbox.Fault{Answer: "\x1b[31mnonsense{\n"}), fits: overSSH},
	}
}

// crashes kill the operator before and after the effect of a call.
func crashes() []trouble {
	die := func(after bool) func(*Bench, *actor) sandbox.Fault {
		return func(_ *Bench, a *actor) sandbox.Fault {
			return sandbox.Fault{Reset: true, After: after, Strike: a.kill}
		}
	}
	return []trouble{
		{name: "killed before", fault: die(false), traits: traits{kills: true}},
		{name: "killed after", fault: die(true), traits: traits{kills: true}, fits: func(p Point) bool { return !p.reads() }},
	}
}

// interrupts are one Ctrl-C.
func interrupts() []trouble {
	return []trouble{{name: "interrupted", fault: func(_ *Bench, a *actor) sandbox.Fault { return sandbox.Fault{Strike: a.interrupt} }}}
}

// clocks jump: what is wrong from the first call on was wrong before.
func clocks() []trouble {
	jump := func(by time.Duration) func(*Bench, *actor) sandbox.Fault {
		return func(b *Bench, a *actor) sandbox.Fault {
			return sandbox.Fault{Strike: func() {
				b.mark(a.agent, "has his clock jump by %s", by)
				a.skew.ahead.Add(int64(by))
				b.skewed.Store(true)
			}}
		}
	}
	return []trouble{
		{name: "clock jumps 3 h ahead", fault: jump(3 * time.Hour), fits: aboutTheSite},
		{name: "clock jumps 3 h back", fault: jump(-3 * time.Hour), fits: aboutTheSite},
		{name: "clock jumps 5 min ahead", fault: jump(5 * time.Minute), fits: aboutTheSite},
	}
}
