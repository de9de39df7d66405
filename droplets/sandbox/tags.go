package sandbox

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// A tag outlives what carries it. Its name keeps the case of its first use.
type tag struct {
	Name string `json:"name"`
	Last int    `json:"last"` // droplet that was tagged last
}

// validTag holds a name to ^[a-zA-Z0-9_\-\:]+$ and 255 characters.
func validTag(name string) bool { return len(name) <= 255 && only(name, "_-:") }

// tag finds a tag by its canonical name, as paths and queries must give it.
func (c *Cloud) tag(name string) *tag {
	for _, t := range c.state.Tags {
		if t.Name == name {
			return t
		}
	}
	return nil
}

// makeTag finds a tag in any case, or makes it.
func (c *Cloud) makeTag(name string) *tag {
	for _, t := range c.state.Tags {
		if strings.EqualFold(t.Name, name) {
			return t
		}
	}
	t := &tag{Name: name}
	c.state.Tags = append(c.state.Tags, t)
	c.touch()
	return t
}

func (c *Cloud) tagDroplet(t *tag, d *droplet) {
	t.Last = d.ID
	if !slices.Contains(d.Tags, t.Name) {
		d.Tags = append(d.Tags, t.Name)
	}
	c.touch()
}

func (c *Cloud) getTags(q *call) reply {
	list := []obj{}
	for _, t := range c.state.Tags {
		list = append(list, c.viewTag(q, t))
	}
	return page(q, "tags", list)
}

func (c *Cloud) getTag(q *call) reply {
	if t := c.tag(q.PathValue("tag")); t != nil {
		return ok(obj{"tag": c.viewTag(q, t)})
	}
	return notFound()
}

func (c *Cloud) postTags(q *call) reply {
	var in struct {
		Name string `json:"name"`
	}
	if err := q.decode(&in); err != nil {
		return badRequest("The request body is not valid JSON.")
	}
	if !validTag(in.Name) {
		return rootCauses(fmt.Sprintf("Error validating resource tag: %q contains invalid characters", in.Name))
	}
	return reply{http.StatusCreated, obj{"tag": c.viewTag(q, c.makeTag(in.Name))}}
}

// deleteTag takes the tag from everything that carries it.
func (c *Cloud) deleteTag(q *call) reply {
	t := c.tag(q.PathValue("tag"))
	if t == nil {
		return notFound()
	}
	for _, d := range c.state.Droplets {
		d.untag(t.Name)
	}
	c.state.Tags = slices.DeleteFunc(c.state.Tags, func(o *tag) bool { return o == t })
	c.touch()
	return noContent()
}

func (d *droplet) untag(name string) {
	// A copy: answers that are being written still hold the old list.
	d.Tags = slices.DeleteFunc(slices.Clone(d.Tags), func(s string) bool { return s == name })
}

// tagResources tags (POST) or untags (DELETE) droplets. Nothing is done
// unless the tag and every resource exist.
func (c *Cloud) tagResources(q *call) reply {
	t := c.tag(q.PathValue("tag"))
	var in struct {
		Resources []struct {
			ID   text   `json:"resource_id"`
			Type string `json:"resource_type"`
		} `json:"resources"`
	}
	if err := q.decode(&in); err != nil || len(in.Resources) == 0 {
		return badRequest("resources is required")
	}
	if t == nil {
		return notFound()
	}
	var list []*droplet
	for _, r := range in.Resources {
		d := c.droplet(number(string(r.ID), 0))
		if r.Type != "droplet" || d == nil {
			return notFound()
		}
		list = append(list, d)
	}
	for _, d := range list {
		if q.Method == http.MethodDelete {
			d.untag(t.Name)
		} else {
			c.tagDroplet(t, d)
		}
	}
	c.touch()
	return noContent()
}

// viewTag counts what carries a tag.
func (c *Cloud) viewTag(q *call, t *tag) obj {
	n := 0
	for _, d := range c.state.Droplets {
		if slices.Contains(d.Tags, t.Name) {
			n++
		}
	}
	droplets := obj{"count": n}
	resources := obj{"count": n, "droplets": droplets}
	if n > 0 {
		uri := q.base() + "/v2/droplets/" + strconv.Itoa(t.Last)
		droplets["last_tagged_uri"], resources["last_tagged_uri"] = uri, uri
	}
	for _, kind := range []string{"images", "volumes", "volume_snapshots", "databases"} {
		resources[kind] = obj{"count": 0}
	}
	return obj{"name": t.Name, "resources": resources}
}
