package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"cattle/cmd/cattle/timer"
	"cattle/droplets/release"
	"cattle/profiles"
)

func scheduleCommand(std stdio) *cli.Command {
	flags := []cli.Flag{fileFlag(),
		&cli.StringFlag{Name: "day", Value: "Sun", Usage: "`DAY` of the week: Sun, Mon, Tue, Wed, Thu, Fri, Sat"},
		&cli.StringFlag{Name: "at", Value: "04:15", Usage: "`TIME` of day; GitHub's is UTC"},
		&cli.BoolFlag{Name: "write", Usage: "write the files to their places, where there are none yet"}}
	runner := func(name, usageText string, show func(*cli.Context, timer.Job) error) *cli.Command {
		return &cli.Command{Name: name, Usage: usageText, Description: "    cattle schedule " + name, OnUsageError: usage, Flags: flags, Action: func(c *cli.Context) error {
			if err := wantArgs(c, 0, 0); err != nil {
				return err
			}
			job, err := jobOf(std, c)
			if err != nil {
				return err
			}
			return show(c, job)
		}}
	}
	return &cli.Command{
		Name: "schedule", Usage: "show or write what rebuilds weekly: a systemd timer, a cron line, a GitHub workflow", OnUsageError: usage,
		Description: "    cattle schedule github\n" +
			"    cattle schedule systemd --day Sat --at 03:30",
		Subcommands: []*cli.Command{
			runner("systemd", "a timer and its service, of your own systemd", func(c *cli.Context, j timer.Job) error { return scheduleSystemd(std, c, j) }),
			runner("cron", "a line for crontab -e", func(c *cli.Context, j timer.Job) error { return scheduleCron(std, c, j) }),
			runner("github", "a workflow of GitHub Actions", func(c *cli.Context, j timer.Job) error { return scheduleGitHub(std, c, j) }),
		},
		Action: func(c *cli.Context) error {
			if name := c.Args().First(); name != "" {
				return &usageError{fmt.Sprintf("there is no schedule %q", name), "cattle schedule systemd, cron or github"}
			}
			return cli.ShowSubcommandHelp(c)
		},
	}
}

// jobOf is the weekly rebuild of the profile's site.
func jobOf(std stdio, c *cli.Context) (j timer.Job, err error) {
	p, err := loadQuietly(c.String("file"))
	if err != nil {
		return j, err
	}
	j = timer.Job{App: p.App, Secrets: runnersSecrets(p)}
	if j.Day, j.Hour, j.Minute, err = timer.Parse(c.String("day"), c.String("at")); err != nil {
		return j, &usageError{err.Error(), "cattle schedule " + c.Command.Name + " --day Sun --at 04:15"}
	}
	if j.Program, err = os.Executable(); err != nil {
		return j, err
	}
	path, err := filepath.Abs(c.String("file"))
	j.Dir = filepath.Dir(path)
	if name := filepath.Base(path); name != "cattle.yaml" {
		j.File = name
	}
	if strings.ContainsFunc(j.Dir+j.Program+j.File, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return j, &usageError{"the folder's name has a control character, which no timer takes", "rename it"}
	}
	return j, err
}

// runnersSecrets are the variables that a rebuild of the profile needs.
func runnersSecrets(p *profiles.Profile) []timer.Secret {
	out := []timer.Secret{{Name: "DIGITALOCEAN_ACCESS_TOKEN"}, {Name: "CATTLE_SSH_KEY", File: true}}
	if p.Secrets.File != "" {
		out = append(out, timer.Secret{Name: "SOPS_AGE_KEY_FILE", File: true})
	}
	if p.Release.Guard {
		out = append(out, timer.Secret{Name: "CATTLE_GUARD_TOKEN"})
	}
	for _, n := range p.Notify {
		if name, inEnv := strings.CutPrefix(n.Webhook+n.Ntfy, profiles.EnvPrefix); inEnv && !slices.Contains(out, timer.Secret{Name: name}) {
			out = append(out, timer.Secret{Name: name})
		}
	}
	return out
}

// runnersScopes are the least that a rebuild of the profile's site needs; the README
// says what for.
func runnersScopes(p *profiles.Profile) []string {
	out := []string{"account:read", "sizes:read", "regions:read", "image:read", "ssh_key:read", "droplet:read", "droplet:create", "droplet:update",
		"droplet:delete", "tag:create", "tag:delete", "reserved_ip:read", "reserved_ip:update"}
	for _, more := range []struct {
		asked  bool
		scopes []string
	}{
		{p.Droplet.VPC != "", []string{"vpc:read"}},
		{p.DNS != "", []string{"domain:read", "domain:update"}},
		{p.Firewall.Cloud, []string{"firewall:read", "firewall:create", "firewall:update", "tag:read"}},
		{len(volumesOf(p)) > 0, []string{"block_storage:read", "block_storage_action:read", "block_storage_action:create"}},
		{slices.ContainsFunc(volumesOf(p), func(v release.VolumeSpec) bool { return v.SizeGiB > 0 }), []string{"block_storage:create"}},
		{p.Project != "", []string{"project:read", "project:assign_resource"}},
	} {
		if more.asked {
			out = append(out, more.scopes...)
		}
	}
	return out
}

func scheduleSystemd(std stdio, c *cli.Context, j timer.Job) error {
	home, err := os.UserHomeDir()
	if err != nil {
		return &usageError{"there is no home folder: " + err.Error(), "export HOME=…"}
	}
	if err := showFiles(std, c, home, j.Systemd()); err != nil {
		return err
	}
	return advise(std, c, j, filepath.Join(home, j.Environment()),
		"begin:    systemctl --user daemon-reload && systemctl --user enable --now "+j.UnitName()+".timer && loginctl enable-linger",
		"try it:   systemctl --user start "+j.UnitName()+".service; journalctl --user --unit "+j.UnitName())
}

func scheduleCron(std stdio, c *cli.Context, j timer.Job) error {
	if c.Bool("write") {
		return &usageError{"cattle writes no crontab", "cattle schedule cron, and crontab -e"}
	}
	if err := say(std.out, j.Cron()); err != nil {
		return err
	}
	home, _ := os.UserHomeDir() // it only names the file
	return advise(std, c, j, filepath.Join(home, j.Environment()),
		"begin:    add the line with crontab -e; cron mails what it prints to MAILTO",
		"try it:   type the line without its five fields, and with % where it has \\%")
}

func scheduleGitHub(std stdio, c *cli.Context, j timer.Job) error {
	root := repositoryOf(j.Dir)
	below, err := filepath.Rel(root, j.Dir)
	if err != nil {
		return err
	}
	j.Below = below
	if err := showFiles(std, c, root, []timer.File{j.GitHub()}); err != nil {
		return err
	}
	return advise(std, c, j, "",
		"cattle:   the variables CATTLE_URL and CATTLE_SHA256 of the environment say where the runner gets cattle, and its hash",
		"try it:   gh workflow run cattle-rebuild.yaml && gh run watch")
}

// repositoryOf is the root of the git repository that has the folder, or the
// folder.
func repositoryOf(dir string) string {
	for at := dir; ; at = filepath.Dir(at) {
		if _, err := os.Lstat(filepath.Join(at, ".git")); err == nil {
			return at
		}
		if at == filepath.Dir(at) {
			return dir
		}
	}
}

// showFiles prints the files or, with --write, writes them. It overwrites nothing.
func showFiles(std stdio, c *cli.Context, below string, files []timer.File) error {
	if !c.Bool("write") {
		for i, f := range files {
			space := map[bool]string{true: "\n"}[i > 0]
			if err := say(std.out, fmt.Sprintf("%s# %s\n%s", space, filepath.Join(below, f.Path), f.Text)); err != nil {
				return err
			}
		}
		return nil
	}
	for _, f := range files {
		if path := filepath.Join(below, f.Path); !missing(path) {
			return &usageError{path + " is there already", "look what is different: cattle schedule " + c.Command.Name + " | diff - " + path + "; nothing was written"}
		}
	}
	for _, f := range files {
		if err := writeNew(filepath.Join(below, f.Path), f.Text); err != nil {
			return err
		}
		if err := say(std.out, "wrote "+filepath.Join(below, f.Path)+"\n"); err != nil {
			return err
		}
	}
	return nil
}

func missing(path string) bool {
	_, err := os.Lstat(path)
	return errors.Is(err, fs.ErrNotExist)
}

// writeNew writes a file that has no secret, and is not there yet.
func writeNew(path, text string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = io.WriteString(f, text)
	return errors.Join(err, f.Close())
}

// advise says, beside the files, what the runner needs and how to try it.
func advise(std stdio, c *cli.Context, j timer.Job, env string, more ...string) error {
	p, err := loadQuietly(c.String("file"))
	if err != nil {
		return err
	}
	var b strings.Builder
	if env != "" {
		fmt.Fprintf(&b, "secrets:  in %s, of mode 0600, a line NAME=value for each:\n", env)
	} else {
		b.WriteString("secrets:  of the GitHub environment production, as gh secret set --env production NAME:\n")
	}
	for _, s := range j.Secrets {
		what := ""
		switch {
		case s.Name == "DIGITALOCEAN_ACCESS_TOKEN":
			what = "  a token with the scopes below"
		case s.File && env != "":
			what = "  path of a file with the key, of mode 0600"
		case s.File:
			what = "  the text of the key's file"
		}
		fmt.Fprintf(&b, "          %s%s\n", s.Name, what)
	}
	fmt.Fprintf(&b, "scopes:   %s\n", strings.Join(runnersScopes(p), " "))
	b.WriteString("images:   where the registry wants a login, docker login on that machine\n")
	for _, line := range more {
		b.WriteString(line + "\n")
	}
	return say(std.err, b.String())
}
