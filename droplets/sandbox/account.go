package sandbox

import (
	"fmt"
	"maps"
	"slices"
)

// These never change, so that whoever noted one finds it again.
const (
	accountID      = "b6fc89db-f6d9-156c-ace5-f3c78dc9851d"
	defaultProject = "addb4547-6bab-419a-8542-76263a033cf6"
)

func (c *Cloud) getAccount(q *call) reply {
	return ok(obj{"account": obj{
		"droplet_limit":     c.opt.DropletLimit,
		"floating_ip_limit": c.opt.ReservedIPLimit,
		"email":             "sammy@example.com",
		"name":              "Sammy the Shark",
		"uuid":              accountID,
		"email_verified":    true,
		"status":            "active",
		"status_message":    "",
		"team":              obj{"uuid": accountID, "name": "My Team"},
	}})
}

// defaultVPC is the VPC that droplets of a region are put into.
func defaultVPC(region string) string {
	b := []byte("00000000-0000-4000-8000-000000000000")
	for i, r := range []byte(region) {
		const hex = "0123456789abcdef"
		b[24+2*i], b[25+2*i] = hex[r>>4], hex[r&15]
	}
	return string(b)
}

// vpcs are the default ones, and then those of Furnish.
func (c *Cloud) vpcs() (list []obj) {
	view := func(id, name, region, addresses string) {
		list = append(list, obj{
			"id": id, "urn": "do:vpc:" + id, "name": name, "description": "", "region": region,
			"ip_range": addresses, "created_at": "2025-01-01T00:00:00Z", "default": id == defaultVPC(region),
		})
	}
	for _, region := range c.shelf.slugs() {
		view(defaultVPC(region), "default-"+region, region, "10.108.0.0/20")
	}
	for i, id := range slices.Sorted(maps.Keys(c.state.VPCs)) {
		view(id, "vpc-"+id[:min(8, len(id))], c.state.VPCs[id], fmt.Sprintf("10.%d.0.0/20", 110+i%100))
	}
	return list
}

func (c *Cloud) getVPCs(q *call) reply {
	return page(q, "vpcs", c.vpcs())
}

func (c *Cloud) getVPC(q *call) reply {
	for _, v := range c.vpcs() {
		if v["id"] == q.PathValue("id") {
			return ok(obj{"vpc": v})
		}
	}
	return notFound()
}
