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
	"time"

	"github.com/urfave/cli/v2"

	"cattle/droplets"
	"cattle/droplets/sandbox"
	"cattle/profiles"
	"cattle/secrets"
)

func rehearseCommand(std stdio) *cli.Command {
	return &cli.Command{
		Name: "rehearse", Usage: "release your own profile on machines that boot here, under load, and take it all away again",
		ArgsUsage: "[VERSION]", OnUsageError: usage,
		Description: "Linux, as root. A cloud of its own boots real machines with the very user-data that a release makes:\n" +
			"a first release, a second one under load, a rollback, a rebuild. Nothing leaves this computer but requests for\n" +
			"packages and images. docs/rehearsal.md says what differs from the real cloud.",
		Flags: []cli.Flag{fileFlag(), imagesFlag(), sopsFlag(),
			&cli.BoolFlag{Name: "keep", Usage: "stay up afterwards, for cattle ssh and a look around, until interrupted"}},
		Action: func(c *cli.Context) error {
			if err := wantArgs(c, 0, 1); err != nil {
				return err
			}
			return rehearse(c.Context, std, rehearsal{
				file: c.String("file"), version: c.Args().First(), images: c.StringSlice("images"), sops: c.String("sops"), keep: c.Bool("keep"),
			})
		},
	}
}

// diskFolder is where machines get their disks: TMPDIR where it is set, and not
// /tmp, which is in memory on some systems.
func diskFolder() string {
	const disk = "/var/tmp"
	if _, err := os.Stat(disk); os.Getenv("TMPDIR") != "" || err != nil {
		return ""
	}
	return disk
}

func imagesFlag() cli.Flag {
	return &cli.StringSliceFlag{Name: "images", Usage: "a `FILE` of `docker save`, whose images the registries of the sandbox then have"}
}

// bootedCertificate is how long the first certificate may take: the droplet
// looks once a minute whether its names point at it.
const bootedCertificate = 3 * time.Minute

type rehearsal struct {
	file, version, sops string
	images              []string
	keep                bool
}

func rehearse(ctx context.Context, std stdio, opts rehearsal) (err error) {
	p, err := loadProfile(std, opts.file, false)
	if err != nil {
		return err
	}
	if opts.version, err = rehearsedVersion(ctx, p, opts.version); err != nil {
		return err
	}
	logins, err := loginsOf(p)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(diskFolder(), "cattle-rehearsal-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	say := func(what string) { fmt.Fprintln(std.err, what) }
	box, err := startSandbox(ctx, sandboxOptions{dir: dir, listen: "127.0.0.1:0", socks: "127.0.0.1:0", latency: "none",
		machines: machinesNspawn, images: opts.images, relayPorts: relayPorts(p), say: say})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, box.close()) }()
	box.world.admit(logins)
	if err := box.furnish(ctx, p); err != nil {
		return err
	}
	mirror, err := box.world.serveSOPS(ctx, opts.sops, say)
	if err != nil {
		return err
	}
	s := &stage{std: std, sandbox: box, file: opts.file, profile: p, patience: bootedCertificate}
	docker, err := logins.docker(dir)
	if err != nil {
		return err
	}
	s.environment(mirror, docker)
	err = s.rehearse(ctx, opts.version)
	if !opts.keep {
		return err
	}
	if err != nil {
		report(ctx, err, std, false)
	}
	fmt.Fprintln(std.out)
	maps.Copy(box.env, mirror)
	box.describe(std.out)
	fmt.Fprintln(std.err, "cattle ssh gets in from there; interrupt this to take it all away")
	return errors.Join(err, box.wait(ctx))
}

// furnish puts into the account what the profile takes for granted there: the
// names of SSH keys, a reserved IP, a VPC.
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
	return s.cloud.Furnish(sandbox.Furniture{Region: p.Droplet.Region, ReservedIP: p.ReservedIP, VPC: p.Droplet.VPC})
}

// rehearse plays what a site goes through.
func (s *stage) rehearse(ctx context.Context, version string) error {
	with := func(args ...string) []string {
		return append(args[:1:1], append([]string{"--file", s.file}, args[1:]...)...)
	}
	first := scene{with("release", version), exitDone, version}
	err := s.play(ctx, first)
	if err != nil {
		return err
	}
	if err := s.showBoot(ctx); err != nil {
		return err
	}
	if err := s.public(ctx); err != nil {
		return err
	}
	for _, sc := range []scene{first, {with("rollback"), exitDone, version}, {with("rebuild"), exitDone, version}} {
		if err := s.play(ctx, sc); err != nil {
			return err
		}
	}
	return s.curtain("rehearsal")
}

// showBoot draws the first boot, step by step, from the droplet's own journal.
func (s *stage) showBoot(ctx context.Context) error {
	entries, err := s.journal(ctx)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.std.out, "\n%s", drawBoot(entries))
	return err
}

// journal reads the live droplet's boot journal, as anybody may who can log in.
func (s *stage) journal(ctx context.Context) (entries []droplets.JournalEntry, err error) {
	out, err := s.onLive(ctx, "/opt/cattle/droplet journal")
	if err != nil {
		return nil, err
	}
	for lines := json.NewDecoder(strings.NewReader(out)); lines.More(); {
		var e droplets.JournalEntry
		if err := lines.Decode(&e); err != nil {
			return nil, fmt.Errorf("the droplet's journal: %w", err)
		}
		entries = append(entries, e)
	}
	return entries, nil
}

// onLive runs a command on the live droplet and returns what it printed.
func (s *stage) onLive(ctx context.Context, command string) (string, error) {
	var out strings.Builder
	args := []string{"ssh"}
	if s.file != "" {
		args = append(args, "--file", s.file)
	}
	exit, err := s.cattle(ctx, &out, append(args, command)...)
	if err == nil && exit != 0 {
		err = fmt.Errorf("%s: exit status %d: %s", command, exit, out.String())
	}
	return out.String(), err
}

// rehearsedVersion is the version to rehearse. It has to be named where the
// images depend on it.
func rehearsedVersion(ctx context.Context, p *profiles.Profile, version string) (string, error) {
	if version != "" {
		return version, validVersion(version)
	}
	const any, other = "rehearsal", "rehearsal-2"
	a, err := p.Stack(ctx, any, nil)
	if err != nil {
		return "", err
	}
	b, err := p.Stack(ctx, other, nil)
	if err != nil {
		return "", err
	}
	if !slices.Equal(a.Images, b.Images) {
		return "", &usageError{"the images depend on the release: which one shall be rehearsed?", "cattle rehearse v1.2.0"}
	}
	return any, nil
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
