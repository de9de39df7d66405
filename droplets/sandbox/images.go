package sandbox

import (
	"context"
	"fmt"
	"slices"
	"strconv"
)

// An origin is where one of the account's own images comes from.
type origin struct {
	Base    int `json:"base"`    // the public image that it goes back to
	Droplet int `json:"droplet"` // that it was taken of
	// Done are the boot steps of stub machines whose work is on the disk: from
	// this image they take no time.
	Done    []string `json:"done,omitempty"`
	Archive int      `json:"archive,omitempty"` // as disk has it
}

// keptSteps are those boot steps that leave their work on the disk for
// whoever starts from a copy of it: engine, packages and container images.
func keptSteps() []string { return []string{"engine", "packages", "pull"} }

// getImages filters by what the image is (type=distribution|application),
// whose it is (private) and by tag.
func (c *Cloud) getImages(q *call) reply {
	query := q.URL.Query()
	list := []image{}
	for _, i := range c.images() {
		switch {
		case query.Get("private") == "true" && i.Public,
			query.Get("type") == "distribution" && i.Type != "base",
			query.Get("type") == "application",
			query.Get("tag_name") != "" && !slices.Contains(i.Tags, query.Get("tag_name")):
		default:
			list = append(list, *i)
		}
	}
	return page(q, "images", list)
}

func (c *Cloud) getImage(q *call) reply {
	if i := c.image(q.PathValue("id")); i != nil {
		return ok(obj{"image": *i})
	}
	return notFound()
}

// putImage renames one of the account's own images.
func (c *Cloud) putImage(q *call) reply {
	i := c.ownImage(number(q.PathValue("id"), 0))
	var in struct {
		Name        string `json:"name"`
		Description string `json:"description"`
	}
	if err := q.decode(&in); err != nil {
		return badRequest("The request body is not valid JSON.")
	}
	if i == nil {
		return notFound()
	}
	if in.Name != "" {
		i.Name = in.Name
	}
	if in.Description != "" {
		i.Description = in.Description
	}
	c.touch()
	return ok(obj{"image": *i})
}

// deleteImage forgets an image at once; Machines take the copy away meanwhile.
func (c *Cloud) deleteImage(q *call) reply {
	id := number(q.PathValue("id"), 0)
	if c.ownImage(id) == nil {
		return notFound()
	}
	c.state.Images = slices.DeleteFunc(c.state.Images, func(i *image) bool { return i.ID == id })
	delete(c.state.Origins, id)
	c.note(Change{At: q.now, What: Unimaged, Agent: q.UserAgent(), Image: id})
	if c.real() {
		c.enqueue(fmt.Sprint("image ", id), func(ctx context.Context) { c.opt.Machines.DeleteImage(ctx, id) })
	}
	c.touch()
	return noContent()
}

// images are the public ones and then the account's own. Answers show copies,
// because they are written when the cloud is no longer locked.
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

// ownImage finds an image that is the account's own.
func (c *Cloud) ownImage(id int) *image {
	for _, i := range c.state.Images {
		if i.ID == id {
			return i
		}
	}
	return nil
}

// snapshot makes an image of a droplet.
func (c *Cloud) snapshot(d *droplet, a *action) {
	if a.Image == 0 {
		a.Image = c.state.id()
	}
	from := origin{Base: d.Image, Droplet: d.ID, Done: c.kept(d, a), Archive: d.Disk.Archive}
	if before, own := c.state.Origins[d.Image]; own {
		from.Base = before.Base
	}
	distribution := "Unknown"
	if base := c.image(strconv.Itoa(from.Base)); base != nil {
		distribution = base.Distribution
	}
	i := &image{ID: a.Image, Name: a.Arg, Type: "snapshot", Distribution: distribution, Regions: []string{d.Region},
		CreatedAt: stamp(a.Ends), MinDiskSize: c.shelf.size(d.Size).Disk, SizeGigabytes: 1.1, Tags: []string{}, Status: "available"}
	c.state.Images = append(c.state.Images, i)
	if c.state.Origins == nil {
		c.state.Origins = map[int]origin{}
	}
	c.state.Origins[i.ID] = from
	d.Snapshots = append(d.Snapshots, i.ID)
}

// kept are the steps whose work is on a stub machine's disk when an action ends.
func (c *Cloud) kept(d *droplet, a *action) (list []string) {
	run := c.boot(d)
	for _, name := range keptSteps() {
		if slices.Contains(d.Disk.Done, name) || run.done(name, a.Ends) {
			list = append(list, name)
		}
	}
	return list
}

// viewImage is the image that a droplet was made from, as far as it is still there.
func (c *Cloud) viewImage(d *droplet) any {
	if i := c.image(strconv.Itoa(d.Image)); i != nil {
		return *i
	}
	return obj{"id": d.Image, "type": "snapshot", "slug": nil, "public": false, "regions": []string{}, "tags": []string{}, "status": "deleted"}
}
