package profiles

import (
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/compose-spec/compose-go/v2/format"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/distribution/reference"
)

// check reports what compose allows and a droplet does not: there is no
// compose tree there, and its public ports are nginx's.
func (c *composed) check(r *report) {
	for _, name := range slices.Sorted(maps.Keys(c.project.Services)) {
		s := c.project.Services[name]
		c.checkImage(name, s, r)
		c.checkFiles(name, s, r)
		c.checkVolumes(name, s, r)
		c.checkPorts(name, s, r)
		if s.NetworkMode == "host" {
			r.warnf("host-network", c.place("services", name, "network_mode"), "remove network_mode and let a route reach the service",
				"service %s uses the droplet's own network: every port that it opens is public but for the firewall", quote(name))
		}
	}
	c.checkObjects(r)
}

func (c *composed) checkImage(name string, s types.ServiceConfig, r *report) {
	switch {
	case s.Image == "" && s.Build != nil:
		r.errorf("build-without-image", c.place("services", name, "build"), "push the image and write image: ghcr.io/me/"+name+":${RELEASE}",
			"service %s has build without image: a droplet builds nothing", quote(name))
	case s.Image != "":
		if why := badImage(s.Image); why != "" {
			r.errorf("wrong-form", c.place("services", name, "image"), "", "%s is not an image reference: %s", quote(s.Image), why)
		}
	}
}

// badImage says why a reference is none.
func badImage(ref string) string {
	if strings.Contains(ref, "$") {
		return "only ${RELEASE} and values of env can stand in it"
	}
	if _, err := reference.ParseNormalizedNamed(ref); err != nil {
		return err.Error()
	}
	return ""
}

func (c *composed) checkFiles(name string, s types.ServiceConfig, r *report) {
	if len(s.EnvFiles) > 0 {
		r.errorf("not-on-the-droplet", c.place("services", name, "env_file"),
			"put plain values under env and secrets into the secrets file, and write environment: {NAME: \"${NAME}\"}",
			"service %s has an env_file, which would put it into user-data in plain text", quote(name))
	}
	if len(s.LabelFiles) > 0 {
		r.errorf("not-on-the-droplet", c.place("services", name, "label_file"), "write them under labels",
			"service %s has a label_file, and the compose tree is not on the droplet", quote(name))
	}
}

func (c *composed) checkVolumes(name string, s types.ServiceConfig, r *report) {
	for _, v := range s.Volumes {
		if v.Type != types.VolumeTypeBind || filepath.IsAbs(v.Source) {
			continue
		}
		at := c.item(func(n *node) bool { return volumeTarget(n) == filepath.Clean(v.Target) }, "services", name, "volumes")
		r.errorf("not-on-the-droplet", at, "put the file on the droplet with `files:` and mount its absolute path, or use a named volume",
			"service %s mounts the relative path %s, and the compose tree is not on the droplet", quote(name), quote(v.Source))
	}
}

func volumeTarget(n *node) string {
	if n.kind == kindMapping {
		if t := n.get("target"); t != nil {
			return filepath.Clean(t.value)
		}
		return ""
	}
	v, err := format.ParseVolume(n.value)
	if err != nil {
		return ""
	}
	return filepath.Clean(v.Target)
}

func (c *composed) checkPorts(name string, s types.ServiceConfig, r *report) {
	places := c.portPlaces(name)
	told := map[pos]bool{} // a range is many ports and one fault
	for _, p := range s.Ports {
		at, ok := places[keyOfPort(p)]
		if !ok {
			at = c.place("services", name, "ports")
		}
		if told[at] && !ownPort(p) {
			continue
		}
		before := len(r.list)
		checkPort(name, s, p, at, r)
		told[at] = len(r.list) > before
	}
}

func checkPort(name string, s types.ServiceConfig, p types.ServicePortConfig, at pos, r *report) {
	switch {
	case ownPort(p):
		r.errorf("port-published", at, "remove the port and write routes: [{to: \""+name+":"+portText(p)+"\"}]",
			"service %s publishes port %s, which the droplet uses itself", quote(name), p.Published)
	case p.Published == "" && isPublic(p.HostIP):
		r.warnf("port-published", at, "expose: [\""+portText(p)+"\"]", "service %s publishes port %s to the world; the droplet's firewall keeps it closed", quote(name), portText(p))
	case isPublic(p.HostIP):
		r.warnf("port-published", at, "127.0.0.1:"+p.Published+":"+portText(p)+protocolSuffix(p),
			"service %s publishes port %s to the world; the droplet's firewall keeps it closed", quote(name), p.Published)
	}
	if p.Published != "" && s.GetScale() > 1 && !strings.Contains(p.Published, "-") {
		r.errorf("port-published", at, "remove the port: a route publishes one for each replica",
			"service %s has %d replicas, which cannot share port %s", quote(name), s.GetScale(), p.Published)
	}
}

// ownPort says whether a port is sshd's or nginx's.
func ownPort(p types.ServicePortConfig) bool {
	return slices.Contains([]string{"22", "80", "443"}, p.Published)
}

func isPublic(ip string) bool                   { return ip == "" || ip == "0.0.0.0" || ip == "::" }
func portText(p types.ServicePortConfig) string { return strconv.FormatUint(uint64(p.Target), 10) }

func protocolSuffix(p types.ServicePortConfig) string {
	if p.Protocol == "" || p.Protocol == "tcp" {
		return ""
	}
	return "/" + p.Protocol
}

// portKey finds a port again in the files after merging.
type portKey struct{ target, published, protocol string }

func keyOfPort(p types.ServicePortConfig) portKey {
	protocol := p.Protocol
	if protocol == "" {
		protocol = "tcp"
	}
	return portKey{portText(p), p.Published, protocol}
}

// portPlaces are the places of a service's ports; a later file goes before
// an earlier one.
func (c *composed) portPlaces(name string) map[portKey]pos {
	places := map[portKey]pos{}
	for _, f := range c.files {
		list := f.tree.get("services").get(name).get("ports")
		if list == nil {
			continue
		}
		for _, item := range list.items {
			for _, p := range portsOf(item) {
				places[keyOfPort(p)] = item.pos
			}
		}
	}
	return places
}

// portsOf reads one item of ports, in its short or long form.
func portsOf(n *node) []types.ServicePortConfig {
	if n.kind != kindMapping {
		ports, err := types.ParsePortConfig(n.value)
		if err != nil {
			return nil
		}
		return ports
	}
	text := func(key string) string {
		if v := n.get(key); v != nil {
			return v.value
		}
		return ""
	}
	return []types.ServicePortConfig{{Target: uint32(atoi(text("target"))), Published: text("published"), Protocol: text("protocol")}}
}

// checkObjects reports secrets and configs of compose that are local files.
func (c *composed) checkObjects(r *report) {
	files := map[string]map[string]string{"secrets": {}, "configs": {}}
	for name, s := range c.project.Secrets {
		files["secrets"][name] = s.File
	}
	for name, s := range c.project.Configs {
		files["configs"][name] = s.File
	}
	for _, section := range []string{"configs", "secrets"} {
		for _, name := range slices.Sorted(maps.Keys(files[section])) {
			if file := files[section][name]; file != "" && !filepath.IsAbs(file) {
				r.errorf("not-on-the-droplet", c.place(section, name, "file"), "put it on the droplet with `files:` and name its absolute path",
					"%s.%s is the local file %s, and the compose tree is not on the droplet", section, name, quote(file))
			}
		}
	}
}
