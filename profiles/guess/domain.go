package guess

import (
	"net/url"
	"os"
	"regexp"
	"strings"

	"cattle/profiles"
)

var (
	// domainName are variables that proxies and frameworks take the site's name from.
	domainName = regexp.MustCompile(`^(DOMAIN|SITE_DOMAIN|VIRTUAL_HOST|LETSENCRYPT_HOST|(SITE|APP|BASE|PUBLIC)_URL)$`)
	// traefikHost is a router's rule in a label: Host(`blog.example.com`).
	traefikHost = regexp.MustCompile("Host\\(`([^`]+)`\\)")
)

// domain is the site's public name, where a variable or a label tells it, and
// what that was. A developer's localhost is none.
func (f *Folder) domain(values map[string]string) (name, of string) {
	for _, variable := range sortedNames(values) {
		if !domainName.MatchString(variable) {
			continue
		}
		value, _, _ := strings.Cut(values[variable], ",")
		if u, err := url.Parse(value); err == nil && u.Host != "" {
			value = u.Hostname()
		}
		if public(value) {
			return value, variable + " in " + strings.Join(f.EnvFiles, ", ")
		}
	}
	for _, file := range f.Compose {
		text, err := os.ReadFile(f.Path(file))
		if m := traefikHost.FindSubmatch(text); err == nil && m != nil && public(string(m[1])) {
			return string(m[1]), file
		}
	}
	return "", ""
}

// public tells whether a name can be a site's on the internet.
func public(name string) bool {
	if why, _ := profiles.DomainFault(name); why != "" {
		return false
	}
	for _, private := range []string{".localhost", ".local", ".test", ".internal", ".lan", ".localdomain"} {
		if strings.HasSuffix(name, private) {
			return false
		}
	}
	return true
}
