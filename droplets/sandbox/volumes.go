package sandbox

import (
	"net/http"
	"regexp"
	"slices"
	"time"
)

// A volume is a disk that outlives the droplets that it is attached to, one at
// a time.
type volume struct {
	ID          string    `json:"id"`
	Number      int       `json:"number"` // resource_id of its actions
	Name        string    `json:"name"`
	Region      string    `json:"region"`
	Description string    `json:"description"`
	Size        int       `json:"size"` // GiB
	Filesystem  string    `json:"filesystem"`
	Label       string    `json:"label"`
	Tags        []string  `json:"tags"`
	Made        time.Time `json:"made"`
	Droplet     int       `json:"droplet"` // 0: attached to nothing
	Before      int       `json:"before"`  // where it was until MovedAt
	MovedAt     time.Time `json:"moved_at"`
	Fault       string    `json:"-"` // why Machines could not attach or detach it

	Disk volumeDisk `json:"disk"` // what stub machines have there
}

func (v *volume) move(droplet int, at time.Time) {
	v.Before, v.Droplet, v.MovedAt = v.Droplet, droplet, at
}

func (c *Cloud) volume(id string) *volume {
	return c.findVolume(func(v *volume) bool { return v.ID == id })
}

// volumeNamed finds a volume by its name, which it has alone in its region.
func (c *Cloud) volumeNamed(region, name string) *volume {
	return c.findVolume(func(v *volume) bool { return v.Name == name && v.Region == region })
}

func (c *Cloud) findVolume(fits func(*volume) bool) *volume {
	if i := slices.IndexFunc(c.state.Volumes, fits); i >= 0 {
		return c.state.Volumes[i]
	}
	return nil
}

// volumesOf are those that are attached to a droplet.
func (c *Cloud) volumesOf(droplet int) (all []*volume) {
	for _, v := range c.state.Volumes {
		if v.Droplet == droplet && droplet != 0 {
			all = append(all, v)
		}
	}
	return all
}

func (c *Cloud) volumeIDs(droplet int) []string {
	ids := []string{}
	for _, v := range c.volumesOf(droplet) {
		ids = append(ids, v.ID)
	}
	return ids
}

// getVolumes lists all, or those of a name, of a region, or of both.
func (c *Cloud) getVolumes(q *call) reply {
	name, region := q.URL.Query().Get("name"), q.URL.Query().Get("region")
	list := []obj{}
	for _, v := range c.state.Volumes {
		if (name == "" || v.Name == name) && (region == "" || v.Region == region) && !q.tooNew(v.Made) {
			list = append(list, c.viewVolume(q, v))
		}
	}
	return page(q, "volumes", list)
}

func (c *Cloud) getVolume(q *call) reply {
	if v := c.volume(q.PathValue("id")); v != nil && !q.tooNew(v.Made) {
		return ok(obj{"volume": c.viewVolume(q, v)})
	}
	return notFound()
}

// volumeName is what the description says of names.
var volumeName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,63}$`)

// maxVolume is the size of the largest volume, in GiB; a droplet has room for
// maxAttached.
const (
	maxVolume   = 16384
	maxAttached = 15
)

// postVolumes makes a volume, at once.
func (c *Cloud) postVolumes(q *call) reply {
	var in struct {
		Name        string   `json:"name"`
		Region      string   `json:"region"`
		Description string   `json:"description"`
		Size        int      `json:"size_gigabytes"`
		Snapshot    string   `json:"snapshot_id"`
		Filesystem  string   `json:"filesystem_type"`
		Label       string   `json:"filesystem_label"`
		Tags        []string `json:"tags"`
	}
	if err := q.decode(&in); err != nil {
		return badRequest("The request body is not valid JSON.")
	}
	longest := map[string]int{"ext4": 16, "xfs": 12}
	switch r := c.shelf.region(in.Region); {
	case !volumeName.MatchString(in.Name):
		return unprocessable("name must be lowercase, begin with a letter and have letters, numbers and - alone, 64 at most")
	case r == nil || !r.Available:
		return unprocessable("region is invalid")
	case in.Size < 1 || in.Size > maxVolume:
		return unprocessable("size_gigabytes must be between 1 and 16384")
	case in.Snapshot != "":
		return unprocessable("snapshot could not be found")
	case in.Filesystem != "" && longest[in.Filesystem] == 0:
		return unprocessable("filesystem_type must be ext4 or xfs")
	case len(in.Label) > longest[in.Filesystem]:
		return unprocessable("filesystem_label is too long, or without a filesystem_type")
	case slices.ContainsFunc(in.Tags, func(t string) bool { return !validTag(t) }):
		return unprocessable("a tag contains invalid characters")
	case len(in.Tags) > 0 && !c.holds(q, "tag:create"):
		return forbidden()
	case c.volumeNamed(in.Region, in.Name) != nil:
		return failure(http.StatusConflict, "conflict", "already exists")
	}
	v := &volume{ID: c.state.uuid(), Number: c.state.id(), Name: in.Name, Region: in.Region, Description: in.Description, Size: in.Size,
		Filesystem: in.Filesystem, Label: in.Label, Made: q.now}
	for _, t := range in.Tags {
		c.tagVolume(c.makeTag(t), v)
	}
	c.state.Volumes = append(c.state.Volumes, v)
	c.note(Change{At: q.now, What: Provided, Agent: q.UserAgent(), Note: v.Name})
	c.touch()
	return reply{http.StatusCreated, obj{"volume": c.viewVolume(q, v)}}
}

func (c *Cloud) deleteVolume(q *call) reply { return c.endVolume(q, c.volume(q.PathValue("id"))) }

func (c *Cloud) deleteVolumeByName(q *call) reply {
	return c.endVolume(q, c.volumeNamed(q.URL.Query().Get("region"), q.URL.Query().Get("name")))
}

// endVolume deletes a volume with all that is on it.
func (c *Cloud) endVolume(q *call, v *volume) reply {
	switch {
	case v == nil:
		return notFound()
	case v.Droplet != 0 || c.moving(v) != nil:
		return failure(http.StatusConflict, "conflict", "A volume that's attached to a Droplet cannot be deleted. Please detach it first before deleting.")
	}
	c.state.Volumes = slices.DeleteFunc(c.state.Volumes, func(o *volume) bool { return o == v })
	c.note(Change{At: q.now, What: Ended, Agent: q.UserAgent(), Note: v.Name})
	c.forget(v)
	c.touch()
	return noContent()
}

// viewVolume shows where a volume is, or, when a fault made the call stale,
// where it was.
func (c *Cloud) viewVolume(q *call, v *volume) obj {
	at := v.Droplet
	if q.tooNew(v.MovedAt) {
		at = v.Before
	}
	out := obj{
		"id": v.ID, "name": v.Name, "region": c.shelf.region(v.Region), "size_gigabytes": v.Size, "description": v.Description,
		"filesystem_type": v.Filesystem, "filesystem_label": v.Label, "created_at": stamp(v.Made), "tags": orEmpty(v.Tags), "droplet_ids": []int{},
	}
	if c.droplet(at) != nil {
		out["droplet_ids"] = []int{at}
	}
	return out
}
