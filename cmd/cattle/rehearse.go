package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"cattle/droplets"
	"cattle/profiles"
)

func rehearseCommand(std stdio) *cli.Command {
	return &cli.Command{
		Name: "rehearse", Usage: "release your own profile on machines that boot here, under load, and take it all away again",
		ArgsUsage: "[VERSION]", OnUsageError: usage,
		Description: "Linux, as root. A cloud of its own boots real machines with the very user-data that a release makes:\n" +
			"a first release, a second one under load, a rollback, a rebuild, each with the data that the profile names. Nothing\n" +
			"leaves this computer but requests for packages and images. docs/rehearsal.md says what differs from the real cloud.\n\n" +
			"    cattle rehearse\n" +
			"    cattle rehearse --images blog.tar v1.2.0  # of docker save\n" +
			"    cattle rehearse --keep",
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
	dir, err := os.MkdirTemp(rehearsalsIn(), rehearsalFolder)
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	std.remedy.is("cattle sandbox clean")
	say := func(what string) { fmt.Fprintln(std.err, what) }
	box, err := startSandbox(ctx, sandboxOptions{dir: dir, listen: "127.0.0.1:0", socks: "127.0.0.1:0", latency: "none",
		machines: machinesNspawn, images: opts.images, relayPorts: relayPorts(p), say: say})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, box.close()) }()
	env, err := box.equip(ctx, p, logins, opts.sops, say)
	if err != nil {
		return err
	}
	s := &stage{std: std, sandbox: box, file: opts.file, profile: p, patience: bootedCertificate}
	s.environment(env)
	err = s.rehearse(ctx, opts.version)
	if opts.keep {
		err = s.stay(ctx, env, err)
	}
	return err
}

// stay keeps everything up until it is interrupted, however the play ended.
func (s *stage) stay(ctx context.Context, env map[string]string, played error) error {
	if played != nil {
		report(ctx, played, s.std, false)
	}
	fmt.Fprintln(s.std.out)
	maps.Copy(s.sandbox.env, env)
	s.sandbox.describe(s.std.out)
	fmt.Fprintln(s.std.err, "cattle ssh gets in from there; interrupt this to take it all away")
	return errors.Join(played, s.sandbox.wait(ctx))
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
	back := []string{"rollback"}
	if len(s.profile.State) > 0 {
		back = append(back, "--carry-data") // what visitors wrote meanwhile stays
	}
	for _, sc := range []scene{first, {with(back...), exitDone, version}, {with("unpin"), exitDone, version}, {with("rebuild"), exitDone, version}} {
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
