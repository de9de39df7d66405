package profiles

import (
	"slices"
	"strings"
)

// secrets checks the file and how its key travels.
func (c *checker) secrets() {
	s := c.p.Secrets
	modes := []string{string(DeliverSSH), string(DeliverUserData)}
	if !slices.Contains(modes, string(s.Deliver)) {
		hint := didYouMean(string(s.Deliver), modes)
		if hint == "" {
			hint = listed(modes) + " are known"
		}
		c.wrong("unknown-value", "secrets.deliver", hint, "secrets.deliver is not a way to deliver: %s", quote(string(s.Deliver)))
	}
	if s.Deliver == DeliverUserData && s.File != "" {
		c.warnf("deliver-user-data", c.at("secrets.deliver"), "deliver: ssh keeps the key out of it",
			"the key to the secrets rides in user-data, which the cloud keeps and root on the droplet can always read")
	}
}

// named demands ${NAME} of a secret that exists. The value is not repeated in
// the fault: it may be the password itself.
func (c *checker) named(path, value, what string) {
	if value == "" {
		return
	}
	m := secretRef.FindStringSubmatch(value)
	if m == nil {
		c.wrong("secret-readable", path, "put it into the secrets file and write ${"+exampleName(path)+"} here",
			"%s must be ${NAME} of a secret, not %s in plain text", path, what)
		return
	}
	c.secretExists(path, m[1])
}

func exampleName(path string) string {
	parts := strings.Split(path, ".")
	last := parts[len(parts)-1]
	first := strings.TrimSuffix(parts[0], "s")
	return strings.ToUpper(first + "_" + last)
}

func (c *checker) secretExists(path, name string) {
	if c.p.vault.has(name) {
		c.used[name] = true
		return
	}
	bad := complaint{name: name, ref: "${" + name}
	c.errorf("secret-undefined", locate(c.at(path), bad.ref), c.secretHint(name), "%s: %s", path, c.secretMessage(bad))
}

func (c *checker) secretMessage(bad complaint) string {
	switch {
	case bad.name == "" || strings.Contains(bad.message, ": "):
		return bad.message
	case c.p.Secrets.File == "":
		return "${" + bad.name + "} names a secret, but there is no secrets file"
	}
	return "the secrets file has no " + quote(bad.name)
}

func (c *checker) secretHint(name string) string {
	switch {
	case name == "":
		return ""
	case c.p.Secrets.File == "":
		return "secrets: {file: secrets.env}, made with `cattle secrets set " + name + "`"
	}
	if hint := didYouMean(name, c.p.vault.names); hint != "" {
		return hint
	}
	return "add it with `cattle secrets set " + name + "`"
}

// unused warns of secrets that travel to the droplet for nothing.
func (c *checker) unused() {
	for _, name := range c.p.vault.names {
		if !c.used[name] {
			c.warnf("secret-unused", c.at("secrets.file"), "write ${"+name+"} where it is needed, or take it out of the file",
				"nothing uses the secret %s", quote(name))
		}
	}
}
