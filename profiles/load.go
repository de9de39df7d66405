package profiles

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
)

const (
	letsEncrypt        = "https://acme-v02.api.letsencrypt.org/directory"
	letsEncryptStaging = "https://acme-staging-v02.api.letsencrypt.org/directory"
	// placeholderRelease stands for any release where Load checks what Stack does.
	placeholderRelease = "v0.0.0"
)

// Options are what Load needs of other rooms.
type Options struct {
	// SecretNames returns the names in a SOPS file without opening a value.
	// Nil means that names of secrets are not checked.
	SecretNames func(path string) ([]string, error)
	// SiteOnly leaves the compose files unread: what they say is of no use to
	// a command that asks whose site it is, and a fault in one must not keep an
	// operator from a rollback. Stack reads them.
	SiteOnly bool
}

// Load reads a profile and all that it extends, fills in what it leaves out
// and checks everything that can be checked without a cloud, the compose files
// included. All faults are returned at once, those of the profile first. The
// Profile is nil when one of them is an error.
func Load(path string, opts Options) (*Profile, Diagnostics) {
	r := &report{}
	tree := (&reader{report: r}).complete(path)
	if tree == nil {
		return nil, r.sorted()
	}
	d := &decoder{report: r, places: map[string]place{}, bad: map[string]bool{}}
	p := &Profile{Path: path, Dir: filepath.Dir(path)}
	d.decode("", tree, reflect.ValueOf(p).Elem())
	c := &checker{report: r, p: p, places: d.places, bad: d.bad, above: parents(d.bad), root: tree.pos, used: map[string]bool{}}
	c.all(context.Background(), opts)
	if r.list.HasErrors() {
		return nil, r.sorted()
	}
	p.where = c.at
	return p, r.sorted()
}

// Fault is an error in what the profile says at a path such as files.0, or in
// the profile as a whole for a path that it does not have. It is for faults
// that only show when the profile is rendered.
func (p *Profile) Fault(code, path, message, hint string) Diagnostics {
	r := &report{}
	at := pos{}
	if p.where != nil {
		at = p.where(path)
	}
	r.errorf(code, at, hint, "%s", message)
	return r.sorted()
}

// complete reads the profile with the base starter under it.
func (r *reader) complete(path string) *node {
	tree := r.profile(path)
	base, ok := starter(baseStarter)
	if tree == nil || !ok {
		return nil
	}
	return merge(withoutNulls(tree), r.tree(r.number(base), ""))
}

// all runs every check. The order matters: later ones use what earlier ones
// fill in.
func (c *checker) all(ctx context.Context, opts Options) {
	c.learnSecrets(opts)
	c.fill()
	c.fields()
	c.freezing(!opts.SiteOnly)
	var app *composed
	if !opts.SiteOnly {
		app = c.compose(ctx)
	}
	if app == nil {
		c.routes(nil)
		c.cron(nil)
		c.data(nil)
		return
	}
	maps.Copy(c.used, app.used)
	app.check(c.report)
	c.defaultRoute(app)
	c.routes(app.active())
	c.cron(app.all())
	c.data(app)
	c.finish(app)
	c.unused()
}

// learnSecrets asks for the names in the secrets file. Where they cannot be
// learnt every name is let pass: one fault is enough.
func (c *checker) learnSecrets(opts Options) {
	c.p.vault = &vault{}
	file := c.p.Secrets.File
	if file == "" {
		return
	}
	c.p.vault.open = true
	if err := checkFile(file); err != nil {
		c.wrong("file-missing", "secrets.file", fileHint(err, "make it with `cattle secrets set NAME`"), "secrets file %s: %s", quote(file), reason(err))
		return
	}
	if opts.SecretNames == nil {
		return
	}
	names, err := opts.SecretNames(file)
	if err != nil {
		c.wrong("secrets-file-unusable", "secrets.file", cmp.Or(hintOf(err), "name a file that you may read"), "secrets file %s", err)
		return
	}
	c.p.vault = &vault{names: slices.Sorted(slices.Values(names))}
}

// hintOf is what an error of another room advises to type.
func hintOf(err error) string {
	var h interface{ Advice() string }
	if errors.As(err, &h) {
		return h.Advice()
	}
	return ""
}

// fill sets the defaults that a starter cannot: those of lists' items, and
// those that hang on other values.
func (c *checker) fill() {
	for i := range c.p.Routes {
		setDefault(&c.p.Routes[i].Path, "/")
		setDefault(&c.p.Routes[i].BodySize, defaultBodySize)
	}
	for i := range c.p.Files {
		setDefault(&c.p.Files[i].Mode, "0644")
		setDefault(&c.p.Files[i].Owner, "root:root")
	}
	if m := c.p.Mail; m != nil && !c.given("mail.port") {
		m.Port = 2525
	}
	if b := c.p.Build; b != nil {
		setDefault(&b.Context, c.p.Dir)
		setDefault(&b.Dockerfile, "Dockerfile")
		if b.Via == "" {
			b.Via = ViaRegistry
		}
	}
	for i := range c.p.Notify {
		if len(c.p.Notify[i].On) == 0 {
			c.p.Notify[i].On = []string{OnSuccess, OnFailure}
		}
	}
}

const defaultBodySize = "10m"

func setDefault(s *string, value string) {
	if *s == "" {
		*s = value
	}
}

var usesImage = regexp.MustCompile(`\$\{?IMAGE\b`)

// compose makes the project of a made-up release, so that its faults show now.
func (c *checker) compose(ctx context.Context) *composed {
	p := c.p
	if len(p.Compose) == 0 {
		if p.Image == "" || badImage(imageFor(p.Image, placeholderRelease)) != "" {
			return nil
		}
		return p.compose(ctx, placeholderRelease, nil, c.keyAt("image"), c.report)
	}
	sources := c.readCompose()
	if sources == nil {
		return nil
	}
	p.composeFiles = sources
	says := slices.ContainsFunc(sources, func(s *source) bool { return usesImage.Match(s.text) })
	if p.Image != "" && !says {
		c.errorf("keys-exclude", c.keyAt("image"), "keep one of them, or write image: ${IMAGE} in a compose file", "both image and compose are given")
	}
	return p.compose(ctx, placeholderRelease, sources, c.at("compose"), c.report)
}

// defaultRoute sends / to the one port there is.
func (c *checker) defaultRoute(app *composed) {
	if len(c.p.Routes) > 0 || c.suppressed("routes") {
		return
	}
	to := webService + ":" + itoa(c.p.Port)
	if len(c.p.Compose) > 0 {
		ports := app.ports()
		if len(ports) != 1 {
			c.errorf("route-missing", c.keyAt("compose"), routeHint(app, ports), "no route is given, and the services open %s ports", count(len(ports)))
			return
		}
		to = ports[0]
	} else if _, _, ok := splitTarget(to); !ok {
		return
	}
	c.p.Routes = []Route{{Path: "/", To: to, BodySize: defaultBodySize}}
}

func count(n int) string {
	if n == 0 {
		return "no"
	}
	return itoa(n)
}

func routeHint(app *composed, ports []string) string {
	to := sortedKeys(app.all())[0] + ":8000"
	if len(ports) > 0 {
		i := slices.IndexFunc(ports, func(p string) bool { return strings.HasPrefix(p, webService+":") })
		to = ports[max(i, 0)]
	}
	return "routes: [{to: \"" + to + "\"}]"
}

// finish tells what only shows when the stack is made.
func (c *checker) finish(app *composed) {
	if c.list.HasErrors() {
		return
	}
	_, err := app.stack(c.p, nil)
	if err == nil {
		return
	}
	at := c.root
	var bad *routeError
	if errors.As(err, &bad) {
		i := slices.IndexFunc(c.p.Routes, func(r Route) bool { return r.To == bad.to })
		at = c.at(fmt.Sprintf("routes.%d.to", i))
	}
	c.errorf("compose", at, "", "%s", err)
}
