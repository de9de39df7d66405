package sandbox

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Kind is a way in which a release is broken.
type Kind string

const (
	Healthy      Kind = "healthy"       // answers 200
	NeverHealthy Kind = "never-healthy" // answers 503
	Slow         Kind = "slow"          // answers 200 after 10 s
	FailsLater   Kind = "fails-later"   // answers 500 once it has run for After
	FailsSome    Kind = "fails-some"    // answers 500 to every fifth request once it has run for After
	Restarts     Kind = "restarts"      // the first service restarts every 5 s once it has run for After
	ExitsLater   Kind = "exits-later"   // the first service has exited once it has run for After
	FailsLive    Kind = "fails-live"    // answers 500 through a reserved IP, 200 on the droplet's own address
	WrongVersion Kind = "wrong-version" // the attempt's path answers another id
	Exited       Kind = "exited"        // the first service has exited, with Exit
	Unhealthy    Kind = "unhealthy"     // the first service runs and fails its own health check
	OpenPort     Kind = "open-port"     // publishes Port, 5432, to the world
	FailsStep    Kind = "fails-step"    // the boot step Step fails
	HangsStep    Kind = "hangs-step"    // the boot step Step never ends
	Babbles      Kind = "babbles"       // says Babble in all that it says; with Step, as that boot step fails
)

// Babble is text that no terminal should be given: it sets the title, clears the
// screen and the line, forges a line of cattle's and turns the text round.
const Babble = "\x1b]0;BABBLE\a\x1b[2J\u009b2J\r\x1b[K\x1b[31m\u202e\u2028\x00\xff\ncattle: error: BABBLE\ncattle: hint: BABBLE\n"

// A Behaviour is what a release does on every droplet that it is on.
type Behaviour struct {
	Kind  Kind          `json:"kind"`
	After time.Duration `json:"after,omitempty"` // of those that begin later, default 30 s
	Step  string        `json:"step,omitempty"`  // of FailsStep, HangsStep and Babbles
	Port  int           `json:"port,omitempty"`  // of OpenPort, default 5432
	Tail  string        `json:"tail,omitempty"`  // the last words of FailsStep
	Exit  int           `json:"exit,omitempty"`  // status of Exited and ExitsLater, default 1
}

// slowAnswer is how long a slow release takes: longer than a check should wait.
const slowAnswer = 10 * time.Second

// ParseBehaviour reads RELEASE=KIND or RELEASE=KIND:ARGUMENT, where the
// argument is a duration (fails-later and the like), a step (fails-step, which
// takes its last words behind it; hangs-step, babbles), a port (open-port) or an
// exit status (exited), as in "v1.2.0=never-healthy", "v1.3.0=fails-later:1m" or
// "v1.4.0=fails-step:packages:E: Unable to locate package cowsay".
func ParseBehaviour(s string) (release string, b Behaviour, err error) {
	release, rest, found := strings.Cut(s, "=")
	if !found || release == "" {
		return "", b, fmt.Errorf("behaviour %q: want RELEASE=KIND", s)
	}
	kind, arg, _ := strings.Cut(rest, ":")
	b.Kind = Kind(kind)
	switch {
	case arg == "":
	case b.later():
		b.After, err = time.ParseDuration(arg)
	case b.Kind == OpenPort:
		b.Port, err = strconv.Atoi(arg)
	case b.Kind == Exited:
		b.Exit, err = strconv.Atoi(arg)
	default:
		b.Step, b.Tail, _ = strings.Cut(arg, ":")
	}
	if err == nil {
		err = b.check()
	}
	if err != nil {
		return "", Behaviour{}, fmt.Errorf("behaviour %q: %w", s, err)
	}
	return release, b, nil
}

func (b Behaviour) check() error {
	stepped := b.Kind == FailsStep || b.Kind == HangsStep
	switch {
	case !slices.Contains(kinds(), b.Kind):
		return fmt.Errorf("unknown kind %q, want one of %v", b.Kind, kinds())
	case (stepped || b.Kind == Babbles && b.Step != "") && !slices.Contains(stepNames(), b.Step):
		return fmt.Errorf("unknown step %q, want one of %v", b.Step, stepNames())
	case !stepped && b.Kind != Babbles && b.Step != "":
		return fmt.Errorf("%s takes no argument %q", b.Kind, b.Step)
	case b.Kind != FailsStep && b.Tail != "":
		return fmt.Errorf("%s takes no last words %q", b.Kind, b.Tail)
	}
	return nil
}

// later tells a behaviour that begins once the app has run for After.
func (b Behaviour) later() bool {
	return slices.Contains([]Kind{FailsLater, FailsSome, Restarts, ExitsLater}, b.Kind)
}

// begun tells whether one of these has begun, for an app that runs since then.
func (b Behaviour) begun(since, now time.Time) bool { return now.Sub(since) >= b.After }

func kinds() []Kind {
	return []Kind{Healthy, NeverHealthy, Slow, FailsLater, FailsSome, Restarts, ExitsLater, FailsLive, WrongVersion, Exited, Unhealthy, OpenPort, FailsStep, HangsStep, Babbles}
}

// Break makes a release behave in a way, on droplets that are and that will
// be. Only boot steps are decided when a boot begins. Machines that are real do
// what they do, whatever this says.
func (c *Cloud) Break(release string, b Behaviour) {
	if c.real() {
		return
	}
	c.lock()
	defer c.unlock()
	c.broken[release] = b
	c.broadcast()
}

// behaviour is what a droplet's release does.
func (c *Cloud) behaviour(d *droplet) Behaviour {
	b := c.broken[c.seed(d).manifest.Release]
	if b.later() && b.After == 0 {
		b.After = 30 * time.Second
	}
	if b.Kind == OpenPort && b.Port == 0 {
		b.Port = 5432
	}
	if b.Exit == 0 {
		b.Exit = 1
	}
	return b
}
