package sandbox

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

func (c *Cloud) viewVPC(region string) obj {
	id := defaultVPC(region)
	return obj{
		"id": id, "urn": "do:vpc:" + id, "name": "default-" + region, "description": "", "region": region,
		"ip_range": "10.108.0.0/20", "created_at": "2025-01-01T00:00:00Z", "default": true,
	}
}

func (c *Cloud) getVPCs(q *call) reply {
	list := []obj{}
	for _, region := range c.shelf.slugs() {
		list = append(list, c.viewVPC(region))
	}
	return page(q, "vpcs", list)
}

func (c *Cloud) getVPC(q *call) reply {
	for _, region := range c.shelf.slugs() {
		if defaultVPC(region) == q.PathValue("id") {
			return ok(obj{"vpc": c.viewVPC(region)})
		}
	}
	return notFound()
}
