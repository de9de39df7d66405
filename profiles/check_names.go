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

// badHost says why a name cannot have a certificate by HTTP-01, and a hint.
func badHost(name string) (why, hint string) {
	bare := scheme.ReplaceAllString(name, "")
	bare, _, _ = strings.Cut(bare, "/")
	lower := strings.TrimSuffix(strings.ToLower(bare), ".")
	_, errIP := netip.ParseAddr(name)
	labels := strings.Split(lower, ".")
	switch {
	case name == "":
		return "is empty", ""
	case strings.HasPrefix(name, "*."):
		return "is a wildcard, which HTTP-01 cannot prove", "list each name"
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
		}
	}
}

// host checks the host of a route: one of the domains, so that there is a
// certificate for it.
func (c *checker) host(path, name string) {
	if name == "" {
		return
	}
	if why, hint := badHost(name); why != "" {
		c.wrong("wrong-form", path, hint, "host %s %s", quote(name), why)
		return
	}
	if !slices.Contains(c.p.Domains, name) {
		hint := didYouMean(name, c.p.Domains)
		if hint == "" {
			hint = "add it to domains"
		}
		c.wrong("host-not-a-domain", path, hint, "host %s is not one of the domains", quote(name))
	}
}
