package profiles

import (
	"errors"
	"regexp"
	"slices"
	"strings"
)

// An Outline is what can be read of compose files before there is a profile:
// leniently, since what they lack of one is what has to be found out.
type Outline struct {
	Services []ServiceOutline // in the order of the files
	Needs    []Need           // in the order of the files
	// UsesImage tells that one asks for ${IMAGE}, which is the profile's image.
	UsesImage bool
}

// A ServiceOutline is one service of compose files, merged.
type ServiceOutline struct {
	Name, Image string
	Build       bool
	Context     string   // of the build, as it is written
	Ports       []string // inside the container, published or exposed; sorted as written
	Open        bool     // it publishes a port to the world, which a droplet keeps closed
	Health      string   // the path that its health check asks by HTTP, or ""
	EnvFiles    []string
	Volumes     []string // named volumes and folders that it mounts
	// Bound are folders and files beside the compose files that it mounts, which
	// no droplet has; Kept are its other mounts, as they are written.
	Bound, Kept []string
	// Named are the mounts of named volumes that it may write to: the volume, and
	// where it is in the container.
	Named []NamedMount
	// Env is its environment as it is written, references and all.
	Env map[string]string
}

// A NamedMount is a named volume in a container.
type NamedMount struct{ Volume, Target string }

// A Need is a variable that a file asks for.
type Need struct {
	Name     string
	Optional bool // it has a default
	// Open means that it stands where a secret cannot: in an image's reference
	// or another place that has to be known before the droplet is.
	Open bool
}

// ReadOutline reads compose files that are merged in this order. Only a file
// that cannot be parsed is an error: Diagnostics, as `cattle check` has them.
func ReadOutline(paths ...string) (*Outline, error) {
	r := &report{}
	out := &Outline{}
	for _, path := range paths {
		text, err := ReadFile(path)
		if err != nil {
			return nil, err
		}
		_, tree := parse(newSource(path, text), r, "begin with `services:`")
		if tree == nil {
			return nil, r.sorted()
		}
		out.needs(tree, nil)
		services := tree.get("services")
		if services == nil {
			continue
		}
		for _, f := range services.fields {
			out.service(f.key.value).add(f.value)
			out.passed(f.value.get("environment"))
		}
	}
	if len(out.Services) == 0 {
		return nil, errors.New("there are no services")
	}
	return out, nil
}

func (o *Outline) service(name string) *ServiceOutline {
	i := slices.IndexFunc(o.Services, func(s ServiceOutline) bool { return s.Name == name })
	if i < 0 {
		o.Services = append(o.Services, ServiceOutline{Name: name})
		i = len(o.Services) - 1
	}
	return &o.Services[i]
}

// needs walks all values. What a default stands behind is not needed.
func (o *Outline) needs(n *node, path []string) {
	for _, f := range n.fields {
		o.needs(f.value, append(path[:len(path):len(path)], f.key.value))
	}
	for _, item := range n.items {
		o.needs(item, path)
	}
	if n.kind != kindScalar || !strings.Contains(n.value, "$") {
		return
	}
	open := !slices.Contains(path, "environment") && !slices.Contains(path, "command")
	e := expander{lookup: func(name string) (string, known) {
		o.UsesImage = o.UsesImage || name == "IMAGE"
		o.need(name, true, open)
		return "", unknownName
	}}
	e.composeText(n.value)
	for _, c := range e.complaints {
		o.need(c.name, false, open)
	}
}

// need notes a variable. What is asked for twice is as needed as the stricter
// of them says.
func (o *Outline) need(name string, optional, open bool) {
	if name == "" || name == "RELEASE" || name == "IMAGE" {
		return
	}
	i := slices.IndexFunc(o.Needs, func(n Need) bool { return n.Name == name })
	if i < 0 {
		o.Needs = append(o.Needs, Need{name, optional, open})
		return
	}
	o.Needs[i].Optional = o.Needs[i].Optional && optional
	o.Needs[i].Open = o.Needs[i].Open || open
}

// add lays one file's description of the service over what is known.
func (s *ServiceOutline) add(n *node) {
	if image := n.get("image"); image != nil {
		s.Image = image.value
	}
	if build := n.get("build"); build != nil {
		s.Build, s.Context = true, build.value
		if context := build.get("context"); context != nil {
			s.Context = context.value
		}
	}
	for _, item := range itemsOf(n.get("ports")) {
		s.port(item)
	}
	for _, item := range itemsOf(n.get("expose")) {
		s.listens(plainPort(item.value))
	}
	for _, item := range itemsOf(n.get("env_file")) {
		file := item.value
		if path := item.get("path"); path != nil {
			file = path.value
		}
		s.EnvFiles = append(s.EnvFiles, file)
	}
	for _, item := range itemsOf(n.get("volumes")) {
		source, rest, _ := strings.Cut(item.value, ":")
		target, options, _ := strings.Cut(rest, ":")
		if named := item.get("source"); named != nil {
			source = named.value
		}
		if to := item.get("target"); to != nil {
			target = to.value
		}
		readOnly := strings.Contains(options, "ro") || item.get("read_only") != nil
		if volumeName.MatchString(source) && strings.HasPrefix(target, "/") && !readOnly {
			s.Named = append(s.Named, NamedMount{source, target})
		}
		s.Volumes = append(s.Volumes, source)
		switch {
		case strings.HasPrefix(source, "."):
			s.Bound = append(s.Bound, source)
		case item.kind == kindScalar:
			s.Kept = append(s.Kept, item.value)
		}
	}
	s.environment(n.get("environment"))
	for _, item := range itemsOf(n.get("healthcheck").get("test")) {
		if path, ok := HealthPath(item.value); ok {
			s.Health = path
		}
	}
}

// environment lays variables over those that are known, in either form.
func (s *ServiceOutline) environment(env *node) {
	if env == nil {
		return
	}
	if s.Env == nil {
		s.Env = map[string]string{}
	}
	for _, f := range env.fields {
		s.Env[f.key.value] = f.value.value
	}
	for _, item := range env.items {
		if name, value, is := strings.Cut(item.value, "="); is {
			s.Env[name] = value
		}
	}
}

// passed notes `environment: [NAME]`, which is the operator's own variable.
func (o *Outline) passed(env *node) {
	if env == nil {
		return
	}
	for _, f := range env.fields {
		if f.value.kind == kindNull {
			o.need(f.key.value, false, false)
		}
	}
	for _, item := range env.items {
		if item.kind == kindScalar && !strings.Contains(item.value, "=") {
			o.need(item.value, false, false)
		}
	}
}

// itemsOf are the items of a list, or the lone value in place of one.
func itemsOf(n *node) []*node {
	switch {
	case n == nil:
		return nil
	case n.kind == kindScalar:
		return []*node{n}
	}
	return n.items
}

var (
	variable = regexp.MustCompile(`\$\{[A-Za-z_]\w*:?-([^}]*)\}`)
	// volumeName is a named volume: what begins with a dot, a slash or a tilde is a
	// path.
	volumeName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]*$`)
	portForm   = regexp.MustCompile(`^[0-9]{1,5}$`)
	// asked finds the address in a health check: curl, wget and the like.
	asked = regexp.MustCompile(`https?://(?:localhost|127\.0\.0\.1|0\.0\.0\.0|\[::1\])(?::[^/\s"']*)?(/[^\s"'|;&)]*)?`)
)

// HealthPath is the path that a health check's command asks by HTTP.
func HealthPath(command string) (path string, found bool) {
	m := asked.FindStringSubmatch(command)
	if m == nil {
		return "", false
	}
	if m[1] == "" {
		return "/", true
	}
	return m[1], true
}

// port takes one item of ports: 8000, 8080:80, 127.0.0.1:8080:80/tcp, or the
// long form. Defaults of variables are taken for their values.
func (s *ServiceOutline) port(n *node) {
	target, host := "", ""
	if t := n.get("target"); t != nil {
		target = t.value
		if ip := n.get("host_ip"); ip != nil {
			host = ip.value
		}
	} else {
		written := variable.ReplaceAllString(n.value, "$1")
		parts := strings.Split(written, ":")
		target = parts[len(parts)-1]
		if len(parts) > 2 {
			host = written
		}
	}
	s.listens(plainPort(target))
	s.Open = s.Open || !strings.HasPrefix(host, "127.") && !strings.HasPrefix(host, "[::1]") && host != "::1"
}

// plainPort is the port without its protocol; "" for ranges and variables.
func plainPort(text string) string {
	port, protocol, _ := strings.Cut(variable.ReplaceAllString(text, "$1"), "/")
	if !portForm.MatchString(port) || protocol == "udp" {
		return ""
	}
	return port
}

func (s *ServiceOutline) listens(port string) {
	if port != "" && !slices.Contains(s.Ports, port) {
		s.Ports = append(s.Ports, port)
	}
}

// DomainFault is why a name cannot be a domain of a profile, with what to do;
// "" where it can.
func DomainFault(name string) (why, hint string) { return badHost(name) }

// ImageFault is why a reference cannot be the image of a profile; "" where it can.
func ImageFault(ref string) string { return badImage(imageFor(ref, placeholderRelease)) }

var notInApp = regexp.MustCompile(`[^a-z0-9]+`)

// AppName makes of any text a name that `app` takes.
func AppName(text string) string {
	name := strings.Trim(notInApp.ReplaceAllString(strings.ToLower(text), "-"), "-")
	if len(name) > maxApp {
		name = strings.Trim(name[:maxApp], "-")
	}
	if !appPattern.MatchString(name) {
		return "site"
	}
	return name
}

// maxApp is the longest name that appPattern takes.
const maxApp = 32
