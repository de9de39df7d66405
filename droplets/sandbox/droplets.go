package sandbox

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// A droplet is a machine of the account and what is kept on its disk.
type droplet struct {
	ID         int       `json:"id"`
	Name       string    `json:"name"`
	Region     string    `json:"region"`
	Size       string    `json:"size"`
	Image      int       `json:"image"`
	VPC        string    `json:"vpc"`
	IP         string    `json:"ip"`
	PrivateIP  string    `json:"private_ip"`
	IPv6       string    `json:"ipv6,omitempty"`
	Features   []string  `json:"features"`
	Tags       []string  `json:"tags"`
	Snapshots  []int     `json:"snapshots,omitempty"`
	CreatedAt  time.Time `json:"created_at"`
	Status     string    `json:"status"` // new, active or off
	UserData   string    `json:"user_data"`
	Authorized []string  `json:"authorized_keys"` // of root, as they were at creation
	Latency    Latency   `json:"latency"`         // so that a restart rewrites no past
	Disk       disk      `json:"disk"`

	Fault   string `json:"-"` // why Machines failed to carry out the last action
	stopped bool   // the machine powered itself off while it was being started
}

// Addresses come from 198.18.0.0/15, which is kept for benchmarks: the
// documentation ranges are in real use on some machines. Droplets have the
// lower half, reserved IPs the upper.
func (s *state) nextIP(reserved bool) string {
	s.NextIP++
	b := [4]byte{198, 18, byte((s.NextIP + 9) >> 8), byte(s.NextIP + 9)}
	if reserved {
		b[1] = 19
	}
	return netip.AddrFrom4(b).String()
}

func (c *Cloud) droplet(id int) *droplet {
	for _, d := range c.state.Droplets {
		if d.ID == id {
			return d
		}
	}
	return nil
}

// dropletOf is the droplet that a call's path names.
func (c *Cloud) dropletOf(q *call) *droplet {
	d := c.droplet(number(q.PathValue("id"), 0))
	if d != nil && q.fresh(d) {
		return nil
	}
	return d
}

// fresh says whether a droplet is too new for a call that a fault made stale.
func (q *call) fresh(d *droplet) bool {
	return q.tooNew(d.CreatedAt)
}

// tooNew says whether a call that a fault made stale cannot know yet what was
// made, or happened, then.
func (q *call) tooNew(at time.Time) bool {
	return q.fault.Stale > 0 && q.now.Sub(at) < q.fault.Stale
}

func (c *Cloud) getDroplet(q *call) reply {
	if d := c.dropletOf(q); d != nil {
		return ok(obj{"droplet": c.viewDroplet(d)})
	}
	return notFound()
}

// getDroplets lists by tag, by exact name (in any case) or everything.
func (c *Cloud) getDroplets(q *call) reply {
	tag, name := q.URL.Query().Get("tag_name"), q.URL.Query().Get("name")
	kind := q.URL.Query().Get("type")
	if tag != "" && (name != "" || kind != "") {
		return unprocessable("tag_name cannot be combined with name or type")
	}
	list := []obj{}
	for _, d := range c.state.Droplets {
		switch {
		case tag != "" && !slices.Contains(d.Tags, tag),
			name != "" && !strings.EqualFold(d.Name, name),
			kind == "gpus",
			q.fresh(d), q.now.Sub(d.CreatedAt) < c.opt.StaleLists:
		default:
			list = append(list, c.viewDroplet(d))
		}
	}
	return page(q, "droplets", list)
}

// getNone lists what no droplet of the sandbox has.
func (c *Cloud) getNone(name string) func(*call) reply {
	return func(q *call) reply {
		if c.dropletOf(q) == nil {
			return notFound()
		}
		return page(q, name, []obj{})
	}
}

// getNeighbors: no two droplets of the sandbox share hardware. The one list
// that has no pages.
func (c *Cloud) getNeighbors(q *call) reply {
	if c.dropletOf(q) == nil {
		return notFound()
	}
	return ok(obj{"droplets": []obj{}})
}

func (c *Cloud) deleteDroplet(q *call) reply {
	d := c.dropletOf(q)
	if d == nil {
		return notFound()
	}
	if c.pending(d.ID) != nil {
		return unprocessable(pendingEvent)
	}
	c.startDestroy(q, d)
	return noContent()
}

// deleteTagged deletes all that carry a tag, which is why nobody should call it.
func (c *Cloud) deleteTagged(q *call) reply {
	tag := q.URL.Query().Get("tag_name")
	if tag == "" {
		return unprocessable("tag_name is required")
	}
	if c.tag(tag) == nil {
		return notFound()
	}
	for _, d := range slices.Clone(c.state.Droplets) {
		if slices.Contains(d.Tags, tag) && c.pending(d.ID) == nil {
			c.startDestroy(q, d)
		}
	}
	return noContent()
}

func (c *Cloud) startDestroy(q *call, d *droplet) {
	c.note(Change{At: q.now, What: Doomed, Agent: q.UserAgent(), Droplet: d.ID})
	c.start(q, action{Type: "destroy", Resource: d.ID, ResourceType: "droplet", Region: d.Region}, c.opt.Latency.Delete)
	c.settle(q.now)
}

// destroy takes a droplet away. Its reserved IP stays, and so do snapshots and
// volumes.
func (c *Cloud) destroy(d *droplet, a *action) {
	at := a.Ends
	c.state.Bills = append(c.state.Bills, c.bill(d, at, true))
	c.powerOff(d, at)
	c.leaveVolumes(d, a)
	d.Status = "archive"
	c.state.Droplets = slices.DeleteFunc(c.state.Droplets, func(o *droplet) bool { return o == d })
	delete(c.seeds, d.ID)
	delete(c.pairs, d.ID)
	c.dropImages(d.ID)
	delete(c.logs, d.ID)
	for _, ip := range c.state.Reserved {
		if ip.Droplet == d.ID {
			ip.move(0, at)
			c.note(Change{At: at, What: Moved, Agent: a.Agent, IP: ip.IP})
			c.lead(ip.IP)
		}
	}
	for _, w := range c.state.Walls {
		w.DropletIDs = slices.DeleteFunc(w.DropletIDs, func(id int) bool { return id == d.ID })
	}
}

// viewDroplet is a droplet as the API shows it. It has no address until it is
// active, and is locked while something is going on with it.
func (c *Cloud) viewDroplet(d *droplet) obj {
	s := c.shelf.size(d.Size)
	v := obj{
		"id": d.ID, "name": d.Name, "memory": s.Memory, "vcpus": s.VCPUs, "disk": s.Disk, "disk_info": s.DiskInfo,
		"locked": c.pending(d.ID) != nil, "status": d.Status, "kernel": nil, "created_at": stamp(d.CreatedAt),
		"features": d.Features, "backup_ids": []int{}, "next_backup_window": nil,
		"snapshot_ids": orEmpty(d.Snapshots), "image": c.viewImage(d), "volume_ids": c.volumeIDs(d.ID),
		"size": s, "size_slug": d.Size, "region": c.shelf.region(d.Region), "tags": orEmpty(d.Tags), "vpc_uuid": d.VPC,
		"networks": obj{"v4": []obj{}, "v6": []obj{}},
	}
	if d.Status != "new" {
		v["networks"] = c.viewNetworks(d)
	}
	return v
}

// viewNetworks lists the droplet's addresses, among them the reserved IP,
// which nothing but its value tells from the droplet's own.
func (c *Cloud) viewNetworks(d *droplet) obj {
	v4 := []obj{
		{"ip_address": d.IP, "netmask": publicMask, "gateway": publicGateway, "type": "public"},
		{"ip_address": d.PrivateIP, "netmask": "255.255.240.0", "gateway": "nil", "type": "private"},
	}
	for _, ip := range c.state.Reserved {
		if ip.Droplet != d.ID {
			continue
		}
		own := obj{"ip_address": ip.IP, "netmask": "255.255.0.0", "gateway": "198.19.0.1", "type": "public"}
		if c.opt.ReservedFirst {
			v4 = slices.Insert(v4, 0, own)
		} else {
			v4 = append(v4, own)
		}
	}
	v6 := []obj{}
	if d.IPv6 != "" {
		v6 = append(v6, obj{"ip_address": d.IPv6, "netmask": 64, "gateway": "2001:2::1", "type": "public"})
	}
	return obj{"v4": v4, "v6": v6}
}

func orEmpty[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

var _ http.Handler = (*Cloud)(nil)
