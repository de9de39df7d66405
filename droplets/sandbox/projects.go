package sandbox

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// A resource is a member of the default project, the only one that the
// sandbox has. Everything of the account is in it from the start.
type resource struct {
	AssignedAt time.Time `json:"assigned_at"`
}

func (c *Cloud) viewProject() obj {
	return obj{
		"id": defaultProject, "owner_uuid": accountID, "owner_id": 258992, "name": "sandbox", "description": "Default project",
		"purpose": "Just trying out DigitalOcean", "environment": "Development", "is_default": true,
		"created_at": "2025-01-01T00:00:00Z", "updated_at": "2025-01-01T00:00:00Z",
	}
}

func (c *Cloud) getProjects(q *call) reply { return page(q, "projects", []obj{c.viewProject()}) }

func (c *Cloud) getProject(q *call) reply {
	if !isProject(q) {
		return notFound()
	}
	return ok(obj{"project": c.viewProject()})
}

func isProject(q *call) bool {
	id := q.PathValue("id")
	return id == "default" || id == defaultProject
}

func (c *Cloud) getResources(q *call) reply {
	if !isProject(q) {
		return notFound()
	}
	list := []obj{}
	for _, d := range c.state.Droplets {
		list = append(list, c.viewResource(q, "do:droplet:"+strconv.Itoa(d.ID), d.CreatedAt, "ok"))
	}
	for _, ip := range c.state.Reserved {
		// Projects kept the old name of reserved IPs.
		list = append(list, c.viewResource(q, "do:floatingip:"+ip.IP, ip.Made, "ok"))
	}
	for _, d := range c.state.Domains {
		list = append(list, c.viewResource(q, "do:domain:"+d.Name, q.now, "ok"))
	}
	return page(q, "resources", list)
}

// postResources moves resources into the project.
func (c *Cloud) postResources(q *call) reply {
	if !isProject(q) {
		return notFound()
	}
	var in struct {
		Resources []string `json:"resources"`
	}
	if err := q.decode(&in); err != nil {
		return badRequest("The request body is not valid JSON.")
	}
	list := []obj{}
	for _, urn := range in.Resources {
		status := "assigned"
		if _, there := c.state.Projects[urn]; there {
			status = "already_assigned"
		}
		if !c.exists(urn) {
			status = "not_found"
		} else {
			c.state.Projects[urn] = resource{q.now}
		}
		list = append(list, c.viewResource(q, urn, q.now, status))
	}
	c.touch()
	return ok(obj{"resources": list})
}

func (c *Cloud) viewResource(q *call, urn string, at time.Time, status string) obj {
	if r, there := c.state.Projects[urn]; there {
		at = r.AssignedAt
	}
	kind, id := splitURN(urn)
	path := map[string]string{"droplet": "droplets", "floatingip": "floating_ips", "reservedip": "reserved_ips", "domain": "domains"}[kind]
	return obj{"urn": urn, "assigned_at": stamp(at), "status": status, "links": obj{"self": q.base() + "/v2/" + path + "/" + id}}
}

func splitURN(urn string) (kind, id string) {
	parts := strings.SplitN(urn, ":", 3)
	if len(parts) != 3 || parts[0] != "do" {
		return "", urn
	}
	return parts[1], parts[2]
}

func (c *Cloud) exists(urn string) bool {
	kind, id := splitURN(urn)
	switch kind {
	case "droplet":
		return c.droplet(number(id, 0)) != nil
	case "floatingip", "reservedip":
		return c.reserved(id) != nil
	}
	return kind == "domain" && slices.ContainsFunc(c.state.Domains, func(d *domain) bool { return d.Name == id })
}
