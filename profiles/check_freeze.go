package profiles

import (
	"slices"
	"time"
	"unicode/utf8"
)

const (
	minFreeze, maxFreeze = time.Second, 10 * time.Minute
	// maxPage is the largest page for those who write during a freeze, in bytes.
	maxPage = 16 << 10
	// defaultPage is what they see where the profile has none.
	defaultPage = "<p>This site is moving to another machine. Nothing can be changed for a few seconds: please try again.</p>\n"
)

// freezing checks what a release does while writes wait. A page is not read for
// a command that only asks whose site it is.
func (c *checker) freezing(read bool) {
	r := c.p.Release
	if r.MaxFreeze < minFreeze || r.MaxFreeze > maxFreeze {
		c.wrong("out-of-range", "release.max_freeze", "1s to 10m", "release.max_freeze is out of range: %s", r.MaxFreeze)
	}
	if read && r.FreezePage != "" {
		c.freezePage()
	}
}

func (c *checker) freezePage() {
	const at = "release.freeze_page"
	text, err := ReadFile(c.p.Release.FreezePage)
	switch {
	case err != nil:
		c.wrong("file-missing", at, fileHint(err, "the path is relative to the profile"), "%s: %s: %s", at, quote(c.p.Release.FreezePage), reason(err))
	case len(text) > maxPage:
		c.wrong("too-large", at, "16 KiB at most: leave out pictures and fonts", "%s has %d bytes", at, len(text))
	case len(text) == 0 || !utf8.Valid(text):
		c.wrong("wrong-form", at, "a page of HTML in UTF-8", "%s: %s is no text", at, quote(c.p.Release.FreezePage))
	default:
		c.p.freezePage = text
	}
}

// paused checks the services that a release stops while writes wait.
func (c *checker) paused(services map[string]bool) {
	for i, name := range c.p.Release.Pause {
		at := join("release.pause", itoa(i))
		c.service(at, name, services, "")
		switch {
		case slices.Contains(c.p.servers(), name):
			c.wrong("keys-exclude", at, "name the services that write to it", "service %s is carried as a server: paused it could not be read", quote(name))
		case slices.Index(c.p.Release.Pause, name) < i:
			c.wrong("given-twice", at, "remove one of them", "service %s is paused twice", quote(name))
		}
	}
}

// migrate checks the command, and the service in which it runs: one of a compose
// profile may be there for nothing else.
func (c *checker) migrate(services map[string]bool) {
	m := c.p.Release.Migrate
	if m == nil {
		return
	}
	if m.Service == "" && len(services) == 1 {
		m.Service = sortedKeys(services)[0]
	}
	switch {
	case m.Service != "":
		c.service("release.migrate.service", m.Service, services, "")
	case services != nil:
		c.wrong("service-unknown", "release.migrate", "migrate: {service: NAME, command: bin/migrate}; services are "+listed(sortedKeys(services)),
			"release.migrate does not say in which service it runs")
	}
	if len(m.Command) == 0 || m.Command[0] == "" {
		c.wrong("missing-key", "release.migrate", "command: bin/migrate up", "release.migrate has no command")
	}
}

// servers are the services that entries of state name, sorted.
func (p *Profile) servers() []string {
	names := map[string]bool{}
	for _, s := range p.State {
		for _, server := range []*Server{s.MySQL, s.Postgres} {
			if server != nil {
				names[server.Service] = true
			}
		}
	}
	return sortedKeys(names)
}
