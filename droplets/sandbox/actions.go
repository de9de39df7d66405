package sandbox

import (
	"slices"
	"strconv"
	"time"
)

const (
	inProgress = "in-progress"
	completed  = "completed"
	errored    = "errored"
)

// An action is something that takes time. Its effect happens when the cloud
// is looked at after Ends.
type action struct {
	ID      int       `json:"id"`
	Status  string    `json:"status"`
	Type    string    `json:"type"`
	Started time.Time `json:"started"`
	Ends    time.Time `json:"ends"`
	// Resource is a droplet's id, or the number of a reserved IP or a volume.
	Resource     int     `json:"resource"`
	ResourceType string  `json:"resource_type"`
	Region       string  `json:"region"`
	Outcome      Outcome `json:"outcome,omitempty"`
	Arg          string  `json:"arg,omitempty"`     // new name, name of a snapshot
	IP           string  `json:"ip,omitempty"`      // of a reserved IP's action
	Droplet      int     `json:"droplet,omitempty"` // that the IP goes to, or that the volume is attached to or detached from
	Volume       string  `json:"volume,omitempty"`  // id, of a volume's action
	Image        int     `json:"image,omitempty"`   // that a snapshot makes
	Agent        string  `json:"agent,omitempty"`   // User-Agent of who ordered it

	carried bool   // Machines are carrying it out
	fault   string // why they could not
}

const never = 100 * 365 * 24 * time.Hour

// start begins an action; what a fault of the call says of its end is in it.
func (c *Cloud) start(q *call, a action, takes time.Duration) *action {
	if q.fault.Action == Stuck {
		takes = never
	}
	a.ID, a.Status, a.Agent = c.state.id(), inProgress, q.UserAgent()
	a.Started, a.Ends, a.Outcome = q.now, q.now.Add(takes), q.fault.Action
	c.state.Actions = append(c.state.Actions, &a)
	c.touch()
	if takes > 0 && takes < never {
		c.wakeAt(a.Ends)
	}
	return &a
}

// pending is the action that is in progress with a droplet, nil without one.
func (c *Cloud) pending(droplet int) *action {
	return c.underWay(func(a *action) bool { return a.ResourceType == "droplet" && a.Resource == droplet })
}

// underWay is the first action in progress that fits, nil without one.
func (c *Cloud) underWay(fits func(*action) bool) *action {
	for _, a := range c.state.Actions {
		if a.Status == inProgress && fits(a) {
			return a
		}
	}
	return nil
}

// newest are the actions that fit, as the API lists them: the newest first.
func (c *Cloud) newest(fits func(*action) bool) []*action {
	list := []*action{}
	for _, a := range slices.Backward(c.state.Actions) {
		if fits(a) {
			list = append(list, a)
		}
	}
	return list
}

// settle lets everything happen that was due by now, in the order of time.
// The cloud must be locked. It is cheap when nothing is due.
func (c *Cloud) settle(now time.Time) {
	for {
		var due *action
		for _, a := range c.state.Actions {
			if a.Status == inProgress && !a.carried && !a.Ends.After(now) && (due == nil || a.Ends.Before(due.Ends)) {
				due = a
			}
		}
		if due == nil {
			break
		}
		c.leases(due.Ends)
		if !c.hand(due) {
			c.finish(due)
		}
	}
	c.leases(now)
	c.settleCertificates(now)
}

// finish ends an action, with its effect unless a fault says otherwise.
func (c *Cloud) finish(a *action) {
	a.Status = completed
	switch {
	case a.Outcome == Errored, a.fault != "":
		a.Status = errored
	case a.Outcome == "", a.Outcome == Lost:
		c.effect(a)
	}
	if ip := c.reserved(a.IP); ip != nil && a.ResourceType == "reserved_ip" {
		ip.Locked = false
	}
	c.touch()
}

// effect is what an action does when it ends.
func (c *Cloud) effect(a *action) {
	switch a.ResourceType {
	case "reserved_ip":
		c.moveIP(a)
		return
	case "volume":
		c.plug(a)
		return
	}
	d := c.droplet(a.Resource)
	if d == nil {
		return
	}
	switch a.Type {
	case "create":
		d.start()
		c.powerOn(d, a.Ends)
	case "destroy":
		c.destroy(d, a)
	case "power_off", "shutdown":
		d.Status = "off"
		c.powerOff(d, a.Ends)
	case "power_on":
		if d.Status == "off" {
			d.start()
			c.powerOn(d, a.Ends)
		}
	case "reboot", "power_cycle":
		d.start()
		c.powerOff(d, a.Ends)
		c.powerOn(d, a.Ends)
	case "rename":
		d.Name = a.Arg
	case "snapshot":
		c.snapshot(d, a)
	}
	c.noteEnd(a)
}

// start makes a droplet active, unless its machine has stopped by itself.
func (d *droplet) start() {
	d.Status = "active"
	if d.stopped {
		d.Status = "off"
	}
	d.stopped = false
}

func (c *Cloud) getActions(q *call) reply {
	list := slices.Clone(c.state.Actions)
	slices.Reverse(list) // newest first, as everywhere with actions
	return page(q, "actions", c.viewActions(list, ""))
}

func (c *Cloud) getAction(q *call) reply {
	id := number(q.PathValue("id"), 0)
	return c.oneAction(func(a *action) bool { return a.ID == id })
}

// oneAction answers the action that fits.
func (c *Cloud) oneAction(fits func(*action) bool) reply {
	i := slices.IndexFunc(c.state.Actions, fits)
	if i < 0 || c.state.Actions[i].Outcome == Lost {
		return notFound()
	}
	return ok(obj{"action": c.viewAction(c.state.Actions[i])})
}

// viewActions shows the actions of one kind of resource, or of all.
func (c *Cloud) viewActions(list []*action, kind string) []obj {
	out := []obj{}
	for _, a := range list {
		if (kind == "" || a.ResourceType == kind) && a.Outcome != Lost {
			out = append(out, c.viewAction(a))
		}
	}
	return out
}

func (c *Cloud) viewAction(a *action) obj {
	v := obj{
		"id":            a.ID,
		"status":        a.Status,
		"type":          a.Type,
		"started_at":    stamp(a.Started),
		"completed_at":  nil,
		"resource_id":   a.Resource,
		"resource_type": a.ResourceType,
		"region":        c.shelf.region(a.Region),
		"region_slug":   a.Region,
	}
	if a.Status != inProgress {
		v["completed_at"] = stamp(a.Ends)
	}
	return v
}

// link points to an action, for those who wait for it.
func (q *call) link(rel, kind string, id int) obj {
	return obj{"id": id, "rel": rel, "href": q.base() + "/v2/" + kind + "/" + strconv.Itoa(id)}
}
