package profiles

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"gopkg.in/yaml.v3"
)

// webService is the service of an app of one container.
const webService = "web"

// Stack makes the compose project of a release. Pins maps references, as
// Stack.Images has them, to digests (sha256:…); what is not in it is not
// pinned. Brought are references that the operator brings: nothing pulls them. It reads no environment and, for a loaded Profile, no file: the same
// input gives the same bytes. The error is Diagnostics where the fault has a
// place. Safe for concurrent use.
func (p *Profile) Stack(ctx context.Context, release string, pins map[string]string, brought ...string) (*Stack, error) {
	if err := ValidRelease(release); err != nil {
		return nil, err
	}
	if !appPattern.MatchString(p.App) {
		return nil, fmt.Errorf("%q is not a name of an app", p.App)
	}
	c := &checker{report: &report{}, p: p, root: newSource(p.Path, nil).start(), used: map[string]bool{}}
	sources := p.composeFiles
	if sources == nil {
		sources = c.readCompose()
	}
	if c.list.HasErrors() {
		return nil, c.sorted()
	}
	app := p.compose(ctx, release, sources, c.root, c.report)
	if app == nil {
		return nil, c.sorted()
	}
	return app.stack(p, pins, brought...)
}

// oneService is the compose file of an app of one container.
func (p *Profile) oneService(s *scope) []byte {
	service := map[string]any{"image": s.values["IMAGE"], "restart": "unless-stopped"}
	env := map[string]string{}
	for key := range p.Env {
		env[key] = s.values[key]
	}
	if len(env) > 0 {
		service["environment"] = env
	}
	out, err := yaml.Marshal(map[string]any{"services": map[string]any{webService: service}})
	if err != nil {
		return nil // maps of strings can be written
	}
	return out
}

// active are the services that run: those of no compose profile.
func (c *composed) active() map[string]bool {
	out := map[string]bool{}
	for name, s := range c.project.Services {
		if len(s.Profiles) == 0 {
			out[name] = true
		}
	}
	return out
}

// all are the services, those of compose profiles included.
func (c *composed) all() map[string]bool {
	out := map[string]bool{}
	for name := range c.project.Services {
		out[name] = true
	}
	return out
}

// ports are what the active services publish or expose, as service:port, sorted.
func (c *composed) ports() []string {
	found := map[string]bool{}
	for name := range c.active() {
		s := c.project.Services[name]
		for _, p := range s.Ports {
			found[name+":"+portText(p)] = true
		}
		for _, e := range s.Expose {
			port, protocol, _ := strings.Cut(e, "/")
			if protocol == "" || protocol == "tcp" {
				found[name+":"+port] = true
			}
		}
	}
	return sortedKeys(found)
}

// stack finishes the project for the droplet and writes it.
func (c *composed) stack(p *Profile, pins map[string]string, brought ...string) (*Stack, error) {
	upstreams, err := c.publish(p.routeTargets())
	if err != nil {
		return nil, err
	}
	images := map[string]bool{}
	for name, s := range c.project.Services {
		images[s.Image] = true
		if slices.Contains(brought, s.Image) {
			s.PullPolicy = types.PullPolicyNever
		}
		if s.Image, err = pin(s.Image, pins); err != nil {
			return nil, err
		}
		c.project.Services[name] = forDroplet(s, p.Mail != nil)
	}
	c.project.Extensions = nil // anchors that are resolved: only weight in user-data
	text, err := c.project.MarshalYAML()
	if err == nil {
		text, err = hostPaths(text)
	}
	if err != nil {
		return nil, fmt.Errorf("writing the compose project: %w", err)
	}
	return &Stack{YAML: text, Services: sortedKeys(c.active()), Images: sortedKeys(images), Upstreams: upstreams, Volumes: c.volumes(), Users: c.usersOf(p)}, nil
}

// volumes are Docker's names of the project's volumes.
func (c *composed) volumes() map[string]string {
	out := map[string]string{}
	for name, v := range c.project.Volumes {
		out[name] = v.Name
	}
	return out
}

// forDroplet takes away what only works beside the source code, and adds the
// name by which containers reach the droplet's Postfix.
func forDroplet(s types.ServiceConfig, mail bool) types.ServiceConfig {
	s.Build, s.Develop = nil, nil
	if s.PullPolicy == types.PullPolicyBuild {
		s.PullPolicy = ""
	}
	const gateway = "host.docker.internal"
	if mail && s.ExtraHosts[gateway] == nil {
		hosts := maps.Clone(s.ExtraHosts)
		if hosts == nil {
			hosts = types.HostsList{}
		}
		hosts[gateway] = []string{"host-gateway"}
		s.ExtraHosts = hosts
	}
	return s
}

// routeTargets are the different service:port that routes name, sorted.
func (p *Profile) routeTargets() []string {
	targets := map[string]bool{}
	for _, r := range p.Routes {
		if r.To != "" && !strings.HasPrefix(r.To, "unix:") {
			targets[r.To] = true
		}
	}
	if len(p.Routes) == 0 && len(p.Compose) == 0 {
		targets[fmt.Sprintf("%s:%d", webService, p.Port)] = true
	}
	return sortedKeys(targets)
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
