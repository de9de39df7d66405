package guess

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"cattle/profiles"
)

// OverlayFile is what production adds where the app's own compose files cannot
// be released as they are.
const OverlayFile = "compose.cattle.yaml"

// store are images that keep data or serve the developer, and no visitors.
var store = regexp.MustCompile(`(^|/)(postgres|postgis|pgvector|mysql|mariadb|redis|valkey|mongo|memcached|rabbitmq|elasticsearch|opensearch|minio|mailpit|mailhog|adminer|pgadmin4)[^/]*$`)

// Stores are the services that keep data, by name: it does not outlive a release.
func (f *Folder) Stores() (names []string) {
	for _, s := range f.services() {
		if store.MatchString(s.Image) && len(s.Volumes) > 0 {
			names = append(names, s.Name)
		}
	}
	return names
}

// web is the service that visitors are sent to.
func (s *Sketch) web() (chosen profiles.ServiceOutline, comment string) {
	var open []profiles.ServiceOutline
	for _, service := range s.services() {
		if len(service.Ports) > 0 && !store.MatchString(service.Image) {
			open = append(open, service)
		}
	}
	for _, name := range []string{"proxy", "caddy", "nginx", "traefik", "web", "app", "www", "frontend", "site", s.App} {
		if i := slices.IndexFunc(open, func(o profiles.ServiceOutline) bool { return o.Name == name }); i >= 0 {
			return open[i], ""
		}
	}
	switch {
	case len(open) == 1:
		return open[0], ""
	case len(open) > 1:
		return open[0], inDoubt
	}
	for _, service := range s.services() {
		if !store.MatchString(service.Image) {
			return service, inDoubt
		}
	}
	return s.services()[0], inDoubt
}

func portOf(s profiles.ServiceOutline) string {
	if len(s.Ports) == 0 {
		return defaultPort
	}
	return s.Ports[0]
}

// Overlay is a compose file over the app's own, for what a droplet cannot do:
// build, read an env_file, open ports beside nginx, and mount the folder that the
// developer works in. It is "" where nothing of that is needed.
func (s *Sketch) Overlay() string {
	var b strings.Builder
	for _, service := range s.services() {
		lines := s.over(service)
		if len(lines) > 0 {
			fmt.Fprintf(&b, "  %s:\n    %s\n", yamlText(service.Name), strings.Join(lines, "\n    "))
		}
	}
	if b.Len() == 0 {
		return ""
	}
	return "# What is different on a droplet, over " + strings.Join(s.Compose, " and ") + ".\nservices:\n" + b.String()
}

func (s *Sketch) over(service profiles.ServiceOutline) (lines []string) {
	if builtOnly(service) {
		lines = append(lines, "image: "+s.imageOf(service)+" # a droplet builds nothing: it pulls this")
	}
	if len(service.EnvFiles) > 0 {
		lines = append(lines, "env_file: !reset [] # it would be in plain text; secrets go another way", "environment:")
		for _, v := range s.Variables {
			if v.Given {
				lines = append(lines, fmt.Sprintf("  %[1]s: ${%[1]s}", v.Name))
			}
		}
	}
	if service.Open {
		lines = append(lines, "ports: !reset [] # visitors come through the droplet's nginx alone")
	}
	switch {
	case len(service.Bound) == 0 || slices.ContainsFunc(service.Bound, namesFile):
		// Of a file nobody can tell whether the image has it: cattle check asks.
	case len(service.Kept) == 0:
		lines = append(lines, "volumes: !reset [] # a droplet has the image, and not this folder")
	default:
		lines = append(lines, "volumes: !override # a droplet has the image, and not this folder")
		for _, mount := range service.Kept {
			lines = append(lines, "  - "+yamlText(mount))
		}
	}
	return lines
}

// namesFile tells that a mount looks like a file, such as ./nginx.conf.
func namesFile(source string) bool {
	return strings.Contains(strings.TrimLeft(path.Base(source), "."), ".")
}

// builtOnly tells of a service that has no image to pull.
func builtOnly(s profiles.ServiceOutline) bool { return s.Build && s.Image == "" }

var tagged = regexp.MustCompile(`[:@][^/]*$`)

// imageOf is the repository's image for what is built alone, and one below it
// for each of several.
func (s *Sketch) imageOf(service profiles.ServiceOutline) string {
	image, _ := s.ImageOr()
	contexts := map[string]bool{}
	for _, other := range s.services() {
		if builtOnly(other) {
			contexts[path.Clean(other.Context)] = true
		}
	}
	tag := tagged.FindString(image)
	image = strings.TrimSuffix(image, tag)
	if tag == "" {
		tag = ":${RELEASE}"
	}
	if len(contexts) > 1 {
		image += "/" + strings.ToLower(service.Name)
	}
	return image + tag
}
