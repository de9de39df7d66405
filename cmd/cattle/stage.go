package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/net/proxy"

	"cattle/droplets/release/probe"
	"cattle/profiles"
)

const (
	// loadEvery makes the load: 200 requests a second, each a TLS connection of
	// its own through the reserved IP.
	loadEvery = 5 * time.Millisecond
	// identityEvery is how often somebody asks beside it which attempt answers.
	identityEvery = 100 * time.Millisecond
)

// A stage is where commands are played on a sandbox, as a user types them: each
// in a process of its own, under load, held to what the site serves.
type stage struct {
	std     stdio
	sandbox *runningSandbox
	dir     string // where the commands run
	file    string // the profile, as the commands are told it
	profile *profiles.Profile
	env     []string
	// patience is how long the first certificate may take.
	patience time.Duration

	load, identity *probe.Prober
	rows           []playRow
	attempt        string            // that came to serve last
	releases       map[string]string // attempt to release, as they came to serve
}

// A scene is one command and what has to come of it.
type scene struct {
	args    []string
	exit    int
	serving string // the release that serves afterwards
}

type playRow struct {
	command  string
	exit     int
	serving  string
	took     time.Duration
	switched bool // another attempt serves than before it
}

// environment is what points the commands at the sandbox, beside what they
// have anyway.
func (s *stage) environment(more ...map[string]string) {
	env := maps.Clone(s.sandbox.env)
	env["CI"] = "true" // lines, no screen that is drawn anew
	env[rehearsalVar] = "true"
	for _, m := range more {
		maps.Copy(env, m)
	}
	s.env = os.Environ()
	for name, value := range env {
		s.env = append(s.env, name+"="+value)
	}
}

// perform plays scenes in their order. After the first one the site goes public
// and the load begins.
func (s *stage) perform(ctx context.Context, scenes []scene) error {
	for i, sc := range scenes {
		if err := s.play(ctx, sc); err != nil {
			return err
		}
		if i > 0 {
			continue
		}
		if err := s.public(ctx); err != nil {
			return err
		}
	}
	return nil
}

// play runs one command and checks what it said by its exit status against
// what the site serves.
func (s *stage) play(ctx context.Context, sc scene) error {
	command := "cattle " + strings.Join(sc.args, " ")
	fmt.Fprintf(s.std.out, "\n$ %s\n", command)
	start := time.Now()
	exit, err := s.cattle(ctx, s.std.out, sc.args...)
	if err != nil {
		return err
	}
	took := time.Since(start)
	before := s.attempt
	serving, err := s.serving(ctx)
	if err != nil {
		return err
	}
	s.rows = append(s.rows, playRow{command, exit, serving, took, s.attempt != before})
	if exit != sc.exit || serving != sc.serving {
		return fmt.Errorf("%s: exit status %d and %q serves; expected %d and %q", command, exit, serving, sc.exit, sc.serving)
	}
	return nil
}

// cattle runs a command in a process of its own and returns its exit status.
func (s *stage) cattle(ctx context.Context, out io.Writer, args ...string) (int, error) {
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Args[0] = "cattle"
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = s.dir, s.env, out, out
	// As a terminal does it, so that the command can undo what it did.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = time.Minute
	err = runChild(cmd)
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
	live := st.Droplets[0]
	if s.releases == nil {
		s.releases = map[string]string{}
	}
	s.releases[live.Attempt], s.attempt = live.Release, live.Attempt
	return live.Release, nil
}

func (s *stage) status(ctx context.Context) (st statusJSON, err error) {
	var out bytes.Buffer
	args := []string{"status", "--json"}
	if s.file != "" {
		args = append(args, "--file", s.file)
	}
	if _, err := s.cattle(ctx, &out, args...); err != nil {
		return st, err
	}
	return st, json.NewDecoder(&out).Decode(&st)
}

// public does what the owner of the site does after the first release: A
// records for the new address. The droplet then gets its certificate by itself,
// and the load begins.
func (s *stage) public(ctx context.Context) error {
	st, err := s.status(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintln(s.std.out)
	for _, domain := range s.profile.Domains {
		if s.profile.DNS != "" {
			break // the release has made the records
		}
		fmt.Fprintf(s.std.out, "$ doctl compute domain create %s --ip-address %s   # the sandbox's DNS\n", domain, st.IP)
		if err := s.sandbox.post(ctx, "/v2/domains", map[string]string{"name": domain, "ip_address": st.IP}); err != nil {
			return err
		}
	}
	return s.visit(ctx, st.IP)
}

// visit waits until the site answers over HTTPS, and begins the load.
func (s *stage) visit(ctx context.Context, ip string) error {
	door, err := s.door(ip)
	if err != nil {
		return err
	}
	if err := s.secure(ctx, door); err != nil {
		return err
	}
	fmt.Fprintf(s.std.out, "https://%s has its certificate; %d requests a second through %s from here on\n", door.Host, time.Second/loadEvery, ip)
	s.load = probe.Start(ctx, door, s.profile.Health.Path, loadEvery)
	s.identity = probe.Start(ctx, door, probe.IdentityPath, identityEvery)
	return nil
}

// door is how visitors come in: by the first name, through the reserved IP.
func (s *stage) door(ip string) (probe.Door, error) {
	dial, err := proxy.SOCKS5("tcp", s.sandbox.socks, nil, proxy.Direct)
	if err != nil {
		return probe.Door{}, err
	}
	roots, err := s.sandbox.roots()
	return probe.Door{Dial: dial.(proxy.ContextDialer).DialContext, HTTPS: true, Address: ip, Host: s.profile.Domains[0], Roots: roots, Agent: "visitor"}, err
}

// secure waits until the site answers over HTTPS.
func (s *stage) secure(ctx context.Context, door probe.Door) error {
	late := fmt.Errorf("the droplet did not get its certificate within %s", s.patience)
	ctx, cancel := context.WithTimeoutCause(ctx, s.patience, late)
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

// curtain ends the load and sums up. Anything that failed is an error.
func (s *stage) curtain(name string) error {
	s.load.Stop()
	s.identity.Stop()
	stats := s.load.Stats()
	var b strings.Builder
	b.WriteByte('\n')
	t := tabwriter.NewWriter(&b, 0, 0, 3, ' ', 0)
	fmt.Fprintln(t, "command\texit status\tserves afterwards\ttook")
	live, refused := 0, 0
	for _, r := range s.rows {
		fmt.Fprintf(t, "%s\t%d\t%s\t%s\n", r.command, r.exit, r.serving, seconds(r.took))
		switch {
		case r.exit == exitDone && r.switched:
			live++
		case r.exit == exitNotReleased:
			refused++
		}
	}
	t.Flush()
	fmt.Fprintf(&b, "\n%s\n", drawLoad(s.load.Timeline(chartColumns), s.identity.Timeline(chartColumns), s.releases))
	fmt.Fprintf(&b, "%s: live %d, refused %d, requests %d, failed %d, longest gap %d ms\n",
		name, live, refused, stats.Requests, stats.Failed, stats.Gap.Milliseconds())
	if _, err := io.WriteString(s.std.out, b.String()); err != nil {
		return err
	}
	if stats.Failed > 0 {
		return fmt.Errorf("%d of %d requests failed", stats.Failed, stats.Requests)
	}
	return nil
}
