package sandbox

import "time"

// A Change is one thing that became different in the account, or was ordered,
// or was done by a machine for who is logged in to it.
type Change struct {
	At   time.Time
	What What
	// Agent is the User-Agent of the call that ordered it, "" for what machines
	// and time do by themselves.
	Agent   string
	Droplet int    // that it is about; of Moved and Ordered moves, where the address leads then, 0 for nowhere
	IP      string // reserved IP that it is about
	Image   int    // snapshot that it is about
	Note    string // tags that a droplet is born with, a tag, a verb, an attempt, the type of an action, a volume
	// Sound says of the droplet that it is active and its boot ended well; Held,
	// that a reserved IP leads to it, or is on its way there.
	Sound, Held bool
}

// What is a kind of change.
type What string

const (
	Created   What = "created"   // Note: its tags
	Powered   What = "powered"   // became active or off; Note: which
	Doomed    What = "doomed"    // its end was ordered
	Destroyed What = "destroyed" // it is gone
	Tagged    What = "tagged"    // Note: the tag
	Untagged  What = "untagged"
	Reserved  What = "reserved" // a reserved IP was made
	Sent      What = "sent"     // a move of a reserved IP was ordered
	Moved     What = "moved"    // a reserved IP leads elsewhere
	Released  What = "released" // a reserved IP was given back
	Imaged    What = "imaged"   // a snapshot of Droplet was made
	Unimaged  What = "unimaged" // a snapshot was deleted
	Provided  What = "provided" // a volume was made; Note: its name, here and with all that is about volumes
	Plugging  What = "plugging" // attaching a volume to Droplet was ordered, or detaching it; Note: the type of the action, and the name
	Attached  What = "attached" // a volume, to Droplet
	Detached  What = "detached" // a volume, from Droplet
	Torn      What = "torn"     // likewise, beside it: it was mounted there
	Ended     What = "ended"    // a volume was deleted
	Ran       What = "ran"      // a verb was asked for; Note: which
	Armed     What = "armed"    // the dead-man switch of Droplet was; Note: the attempt that it goes off against
	Disarmed  What = "disarmed"
	Fired     What = "fired"
	Phased    What = "phased"  // Droplet takes writes, or no more; Note: open, frozen, committed or new
	Mailed    What = "mailed"  // Droplet's Postfix took a mail; Note: all of it
	Relayed   What = "relayed" // the relay took one of Droplet's; Note: its name in the queue
)

// Changes are those since the start, in the order in which they happened. Like
// Requests it forgets the oldest of very many.
func (c *Cloud) Changes() []Change {
	c.lock()
	defer c.unlock()
	return append([]Change(nil), c.changes...)
}

// note keeps a change. The cloud must be locked.
func (c *Cloud) note(ch Change) {
	if d := c.droplet(ch.Droplet); d != nil {
		ch.Sound = !c.real() && d.Status == "active" && c.booted(d, ch.At)
		ch.Held = c.reservedOf(d.ID) != nil || c.expects(d.ID)
	}
	if len(c.changes) >= maxRequests {
		c.changes = c.changes[maxRequests/10:]
	}
	c.changes = append(c.changes, ch)
}

// booted says whether a stub machine's boot had ended well by then.
func (c *Cloud) booted(d *droplet, at time.Time) bool {
	run := c.boot(d)
	return run.ok && !run.ended.IsZero() && !run.ended.After(at)
}

// noteEnd keeps what an action came to.
func (c *Cloud) noteEnd(a *action) {
	ch := Change{At: a.Ends, Agent: a.Agent, Droplet: a.Resource}
	switch a.Type {
	case "create", "power_on", "reboot", "power_cycle":
		ch.What, ch.Note = Powered, "active"
	case "power_off", "shutdown":
		ch.What, ch.Note = Powered, "off"
	case "destroy":
		ch.What = Destroyed
	case "snapshot":
		ch.What, ch.Image = Imaged, a.Image
	default:
		return
	}
	c.note(ch)
}

// noteTags keeps that droplets got a tag or lost one.
func (c *Cloud) noteTag(q *call, what What, tag string, d *droplet) {
	c.note(Change{At: q.now, What: what, Agent: q.UserAgent(), Droplet: d.ID, Note: tag})
}
