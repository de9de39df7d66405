package sandbox

import "strings"

// resolve looks a name up in the account's zones and returns its IPv4
// addresses; none when no zone knows it. The cloud must be locked.
func (c *Cloud) resolve(name string) []string {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	for range 8 { // a chain of aliases longer than this is a loop
		zone := c.zone(name)
		if zone == nil {
			return nil
		}
		ips, alias := zone.lookup(name)
		if alias == "" {
			return ips
		}
		name = alias
	}
	return nil
}

// zone is the zone with the longest name that holds a name.
func (c *Cloud) zone(name string) (best *domain) {
	for _, d := range c.state.Domains {
		if (name == d.Name || strings.HasSuffix(name, "."+d.Name)) && (best == nil || len(d.Name) > len(best.Name)) {
			best = d
		}
	}
	return best
}

// lookup answers with addresses or an alias. A wildcard answers only for
// names that have no record of their own.
func (d *domain) lookup(name string) (ips []string, alias string) {
	for _, want := range []string{name, "*" + name[max(strings.IndexByte(name, '.'), 0):]} {
		known := false
		for _, r := range d.Records {
			if !strings.EqualFold(r.full(d), want) {
				continue
			}
			known = true
			switch {
			case r.Type == "A":
				ips = append(ips, r.Data)
			case r.Type == "CNAME" && r.Data == "@":
				alias = d.Name
			case r.Type == "CNAME":
				alias = strings.ToLower(strings.TrimSuffix(r.Data, "."))
			}
		}
		if known {
			return ips, alias
		}
	}
	return nil, ""
}
