package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/urfave/cli/v2"
	"golang.org/x/net/proxy"

	"cattle/droplets/release/probe"
	"cattle/examples"
	"cattle/secrets"
)

// loadEvery makes the demo's load: 200 requests a second, each a TLS
// connection of its own through the reserved IP.
const loadEvery = 5 * time.Millisecond

func demoCommand(std stdio) *cli.Command {
	return &cli.Command{
		Name: "demo", Usage: "see it all work on the sandbox: releases, a refused one, a rollback and a rebuild, under load", OnUsageError: usage,
		Action: func(c *cli.Context) error {
			if err := wantArgs(c, 0, 0); err != nil {
				return err
			}
			return demo(c.Context, std)
		},
	}
}

// A scene is one command of the demo and what has to come of it.
type scene struct {
	args    []string
	exit    int
	serving string // the release that serves afterwards
}

// The story: the first release makes the reserved IP, the third one is broken.
func scenes() []scene {
	return []scene{
		{[]string{"release", "v1.0.0"}, exitDone, "v1.0.0"},
		{[]string{"release", "v1.1.0"}, exitDone, "v1.1.0"},
		{[]string{"release", "v1.2.0"}, exitNotReleased, "v1.1.0"},
		{[]string{"rollback"}, exitDone, "v1.0.0"},
		{[]string{"rebuild"}, exitDone, "v1.0.0"},
	}
}

const brokenInDemo = "v1.2.0=never-healthy"

type stage struct {
	std     stdio
	sandbox *runningSandbox
	dir     string
	env     []string
	load    *probe.Prober
	rows    []demoRow
}

type demoRow struct {
	command string
	exit    int
	serving string
	took    time.Duration
}

func demo(ctx context.Context, std stdio) error {
	dir, err := os.MkdirTemp("", "cattle-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	box, err := startSandbox(ctx, sandboxOptions{dir: filepath.Join(dir, "sandbox"), listen: "127.0.0.1:0", socks: "127.0.0.1:0",
		latency: "fast", broken: []string{brokenInDemo}})
	if err != nil {
		return err
	}
	defer box.close()
	s := &stage{std: std, sandbox: box, dir: filepath.Join(dir, "blog")}
	if err := s.dress(); err != nil {
		return err
	}
	fmt.Fprintln(std.out, "a DigitalOcean of its own on loopback, and examples/blog with fresh secrets")
	for i, sc := range scenes() {
		if err := s.play(ctx, sc); err != nil {
			return err
		}
		if i == 0 {
			if err := s.public(ctx); err != nil {
				return err
			}
		}
	}
	return s.curtain()
}

// dress lays out the example with secrets of its own, and the environment that
// points the commands at the sandbox.
func (s *stage) dress() error {
	blog, err := fs.Sub(examples.FS, "blog")
	if err != nil {
		return err
	}
	if err := os.CopyFS(s.dir, blog); err != nil {
		return err
	}
	key, err := secrets.NewIdentity()
	if err != nil {
		return err
	}
	sealed, err := secrets.Encrypt(secrets.Dotenv, demoSecrets(), key.Recipient)
	if err != nil {
		return err
	}
	keyFile := filepath.Join(s.sandbox.dir, "age.key")
	env := map[string]string{"SOPS_AGE_KEY_FILE": keyFile, "CI": "true"}
	for name, value := range s.sandbox.env {
		env[name] = value
	}
	s.env = os.Environ()
	for name, value := range env {
		s.env = append(s.env, name+"="+value)
	}
	return errors.Join(
		os.WriteFile(keyFile, []byte(key.Key.Reveal()+"\n"), 0o600),
		os.WriteFile(filepath.Join(s.dir, "secrets.env"), sealed, 0o600))
}

func demoSecrets() []secrets.Pair {
	var out []secrets.Pair
	for _, name := range []string{"SESSION_KEY", "SMTP_USER", "SMTP_PASSWORD"} {
		key, _ := secrets.NewIdentity()
		out = append(out, secrets.Pair{Name: name, Value: secrets.NewString(strings.ToLower(key.Key.Reveal()[20:52]))})
	}
	return out
}

// play runs one command as a user does, in a process of its own, and checks
// what it said by its exit status against what the site serves.
func (s *stage) play(ctx context.Context, sc scene) error {
	fmt.Fprintf(s.std.out, "\n$ cattle %s\n", strings.Join(sc.args, " "))
	start := time.Now()
	exit, err := s.cattle(ctx, s.std.out, sc.args...)
	if err != nil {
		return err
	}
	took := time.Since(start)
	serving, err := s.serving(ctx)
	if err != nil {
		return err
	}
	s.rows = append(s.rows, demoRow{strings.Join(sc.args, " "), exit, serving, took})
	if exit != sc.exit || serving != sc.serving {
		return fmt.Errorf("cattle %s: exit status %d and %s serves; expected %d and %s", strings.Join(sc.args, " "), exit, serving, sc.exit, sc.serving)
	}
	return nil
}

func (s *stage) cattle(ctx context.Context, out io.Writer, args ...string) (int, error) {
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = s.dir, s.env, out, out
	// As a terminal does it, so that the command can undo what it did.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = time.Minute
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() >= 0 {
		return exit.ExitCode(), nil
	}
	return 0, err
}

// serving asks `cattle status` which release the public gets.
func (s *stage) serving(ctx context.Context) (string, error) {
	st, err := s.status(ctx)
	if err != nil || !st.Serving {
		return "", err
	}
	return st.Droplets[0].Release, nil
}

func (s *stage) status(ctx context.Context) (st statusJSON, err error) {
	var out bytes.Buffer
	if _, err := s.cattle(ctx, &out, "status", "--json"); err != nil {
		return st, err
	}
	return st, json.NewDecoder(&out).Decode(&st)
}

// public does what the owner of the site does after the first release: an A
// record for the new address. The droplet then gets its certificate by itself,
// and the load begins.
func (s *stage) public(ctx context.Context) error {
	st, err := s.status(ctx)
	if err != nil {
		return err
	}
	const domain = "blog.example.com"
	fmt.Fprintf(s.std.out, "\n$ doctl compute domain create %s --ip-address %s   # the sandbox's DNS\n", domain, st.IP)
	if err := s.sandbox.post(ctx, "/v2/domains", map[string]string{"name": domain, "ip_address": st.IP}); err != nil {
		return err
	}
	dial, err := proxy.SOCKS5("tcp", s.sandbox.socks, nil, proxy.Direct)
	if err != nil {
		return err
	}
	door := probe.Door{Dial: dial.(proxy.ContextDialer).DialContext, HTTPS: true, Address: st.IP, Host: domain, Roots: s.sandbox.roots()}
	if err := secure(ctx, door); err != nil {
		return err
	}
	fmt.Fprintf(s.std.out, "https://%s has its certificate; 200 requests a second through %s from here on\n", domain, st.IP)
	s.load = probe.Start(ctx, door, "/", loadEvery)
	return nil
}

// secure waits until the site answers over HTTPS.
func secure(ctx context.Context, door probe.Door) error {
	ctx, cancel := context.WithTimeoutCause(ctx, 20*time.Second, errors.New("the droplet did not get its certificate within 20 s"))
	defer cancel()
	client := door.Client()
	for {
		if _, err := door.Identity(ctx, client); err == nil {
			return nil
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// curtain ends the load and sums up. Anything that failed fails the demo.
func (s *stage) curtain() error {
	s.load.Stop()
	stats := s.load.Stats()
	fmt.Fprintln(s.std.out)
	t := tabwriter.NewWriter(s.std.out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(t, "command\texit status\tserves afterwards\ttook")
	live, refused := 0, 0
	for _, r := range s.rows {
		fmt.Fprintf(t, "cattle %s\t%d\t%s\t%s\n", r.command, r.exit, r.serving, seconds(r.took))
		switch r.exit {
		case exitDone:
			live++
		case exitNotReleased:
			refused++
		}
	}
	t.Flush()
	fmt.Fprintf(s.std.out, "\ndemo: live %d, refused %d, requests %d, failed %d, longest gap %d ms\n",
		live, refused, stats.Requests, stats.Failed, stats.Gap.Milliseconds())
	if stats.Failed > 0 {
		return fmt.Errorf("%d of %d requests failed", stats.Failed, stats.Requests)
	}
	return nil
}
