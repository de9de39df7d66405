package sandbox

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// maxUserData is the API's limit, in bytes.
const maxUserData = 64 << 10

// createDroplet is a request for one droplet, or for several that differ in
// nothing but the name.
type createDroplet struct {
	Name       string   `json:"name"`
	Names      []string `json:"names"`
	Region     string   `json:"region"`
	Size       string   `json:"size"`
	Image      text     `json:"image"`
	SSHKeys    []text   `json:"ssh_keys"`
	Backups    bool     `json:"backups"`
	IPv6       bool     `json:"ipv6"`
	Monitoring bool     `json:"monitoring"`
	Tags       []string `json:"tags"`
	UserData   string   `json:"user_data"`
	VPC        string   `json:"vpc_uuid"`
}

// postDroplets accepts droplets; that they come to be is another matter.
func (c *Cloud) postDroplets(q *call) reply {
	var in createDroplet
	if err := q.decode(&in); err != nil {
		return badRequest("The request body is not valid JSON.")
	}
	names := in.Names
	if in.Names == nil {
		names = []string{in.Name}
	}
	plan, fault := c.planDroplet(&in, names)
	if fault != "" {
		return unprocessable(fault)
	}
	views, actions := []obj{}, []obj{}
	for _, name := range names {
		d, a := c.create(q, plan, name)
		// Shown before anything happens: new, no address, whatever the latency.
		views = append(views, c.viewDroplet(d))
		actions = append(actions, q.link("create", "actions", a.ID))
	}
	c.settle(q.now)
	links := obj{"actions": actions}
	if in.Names != nil {
		return reply{http.StatusAccepted, obj{"droplets": views, "links": links}}
	}
	return reply{http.StatusAccepted, obj{"droplet": views[0], "links": links}}
}

// planDroplet checks a request and fills in what it leaves open. The texts
// are those that users have reported, where there are any; clients should
// branch on the status.
func (c *Cloud) planDroplet(in *createDroplet, names []string) (droplet, string) {
	d := droplet{Status: "new", UserData: in.UserData, Latency: c.opt.Latency, Size: in.Size}
	if fault := checkNames(names); fault != "" {
		return d, fault
	}
	s, r, i := c.shelf.size(in.Size), c.shelf.place(in.Region), c.image(string(in.Image))
	switch {
	case s == nil:
		return d, "You specified an invalid size for Droplet creation."
	case i == nil:
		return d, "You specified an invalid image for Droplet creation."
	case r == nil || !r.Available:
		return d, "You specified an invalid region for Droplet creation."
	case !s.in(r.Slug):
		return d, "Size is not available in this region."
	case !slices.Contains(i.Regions, r.Slug):
		return d, "Image is not available in this region."
	case i.MinDiskSize > s.Disk:
		return d, "This size does not have enough disk space for the image that you selected."
	case len(in.UserData) > maxUserData:
		return d, "User data is too long (maximum is 65536 characters)."
	}
	d.Region, d.Image = r.Slug, i.ID
	d.Disk.Done, d.Disk.Archive = c.state.Origins[i.ID].Done, c.state.Origins[i.ID].Archive
	return c.planAccount(d, in, len(names))
}

// planAccount checks what has to do with the account: keys, tags, VPC, quota.
func (c *Cloud) planAccount(d droplet, in *createDroplet, n int) (droplet, string) {
	for _, k := range in.SSHKeys {
		key := c.key(string(k))
		if key == nil {
			return d, string(k) + " are invalid key identifiers for Droplet creation."
		}
		d.Authorized = append(d.Authorized, key.PublicKey)
	}
	for _, t := range in.Tags {
		if !validTag(t) {
			return d, fmt.Sprintf("Tag name %q contains invalid characters", t)
		}
	}
	d.VPC = defaultVPC(d.Region)
	if in.VPC != "" && c.state.VPCs[in.VPC] == d.Region {
		d.VPC = in.VPC
	}
	if in.VPC != "" && in.VPC != d.VPC {
		return d, "You specified an invalid VPC for Droplet creation."
	}
	if len(c.state.Droplets)+n > c.opt.DropletLimit {
		return d, "creating this/these droplet(s) will exceed your droplet limit"
	}
	d.Features = features(in)
	d.Tags = in.Tags
	return d, ""
}

func features(in *createDroplet) []string {
	list := []string{"private_networking", "droplet_agent"}
	if in.Backups {
		list = append(list, "backups")
	}
	if in.IPv6 {
		list = append(list, "ipv6")
	}
	if in.Monitoring {
		list = append(list, "monitoring")
	}
	return list
}

// create makes one droplet of a plan.
func (c *Cloud) create(q *call, plan droplet, name string) (*droplet, *action) {
	d := plan
	d.ID, d.Name, d.CreatedAt = c.state.id(), name, q.now
	d.IP = c.state.nextIP(false)
	d.PrivateIP = fmt.Sprintf("10.108.%d.%d", (c.state.NextIP+1)>>8&15, (c.state.NextIP+1)&255)
	if strings.Contains(strings.Join(d.Features, " "), "ipv6") {
		d.IPv6 = "2001:2::" + strconv.FormatInt(int64(c.state.NextIP+1), 16) // RFC 5180, for benchmarks
	}
	d.Tags = nil
	for _, t := range plan.Tags {
		c.tagDroplet(c.makeTag(t), &d)
	}
	c.state.Droplets = append(c.state.Droplets, &d)
	c.note(Change{At: q.now, What: Created, Agent: q.UserAgent(), Droplet: d.ID, Note: strings.Join(d.Tags, " ")})
	a := c.start(q, action{Type: "create", Resource: d.ID, ResourceType: "droplet", Region: d.Region}, c.opt.Latency.Active)
	return &d, a
}

// checkNames holds the names of droplets, which become host names, to
// ^[a-zA-Z0-9]?[a-z0-9A-Z.\-]*[a-z0-9A-Z]$ and 255 characters.
func checkNames(names []string) string {
	if len(names) == 0 || len(names) > 10 {
		return "You can create between 1 and 10 Droplets at a time."
	}
	for _, name := range names {
		if !only(name, ".-") || !alphanumeric(name[len(name)-1]) {
			return "Only valid hostname characters are allowed. (a-z, A-Z, 0-9, . and -)"
		}
		if len(name) > 255 {
			return "Name is too long (maximum is 255 characters)"
		}
	}
	return ""
}

// only says whether s is not empty and has only letters, digits and others.
func only(s, others string) bool {
	for i := range len(s) {
		if !alphanumeric(s[i]) && strings.IndexByte(others, s[i]) < 0 {
			return false
		}
	}
	return s != ""
}

func alphanumeric(b byte) bool {
	return '0' <= b && b <= '9' || 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z'
}
