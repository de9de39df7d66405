package profiles

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// An Order is an image that `release --build` has docker or podman make.
type Order struct {
	Ref        string // as Stack.Images has it
	Context    string // folder
	Dockerfile string // its path
	Target     string // stage, "" for the last one
	// Args are NAME=value, sorted. None is a secret: an image tells them.
	Args []string
}

// Via is how images that were built get to the droplet.
func (p *Profile) Via() Via {
	if p.Build == nil {
		return ViaRegistry
	}
	return p.Build.Via
}

// Orders are the images of a release that can be built, by reference: the
// profile's, or those of the compose services that say build. The error is
// Diagnostics where the fault has a place.
func (p *Profile) Orders(ctx context.Context, release string) ([]Order, error) {
	if err := ValidRelease(release); err != nil {
		return nil, err
	}
	c := &checker{report: &report{}, p: p, root: newSource(p.Path, nil).start(), used: map[string]bool{}}
	var orders []Order
	if len(p.Compose) == 0 {
		orders = c.ownOrder(release)
	} else if app := p.compose(ctx, release, p.composeFiles, c.root, c.report); app != nil {
		orders = app.orders(filepath.Dir(p.Compose[0]), c.report)
	}
	if c.list.HasErrors() {
		return nil, c.sorted()
	}
	slices.SortFunc(orders, func(a, b Order) int { return strings.Compare(a.Ref, b.Ref) })
	return orders, nil
}

// ownOrder is the profile's own build, of the image of an app of one container.
func (c *checker) ownOrder(release string) []Order {
	b := c.p.Build
	if b == nil || c.p.Image == "" {
		return nil
	}
	o := Order{Ref: imageFor(c.p.Image, release), Context: b.Context, Dockerfile: filepath.Join(b.Context, b.Dockerfile), Target: b.Target}
	if strings.Contains(o.Ref, "@") {
		c.errorf("keys-exclude", c.placed("image"), "write it with the release as its tag", "%s has a digest already: nothing that is built now will be that", quote(o.Ref))
	}
	scope := c.p.scope(release)
	for _, name := range slices.Sorted(maps.Keys(b.Args)) {
		e := expander{lookup: scope.lookup}
		value, ok := spelled(e.envText(b.Args[name]))
		at := c.placed(join("build.args", name))
		for _, bad := range e.complaints {
			c.errorf("compose-variable", at, scope.hint(bad), "%s", bad.message)
		}
		if !ok {
			c.secretArg(at, name)
		}
		o.Args = append(o.Args, name+"="+value)
	}
	return []Order{o}
}

// placed is where the profile that was loaded says something.
func (c *checker) placed(path string) pos {
	if c.p.where == nil {
		return c.root
	}
	return c.p.where(path)
}

func (r *report) secretArg(at pos, name string) {
	r.errorf("secret-readable", at, "have the app read it when it runs, from its environment", "build argument %s is a secret, and whoever has the image can read its arguments", quote(name))
}

// spelled is interpolated text with a literal $ for each $$; ok is false where
// a secret is in it.
func spelled(text string) (string, bool) {
	var out strings.Builder
	for {
		before, rest, found := strings.Cut(text, "$")
		out.WriteString(before)
		switch {
		case !found:
			return out.String(), true
		case !strings.HasPrefix(rest, "$"):
			return "", false
		}
		out.WriteByte('$')
		text = rest[1:]
	}
}

// orders are the images of the services that say build. Paths are relative to
// dir, as docker compose takes them.
func (c *composed) orders(dir string, r *report) (out []Order) {
	made := map[string]Order{}
	for _, name := range slices.Sorted(maps.Keys(c.project.Services)) {
		s := c.project.Services[name]
		if s.Build == nil {
			continue
		}
		o := c.order(dir, name, s, r)
		before, again := made[o.Ref]
		if again && !reflect.DeepEqual(before, o) {
			r.errorf("given-twice", c.place("services", name, "image"), "give each build an image of its own, such as …/"+name+":${RELEASE}",
				"%s is built in two ways", quote(o.Ref))
		}
		if !again {
			made[o.Ref] = o
			out = append(out, o)
		}
	}
	return out
}

func (c *composed) order(dir, name string, s types.ServiceConfig, r *report) Order {
	b := s.Build
	c.unsupported(name, b, r)
	if strings.Contains(s.Image, "@") {
		r.errorf("keys-exclude", c.place("services", name, "image"), "write it with ${RELEASE} as its tag", "%s has a digest already: nothing that is built now will be that", quote(s.Image))
	}
	o := Order{Ref: s.Image, Context: within(dir, b.Context), Target: b.Target}
	o.Dockerfile = within(o.Context, b.Dockerfile)
	if err := checkFolder(o.Context); err != nil {
		r.errorf("file-missing", c.place("services", name, "build", "context"), "a folder, relative to the first compose file", "context of service %s: %s: %s", quote(name), quote(b.Context), reason(err))
	} else if err := checkFile(o.Dockerfile); err != nil {
		r.errorf("file-missing", c.place("services", name, "build", "dockerfile"), fileHint(err, "the path is relative to the context"), "dockerfile of service %s: %s: %s", quote(name), quote(b.Dockerfile), reason(err))
	}
	c.unset(name, b, r)
	for _, arg := range slices.Sorted(maps.Keys(b.Args)) {
		if b.Args[arg] == nil {
			continue
		}
		value, ok := spelled(*b.Args[arg])
		if !ok {
			r.secretArg(c.place("services", name, "build", "args", arg), arg)
		}
		o.Args = append(o.Args, arg+"="+value)
	}
	return o
}

// unset reports arguments that have a name alone, where env does not set it:
// the operator's own environment would make another image on each machine.
func (c *composed) unset(name string, b *types.BuildConfig, r *report) {
	for _, f := range c.files {
		for _, arg := range loneArgs(f.tree.get("services").get(name)) {
			if b.Args[arg.value] == nil {
				r.errorf("compose-variable", arg.pos, "set it under env in the profile", "nothing sets the build argument %s", quote(arg.value))
			}
		}
	}
}

// unsupported reports what a build section says besides. To leave any of it out
// would be another image.
func (c *composed) unsupported(name string, b *types.BuildConfig, r *report) {
	v := reflect.ValueOf(*b)
	for i := range v.NumField() {
		key, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("yaml"), ",")
		if v.Field(i).IsZero() || slices.Contains([]string{"context", "dockerfile", "target", "args"}, key) {
			continue
		}
		if key == "platforms" && slices.Equal(b.Platforms, []string{Platform}) {
			continue
		}
		r.errorf("unknown-key", c.place("services", name, "build", key), "leave it out, or build and push the image yourself and release without --build",
			"build.%s of service %s: release --build knows context, dockerfile, target and args", key, quote(name))
	}
}

// Platform is what droplets are.
const Platform = "linux/amd64"

func (o Order) String() string { return fmt.Sprintf("%s from %s", o.Ref, o.Context) }
