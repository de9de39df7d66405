package sandbox

import (
	"net/netip"
	"strings"
)

// Lookup is the account's DNS: the IPv4 addresses of a name. A name that is
// known and has none does not exist, or has no such record; it is that of a
// zone of the account, or one that a release claims. A name that is not known
// is some other host of the internet.
func (c *Cloud) Lookup(name string) (addrs []netip.Addr, known bool) {
	c.lock()
	defer c.unlock()
	ips, known := c.lookup(name)
	for _, ip := range ips {
		addrs = append(addrs, address(ip))
	}
	return addrs, known
}

// resolve is lookup's addresses. The cloud must be locked.
func (c *Cloud) resolve(name string) []string {
	ips, _ := c.lookup(name)
	return ips
}

// lookup follows aliases through the account's zones. An alias may lead out
// of them, to a name that is not known.
func (c *Cloud) lookup(name string) (ips []string, known bool) {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	for range 8 { // a chain of aliases longer than this is a loop
		zone := c.zone(name)
		if zone == nil {
			return nil, c.claimed(name)
		}
		ips, alias := zone.lookup(name)
		if alias == "" {
			return ips, true
		}
		name = alias
	}
	return nil, true
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
