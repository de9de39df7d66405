package sandbox

import (
	"context"
	"net/http"
)

const (
	attached = "attach_volume"
	detached = "detach_volume"
)

// moving is what is in progress with a volume, nil without anything.
func (c *Cloud) moving(v *volume) *action {
	return c.underWay(func(a *action) bool { return a.Volume == v.ID })
}

// plugging is what is in progress with the volumes of a droplet.
func (c *Cloud) plugging(droplet int) *action {
	return c.underWay(func(a *action) bool { return a.Volume != "" && a.Droplet == droplet })
}

func (c *Cloud) getVolumeActions(q *call) reply {
	v := c.volume(q.PathValue("id"))
	if v == nil {
		return notFound()
	}
	return page(q, "actions", c.viewActions(c.newest(func(a *action) bool { return a.Volume == v.ID }), "volume"))
}

func (c *Cloud) getVolumeAction(q *call) reply {
	id, volume := number(q.PathValue("action"), 0), q.PathValue("id")
	return c.oneAction(func(a *action) bool { return a.ID == id && a.Volume == volume })
}

// volumeOrder is what may be asked of a volume. The region of one that is named
// by its id may be left out.
type volumeOrder struct {
	Type    string   `json:"type"`
	Name    string   `json:"volume_name"`
	Region  string   `json:"region"`
	Droplet text     `json:"droplet_id"` // a number; the description's examples have strings, too
	Tags    []string `json:"tags"`
}

func (c *Cloud) postVolumeAction(q *call) reply {
	return c.orderVolume(q, func(volumeOrder) *volume { return c.volume(q.PathValue("id")) })
}

func (c *Cloud) postVolumeActionByName(q *call) reply {
	return c.orderVolume(q, func(in volumeOrder) *volume { return c.volumeNamed(in.Region, in.Name) })
}

// orderVolume attaches a volume, or detaches it. What would need a larger disk
// (resize) is not done at all.
func (c *Cloud) orderVolume(q *call, which func(volumeOrder) *volume) reply {
	var in volumeOrder
	if err := q.decode(&in); err != nil {
		return badRequest("The request body is not valid JSON.")
	}
	v, d := which(in), c.droplet(number(string(in.Droplet), 0))
	switch {
	case v == nil:
		return notFound()
	case in.Region != "" && in.Region != v.Region:
		return unprocessable("The volume and the region do not match.")
	}
	fault, kind := "", attached
	switch in.Type {
	case "attach":
		fault = c.cannotAttach(v, d)
	case "detach":
		fault, kind = c.cannotDetach(v, d), detached
	default:
		fault = "You specified an invalid action type."
	}
	switch {
	case fault != "":
		return unprocessable(fault)
	case len(in.Tags) > 0 && !c.holds(q, "tag:create"):
		return forbidden()
	}
	for _, t := range in.Tags {
		c.tagVolume(c.makeTag(t), v)
	}
	c.note(Change{At: q.now, What: Plugging, Agent: q.UserAgent(), Droplet: d.ID, Note: kind + " " + v.Name})
	a := c.start(q, action{Type: kind, Resource: v.Number, ResourceType: "volume", Region: v.Region, Volume: v.ID, Droplet: d.ID}, c.opt.Latency.Attach)
	view := c.viewAction(a)
	c.settle(q.now)
	return reply{http.StatusAccepted, obj{"action": view}}
}

// cannotAttach says why a droplet cannot have a volume. The texts are those
// that users have reported, where there are any; what counts is the status.
func (c *Cloud) cannotAttach(v *volume, d *droplet) string {
	switch {
	case d == nil:
		return "The Droplet could not be found."
	case v.Region != d.Region:
		return "The volume and the Droplet must be in the same region."
	case v.Droplet != 0:
		return "This volume is already attached"
	case c.moving(v) != nil, c.busy(d):
		return pendingEvent
	case len(c.volumesOf(d.ID)) >= maxAttached:
		return "cannot attach more volumes to the Droplet"
	}
	return ""
}

func (c *Cloud) cannotDetach(v *volume, d *droplet) string {
	switch {
	case d == nil || v.Droplet != d.ID:
		return "Attachment not found"
	case c.moving(v) != nil, c.busy(d):
		return pendingEvent
	}
	return ""
}

// busy says whether a droplet has something under way, so that it takes no order.
func (c *Cloud) busy(d *droplet) bool {
	return d.Status == "new" || c.pending(d.ID) != nil || c.plugging(d.ID) != nil
}

// plug ends an attach or a detach. With a droplet that went away in the
// meantime there is nothing to do.
func (c *Cloud) plug(a *action) {
	v := c.volume(a.Volume)
	switch {
	case v == nil:
	case a.Type == detached && v.Droplet == a.Droplet:
		c.unplug(v, a)
	case a.Type == attached && c.droplet(a.Droplet) == nil:
		a.Status = errored
	case a.Type == attached:
		v.move(a.Droplet, a.Ends)
		c.note(Change{At: a.Ends, What: Attached, Agent: a.Agent, Droplet: a.Droplet, Note: v.Name})
	}
}

// unplug takes a volume from its droplet.
func (c *Cloud) unplug(v *volume, a *action) {
	if d := c.droplet(v.Droplet); d != nil {
		c.volumeLeaves(v, d, a.Ends)
	}
	c.note(Change{At: a.Ends, What: Detached, Agent: a.Agent, Droplet: v.Droplet, Note: v.Name})
	v.move(0, a.Ends)
}

// leaveVolumes ends what a droplet had to do with volumes, as it is destroyed.
func (c *Cloud) leaveVolumes(d *droplet, end *action) {
	for a := c.plugging(d.ID); a != nil; a = c.plugging(d.ID) {
		a.Status, a.Ends = errored, end.Ends
	}
	for _, v := range c.volumesOf(d.ID) {
		c.unplug(v, end)
	}
}

// A Volume is what Machines are asked to attach.
type Volume struct {
	ID         string // [0-9a-f-]
	Name       string // [a-z0-9-], as the droplet knows it: /dev/disk/by-id/scsi-0DO_Volume_NAME
	SizeGiB    int
	Filesystem string // what it is made with when it is new: ext4, xfs or nothing
}

// plugWork attaches or detaches a volume for real.
func (c *Cloud) plugWork(a *action) job {
	v, d := c.volume(a.Volume), c.droplet(a.Droplet)
	if v == nil || d == nil {
		return nil
	}
	disk, do := Volume{v.ID, v.Name, v.Size, v.Filesystem}, c.opt.Machines.AttachVolume
	if a.Type == detached {
		do = c.opt.Machines.DetachVolume
	}
	return func(ctx context.Context) error { return do(ctx, d.ID, disk) }
}

// forget has the machines delete what is on a volume.
func (c *Cloud) forget(v *volume) {
	if c.real() {
		c.enqueue("volume "+v.ID, func(ctx context.Context) { _ = c.opt.Machines.DeleteVolume(ctx, v.ID) })
	}
}
