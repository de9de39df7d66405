package sandbox

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// A record is one line of a zone. What a type does not have is null.
type record struct {
	ID       int     `json:"id"`
	Type     string  `json:"type"`
	Name     string  `json:"name"` // relative to the zone, or @
	Data     string  `json:"data"`
	Priority *int    `json:"priority"`
	Port     *int    `json:"port"`
	TTL      int     `json:"ttl"`
	Weight   *int    `json:"weight"`
	Flags    *int    `json:"flags"`
	Tag      *string `json:"tag"`
}

// full is the record's name without the last dot.
func (r *record) full(d *domain) string {
	if r.Name == "@" || r.Name == "" {
		return d.Name
	}
	return r.Name + "." + d.Name
}

// line is the record's data as a zone file has it.
func (r *record) line(d *domain) string {
	number := func(n *int) int {
		if n == nil {
			return 0
		}
		return *n
	}
	data := r.Data
	if data == "@" {
		data = d.Name + "."
	}
	switch r.Type {
	case "TXT":
		return strconv.Quote(data)
	case "MX":
		return fmt.Sprintf("%d %s", number(r.Priority), data)
	case "SRV":
		return fmt.Sprintf("%d %d %d %s", number(r.Priority), number(r.Weight), number(r.Port), data)
	case "CAA":
		tag := ""
		if r.Tag != nil {
			tag = *r.Tag
		}
		return fmt.Sprintf("%d %s %s", number(r.Flags), tag, strconv.Quote(data))
	}
	return data
}

// view is the record as the API shows it: names end without a dot, with which
// it takes them.
func (r *record) view() *record {
	v := *r
	switch v.Type {
	case "CNAME", "MX", "NS", "SRV":
		v.Data = strings.TrimSuffix(v.Data, ".")
	}
	return &v
}

func (d *domain) add(c *Cloud, r record) *record {
	r.ID = c.state.id()
	if r.TTL == 0 {
		r.TTL = d.TTL
	}
	d.Records = append(d.Records, &r)
	return &r
}

// recordOf is what a path names; the domain comes back even without a record.
func (c *Cloud) recordOf(q *call) (*domain, *record) {
	d := c.domain(q.PathValue("domain"))
	if d == nil {
		return nil, nil
	}
	id := number(q.PathValue("record"), 0)
	for _, r := range d.Records {
		if r.ID == id {
			return d, r
		}
	}
	return d, nil
}

// getRecords filters by type and by name, which is the full one.
func (c *Cloud) getRecords(q *call) reply {
	d, _ := c.recordOf(q)
	if d == nil {
		return notFound()
	}
	name, kind := q.URL.Query().Get("name"), q.URL.Query().Get("type")
	list := []*record{}
	for _, r := range d.Records {
		if (name == "" || strings.EqualFold(r.full(d), name)) && (kind == "" || r.Type == kind) {
			list = append(list, r.view())
		}
	}
	return page(q, "domain_records", list)
}

func (c *Cloud) getRecord(q *call) reply {
	if _, r := c.recordOf(q); r != nil {
		return ok(obj{"domain_record": r.view()})
	}
	return notFound()
}

func (c *Cloud) postRecords(q *call) reply {
	d, _ := c.recordOf(q)
	if d == nil {
		return notFound()
	}
	var in record
	if err := q.decode(&in); err != nil {
		return badRequest("The request body is not valid JSON.")
	}
	if fault := in.check(); fault != "" {
		return unprocessable(fault)
	}
	r := d.add(c, in)
	c.touch()
	return reply{http.StatusCreated, obj{"domain_record": r.view()}}
}

// putRecord changes what is given; PATCH and PUT do the same.
func (c *Cloud) putRecord(q *call) reply {
	_, r := c.recordOf(q)
	if r == nil {
		return notFound()
	}
	next := *r
	if err := q.decode(&next); err != nil {
		return badRequest("The request body is not valid JSON.")
	}
	next.ID = r.ID
	if fault := next.check(); fault != "" {
		return unprocessable(fault)
	}
	*r = next
	c.touch()
	return ok(obj{"domain_record": r.view()})
}

func (c *Cloud) deleteRecord(q *call) reply {
	d, r := c.recordOf(q)
	if r == nil {
		return notFound()
	}
	d.Records = slices.DeleteFunc(d.Records, func(o *record) bool { return o == r })
	c.touch()
	return noContent()
}

// check wants data that fits the type.
func (r *record) check() string {
	ip, err := netip.ParseAddr(r.Data)
	switch r.Type {
	case "A":
		if err != nil || !ip.Is4() {
			return "IP address did not match IPv4 format (e.g. 127.0.0.1)."
		}
	case "AAAA":
		if err != nil || !ip.Is6() {
			return "IP address did not match IPv6 format."
		}
	case "CNAME", "MX", "NS", "SRV":
		if r.Data != "@" && !strings.HasSuffix(r.Data, ".") {
			return "Data needs to end with a dot (.)"
		}
	case "TXT", "CAA", "SOA":
	default:
		return "Record type is invalid"
	}
	if r.Name == "" {
		return "Name can't be blank"
	}
	return ""
}
