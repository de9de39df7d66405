package profiles

import (
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

var (
	label  = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	scheme = regexp.MustCompile(`^[a-z]+://`)
)

// wildcard is what the name of a wildcard begins with.
const wildcard = "*."

// badHost says why a name cannot have a certificate, and a hint.
func badHost(name string) (why, hint string) {
	if below, wild := strings.CutPrefix(name, wildcard); wild {
		if why, _ = badHost(below); strings.HasPrefix(below, wildcard) {
			why = "is not a host name"
		}
		if why != "" {
			hint = "such as " + quote("*.example.com")
		}
		return why, hint
	}
	bare := scheme.ReplaceAllString(name, "")
	bare, _, _ = strings.Cut(bare, "/")
	lower := strings.TrimSuffix(strings.ToLower(bare), ".")
	_, errIP := netip.ParseAddr(name)
	labels := strings.Split(lower, ".")
	switch {
	case name == "":
		return "is empty", ""
	case errIP == nil:
		return "is an address, not a name", "such as blog.example.com"
	case lower != name && validHost(lower):
		return "is not a bare lower-case host name", "did you mean " + quote(lower) + "?"
	case len(labels) < 2:
		return "has no dot: it cannot be a public name", "such as blog.example.com"
	case strings.IndexFunc(name, func(r rune) bool { return r > 127 }) >= 0:
		return "is not ASCII", "write it in its xn-- form"
	case !validHost(name):
		return "is not a host name", "such as blog.example.com"
	}
	return "", ""
}

func validHost(name string) bool {
	labels := strings.Split(name, ".")
	last := labels[len(labels)-1]
	return len(name) <= 253 && len(labels) > 1 && strings.Trim(last, "0123456789") != "" &&
		!slices.ContainsFunc(labels, func(l string) bool { return !label.MatchString(l) })
}

func (c *checker) domains() {
	if len(c.p.Domains) == 0 {
		c.missing("missing-key", "domains", "domain: blog.example.com", "no domain is given")
	}
	for i, name := range c.p.Domains {
		path := join("domains", itoa(i))
		if why, hint := badHost(name); why != "" {
			c.wrong("wrong-form", path, hint, "domain %s %s", quote(name), why)
		} else if slices.Index(c.p.Domains, name) < i {
			c.wrong("given-twice", path, "remove one of them", "domain %s is given twice", quote(name))
		} else if strings.HasPrefix(name, wildcard) {
			c.wild(i, path, name)
		} else if covered(c.p.Domains, name) {
			// Let's Encrypt refuses a name that a wildcard beside it has.
			c.wrong("given-twice", path, "remove it", "domain %s is one of those of %s", quote(name), quote(wildcardOf(name)))
		}
	}
}

// wild checks a wildcard among the domains. Its certificate is proved by records
// that cattle makes.
func (c *checker) wild(i int, path, name string) {
	switch {
	case c.p.DNS != dnsProvider:
		c.wrong("wildcard-without-dns", path, "dns: "+dnsProvider+", or list each name", "domain %s is a wildcard: its certificate takes records that cattle makes", quote(name))
	case i == 0:
		c.wrong("wrong-form", path, "put a name before it, such as "+strings.TrimPrefix(name, wildcard), "domain %s is the first one, the canonical name, and a wildcard is no name", quote(name))
	}
}

func wildcardOf(name string) string {
	_, below, _ := strings.Cut(name, ".")
	return wildcard + below
}

// covered tells that one of the domains is a wildcard that has the name.
func covered(domains []string, name string) bool { return slices.Contains(domains, wildcardOf(name)) }

// host checks the host of a route: one of the domains, or of those of a wildcard
// among them, so that there is a certificate for it.
func (c *checker) host(path, name string) {
	if name == "" {
		return
	}
	if why, hint := badHost(name); why != "" {
		c.wrong("wrong-form", path, hint, "host %s %s", quote(name), why)
		return
	}
	if !slices.Contains(c.p.Domains, name) && !covered(c.p.Domains, name) {
		hint := didYouMean(name, c.p.Domains)
		if hint == "" {
			hint = "add it to domains"
		}
		c.wrong("host-not-a-domain", path, hint, "host %s is not one of the domains", quote(name))
	}
}
