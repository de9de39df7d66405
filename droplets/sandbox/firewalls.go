package sandbox

import (
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// A firewall lets through what its rules allow and nothing else, for the
// droplets that it names and those that carry one of its tags.
type firewall struct {
	ID         string   `json:"id"`
	Name       string   `json:"name"`
	Status     string   `json:"status"`
	CreatedAt  string   `json:"created_at"`
	Inbound    []rule   `json:"inbound_rules"`
	Outbound   []rule   `json:"outbound_rules"`
	DropletIDs []int    `json:"droplet_ids"`
	Tags       []string `json:"tags"`
	Pending    []obj    `json:"pending_changes"`
}

type rule struct {
	Protocol     string  `json:"protocol"`
	Ports        text    `json:"ports"`
	Sources      *target `json:"sources,omitempty"`
	Destinations *target `json:"destinations,omitempty"`
}

type target struct {
	Addresses     []string `json:"addresses,omitempty"`
	DropletIDs    []int    `json:"droplet_ids,omitempty"`
	LoadBalancers []string `json:"load_balancer_uids,omitempty"`
	Kubernetes    []string `json:"kubernetes_ids,omitempty"`
	Tags          []string `json:"tags,omitempty"`
}

func (c *Cloud) wall(id string) *firewall {
	for _, w := range c.state.Walls {
		if w.ID == id {
			return w
		}
	}
	return nil
}

func (c *Cloud) getFirewalls(q *call) reply {
	list := []*firewall{}
	for _, w := range c.state.Walls {
		list = append(list, c.viewFirewall(q, w))
	}
	return page(q, "firewalls", list)
}

// viewFirewall leaves out what the token may not read.
func (c *Cloud) viewFirewall(q *call, w *firewall) *firewall {
	v := *w
	if !c.holds(q, "tag:read") {
		v.Tags = []string{}
	}
	if !c.holds(q, "droplet:read") {
		v.DropletIDs = []int{}
	}
	return &v
}

// mayTag tells whether the token may name the tags that a firewall is to have.
func (c *Cloud) mayTag(q *call, w *firewall) bool {
	return len(w.Tags) == 0 || c.holds(q, "tag:create") && c.holds(q, "tag:read")
}

func (c *Cloud) getFirewall(q *call) reply {
	if w := c.wall(q.PathValue("id")); w != nil {
		return ok(obj{"firewall": c.viewFirewall(q, w)})
	}
	return notFound()
}

func (c *Cloud) postFirewalls(q *call) reply {
	w, fault := c.readFirewall(q)
	if fault != "" {
		return badRequest(fault)
	}
	if !c.mayTag(q, w) {
		return forbidden()
	}
	for _, o := range c.state.Walls {
		if o.Name == w.Name {
			return failure(http.StatusConflict, "conflict", "duplicate name")
		}
	}
	w.ID, w.CreatedAt = c.state.uuid(), stamp(q.now)
	c.state.Walls = append(c.state.Walls, w)
	c.touch()
	return reply{http.StatusAccepted, obj{"firewall": c.viewFirewall(q, w)}}
}

// putFirewall replaces a firewall; what is not given goes back to its default.
func (c *Cloud) putFirewall(q *call) reply {
	w := c.wall(q.PathValue("id"))
	if w == nil {
		return notFound()
	}
	in, fault := c.readFirewall(q)
	if fault != "" {
		return badRequest(fault)
	}
	if !c.mayTag(q, in) {
		return forbidden()
	}
	in.ID, in.CreatedAt = w.ID, w.CreatedAt
	*w = *in
	c.touch()
	return ok(obj{"firewall": c.viewFirewall(q, w)})
}

func (c *Cloud) deleteFirewall(q *call) reply {
	w := c.wall(q.PathValue("id"))
	if w == nil {
		return notFound()
	}
	c.state.Walls = slices.DeleteFunc(c.state.Walls, func(o *firewall) bool { return o == w })
	c.touch()
	return noContent()
}

// firewallMembers adds (POST) or takes away (DELETE) droplets or tags.
func (c *Cloud) firewallMembers(q *call) reply {
	w := c.wall(q.PathValue("id"))
	if w == nil {
		return notFound()
	}
	var in firewall
	if err := q.decode(&in); err != nil {
		return badRequest("The request body is not valid JSON.")
	}
	next := *w
	if q.Method == http.MethodDelete {
		next.DropletIDs = without(w.DropletIDs, in.DropletIDs)
		next.Tags = without(w.Tags, in.Tags)
	} else {
		next.DropletIDs = append(without(w.DropletIDs, in.DropletIDs), in.DropletIDs...)
		next.Tags = append(without(w.Tags, in.Tags), in.Tags...)
	}
	if fault := c.checkMembers(&next); fault != "" {
		return badRequest(fault)
	}
	*w = next
	c.touch()
	return noContent()
}

// firewallRules adds (POST) or takes away (DELETE) rules; a rule is known by
// all that it says.
func (c *Cloud) firewallRules(q *call) reply {
	w := c.wall(q.PathValue("id"))
	if w == nil {
		return notFound()
	}
	var in firewall
	if err := q.decode(&in); err != nil || len(in.Inbound)+len(in.Outbound) == 0 {
		return badRequest("firewall must have at least one rule")
	}
	next := *w
	next.Inbound, next.Outbound = withoutRules(w.Inbound, in.Inbound), withoutRules(w.Outbound, in.Outbound)
	if q.Method == http.MethodPost {
		next.Inbound, next.Outbound = append(next.Inbound, in.Inbound...), append(next.Outbound, in.Outbound...)
	}
	if fault := checkRules(&next); fault != "" {
		return badRequest(fault)
	}
	*w = next
	c.touch()
	return noContent()
}

func withoutRules(list, gone []rule) []rule {
	return slices.DeleteFunc(slices.Clone(list), func(r rule) bool {
		return slices.ContainsFunc(gone, func(o rule) bool { return reflect.DeepEqual(r, o) })
	})
}

// getDropletFirewalls lists those that hold for a droplet.
func (c *Cloud) getDropletFirewalls(q *call) reply {
	d := c.dropletOf(q)
	if d == nil {
		return notFound()
	}
	return page(q, "firewalls", slices.DeleteFunc(slices.Clone(c.state.Walls), func(w *firewall) bool { return !w.holds(d) }))
}

// holds says whether a firewall is one of a droplet's.
func (w *firewall) holds(d *droplet) bool {
	return slices.Contains(w.DropletIDs, d.ID) || slices.ContainsFunc(d.Tags, func(t string) bool { return slices.Contains(w.Tags, t) })
}

func without[T comparable](list, gone []T) []T {
	return slices.DeleteFunc(slices.Clone(list), func(v T) bool { return slices.Contains(gone, v) })
}

func (c *Cloud) readFirewall(q *call) (*firewall, string) {
	w := &firewall{Status: "succeeded"}
	if err := q.decode(w); err != nil {
		return nil, "invalid JSON"
	}
	w.Status, w.Pending = "succeeded", []obj{}
	w.DropletIDs, w.Tags = orEmpty(w.DropletIDs), orEmpty(w.Tags)
	w.Inbound, w.Outbound = orEmpty(w.Inbound), orEmpty(w.Outbound)
	if len(w.Name) < 2 || !only(w.Name, ".-") || !alphanumeric(w.Name[0]) {
		return nil, "firewall must have a valid name"
	}
	if fault := checkRules(w); fault != "" {
		return nil, fault
	}
	return w, c.checkMembers(w)
}

func checkRules(w *firewall) string {
	switch n := len(w.Inbound) + len(w.Outbound); {
	case n == 0:
		return "firewall must have at least one rule"
	case n > 50:
		return "firewall cannot have more than 50 rules"
	}
	for _, r := range append(slices.Clone(w.Inbound), w.Outbound...) {
		if !slices.Contains([]string{"tcp", "udp", "icmp"}, r.Protocol) {
			return fmt.Sprintf("invalid protocol %q", r.Protocol)
		}
	}
	return ""
}

// checkMembers wants droplets and tags that exist: unlike a droplet's, the
// tags of a firewall are not made on the fly.
func (c *Cloud) checkMembers(w *firewall) string {
	if len(w.DropletIDs) > 10 || len(w.Tags) > 5 {
		return "firewall cannot have more than 10 droplets or 5 tags"
	}
	for _, id := range w.DropletIDs {
		if c.droplet(id) == nil {
			return fmt.Sprintf("droplet %d could not be found", id)
		}
	}
	for _, t := range w.Tags {
		if c.tag(t) == nil {
			return fmt.Sprintf("tag %q does not exist", t)
		}
	}
	return ""
}

// admits says whether the firewalls of a droplet let the internet reach a
// TCP port. Without a firewall everything is open.
func (c *Cloud) admits(d *droplet, port int) bool {
	walled := false
	for _, w := range c.state.Walls {
		if !w.holds(d) {
			continue
		}
		walled = true
		if slices.ContainsFunc(w.Inbound, func(r rule) bool { return r.covers(port) }) {
			return true
		}
	}
	return !walled
}

// covers reads ports: "22", "8000-9000", and "0" or "all" for every port.
func (r rule) covers(port int) bool {
	if r.Protocol != "tcp" || r.Sources == nil || len(r.Sources.Addresses) == 0 {
		return false
	}
	if r.Ports == "0" || r.Ports == "all" {
		return true
	}
	low, high, isRange := strings.Cut(string(r.Ports), "-")
	if !isRange {
		return low == strconv.Itoa(port)
	}
	return number(low, 1) <= port && port <= number(high, 0)
}
