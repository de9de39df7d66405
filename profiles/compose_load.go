package profiles

import (
	"context"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/template"
	"github.com/compose-spec/compose-go/v2/types"
)

// A composed is the merged compose project of one release.
type composed struct {
	project *types.Project
	files   []*composeFile  // for an app of one container one, without places
	used    map[string]bool // secrets that it names
}

// compose makes the project. Faults go to r; it is nil after an error. Fault
// says where the profile asks for it.
func (p *Profile) compose(ctx context.Context, release string, sources []*source, fault pos, r *report) *composed {
	prep := &preparer{report: r, scope: p.scope(release), release: release, passed: map[string]string{}}
	before := len(r.list)
	var files []*composeFile
	if len(p.Compose) == 0 {
		file := &composeFile{src: fault.src, tree: &node{pos: fault}, content: p.oneService(prep.scope)}
		files = append(files, file)
	}
	for _, src := range sources {
		if f := prep.prepare(src); f != nil {
			files = append(files, f)
		}
	}
	if r.list[before:].HasErrors() {
		return nil
	}
	name := p.App
	if !appPattern.MatchString(name) {
		name = "app" // Load has told it
	}
	// What cattle wrote itself fits Compose's schema, and compiling that takes
	// longer than all else of a load.
	project, err := loadProject(ctx, name, files, prep.passed, len(sources) == 0)
	if err != nil {
		at, message, hint := explain(files, err)
		r.errorf("compose", at, hint, "%s", message)
		return nil
	}
	return &composed{project: project, files: files, used: prep.scope.used}
}

// loadProject merges the files as `docker compose -f a -f b` does. Nothing is
// read but what is given. fits says that the files are known to fit the schema.
func loadProject(ctx context.Context, name string, files []*composeFile, env map[string]string, fits bool) (p *types.Project, err error) {
	defer func() {
		if caught := recover(); caught != nil {
			p, err = nil, fmt.Errorf("compose cannot read this: %v", caught)
		}
	}()
	details := types.ConfigDetails{WorkingDir: "/", Environment: env}
	for _, f := range files {
		details.ConfigFiles = append(details.ConfigFiles, types.ConfigFile{Filename: f.src.name, Content: f.content})
	}
	p, err = loader.LoadWithContext(ctx, details, func(o *loader.Options) {
		o.SetProjectName(name, true)
		o.SkipValidation = fits
		o.ResolvePaths = false
		o.SkipInclude = true
		o.SkipResolveEnvironment = true
		o.SkipResolveLabels = true
		o.Profiles = []string{"*"}
		// What is interpolated already must not be again; the types of
		// numbers and booleans are still restored by the loader.
		o.Interpolate.Substitute = func(s string, _ template.Mapping) (string, error) { return s, nil }
	})
	if err == nil && len(p.Services) == 0 {
		err = fmt.Errorf("there are no services")
	}
	return p, err
}

var (
	dottedPath   = regexp.MustCompile(`\b(?:services|volumes|networks|configs|secrets|jobs)(?:\.[\w-]+|\[\d+\])+`)
	namedService = regexp.MustCompile(`service "([^"]+)"`)
	extraKey     = regexp.MustCompile(`additional properties '([^']+)'`)
	falseSchema  = regexp.MustCompile(`^([\w.-]+)\.([^. ]+) false schema$`)
	// noise says what the place says already, or means nothing to a user.
	noise = regexp.MustCompile(`^validating [^:]*: |error while interpolating |failed to cast to expected type: |strconv\.\w+: |: invalid compose project$`)
)

// explain finds the place that an error of compose-go is about: the deepest
// key that its message names.
func explain(files []*composeFile, err error) (at pos, message, hint string) {
	message, _, _ = strings.Cut(noise.ReplaceAllString(err.Error(), ""), "\n")
	var paths [][]string
	for _, m := range dottedPath.FindAllString(message, -1) {
		flat := strings.NewReplacer("[", ".", "]", "").Replace(m)
		paths = append(paths, strings.Split(flat, "."))
	}
	for _, m := range namedService.FindAllStringSubmatch(message, -1) {
		paths = append(paths, []string{"services", m[1]})
	}
	if m := extraKey.FindStringSubmatch(message); m != nil {
		paths = append(paths, []string{m[1]})
		for _, path := range slices.Clone(paths) {
			paths = append(paths, append(slices.Clone(path), m[1]))
		}
	}
	at = deepest(files, paths)
	if m := falseSchema.FindStringSubmatch(message); m != nil {
		return at, "unknown key " + quote(m[2]), didYouMean(m[2], keysAt(m[1]))
	}
	return at, message, ""
}

// keysAt are the keys that compose knows in a service.
func keysAt(path string) []string {
	if parts := strings.Split(path, "."); len(parts) != 2 || parts[0] != "services" {
		return nil
	}
	var keys []string
	for _, t := range []reflect.Type{reflect.TypeFor[types.ServiceConfig](), reflect.TypeFor[types.ContainerSpec](), reflect.TypeFor[types.WorkloadSpec]()} {
		for i := range t.NumField() {
			key, _, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ",")
			keys = append(keys, key)
		}
	}
	return keys
}

func deepest(files []*composeFile, paths [][]string) pos {
	best, depth := files[0].tree.pos, 0
	for _, path := range paths {
		for _, f := range slices.Backward(files) {
			if at, n := f.tree.follow(path); n > depth {
				best, depth = at, n
			}
		}
	}
	return best
}

// follow goes down a path as far as it leads and says where and how deep.
func (n *node) follow(path []string) (at pos, depth int) {
	at = n.pos
	for _, key := range path {
		switch i := n.index(key); {
		case i >= 0:
			at, n = n.fields[i].key.pos, n.fields[i].value
		case n.kind == kindSequence && itoa(atoi(key)) == key && atoi(key) < len(n.items):
			n = n.items[atoi(key)]
			at = n.pos
		default:
			return at, depth
		}
		depth++
	}
	return at, depth
}

// place is where a key of the merged project is written, in the last file
// that has it.
func (c *composed) place(path ...string) pos {
	return deepest(c.files, [][]string{path})
}

// item is where an item of a list is written that fits.
func (c *composed) item(fits func(*node) bool, path ...string) pos {
	for _, f := range slices.Backward(c.files) {
		n := f.tree
		for _, key := range path {
			n = n.get(key)
		}
		if n == nil {
			continue
		}
		for _, item := range n.items {
			if fits(item) {
				return item.pos
			}
		}
	}
	return c.place(path...)
}
