package sandbox

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// A domain is a zone of the account.
type domain struct {
	Name    string    `json:"name"`
	TTL     int       `json:"ttl"` // seconds
	Records []*record `json:"records"`
}

func (c *Cloud) domain(name string) *domain {
	for _, d := range c.state.Domains {
		if strings.EqualFold(d.Name, name) {
			return d
		}
	}
	return nil
}

func (c *Cloud) getDomains(q *call) reply {
	list := []obj{}
	for _, d := range c.state.Domains {
		list = append(list, d.view())
	}
	return page(q, "domains", list)
}

func (c *Cloud) getDomain(q *call) reply {
	if d := c.domain(q.PathValue("domain")); d != nil {
		return ok(obj{"domain": d.view()})
	}
	return notFound()
}

func (c *Cloud) postDomains(q *call) reply {
	var in struct {
		Name string `json:"name"`
		IP   string `json:"ip_address"`
	}
	if err := q.decode(&in); err != nil {
		return badRequest("The request body is not valid JSON.")
	}
	switch {
	case !only(in.Name, ".-") || !strings.Contains(strings.Trim(in.Name, "."), "."):
		return unprocessable("Domain name is invalid")
	case c.domain(in.Name) != nil:
		return unprocessable("domain '" + in.Name + "': name already exists")
	}
	d := c.makeDomain(in.Name)
	if in.IP != "" {
		d.add(c, record{Type: "A", Name: "@", Data: in.IP})
	}
	c.touch()
	return reply{http.StatusCreated, obj{"domain": obj{"name": d.Name, "ttl": d.TTL, "zone_file": nil}}}
}

func (c *Cloud) makeDomain(name string) *domain {
	d := &domain{Name: strings.ToLower(name), TTL: 1800}
	for n := 1; n <= 3; n++ {
		d.add(c, record{Type: "NS", Name: "@", Data: fmt.Sprintf("ns%d.digitalocean.com.", n)})
	}
	c.state.Domains = append(c.state.Domains, d)
	return d
}

func (c *Cloud) deleteDomain(q *call) reply {
	d := c.domain(q.PathValue("domain"))
	if d == nil {
		return notFound()
	}
	c.state.Domains = slices.DeleteFunc(c.state.Domains, func(o *domain) bool { return o == d })
	c.touch()
	return noContent()
}

func (d *domain) view() obj {
	var b strings.Builder
	fmt.Fprintf(&b, "$ORIGIN %s.\n$TTL %d\n%s. IN SOA ns1.digitalocean.com. hostmaster.%s. 1 10800 3600 604800 1800\n", d.Name, d.TTL, d.Name, d.Name)
	for _, r := range d.Records {
		fmt.Fprintf(&b, "%s. %d IN %s %s\n", r.full(d), r.TTL, r.Type, r.line(d))
	}
	return obj{"name": d.Name, "ttl": d.TTL, "zone_file": b.String()}
}
