package sandbox

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A project is a group of the account's things that somebody made, beside the
// default one, which is there from the start and holds what was put nowhere else.
type project struct {
	ID          string    `json:"id"`
	Name        string    `json:"name"`
	Description string    `json:"description"`
	Purpose     string    `json:"purpose"`
	Environment string    `json:"environment"`
	CreatedAt   time.Time `json:"created_at"`
}

// A resource says that a thing was put into a project.
type resource struct {
	Project    string    `json:"project"`
	AssignedAt time.Time `json:"assigned_at"`
}

func (c *Cloud) projects() []*project {
	made, _ := time.Parse(time.RFC3339, "2025-01-01T00:00:00Z")
	first := &project{ID: defaultProject, Name: "sandbox", Description: "Default project", Purpose: "Just trying out DigitalOcean", Environment: "Development", CreatedAt: made}
	return append([]*project{first}, c.state.Groups...)
}

// projectOf is what a path names; nil for none.
func (c *Cloud) projectOf(q *call) *project {
	id := q.PathValue("id")
	for _, p := range c.projects() {
		if id == p.ID || id == "default" && p.ID == defaultProject {
			return p
		}
	}
	return nil
}

func (p *project) view() obj {
	return obj{
		"id": p.ID, "owner_uuid": accountID, "owner_id": 258992, "name": p.Name, "description": p.Description,
		"purpose": p.Purpose, "environment": p.Environment, "is_default": p.ID == defaultProject,
		"created_at": stamp(p.CreatedAt), "updated_at": stamp(p.CreatedAt),
	}
}

func (c *Cloud) getProjects(q *call) reply {
	list := []obj{}
	for _, p := range c.projects() {
		list = append(list, p.view())
	}
	return page(q, "projects", list)
}

func (c *Cloud) getProject(q *call) reply {
	if p := c.projectOf(q); p != nil {
		return ok(obj{"project": p.view()})
	}
	return notFound()
}

// purposes are those that the API knows; any other one is kept as "Other: …".
func purposes() []string {
	return []string{"Just trying out DigitalOcean", "Class project / Educational purposes", "Website or blog", "Web Application",
		"Service or API", "Mobile Application", "Machine learning / AI / Data processing", "IoT", "Operational / Developer tooling"}
}

func (c *Cloud) postProjects(q *call) reply {
	p := &project{}
	if err := q.decode(p); err != nil {
		return badRequest("The request body is not valid JSON.")
	}
	switch {
	case p.Name == "" || len(p.Name) > 175:
		return badRequest("name must have between 1 and 175 characters")
	case p.Purpose == "" || len(p.Purpose) > 255:
		return badRequest("purpose must have between 1 and 255 characters")
	case len(p.Description) > 255:
		return badRequest("description can have 255 characters")
	case !slices.Contains([]string{"", "Development", "Staging", "Production"}, p.Environment):
		return badRequest("environment must be one of Development, Staging, Production")
	case slices.ContainsFunc(c.projects(), func(o *project) bool { return o.Name == p.Name }):
		return failure(http.StatusConflict, "conflict", "name is already in use")
	}
	if !slices.Contains(purposes(), p.Purpose) {
		p.Purpose = "Other: " + p.Purpose
	}
	if p.Environment == "" {
		p.Environment = "Development"
	}
	p.ID, p.CreatedAt = c.state.uuid(), q.now
	c.state.Groups = append(c.state.Groups, p)
	c.touch()
	return reply{http.StatusCreated, obj{"project": p.view()}}
}

// whereabouts is the id of the project that a thing is in.
func (c *Cloud) whereabouts(urn string) string {
	if r, put := c.state.Projects[urn]; put && r.Project != "" {
		return r.Project
	}
	return defaultProject
}

// things are the URNs of all that projects hold, and since when it is there.
func (c *Cloud) things(q *call) map[string]time.Time {
	all := map[string]time.Time{}
	for _, d := range c.state.Droplets {
		all["do:droplet:"+strconv.Itoa(d.ID)] = d.CreatedAt
	}
	for _, ip := range c.state.Reserved {
		all[urnOfIP(ip.IP)] = ip.Made
	}
	for _, d := range c.state.Domains {
		all["do:domain:"+d.Name] = q.now
	}
	for _, v := range c.state.Volumes {
		all["do:volume:"+v.ID] = v.Made
	}
	for urn := range all {
		if r, put := c.state.Projects[urn]; put {
			all[urn] = r.AssignedAt
		}
	}
	return all
}

// urnOfIP has the old name of reserved IPs, which projects kept.
func urnOfIP(ip string) string { return "do:floatingip:" + ip }

func (c *Cloud) getResources(q *call) reply {
	p := c.projectOf(q)
	if p == nil {
		return notFound()
	}
	return page(q, "resources", c.viewResources(q, p, nil))
}

// postResources moves resources into the project, and answers all that it
// holds: the API wants a token to be able to read what it moves.
func (c *Cloud) postResources(q *call) reply {
	p := c.projectOf(q)
	if p == nil {
		return notFound()
	}
	var in struct {
		Resources []string `json:"resources"`
	}
	if err := q.decode(&in); err != nil {
		return badRequest("The request body is not valid JSON.")
	}
	there, status := c.things(q), map[string]string{}
	for _, urn := range in.Resources {
		kind, _ := splitURN(urn)
		scope := map[string]string{"droplet": "droplet:read", "floatingip": "reserved_ip:read", "domain": "domain:read", "volume": "block_storage:read"}[kind]
		if scope != "" && !c.holds(q, scope) {
			return forbidden()
		}
		switch _, found := there[urn]; {
		case !found:
			status[urn] = "not_found"
		case c.whereabouts(urn) == p.ID:
			status[urn] = "already_assigned"
		default:
			status[urn] = "assigned"
		}
	}
	for urn, how := range status {
		if how == "assigned" {
			c.state.Projects[urn] = resource{p.ID, q.now}
		}
	}
	c.touch()
	return ok(obj{"resources": c.viewResources(q, p, status)})
}

// viewResources are a project's, in the order of their names; status has what
// became of those that a request names.
func (c *Cloud) viewResources(q *call, p *project, status map[string]string) []obj {
	there := c.things(q)
	var urns []string
	for urn := range there {
		if c.whereabouts(urn) == p.ID {
			urns = append(urns, urn)
		}
	}
	for urn, how := range status {
		if how == "not_found" {
			urns = append(urns, urn)
		}
	}
	slices.Sort(urns)
	list := []obj{}
	for _, urn := range urns {
		how, at := "ok", q.now
		if s := status[urn]; s != "" {
			how = s
		}
		if since, found := there[urn]; found {
			at = since
		}
		list = append(list, viewResource(q, urn, at, how))
	}
	return list
}

func viewResource(q *call, urn string, at time.Time, status string) obj {
	kind, id := splitURN(urn)
	path := map[string]string{"droplet": "droplets", "floatingip": "floating_ips", "domain": "domains", "volume": "volumes"}[kind]
	return obj{"urn": urn, "assigned_at": stamp(at), "status": status, "links": obj{"self": fmt.Sprintf("%s/v2/%s/%s", q.base(), path, id)}}
}

func splitURN(urn string) (kind, id string) {
	parts := strings.SplitN(urn, ":", 3)
	if len(parts) != 3 || parts[0] != "do" {
		return "", urn
	}
	return parts[1], parts[2]
}
