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
	Name      string `json:"name"`
	Last      int    `json:"last"` // droplet that was tagged last
	LastImage int    `json:"last_image"`
	// LastVolume is the id of the one that was tagged last.
	LastVolume string `json:"last_volume,omitempty"`
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
	c.addTag(t, &d.Tags)
}

func (c *Cloud) tagImage(t *tag, i *image) {
	t.LastImage = i.ID
	c.addTag(t, &i.Tags)
}

func (c *Cloud) tagVolume(t *tag, v *volume) {
	t.LastVolume = v.ID
	c.addTag(t, &v.Tags)
}

// addTag puts a tag on a list of tags. Lists are never changed in place:
// answers that are being written still hold the old one.
func (c *Cloud) addTag(t *tag, tags *[]string) {
	if !slices.Contains(*tags, t.Name) {
		*tags = append(slices.Clip(*tags), t.Name)
	}
	c.touch()
}

func untag(tags *[]string, name string) {
	*tags = slices.DeleteFunc(slices.Clone(*tags), func(s string) bool { return s == name })
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
		if slices.Contains(d.Tags, t.Name) {
			untag(&d.Tags, t.Name)
			c.noteTag(q, Untagged, t.Name, d)
		}
	}
	for _, i := range c.state.Images {
		untag(&i.Tags, t.Name)
	}
	for _, v := range c.state.Volumes {
		untag(&v.Tags, t.Name)
	}
	c.state.Tags = slices.DeleteFunc(c.state.Tags, func(o *tag) bool { return o == t })
	c.touch()
	return noContent()
}

// tagResources tags (POST) or untags (DELETE) droplets, images and volumes. Nothing is
// done unless the tag and every resource exist.
func (c *Cloud) tagResources(q *call) reply {
	t := c.tag(q.PathValue("tag"))
	var in struct {
		Resources []resourceName `json:"resources"`
	}
	if err := q.decode(&in); err != nil || len(in.Resources) == 0 {
		return badRequest("resources is required")
	}
	if t == nil {
		return notFound()
	}
	var todo []func()
	for _, r := range in.Resources {
		f := c.tagging(q, t, r)
		if f == nil {
			return notFound()
		}
		todo = append(todo, f)
	}
	for _, f := range todo {
		f()
	}
	c.touch()
	return noContent()
}

type resourceName struct {
	ID   text   `json:"resource_id"`
	Type string `json:"resource_type"`
}

// tagging is what tags or untags one resource; nil for one that is not there.
func (c *Cloud) tagging(q *call, t *tag, r resourceName) func() {
	id, off := number(string(r.ID), 0), q.Method == http.MethodDelete
	d, i, v := c.droplet(id), c.ownImage(id), c.volume(string(r.ID))
	switch {
	case r.Type == "droplet" && d != nil && off:
		return func() { untag(&d.Tags, t.Name); c.noteTag(q, Untagged, t.Name, d) }
	case r.Type == "droplet" && d != nil:
		return func() { c.tagDroplet(t, d); c.noteTag(q, Tagged, t.Name, d) }
	case r.Type == "image" && i != nil && off:
		return func() { untag(&i.Tags, t.Name) }
	case r.Type == "image" && i != nil:
		return func() { c.tagImage(t, i) }
	case r.Type == "volume" && v != nil && off:
		return func() { untag(&v.Tags, t.Name) }
	case r.Type == "volume" && v != nil:
		return func() { c.tagVolume(t, v) }
	}
	return nil
}

// viewTag counts what carries a tag.
func (c *Cloud) viewTag(q *call, t *tag) obj {
	droplets, images, volumes := 0, 0, 0
	for _, d := range c.state.Droplets {
		if slices.Contains(d.Tags, t.Name) {
			droplets++
		}
	}
	for _, i := range c.state.Images {
		if slices.Contains(i.Tags, t.Name) {
			images++
		}
	}
	for _, v := range c.state.Volumes {
		if slices.Contains(v.Tags, t.Name) {
			volumes++
		}
	}
	all := obj{"count": droplets + images + volumes}
	all["volumes"] = q.tagged(all, volumes, "volumes", t.LastVolume)
	all["images"] = q.tagged(all, images, "images", strconv.Itoa(t.LastImage))
	all["droplets"] = q.tagged(all, droplets, "droplets", strconv.Itoa(t.Last))
	for _, kind := range []string{"volume_snapshots", "databases"} {
		all[kind] = obj{"count": 0}
	}
	return obj{"name": t.Name, "resources": all}
}

// tagged counts one kind of resource, and names the last one in all, too.
func (q *call) tagged(all obj, count int, kind, last string) obj {
	v := obj{"count": count}
	if count > 0 {
		uri := q.base() + "/v2/" + kind + "/" + last
		v["last_tagged_uri"], all["last_tagged_uri"] = uri, uri
	}
	return v
}
