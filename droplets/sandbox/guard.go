package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"time"
)

// guardPath is the dead-man switch of a droplet, which not every release has.
const guardPath = "/opt/cattle/guard"

// GuardAgent is the User-Agent of a stub machine's dead-man switch.
const GuardAgent = "guard"

// Where a dead-man switch is.
const (
	guardArmed    = "armed"
	guardDisarmed = "disarmed"
	guardFired    = "fired"
	guardIdle     = "idle" // nothing is known of that attempt
)

// The pace of a dead-man switch that fired, the script's own.
const (
	guardPersists = 3 * time.Minute
	guardPause    = 5 * time.Second
	guardTimeout  = 3 * time.Second // of a question
	guardRequest  = 10 * time.Second
	guardLooks    = 3
)

// A guardOrder is what a dead-man switch is armed with.
type guardOrder struct {
	Token   string `json:"token"`
	IP      string `json:"ip"`
	Droplet int    `json:"droplet"` // itself
	Attempt string `json:"attempt"` // what it goes off against
	Seconds int    `json:"seconds"`
}

// A guard is the dead-man switch of a stub machine. It is in the machine's
// memory: gone with its power, and with the sandbox.
type guard struct {
	state   string
	order   guardOrder // without the token, unless it is armed
	said    string     // what its journal says last
	timer   *time.Timer
	machine int
}

// guard arms the machine's dead-man switch, in the place of any before it.
func (s *session) guard() int {
	var o guardOrder
	b, err := io.ReadAll(io.LimitReader(s.stdin, maxInput))
	if err != nil || json.Unmarshal(b, &o) != nil || o.Token == "" || o.IP == "" || o.Droplet == 0 || !attemptID.MatchString(o.Attempt) || o.Seconds <= 0 {
		return s.fail(1, "guard: stdin is no order")
	}
	s.with(func(d *droplet, now time.Time) {
		s.cloud.dropGuard(d.ID)
		g := &guard{state: guardArmed, order: o, machine: d.ID}
		g.timer = time.AfterFunc(time.Duration(o.Seconds)*time.Second, func() { s.cloud.fire(g) })
		s.cloud.guards[d.ID] = g
		s.cloud.note(Change{At: now, What: Armed, Droplet: d.ID, IP: o.IP, Note: o.Attempt})
	})
	fmt.Fprintln(s.stdout, guardArmed)
	return 0
}

// disarm calls the dead-man switch of one attempt off, and tells where it is.
func (s *session) disarm() int {
	b, err := io.ReadAll(io.LimitReader(s.stdin, maxInput))
	attempt := string(bytes.TrimSpace(b))
	if err != nil || !attemptID.MatchString(attempt) {
		return s.fail(1, "disarm: stdin is no attempt")
	}
	state := guardIdle
	s.with(func(d *droplet, now time.Time) {
		g := s.cloud.guards[d.ID]
		if g == nil || g.order.Attempt != attempt {
			return
		}
		if g.state == guardArmed {
			g.timer.Stop()
			g.state, g.order.Token = guardDisarmed, ""
			s.cloud.note(Change{At: now, What: Disarmed, Droplet: d.ID, IP: g.order.IP, Note: attempt})
		}
		state = g.state
	})
	fmt.Fprintln(s.stdout, state)
	return 0
}

var attemptID = regexp.MustCompile(`^[0-9a-f]{16}$`)

// dropGuard forgets a machine's dead-man switch. The cloud must be locked.
func (c *Cloud) dropGuard(machine int) {
	if g := c.guards[machine]; g != nil {
		g.timer.Stop()
		delete(c.guards, machine)
	}
}

// fire lets a dead-man switch go off, unless it was disarmed in time.
func (c *Cloud) fire(g *guard) {
	now := c.lock()
	defer c.unlock()
	if c.closed || c.guards[g.machine] != g || g.state != guardArmed {
		return
	}
	order := g.order
	g.state, g.order.Token = guardFired, ""
	c.note(Change{At: now, What: Fired, Droplet: g.machine, IP: order.IP, Note: order.Attempt})
	c.jobs.Go(func() { c.takeBack(g, order) })
}

// takeBack points the address at the machine again, if it is at the attempt
// that nobody confirmed. It looks anew before each request: somebody else may
// have switched in between.
func (c *Cloud) takeBack(g *guard, o guardOrder) {
	ctx, cancel := context.WithTimeout(c.ctx, guardPersists)
	defer cancel()
	for {
		why, alive := c.noNeed(ctx, g, o)
		if !alive {
			return
		}
		if why == "" {
			if status := c.askFor(ctx, o); status == 401 || status == 403 || status == 404 {
				why = fmt.Sprintf("the API answered %d", status)
			}
		}
		if why != "" {
			c.guardSays(g, why)
			return
		}
		if sleep(ctx, guardPause) != nil {
			c.guardSays(g, "gave up")
			return
		}
	}
}

// noNeed says why there is nothing to take back, "" when there is. A machine
// that has no power any more says nothing.
func (c *Cloud) noNeed(ctx context.Context, g *guard, o guardOrder) (why string, alive bool) {
	c.lock()
	alive = c.guards[g.machine] == g && !c.closed
	ip := c.reservedOf(g.machine)
	c.unlock()
	if ip != nil {
		return "the address is here", alive
	}
	for range guardLooks {
		switch at := c.answering(ctx, o.IP); at {
		case "":
		case o.Attempt:
			return "", alive
		default:
			return "attempt " + at + " answers there", alive
		}
		if sleep(ctx, time.Second) != nil {
			break
		}
	}
	return "", alive
}

// answering is the attempt that answers at an address, "" when none does.
func (c *Cloud) answering(ctx context.Context, ip string) string {
	ctx, cancel := context.WithTimeout(ctx, guardTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+ip+"/.well-known/cattle/attempt", nil)
	if err != nil {
		return ""
	}
	res, err := c.HTTPClient().Do(r)
	if err != nil {
		return ""
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, 64))
	if id := bytes.TrimSpace(b); err == nil && attemptID.Match(id) {
		return string(id)
	}
	return ""
}

// askFor orders the move with the order's token, and returns the API's status,
// 0 without an answer.
func (c *Cloud) askFor(ctx context.Context, o guardOrder) int {
	ctx, cancel := context.WithTimeout(ctx, guardRequest)
	defer cancel()
	body, _ := json.Marshal(obj{"type": "assign", "droplet_id": o.Droplet})
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+apiHost+"/v2/reserved_ips/"+o.IP+"/actions", bytes.NewReader(body))
	if err != nil {
		return 0
	}
	r.Header.Set("Authorization", "Bearer "+o.Token)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", GuardAgent)
	res, err := c.Client().Do(r)
	if err != nil {
		return 0
	}
	res.Body.Close()
	return res.StatusCode
}

func (c *Cloud) guardSays(g *guard, what string) {
	c.lock()
	defer c.unlock()
	g.said = what
}

// viewGuard is a stub's dead-man switch in a word or two, "" without one.
func (c *Cloud) viewGuard(machine int) string {
	g := c.guards[machine]
	if g == nil {
		return ""
	}
	if g.said != "" {
		return g.state + ": " + g.said
	}
	return g.state
}
