package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"cattle/droplets"
	"cattle/droplets/sandbox"
	"cattle/profiles"
	"cattle/secrets"
)

// What a rehearsal has to know of the profile, to put beside the machines what
// the real site has: the account's things, logins, images.

// equip puts beside the machines what the profile's site has in the real world,
// and returns the environment that commands need on top of the sandbox's.
func (s *runningSandbox) equip(ctx context.Context, p *profiles.Profile, l logins, sops string, say func(string)) (map[string]string, error) {
	s.world.admit(l)
	// Now, for the first release's time is to be that of a release.
	if err := errors.Join(s.world.host.Prepare(ctx, p.Droplet.Image), s.furnish(ctx, p)); err != nil {
		return nil, err
	}
	env, err := l.docker(s.dir)
	if err != nil {
		return nil, err
	}
	mirror, err := s.world.serveSOPS(ctx, sops, say)
	maps.Copy(env, mirror)
	return env, err
}

// furnish puts into the account what the profile takes for granted there: the
// names of SSH keys, a reserved IP, a VPC, a project, domains.
func (s *runningSandbox) furnish(ctx context.Context, p *profiles.Profile) error {
	for i, name := range p.Droplet.SSHKeys {
		if strings.Count(name, ":") == 15 {
			return &usageError{"a rehearsal has keys of its own, and none with the fingerprint " + name, "name the key in the profile: droplet: {ssh_keys: [laptop]}"}
		}
		key, err := droplets.NewHostKey()
		if err != nil {
			return err
		}
		// The operator holds the first one; the others are his colleagues'.
		if i == 0 {
			err = os.WriteFile(s.env["CATTLE_SSH_KEY"], []byte(key.Private), 0o600)
		}
		if err := errors.Join(err, s.post(ctx, "/v2/account/keys", map[string]string{"name": name, "public_key": key.Public})); err != nil {
			return err
		}
	}
	return s.cloud.Furnish(sandbox.Furniture{Region: p.Droplet.Region, ReservedIP: p.ReservedIP, VPC: p.Droplet.VPC,
		Project: p.Project, Domains: zonesOf(p)})
}

// zonesOf are the domains that the account has to hold for a profile whose
// records cattle keeps: its names, but for those below another one.
func zonesOf(p *profiles.Profile) (zones []string) {
	if p.DNS == "" {
		return nil
	}
	for _, name := range p.Domains {
		name = strings.TrimPrefix(name, "*.")
		below := slices.ContainsFunc(p.Domains, func(other string) bool { return strings.HasSuffix(name, "."+strings.TrimPrefix(other, "*.")) })
		if !below && !slices.Contains(zones, name) {
			zones = append(zones, name)
		}
	}
	return zones
}

func relayPorts(p *profiles.Profile) []int {
	if p.Mail == nil {
		return nil
	}
	return []int{p.Mail.Port}
}

// logins are what the profile's secrets say that the relay and the registries
// shall be asked with.
type logins struct {
	registry []profiles.Registry // opened
	relay    *profiles.Mail      // opened
	backup   *profiles.Backup    // opened, where the profile has one
}

// loginsOf opens the secrets with the operator's own keys, as a release does
// when it seals them: the rehearsal's peers have to know what is right.
func loginsOf(p *profiles.Profile) (logins, error) {
	var out logins
	values := map[string]string{}
	if p.Secrets.File != "" {
		id, err := newIdentity()
		if err != nil {
			return out, err
		}
		sealed, err := seal(p, id)
		if err != nil {
			return out, err
		}
		if values, err = secrets.Open(sealed.Bytes, sealed.Format, sealed.Identity); err != nil {
			return out, err
		}
	}
	fill := func(text string) string { return os.Expand(text, func(name string) string { return values[name] }) }
	for _, r := range p.Registry {
		out.registry = append(out.registry, profiles.Registry{Server: r.Server, Username: fill(r.Username), Password: fill(r.Password)})
	}
	if b := p.Backup; b != nil {
		out.backup = &profiles.Backup{Repository: b.Repository, SSHKey: fill(b.SSHKey), Env: map[string]string{"AWS_ACCESS_KEY_ID": fill(b.Env["AWS_ACCESS_KEY_ID"])}}
	}
	if m := p.Mail; m != nil && m.Username != "" {
		out.relay = &profiles.Mail{Username: fill(m.Username), Password: fill(m.Password)}
	}
	return out, nil
}

// docker is the environment of an operator who is logged in to the sandbox's
// registries: his own login is for the real ones.
func (l logins) docker(dir string) (map[string]string, error) {
	auths := map[string]map[string]string{}
	for _, r := range l.registry {
		auths[r.Server] = map[string]string{"username": r.Username, "password": r.Password}
	}
	file, err := json.Marshal(map[string]any{"auths": auths})
	if err != nil {
		return nil, err
	}
	folder := filepath.Join(dir, "docker")
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	return map[string]string{"DOCKER_CONFIG": folder}, os.WriteFile(filepath.Join(folder, "config.json"), file, 0o600)
}

// admit tells the peers whom to let in.
func (w *world) admit(l logins) {
	w.admitBackups(l.backup)
	for _, r := range l.registry {
		w.internet.Registry.Login(r.Server, r.Username, r.Password)
	}
	if l.relay == nil {
		// The profile names no login: its relay knows the site by its address.
		w.internet.Relay.Open()
		return
	}
	w.internet.Relay.Login(l.relay.Username, l.relay.Password)
}

// admitBackups does so for the stores of backups. A key that is none lets nobody
// in, which is what the real store would do.
func (w *world) admitBackups(b *profiles.Backup) {
	switch {
	case b == nil:
	case b.SSHKey != "":
		user, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(b.Repository, "sftp:"), "//"), "@")
		w.internet.Files.LoginHolder(user, strings.TrimSpace(b.SSHKey)+"\n")
	case b.Env["AWS_ACCESS_KEY_ID"] != "":
		w.internet.Objects.Login(b.Env["AWS_ACCESS_KEY_ID"])
	}
}

// stock gives the registries the images of `docker save` files.
func (w *world) stock(files []string) error {
	for _, path := range files {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		_, err = w.internet.Registry.Load(f)
		f.Close()
		if err != nil {
			return fmt.Errorf("%s: %w", filepath.Base(path), err)
		}
	}
	return nil
}
