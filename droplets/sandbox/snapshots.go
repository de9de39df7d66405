package sandbox

import "strconv"

// The account's own images are shown a second time, as snapshots, with other
// fields.

func (c *Cloud) getSnapshots(q *call) reply {
	list := []obj{}
	for _, i := range c.state.Images {
		if kind := q.URL.Query().Get("resource_type"); kind == "" || kind == "droplet" {
			list = append(list, c.viewSnapshot(i))
		}
	}
	return page(q, "snapshots", list)
}

// getSnapshot tells an image that is no snapshot from one that is not there.
func (c *Cloud) getSnapshot(q *call) reply {
	i := c.image(q.PathValue("id"))
	switch {
	case i == nil:
		return notFound()
	case i.Public:
		return badRequest("the resource is not a snapshot")
	}
	return ok(obj{"snapshot": c.viewSnapshot(i)})
}

// getDropletSnapshots are the ones that were taken of a droplet, in a third form.
func (c *Cloud) getDropletSnapshots(q *call) reply {
	d := c.dropletOf(q)
	if d == nil {
		return notFound()
	}
	list := []obj{}
	for _, id := range d.Snapshots {
		if i := c.ownImage(id); i != nil {
			list = append(list, obj{"id": i.ID, "name": i.Name, "created_at": i.CreatedAt, "regions": i.Regions,
				"min_disk_size": i.MinDiskSize, "size_gigabytes": i.SizeGigabytes, "type": "snapshot"})
		}
	}
	return page(q, "snapshots", list)
}

func (c *Cloud) viewSnapshot(i *image) obj {
	return obj{
		"id": strconv.Itoa(i.ID), "name": i.Name, "created_at": i.CreatedAt, "regions": i.Regions,
		"resource_id": strconv.Itoa(c.state.Origins[i.ID].Droplet), "resource_type": "droplet",
		"min_disk_size": i.MinDiskSize, "size_gigabytes": i.SizeGigabytes, "tags": i.Tags,
	}
}
