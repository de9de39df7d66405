package sandbox

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// A reservedIP is an address that moves between the droplets of a region.
type reservedIP struct {
	IP      string    `json:"ip"`
	Number  int       `json:"number"` // resource_id of its actions
	Region  string    `json:"region"`
	Droplet int       `json:"droplet"` // 0: not assigned
	Before  int       `json:"before"`  // where it was until MovedAt
	MovedAt time.Time `json:"moved_at"`
	Locked  bool      `json:"locked"`
	Made    time.Time `json:"made"`
	Fault   string    `json:"-"` // why Machines could not move it
}

func (ip *reservedIP) move(droplet int, at time.Time) {
	ip.Before, ip.Droplet, ip.MovedAt = ip.Droplet, droplet, at
}

func (c *Cloud) reserved(addr string) *reservedIP {
	for _, ip := range c.state.Reserved {
		if ip.IP == addr {
			return ip
		}
	}
	return nil
}

// reservedOf is the reserved IP of a droplet, nil without one.
func (c *Cloud) reservedOf(droplet int) *reservedIP {
	for _, ip := range c.state.Reserved {
		if ip.Droplet == droplet && droplet != 0 {
			return ip
		}
	}
	return nil
}

// ipWord is what the API calls a reserved IP on the routes of a call: they were
// floating IPs once, and still are in /v2/floating_ips.
func (q *call) ipWord() string {
	if strings.HasPrefix(q.URL.Path, "/v2/floating_ips") {
		return "floating_ip"
	}
	return "reserved_ip"
}

func (c *Cloud) getReservedIPs(q *call) reply {
	list := []obj{}
	for _, ip := range c.state.Reserved {
		list = append(list, c.viewReserved(q, ip))
	}
	return page(q, q.ipWord()+"s", list)
}

func (c *Cloud) getReservedIP(q *call) reply {
	if ip := c.reserved(q.PathValue("ip")); ip != nil {
		return ok(obj{q.ipWord(): c.viewReserved(q, ip)})
	}
	return notFound()
}

// postReservedIPs makes an address: for a droplet, which takes an action, or
// for a region. With both, the droplet counts.
func (c *Cloud) postReservedIPs(q *call) reply {
	var in struct {
		DropletID int    `json:"droplet_id"`
		Region    string `json:"region"`
	}
	if err := q.decode(&in); err != nil {
		return badRequest("The request body is not valid JSON.")
	}
	d := c.droplet(in.DropletID)
	region := in.Region
	if d != nil {
		region = d.Region
	}
	switch r := c.shelf.region(region); {
	case in.DropletID != 0 && d == nil:
		return unprocessable("The Droplet could not be found.")
	case r == nil || !r.Available:
		return unprocessable("You specified an invalid region.")
	case len(c.state.Reserved) >= c.opt.ReservedIPLimit:
		return unprocessable("You have reached the reserved IP limit of your account.")
	}
	if d != nil {
		if fault := c.cannotTake(d, nil); fault != "" {
			return unprocessable(fault)
		}
	}
	return reply{http.StatusAccepted, c.reserve(q, region, d)}
}

func (c *Cloud) reserve(q *call, region string, d *droplet) obj {
	ip := &reservedIP{IP: c.state.nextIP(true), Number: c.state.id(), Region: region, Made: q.now}
	c.state.Reserved = append(c.state.Reserved, ip)
	c.note(Change{At: q.now, What: Reserved, Agent: q.UserAgent(), IP: ip.IP})
	c.touch()
	links := obj{}
	if d != nil {
		a := c.startAssign(q, ip, d)
		links["droplets"] = []obj{q.link("droplet", "droplets", d.ID)}
		links["actions"] = []obj{q.link("assign_ip", "actions", a.ID)}
	}
	v := c.viewReserved(q, ip)
	c.settle(q.now)
	return obj{q.ipWord(): v, "links": links}
}

func (c *Cloud) deleteReservedIP(q *call) reply {
	ip := c.reserved(q.PathValue("ip"))
	if ip == nil {
		return notFound()
	}
	if ip.Locked {
		return unprocessable(pendingIP)
	}
	c.state.Reserved = slices.DeleteFunc(c.state.Reserved, func(o *reservedIP) bool { return o == ip })
	c.note(Change{At: q.now, What: Released, Agent: q.UserAgent(), IP: ip.IP, Droplet: ip.Droplet})
	c.lead(ip.IP)
	c.touch()
	return noContent()
}

// viewReserved shows where an address points, or, when a fault made the call
// stale, where it pointed.
func (c *Cloud) viewReserved(q *call, ip *reservedIP) obj {
	at := ip.Droplet
	if q.tooNew(ip.MovedAt) {
		at = ip.Before
	}
	v := obj{"ip": ip.IP, "region": c.shelf.region(ip.Region), "droplet": nil, "locked": ip.Locked}
	if c.holds(q, "project:read") {
		v["project_id"] = c.whereabouts(urnOfIP(ip.IP))
	}
	if d := c.droplet(at); d != nil {
		v["droplet"] = c.viewDroplet(d)
	}
	return v
}
