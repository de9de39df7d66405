package sandbox

import "net/http"

const pendingIP = "The reserved IP already has a pending event."

func (c *Cloud) getReservedActions(q *call) reply {
	ip := c.reserved(q.PathValue("ip"))
	if ip == nil {
		return notFound()
	}
	views := c.viewActions(c.newest(func(a *action) bool { return a.IP == ip.IP }), "reserved_ip")
	for _, v := range views {
		v["resource_type"] = q.ipWord()
	}
	return page(q, "actions", views)
}

func (c *Cloud) getReservedAction(q *call) reply {
	id, ip := number(q.PathValue("action"), 0), q.PathValue("ip")
	a := c.oneAction(func(a *action) bool { return a.ID == id && a.IP == ip })
	if a.status == http.StatusOK {
		c.own(q, a.body.(obj)["action"].(obj))
	}
	return a
}

// postReservedAction moves an address, straight from one droplet to another,
// or takes it from its droplet.
func (c *Cloud) postReservedAction(q *call) reply {
	ip := c.reserved(q.PathValue("ip"))
	if ip == nil {
		return notFound()
	}
	var in struct {
		Type      string `json:"type"`
		DropletID int    `json:"droplet_id"`
	}
	if err := q.decode(&in); err != nil {
		return badRequest("The request body is not valid JSON.")
	}
	if ip.Locked {
		return unprocessable(pendingIP)
	}
	switch in.Type {
	case "assign":
		return c.assign(q, ip, c.droplet(in.DropletID))
	case "unassign":
		return c.unassign(q, ip)
	}
	return unprocessable("You specified an invalid action type.")
}

func (c *Cloud) assign(q *call, ip *reservedIP, d *droplet) reply {
	if d == nil {
		return unprocessable("The Droplet could not be found.")
	}
	if fault := c.cannotTake(d, ip); fault != "" {
		return unprocessable(fault)
	}
	return c.accept(q, c.startAssign(q, ip, d))
}

func (c *Cloud) unassign(q *call, ip *reservedIP) reply {
	if ip.Droplet == 0 {
		return unprocessable("The reserved IP is not assigned to a Droplet.")
	}
	if c.leaving(ip) {
		return unprocessable(pendingEvent)
	}
	ip.Locked = true
	c.note(Change{At: q.now, What: Sent, Agent: q.UserAgent(), IP: ip.IP})
	return c.accept(q, c.start(q, action{Type: "unassign_ip", Resource: ip.Number, ResourceType: "reserved_ip", Region: ip.Region, IP: ip.IP}, c.opt.Latency.Assign))
}

func (c *Cloud) startAssign(q *call, ip *reservedIP, d *droplet) *action {
	ip.Locked = true
	c.note(Change{At: q.now, What: Sent, Agent: q.UserAgent(), IP: ip.IP, Droplet: d.ID})
	return c.start(q, action{Type: "assign_ip", Resource: ip.Number, ResourceType: "reserved_ip", Region: ip.Region, IP: ip.IP, Droplet: d.ID}, c.opt.Latency.Assign)
}

// own adds what only the routes of an address say of its action.
func (c *Cloud) own(q *call, v obj) {
	v["resource_type"], v["project_id"] = q.ipWord(), c.whereabouts(urnOfIP(q.PathValue("ip")))
}

// accept shows an action as it starts, even if it ends at once.
func (c *Cloud) accept(q *call, a *action) reply {
	v := c.viewAction(a)
	c.own(q, v)
	c.settle(q.now)
	return reply{http.StatusCreated, obj{"action": v}}
}

// cannotTake says why a droplet cannot have a reserved IP. Only the first
// text is known; what counts is the status.
func (c *Cloud) cannotTake(d *droplet, ip *reservedIP) string {
	other := c.reservedOf(d.ID)
	switch {
	case c.busy(d) || c.expects(d.ID):
		return pendingEvent
	case c.leaving(ip):
		return pendingEvent
	case ip != nil && ip.Region != d.Region:
		return "The reserved IP and the Droplet must be in the same region."
	case other != nil:
		return "The Droplet already has a reserved IP assigned."
	}
	return ""
}

// leaving says whether something is going on with the droplet that an address
// is to be taken from.
func (c *Cloud) leaving(ip *reservedIP) bool {
	return ip != nil && ip.Droplet != 0 && c.pending(ip.Droplet) != nil
}

// expects says whether an address is on its way to a droplet.
func (c *Cloud) expects(droplet int) bool {
	for _, a := range c.state.Actions {
		if a.Status == inProgress && a.ResourceType == "reserved_ip" && a.Droplet == droplet {
			return true
		}
	}
	return false
}

// moveIP ends an assign or unassign. A droplet that went away in the meantime
// gets nothing.
func (c *Cloud) moveIP(a *action) {
	ip := c.reserved(a.IP)
	if ip == nil {
		return
	}
	if a.Droplet != 0 && c.droplet(a.Droplet) == nil {
		a.Status = errored
		c.lead(ip.IP)
		return
	}
	ip.move(a.Droplet, a.Ends)
	c.note(Change{At: a.Ends, What: Moved, Agent: a.Agent, IP: ip.IP, Droplet: a.Droplet})
}
