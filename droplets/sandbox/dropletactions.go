package sandbox

import (
	"net/http"
	"slices"
)

func (c *Cloud) getDropletActions(q *call) reply {
	d := c.dropletOf(q)
	if d == nil {
		return notFound()
	}
	list := c.newest(func(a *action) bool { return a.Resource == d.ID && a.ResourceType == "droplet" })
	return page(q, "actions", c.viewActions(list, "droplet"))
}

func (c *Cloud) getDropletAction(q *call) reply {
	id, droplet := number(q.PathValue("action"), 0), number(q.PathValue("id"), 0)
	return c.oneAction(func(a *action) bool {
		return a.ID == id && a.Resource == droplet && a.ResourceType == "droplet"
	})
}

type dropletAction struct {
	Type string `json:"type"`
	Name string `json:"name"`
}

func (c *Cloud) postDropletAction(q *call) reply {
	d := c.dropletOf(q)
	if d == nil {
		return notFound()
	}
	var in dropletAction
	if err := q.decode(&in); err != nil {
		return badRequest("The request body is not valid JSON.")
	}
	a, fault := c.act(q, d, in)
	if fault != "" {
		return unprocessable(fault)
	}
	return reply{http.StatusCreated, obj{"action": a}}
}

// postTaggedActions does the same to all that carry a tag.
func (c *Cloud) postTaggedActions(q *call) reply {
	tag := q.URL.Query().Get("tag_name")
	var in dropletAction
	if err := q.decode(&in); err != nil || tag == "" {
		return badRequest("a type and a tag_name are required")
	}
	list := []obj{}
	for _, d := range slices.Clone(c.state.Droplets) {
		if !slices.Contains(d.Tags, tag) {
			continue
		}
		if a, fault := c.act(q, d, in); fault == "" {
			list = append(list, a)
		}
	}
	return reply{http.StatusCreated, obj{"actions": list}}
}

// act starts an action of a droplet and shows it as it starts.
func (c *Cloud) act(q *call, d *droplet, in dropletAction) (obj, string) {
	if c.pending(d.ID) != nil || c.plugging(d.ID) != nil {
		return nil, pendingEvent
	}
	if fault := refuses(d, in); fault != "" {
		return nil, fault
	}
	a := c.start(q, action{Type: in.Type, Resource: d.ID, ResourceType: "droplet", Region: d.Region, Arg: in.Name}, c.opt.Latency.Power)
	v := c.viewAction(a)
	c.settle(q.now)
	return v, ""
}

// refuses says why an action cannot be done, or nothing. What would need a
// real machine (rebuild, resize, restore) is not done at all.
func refuses(d *droplet, in dropletAction) string {
	off := d.Status == "off"
	switch in.Type {
	case "power_off", "shutdown", "reboot":
		if off {
			return "Droplet is currently powered off."
		}
	case "rename":
		return checkNames([]string{in.Name})
	case "snapshot":
		if in.Name == "" {
			return "Name can't be blank"
		}
	// A droplet that is on takes power_on too: clients make sure with it.
	case "power_on", "power_cycle", "enable_ipv6", "enable_backups", "disable_backups", "password_reset":
	default:
		return "You specified an invalid action type."
	}
	return ""
}
