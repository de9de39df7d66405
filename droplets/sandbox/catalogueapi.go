package sandbox

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

func (c *Cloud) getSizes(q *call) reply   { return page(q, "sizes", c.shelf.sizes) }
func (c *Cloud) getRegions(q *call) reply { return page(q, "regions", c.shelf.regions) }

// getImages filters by what the image is (type=distribution|application),
// whose it is (private) and by tag.
func (c *Cloud) getImages(q *call) reply {
	query := q.URL.Query()
	list := []*image{}
	for _, i := range c.images() {
		switch {
		case query.Get("private") == "true" && i.Public,
			query.Get("type") == "distribution" && i.Type != "base",
			query.Get("type") == "application",
			query.Get("tag_name") != "" && !slices.Contains(i.Tags, query.Get("tag_name")):
		default:
			list = append(list, i)
		}
	}
	return page(q, "images", list)
}

func (c *Cloud) getImage(q *call) reply {
	if i := c.image(q.PathValue("id")); i != nil {
		return ok(obj{"image": i})
	}
	return notFound()
}

func (c *Cloud) deleteImage(q *call) reply {
	id := number(q.PathValue("id"), 0)
	n := len(c.state.Images)
	c.state.Images = slices.DeleteFunc(c.state.Images, func(i *image) bool { return i.ID == id })
	if len(c.state.Images) == n {
		return notFound()
	}
	c.touch()
	return noContent()
}

// images are the public ones and then the account's own.
func (c *Cloud) images() []*image {
	var list []*image
	for i := range c.shelf.images {
		list = append(list, &c.shelf.images[i])
	}
	return append(list, c.state.Images...)
}

// image finds an image by id or, when it is a public one, by slug.
func (c *Cloud) image(name string) *image {
	for _, i := range c.images() {
		if strconv.Itoa(i.ID) == name || i.Slug != nil && *i.Slug == name {
			return i
		}
	}
	return nil
}

// snapshot makes an image of a droplet.
func (c *Cloud) snapshot(d *droplet, a *action) {
	base := c.image(strconv.Itoa(d.Image))
	distribution := "Unknown"
	if base != nil {
		distribution = base.Distribution
	}
	i := &image{ID: c.state.id(), Name: a.Arg, Type: "snapshot", Distribution: distribution, Regions: []string{d.Region},
		CreatedAt: stamp(a.Ends), MinDiskSize: c.shelf.size(d.Size).Disk, SizeGigabytes: 1.1, Tags: []string{}, Status: "available"}
	c.state.Images = append(c.state.Images, i)
	d.Snapshots = append(d.Snapshots, i.ID)
}

// text is a JSON string or number, as ids and slugs come in requests.
type text string

func (t *text) UnmarshalJSON(b []byte) error {
	if !strings.HasPrefix(string(b), `"`) {
		*t = text(b)
		return nil
	}
	var s string
	err := json.Unmarshal(b, &s)
	*t = text(s)
	return err
}
