package profiles

import (
	"path"
	"slices"
	"strings"
)

func (c *checker) mail() {
	m := c.p.Mail
	if m == nil {
		return
	}
	c.relay(m)
	c.matches("mail.from", m.From, mailPattern, "an e-mail address", "such as blog@example.com")
	c.matches("mail.root", m.Root, mailPattern, "an e-mail address", "such as me@example.com")
	c.named("mail.username", m.Username, "a name")
	c.named("mail.password", m.Password, "a password")
	if (m.Username == "") != (m.Password == "") {
		c.wrong("missing-key", "mail", "give both or neither", "mail has one of username and password")
	}
}

func (c *checker) relay(m *Mail) {
	if m.Relay == "" {
		c.missing("missing-key", "mail", "relay: smtp.example.com", "mail needs a relay")
	} else if !validHost(m.Relay) {
		c.wrong("wrong-form", "mail.relay", "such as smtp.example.com; the port is a key of its own", "mail.relay is not a host name: %s", quote(m.Relay))
	}
	switch {
	case slices.Contains([]int{25, 465, 587}, m.Port):
		c.wrong("mail-port-blocked", "mail.port", "port: 2525, which most relays listen on too", "DigitalOcean blocks port %d out of droplets", m.Port)
	case m.Port < 1 || m.Port > 65535:
		c.wrong("out-of-range", "mail.port", "port: 2525", "mail.port is out of range: %d", m.Port)
	}
}

func (c *checker) health() {
	h := c.p.Health
	if !pathPattern.MatchString(strings.SplitN(h.Path, "?", 2)[0]) || strings.ContainsAny(h.Path, " \t\r\n\"'\\") {
		c.wrong("wrong-form", "health.path", "such as /up", "health.path is not a path: %s", quote(h.Path))
	}
	if h.Status < 100 || h.Status > 599 {
		c.wrong("out-of-range", "health.status", "such as 200", "health.status is not an HTTP status: %d", h.Status)
	}
	c.atLeast("health.successes", h.Successes, 1)
	for name, d := range map[string]bool{
		"health.interval": h.Interval > 0, "health.timeout": h.Timeout > 0,
		"health.deadline": h.Deadline > 0, "release.boot_within": c.p.Release.BootWithin > 0,
	} {
		if !d {
			c.wrong("out-of-range", name, "such as 5s", "%s must be longer than 0", name)
		}
	}
}

func (c *checker) atLeast(path string, n, least int) {
	if n < least {
		c.wrong("out-of-range", path, "", "%s must be at least %d, not %d", path, least, n)
	}
}

func (c *checker) release() {
	c.atLeast("release.keep", c.p.Release.Keep, 0)
	c.atLeast("release.cutover.failed", c.p.Release.Cutover.Failed, 0)
}

func (c *checker) files() {
	seen := map[string]bool{}
	for i, f := range c.p.Files {
		at := join("files", itoa(i))
		c.filePath(at, f.Path)
		if seen[f.Path] && f.Path != "" {
			c.wrong("given-twice", join(at, "path"), "remove one of them", "the file %s is given twice", quote(f.Path))
		}
		seen[f.Path] = true
		if c.given(join(at, "content")) == (f.From != "") {
			c.wrong("keys-exclude", at, "content: the text, or from: a local file", "%s needs exactly one of content and from", at)
		}
		c.localFile(join(at, "from"), f.From)
		c.matches(join(at, "mode"), f.Mode, modePattern, "an octal mode", "such as 0644")
		c.matches(join(at, "owner"), f.Owner, ownerPattern, "user:group", "such as root:root")
	}
}

func (c *checker) filePath(at, p string) {
	switch {
	case p == "":
		c.wrong("missing-key", at, "path: /etc/motd", "%s has no path", at)
	case !pathPattern.MatchString(p) || path.Clean(p) != p || p == "/":
		c.wrong("wrong-form", join(at, "path"), "such as /etc/motd", "%s.path is not a plain absolute path: %s", at, quote(p))
	}
}

func (c *checker) localFile(at, name string) {
	if name == "" {
		return
	}
	if err := checkFile(name); err != nil {
		c.wrong("file-missing", at, fileHint(err, "the path is relative to the profile"), "%s: %s: %s", at, quote(name), reason(err))
	}
}

func (c *checker) registry() {
	for i, r := range c.p.Registry {
		at := join("registry", itoa(i))
		if r.Server == "" {
			c.wrong("missing-key", at, "server: ghcr.io", "%s has no server", at)
		}
		c.matches(join(at, "server"), r.Server, serverName, "a host name", "such as ghcr.io")
		c.login(at, r)
	}
}

func (c *checker) login(at string, r Registry) {
	if r.Username == "" || r.Password == "" {
		c.wrong("missing-key", at, "username: me and password: ${REGISTRY_PASSWORD}", "%s needs username and password", at)
	}
	if m := secretRef.FindStringSubmatch(r.Username); m != nil {
		c.secretExists(join(at, "username"), m[1])
	} else if strings.ContainsAny(r.Username, "$ \t\r\n\"'\\`") {
		c.wrong("wrong-form", join(at, "username"), "a plain name or ${NAME}", "%s.username is not a user's name: %s", at, quote(r.Username))
	}
	c.named(join(at, "password"), r.Password, "a password")
}
