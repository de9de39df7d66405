package profiles

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
)

// noStateLabel on a volume says that what is in it may be lost: stateless, as
// a cache is.
const (
	noStateLabel = "cattle.state"
	noState      = "none"
)

// machinesOwn are paths that a container mounts of the machine itself, and in
// which no app keeps data.
var machinesOwn = []string{"/dev", "/etc/letsencrypt", "/etc/localtime", "/etc/nginx", "/etc/ssl", "/etc/timezone", "/opt/cattle", "/proc", "/run", "/sys",
	"/tmp", "/usr", "/var/lib/docker", "/var/log", "/var/run"}

// uncovered warns of each volume and folder that a service may write to, and
// that no entry of state carries: it would be empty after the next release.
func (c *checker) uncovered(app *composed) {
	if c.suppressed("state") {
		return
	}
	told := app.mountedBy(c.p.servers()) // their tools carry what they keep
	for _, name := range sortedKeys(app.active()) {
		service := app.project.Services[name]
		for _, v := range service.Volumes {
			if v.ReadOnly || told[v.Source] || !c.keepsData(v, app) || c.covered(v) {
				continue
			}
			told[v.Source] = true
			at := app.item(func(n *node) bool { return volumeTarget(n) == filepath.Clean(v.Target) }, "services", name, "volumes")
			c.warnf("volume-not-covered", at, coverHint(service.Image, name, v), "%s of service %s is in no entry of state: what is written there is lost with the next release",
				mountName(v), quote(name))
		}
	}
}

// mountedBy are the sources of all mounts of these services.
func (c *composed) mountedBy(services []string) map[string]bool {
	out := map[string]bool{}
	for _, name := range services {
		for _, v := range c.project.Services[name].Volumes {
			out[v.Source] = true
		}
	}
	return out
}

// keepsData says whether a mount is one in which an app may keep something.
func (c *checker) keepsData(v types.ServiceVolumeConfig, app *composed) bool {
	switch v.Type {
	case types.VolumeTypeVolume:
		volume, named := app.project.Volumes[v.Source]
		return named && volume.DriverOpts["type"] != "tmpfs" && volume.Labels[noStateLabel] != noState
	case types.VolumeTypeBind:
		own := slices.ContainsFunc(machinesOwn, func(dir string) bool { return v.Source == dir || strings.HasPrefix(v.Source, dir+"/") })
		return filepath.IsAbs(v.Source) && !own && !slices.ContainsFunc(c.p.Files, func(f File) bool { return overlap(f.Path, filepath.Clean(v.Source)) })
	}
	return false
}

func (c *checker) covered(v types.ServiceVolumeConfig) bool {
	return slices.ContainsFunc(c.p.State, func(s State) bool {
		at := s.place()
		switch {
		case at == Place{}:
			return false
		case v.Type == types.VolumeTypeVolume:
			return at.Volume == v.Source
		}
		return at.Volume == "" && overlap(at.Path, filepath.Clean(v.Source))
	})
}

func mountName(v types.ServiceVolumeConfig) string {
	if v.Type == types.VolumeTypeBind {
		return "the folder " + quote(v.Source)
	}
	return "the volume " + quote(v.Source)
}

var (
	mysqlImage    = regexp.MustCompile(`(^|/)(mysql|mariadb|percona)([-:@]|$)`)
	postgresImage = regexp.MustCompile(`(^|/)(postgres|postgresql|postgis|pgvector|timescaledb)([-:@]|$)`)
)

// coverHint is the entry that is most likely meant.
func coverHint(image, service string, v types.ServiceVolumeConfig) string {
	switch {
	case mysqlImage.MatchString(image):
		return "state: [{name: " + service + ", mysql: {service: " + service + ", database: NAME, password: ${NAME}}}]"
	case postgresImage.MatchString(image):
		return "state: [{name: " + service + ", postgres: {service: " + service + ", database: NAME, password: ${NAME}}}]"
	case v.Type == types.VolumeTypeBind:
		return "state: [{name: data, files: " + v.Source + "}], or mount it read-only"
	}
	return "state: [{name: " + AppName(v.Source) + ", files: " + v.Source + "}], or sqlite: " + v.Source + ":FILE; labels: {" + noStateLabel + ": " + noState + "} on the volume says that it may be lost"
}
