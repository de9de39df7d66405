package profiles

import (
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

// A checker holds what the validators need. They name paths such as
// routes.0.to; at finds the lines.
type checker struct {
	*report
	p      *Profile
	places map[string]place
	bad    map[string]bool // paths with a fault already
	above  map[string]bool // what such a path is in
	root   pos
	used   map[string]bool // secrets that something names
}

// at is where the value of a path was written, or the nearest thing above it.
func (c *checker) at(path string) pos {
	for path != "" {
		if place, ok := c.places[path]; ok {
			return place.value
		}
		path = above(path)
	}
	return c.root
}

// keyAt is where the key of a path was written.
func (c *checker) keyAt(path string) pos {
	if place, ok := c.places[path]; ok {
		return place.key
	}
	return c.at(path)
}

func (c *checker) given(path string) bool {
	_, ok := c.places[path]
	return ok
}

// wrong reports a fault in the value of a path.
func (c *checker) wrong(code, path, hint, format string, args ...any) {
	if !c.suppressed(path) {
		c.errorf(code, c.at(path), hint, format, args...)
	}
}

// missing reports a fault at the key of a path.
func (c *checker) missing(code, path, hint, format string, args ...any) {
	if !c.suppressed(path) {
		c.errorf(code, c.keyAt(path), hint, format, args...)
	}
}

// suppressed says whether a path, or what it is in or has in it, could not be
// read: then a fault there is told already.
func (c *checker) suppressed(path string) bool {
	if c.bad[path] || c.above[path] {
		return true
	}
	for up := above(path); up != ""; up = above(up) {
		if c.bad[up] {
			return true
		}
	}
	return false
}

// above is the path that a path is in, "" for the profile.
func above(path string) string { return path[:max(strings.LastIndexByte(path, '.'), 0)] }

// parents are all paths, the profile not being one, that have one of paths in them.
func parents(paths map[string]bool) map[string]bool {
	out := map[string]bool{}
	for path := range paths {
		for up := above(path); up != "" && !out[up]; up = above(up) {
			out[up] = true
		}
	}
	return out
}

// matches reports a value that is given and does not match.
func (c *checker) matches(path, value string, pattern *regexp.Regexp, what, hint string) {
	if value != "" && !pattern.MatchString(value) {
		c.wrong("wrong-form", path, hint, "%s is not %s: %s", path, what, quote(value))
	}
}

var (
	appPattern   = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,30}[a-z0-9]$`)
	slugPattern  = regexp.MustCompile(`^[a-z0-9]+([.-][a-z0-9]+)*$`)
	uuidPattern  = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
	tagPattern   = regexp.MustCompile(`^[A-Za-z0-9_:-]+$`) // of 255 characters at most: a repetition of that many is slow to compile
	mailPattern  = regexp.MustCompile(`^[A-Za-z0-9.!#%&'*+/=?^_{|}~-]+@[A-Za-z0-9.-]+$`)
	debPattern   = regexp.MustCompile(`^[a-z0-9][a-z0-9+.-]+$`)
	modePattern  = regexp.MustCompile(`^0?[0-7]{3,4}$`)
	ownerPattern = regexp.MustCompile(`^[a-z_][a-z0-9_-]*(:[a-z_][a-z0-9_-]*)?$`)
	notInName    = regexp.MustCompile(`[^a-z0-9]+`)
	// volumePattern is what Compose's schema asks of a volume's key.
	volumePattern = regexp.MustCompile(`^[a-zA-Z0-9._-]+$`)
	envPattern    = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	serverName    = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?$`)
	// What goes into nginx's configuration has no space, quote, brace,
	// semicolon or dollar.
	pathPattern = regexp.MustCompile(`^/[A-Za-z0-9._~@%+=:,/-]*$`)
	sizePattern = regexp.MustCompile(`^[0-9]{1,9}[kKmMgG]?$`)
	urlPattern  = regexp.MustCompile(`^https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[A-Za-z0-9._~@%+=:,/?&#-]*)?$`)
)

// fields checks all that needs no compose file.
func (c *checker) fields() {
	c.app()
	c.domains()
	c.droplet()
	c.source()
	c.env()
	c.tls()
	c.mail()
	c.health()
	c.release()
	c.firewall()
	c.packages()
	c.files()
	c.registry()
	c.secrets()
	c.account()
	c.build()
	c.hooks()
	c.notify()
	c.backup()
}

// data checks what goes along from droplet to droplet, and what does not. app is
// nil when the compose files could not be read.
func (c *checker) data(app *composed) {
	c.state(app)
	if app == nil {
		c.paused(nil)
		c.migrate(nil)
		return
	}
	c.paused(app.active())
	c.migrate(app.all())
	c.uncovered(app)
}

func (c *checker) app() {
	if c.p.App == "" {
		c.wrong("missing-key", "app", "app: "+c.suggestedApp(), "app is missing: it names the site in droplets and tags")
		return
	}
	c.matches("app", c.p.App, appPattern,
		"a name of 2 to 32 lower-case letters, digits and inner hyphens", tryName(c.p.App))
}

// suggestedApp is an app's name made of what the profile says.
func (c *checker) suggestedApp() string {
	if len(c.p.Domains) > 0 {
		if name := cleanName(strings.SplitN(c.p.Domains[0], ".", 2)[0]); appPattern.MatchString(name) {
			return name
		}
	}
	return "blog"
}

func tryName(s string) string {
	if name := cleanName(s); appPattern.MatchString(name) {
		return "such as " + name
	}
	return "such as blog"
}

func cleanName(s string) string {
	dashed := notInName.ReplaceAllString(strings.ToLower(s), "-")
	return strings.Trim(dashed[:min(len(dashed), 32)], "-")
}

func (c *checker) droplet() {
	d := c.p.Droplet
	c.matches("droplet.region", d.Region, slugPattern, "a slug", "such as nyc3, fra1 or sgp1")
	c.matches("droplet.size", d.Size, slugPattern, "a slug", "such as s-1vcpu-1gb")
	if _, ok := ImageFamily(d.Image); d.Image != "" && !ok {
		c.wrong("unknown-value", "droplet.image", strings.Join(Images(), " or "), "droplet.image is not one that cattle makes machines of: %s", quote(d.Image))
	}
	c.matches("droplet.vpc", d.VPC, uuidPattern, "a VPC's UUID", "`doctl vpcs list` shows it")
	for i, tag := range d.Tags {
		c.matches(join("droplet.tags", itoa(i)), tag, tagPattern, "a tag", "letters, digits and _ : -")
		if len(tag) > 255 {
			c.wrong("wrong-form", join("droplet.tags", itoa(i)), "255 at most", "droplet.tags.%d has %d characters", i, len(tag))
		}
	}
	if c.p.ReservedIP == "" {
		return
	}
	if ip, err := netip.ParseAddr(c.p.ReservedIP); err != nil || !ip.Is4() {
		c.wrong("wrong-form", "reserved_ip", "leave it out and the first release makes one",
			"reserved_ip is not an IPv4 address: %s", quote(c.p.ReservedIP))
	}
}

// source checks that there is one thing to run.
func (c *checker) source() {
	p := c.p
	switch {
	case c.suppressed("image") || c.suppressed("compose") || c.suppressed("port"):
	case p.Image == "" && len(p.Compose) == 0:
		c.wrong("missing-key", "", "image: ghcr.io/me/"+c.suggestedApp()+" and port: 8000, or compose: compose.yaml", "nothing to run: there is neither image nor compose")
	case len(p.Compose) == 0 && !c.given("port"):
		c.missing("missing-key", "image", "port: 8000", "an image needs the port that it listens on")
	case len(p.Compose) > 0 && c.given("port"):
		c.missing("keys-exclude", "port", "routes say the port: `routes: [{to: \"web:8000\"}]`", "port goes with image, not with compose")
	}
	if c.given("port") && len(p.Compose) == 0 && (p.Port < 1 || p.Port > 65535) {
		c.wrong("out-of-range", "port", "1 to 65535", "port is out of range: %d", p.Port)
	}
	if p.Image != "" {
		c.image()
	}
}

func (c *checker) image() {
	ref := imageFor(c.p.Image, placeholderRelease)
	if why := badImage(ref); why != "" {
		c.wrong("wrong-form", "image", "such as ghcr.io/me/blog, or with a tag ghcr.io/me/blog:${RELEASE}",
			"image is not an image reference: %s: %s", quote(c.p.Image), why)
	}
}

func (c *checker) env() {
	s := c.p.scope(placeholderRelease)
	for _, key := range slices.Sorted(maps.Keys(c.p.Env)) {
		path := join("env", key)
		if !envPattern.MatchString(key) {
			c.missing("wrong-form", path, "letters, digits and _, not beginning with a digit", "%s is not a name of an environment variable", quote(key))
		}
		for _, bad := range s.complaints[key] {
			c.errorf("secret-undefined", locate(c.at(path), bad.ref), c.secretHint(bad.name), "%s: %s", path, c.secretMessage(bad))
		}
	}
	maps.Copy(c.used, s.used)
}

func (c *checker) tls() {
	t := c.p.TLS
	c.matches("tls.email", t.Email, mailPattern, "an e-mail address", "such as me@example.com")
	if t.Directory != "" && (!urlPattern.MatchString(t.Directory) || !strings.HasPrefix(t.Directory, "https://")) {
		c.wrong("wrong-form", "tls.directory", "such as "+letsEncrypt, "tls.directory is not an https URL: %s", quote(t.Directory))
	}
	if t.Directory != "" && t.Staging {
		c.wrong("keys-exclude", "tls.staging", "keep one of them", "staging is Let's Encrypt's: it cannot be had with another directory")
	}
	setDefault(&c.p.TLS.Directory, map[bool]string{false: letsEncrypt, true: letsEncryptStaging}[t.Staging])
}

func (c *checker) firewall() {
	for i, from := range c.p.Firewall.SSHFrom {
		_, errAddr := netip.ParseAddr(from)
		prefix, errPrefix := netip.ParsePrefix(from)
		path := join("firewall.ssh_from", itoa(i))
		switch {
		case errAddr != nil && errPrefix != nil:
			c.wrong("wrong-form", path, "such as 203.0.113.7 or 203.0.113.0/24", "%s is not an address or CIDR block: %s", path, quote(from))
		case errPrefix == nil && prefix.Masked() != prefix:
			c.wrong("wrong-form", path, "did you mean "+quote(prefix.Masked().String())+"?", "%s has bits set beyond its mask: %s", path, quote(from))
		}
	}
}

func (c *checker) packages() {
	for i, name := range c.p.Packages {
		path := join("packages", itoa(i))
		c.matches(path, name, debPattern, "a package's name", "lower-case letters, digits and + - .")
	}
}
