package profiles

import (
	"path/filepath"
	"slices"
	"strings"
)

// What the operator's machine and his account do for a release, beside the
// droplet: records, a project, builds, hooks and notices.

// dnsProvider is the one whose records cattle can keep.
const dnsProvider = "digitalocean"

func (c *checker) account() {
	if dns := c.p.DNS; dns != "" && dns != dnsProvider {
		c.wrong("unknown-value", "dns", "dns: "+dnsProvider+", or leave it out and keep the records yourself", "dns is not a keeper of records that cattle knows: %s", quote(dns))
	}
	if p := c.p.Project; p != strings.TrimSpace(p) || len(p) > maxProject || strings.ContainsFunc(p, isControl) {
		c.wrong("wrong-form", "project", "`doctl projects list` shows the account's", "project is not a project's name or UUID: %s", quote(p))
	}
}

// maxProject is the longest name of a project (the API's description).
const maxProject = 175

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

func (c *checker) build() {
	b := c.p.Build
	if b == nil {
		return
	}
	ways := []string{string(ViaRegistry), string(ViaSSH)}
	if !slices.Contains(ways, string(b.Via)) {
		c.wrong("unknown-value", "build.via", listed(ways)+" are known", "build.via is not a way to the droplet: %s", quote(string(b.Via)))
	}
	if len(c.p.Compose) > 0 {
		if slices.ContainsFunc([]string{"context", "dockerfile", "target", "args"}, func(key string) bool { return c.given(join("build", key)) }) {
			c.missing("keys-exclude", "build", "put `build:` beside the service's `image:` in the compose file", "build goes with image; compose files say it themselves, all but build.via")
		}
		return
	}
	if err := checkFolder(b.Context); err != nil {
		c.wrong("file-missing", "build.context", "a folder, relative to the profile", "build.context: %s: %s", quote(b.Context), reason(err))
		return
	}
	if err := checkFile(filepath.Join(b.Context, b.Dockerfile)); err != nil {
		c.wrong("file-missing", "build.dockerfile", fileHint(err, "the path is relative to build.context"), "build.dockerfile: %s: %s", quote(b.Dockerfile), reason(err))
	}
}

func (c *checker) hooks() {
	h := c.p.Hooks
	if h.Deadline <= 0 {
		c.wrong("out-of-range", "hooks.deadline", "such as 5m", "hooks.deadline must be longer than 0")
	}
	c.hook("hooks.before_switch", h.BeforeSwitch)
	c.hook("hooks.after_release", h.AfterRelease)
	c.hook("hooks.on_failure", h.OnFailure)
}

// hook wants a command, and where it is named by its path, one that is there.
func (c *checker) hook(path string, command Command) {
	switch {
	case !c.given(path):
	case len(command) == 0 || command[0] == "":
		c.wrong("missing-key", path, "such as ./smoke.sh", "%s has no command", path)
	case strings.Contains(command[0], "/"):
		if err := checkProgram(within(c.p.Dir, command[0])); err != nil {
			c.wrong("file-missing", path, "the path is relative to the profile, and the file has to be executable", "%s: %s: %s", path, quote(command[0]), reason(err))
		}
	}
}

func (c *checker) notify() {
	for i, n := range c.p.Notify {
		at := join("notify", itoa(i))
		given := 0
		for _, to := range []string{n.Mail, n.Webhook, n.Ntfy} {
			if to != "" {
				given++
			}
		}
		if given != 1 {
			c.wrong("keys-exclude", at, "mail: me@example.com", "%s needs exactly one of mail, webhook and ntfy", at)
		}
		c.matches(join(at, "mail"), n.Mail, mailPattern, "an e-mail address", "such as me@example.com")
		if n.Mail != "" && c.p.Mail == nil {
			c.wrong("missing-key", join(at, "mail"), "mail: {relay: smtp.example.com}", "%s is sent by the droplet's relay, and there is none", at)
		}
		c.address(join(at, "webhook"), n.Webhook)
		c.address(join(at, "ntfy"), n.Ntfy)
		for _, when := range n.On {
			if when != OnSuccess && when != OnFailure {
				c.wrong("unknown-value", join(at, "on"), OnSuccess+" and "+OnFailure+" are known", "%s.on is not a time to tell: %s", at, quote(when))
			}
		}
	}
}

// address wants an address of the web, or the variable that has it. What is
// given is not repeated: whoever reads it may post.
func (c *checker) address(path, value string) {
	name, inEnv := strings.CutPrefix(value, EnvPrefix)
	switch {
	case value == "":
	case inEnv && !envPattern.MatchString(name):
		c.wrong("wrong-form", path, "such as env:SLACK_WEBHOOK", "%s names no variable of the environment: %s", path, quote(name))
	case inEnv:
	case !urlPattern.MatchString(value) || !strings.HasPrefix(value, "https://"):
		c.wrong("wrong-form", path, "https://…, or env:NAME of a variable that holds it", "%s is not an https address", path)
	case strings.HasPrefix(value, "https://hooks."):
		c.warnf("webhook-readable", c.at(path), "write env:SLACK_WEBHOOK here, and export that where cattle runs", "%s: whoever reads this file can post there", path)
	}
}
