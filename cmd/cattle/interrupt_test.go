package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/hinshun/vt10x"

	"cattle/droplets/sandbox"
)

// anHour is a call that is not answered while a test runs.
const anHour = time.Hour

// An interruption is a command that gets one signal or two when it has said,
// or asked the API for, a certain thing.
type interruption struct {
	name    string
	args    string
	fault   sandbox.Fault // armed before
	release sandbox.Behaviour
	// at is in the command's output, or "METHOD path" of a call, when the signal is sent.
	at     string
	second bool // a second signal, half a second later
	signal syscall.Signal

	exit  int
	says  []string // patterns of its output
	after string   // the release that serves then; "v2" where none is said
	next  string   // what a second interrupt says to type, a pattern
}

func interruptions() []interruption {
	hanging := func(method, path string) sandbox.Fault {
		return sandbox.Fault{Method: method, Path: path, Count: -1, Delay: anHour}
	}
	hangs := sandbox.Behaviour{Kind: sandbox.HangsStep, Step: "packages"}
	never := sandbox.Behaviour{Kind: sandbox.NeverHealthy}
	undone := []string{`undo: destroy the candidate`, `undo done`, `not released, v2 still serves: .*interrupted`}
	attempt := `cattle gc --attempt [0-9a-f]{16}`
	return []interruption{
		{name: "survey", args: "release v3", fault: hanging(http.MethodGet, "/v2/account"), at: "GET /v2/account", says: []string{`error: .*interrupted`}},
		{name: "create, twice", args: "release v3", fault: hanging(http.MethodPost, "/v2/droplets"), at: "POST /v2/droplets", second: true, next: attempt},
		{name: "boot", args: "release v3", release: hangs, at: "boot: packages", says: undone},
		{name: "boot, with a page", args: "release --report page.html v3", release: hangs, at: "boot: packages", says: append(undone, `the page to look at is page\.html`)},
		{name: "boot, SIGTERM", args: "rebuild --json", release: hangs, at: `"step":"packages"`, signal: syscall.SIGTERM, says: []string{`"exit_status":130`}},
		{name: "boot, twice", args: "release v3", release: hangs, fault: hanging(http.MethodDelete, "/v2/droplets/*"), at: "boot: packages", second: true, next: attempt},
		{name: "bake", args: "bake v3", release: hangs, at: "boot: packages", says: []string{`undo: destroy the baking droplet`, `no snapshot was made: boot: interrupted`}},
		{name: "bake, twice", args: "bake v3", release: hangs, fault: hanging(http.MethodDelete, "/v2/droplets/*"), at: "boot: packages", second: true, next: attempt},
		{name: "gate, SIGHUP", args: "release v3", release: never, at: "gate: ", signal: syscall.SIGHUP, says: undone},
		{name: "switch", args: "release v3", fault: hanging(http.MethodGet, "/v2/reserved_ips/*"), at: "switch: ", second: true, next: attempt},
		{name: "switched", args: "release v3", fault: sandbox.Fault{Method: http.MethodGet, Path: "/v2/reserved_ips/*", Nth: 2, Count: -1, Delay: anHour},
			at: "POST /v2/reserved_ips", second: true, next: attempt, after: "v3"},
		{name: "rollback", args: "rollback", fault: hanging(http.MethodGet, "/v2/reserved_ips/*"), at: "switch: ", second: true, next: "cattle status"},
		{name: "after the confirm", args: "release v3", fault: sandbox.Fault{Method: http.MethodPost, Path: "/v2/tags/*/resources", Delay: time.Second},
			at: "retire: ", exit: exitDone, says: []string{`v3 is live`}, after: "v3"},
		{name: "after the confirm, twice", args: "release v3", fault: hanging(http.MethodPost, "/v2/tags/*/resources"),
			at: "retire: ", second: true, next: "cattle gc", after: "v3"},
		{name: "gc", args: "gc --standbys --yes", fault: hanging(http.MethodDelete, "/v2/droplets/*"), at: "DELETE /v2/droplets", says: []string{"interrupted"}},
		{name: "status", args: "status", fault: hanging(http.MethodGet, "/v2/droplets"), at: "GET /v2/droplets"},
	}
}

// TestInterruptedCommand interrupts commands as a person does, by signals to a
// process. Once: what was begun is undone, in seconds, and the account is as it
// was. Twice: it leaves at once and says what to type; that, typed, cleans up.
func TestInterruptedCommand(t *testing.T) {
	t.Parallel()
	for _, in := range interruptions() {
		t.Run(in.name, func(t *testing.T) {
			t.Parallel()
			in.play(t, newInterruptedSite(t))
		})
	}
}

func (in interruption) play(t *testing.T, s *interruptedSite) {
	for _, version := range []string{"v3", "v2"} { // v2 is what a rebuild puts up
		if in.release.Kind != "" && (version == "v3") == !strings.HasPrefix(in.args, "rebuild") {
			s.box.cloud.Break(version, in.release)
		}
	}
	before := s.members()
	s.box.cloud.ResetRequests()
	if in.fault.Method != "" {
		s.box.cloud.Fault(in.fault)
	}
	if in.signal == 0 {
		in.signal = syscall.SIGINT
	}
	p := s.start(strings.Fields(in.args)...)
	s.await(p, in.at)
	struck := time.Now()
	p.signal(in.signal)
	if in.second {
		time.Sleep(500 * time.Millisecond)
		p.signal(in.signal)
	}
	exit := p.wait()
	if took := time.Since(struck); took > 20*time.Second {
		t.Errorf("it ended %s after the signal", took)
	}
	if in.exit == 0 && in.after == "" || in.second {
		in.exit = exitInterrupted
	}
	if exit != in.exit {
		t.Errorf("exit status %d, want %d\n%s", exit, in.exit, p.said())
	}
	for _, pattern := range append(in.says, "cattle: interrupted: ending in order; interrupt again to leave at once") {
		if !regexp.MustCompile(pattern).MatchString(p.said()) {
			t.Errorf("it does not say %q:\n%s", pattern, p.said())
		}
	}
	s.box.cloud.ClearFaults()
	if in.next != "" {
		s.follow(p.said(), in.next, in.after == "")
	}
	if in.after == "" {
		in.after = "v2"
		if after := s.members(); !slices.Equal(before, after) && !strings.HasPrefix(in.args, "gc") {
			t.Errorf("the account had %v before, has %v now", before, after)
		}
	}
	if got := s.live().Release; got != in.after {
		t.Errorf("%q serves, want %s", got, in.after)
	}
}

// TestGCOfWhatWentLive ends an attempt whose droplet gets the reserved IP while
// gc is at it: it is left alone, and what gc says to type finishes its release.
func TestGCOfWhatWentLive(t *testing.T) {
	t.Parallel()
	s := newInterruptedSite(t)
	s.box.cloud.Fault(sandbox.Fault{Method: http.MethodPost, Path: "/v2/tags/*/resources", Count: -1, Delay: anHour})
	p := s.start("release", "v3")
	s.await(p, "retire: ")
	p.signal(syscall.SIGKILL)
	p.wait()
	s.box.cloud.ClearFaults()
	// The first list of reserved IPs is that of a minute ago.
	s.box.cloud.Fault(sandbox.Fault{Method: http.MethodGet, Path: "/v2/reserved_ips", Stale: time.Minute})
	attempt := s.live().Attempt
	p = s.start("gc", "--attempt", attempt)
	if exit := p.wait(); exit != exitFailed || !strings.Contains(p.said(), "left alone\ncattle: hint: it went live in this moment; cattle gc") {
		t.Errorf("exit status %d\n%s", exit, p.said())
	}
	s.must("gc")
	if live := s.live(); live.Attempt != attempt || !slices.Contains(live.Tags, "cattle:served") {
		t.Errorf("%s %v is live", live.Name, live.Tags)
	}
}

// TestInterruptedTerminal presses Ctrl-C on a terminal, where a live list is
// drawn, and closes one under a release.
func TestInterruptedTerminal(t *testing.T) {
	t.Parallel()
	for _, hangUp := range []bool{false, true} {
		t.Run(map[bool]string{false: "Ctrl-C", true: "closed"}[hangUp], func(t *testing.T) {
			t.Parallel()
			s := newInterruptedSite(t)
			before := s.members()
			s.box.cloud.Break("v3", sandbox.Behaviour{Kind: sandbox.HangsStep, Step: "packages"})
			p := s.prepare("release", "v3")
			p.cmd.Env = append(slices.DeleteFunc(p.cmd.Env, func(v string) bool { return strings.HasPrefix(v, "CI=") }), "TERM=xterm")
			terminal, err := pty.StartWithSize(p.cmd, &pty.Winsize{Rows: 24, Cols: 80})
			if err != nil {
				t.Fatal(err)
			}
			defer terminal.Close()
			read := make(chan struct{})
			go func() {
				io.Copy(&p.out, terminal)
				close(read)
			}()
			s.await(p, "packages")
			if hangUp {
				terminal.Close()
			} else {
				terminal.Write([]byte{3})
			}
			p.cmd.Wait()
			<-read
			if exit := p.cmd.ProcessState.ExitCode(); exit != exitInterrupted {
				t.Errorf("exit status %d\n%s", exit, p.said())
			}
			if after := s.members(); !slices.Equal(before, after) {
				t.Errorf("the account had %v before, has %v now", before, after)
			}
			if hangUp {
				return
			}
			lines := strings.Split(shownAt(p.said(), 80, 100), "\n")
			for _, want := range []string{"cattle: interrupted: ending in order", "✗ boot", "✓ undo", "cattle: error: not released, v2 still serves: boot: interrupted"} {
				if !slices.ContainsFunc(lines, func(line string) bool { return strings.HasPrefix(line, want) }) {
					t.Errorf("no line of the terminal begins with %q:\n%s", want, strings.Join(lines, "\n"))
				}
			}
		})
	}
}

// shownAt is what a terminal of that size shows in the end.
func shownAt(said string, columns, rows int) string {
	s := screen{vt10x.New(vt10x.WithSize(columns, rows))}
	s.Terminal.Write([]byte(said))
	return s.text()
}

// An interruptedSite is a sandbox with v1 as standby and v2 live.
type interruptedSite struct {
	t   *testing.T
	box *runningSandbox
	dir string
	env []string
}

func newInterruptedSite(t *testing.T) *interruptedSite {
	t.Helper()
	dir := t.TempDir()
	box, err := startSandbox(t.Context(), sandboxOptions{dir: filepath.Join(dir, "box"), listen: "127.0.0.1:0", socks: "127.0.0.1:0", latency: "none", unlimited: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { box.close() })
	s := &interruptedSite{t: t, box: box, dir: dir, env: append(os.Environ(), "CI=true")}
	for name, value := range box.env {
		s.env = append(s.env, name+"="+value)
	}
	profile := "app: blog\ndomain: blog.example.com\nimage: ghcr.io/me/blog\nport: 8000\nhealth: {interval: 100ms, deadline: 30s}\n"
	if err := os.WriteFile(filepath.Join(dir, "cattle.yaml"), []byte(profile), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range []string{"release v1", "release v2"} {
		s.must(strings.Fields(args)...)
	}
	return s
}

func (s *interruptedSite) must(args ...string) {
	s.t.Helper()
	p := s.start(args...)
	if exit := p.wait(); exit != exitDone {
		s.t.Fatalf("cattle %s: exit status %d\n%s", strings.Join(args, " "), exit, p.said())
	}
}

// follow types what a command that was left at once has said. The undoing may
// have been over before the second signal came: then there is nothing to end.
func (s *interruptedSite) follow(said, pattern string, undoing bool) {
	s.t.Helper()
	m := regexp.MustCompile(`left at once; now type: (.*)\n`).FindStringSubmatch(said)
	if m == nil || !regexp.MustCompile("^"+pattern+"$").MatchString(m[1]) {
		s.t.Fatalf("it does not say to type %q:\n%s", pattern, said)
	}
	p := s.start(strings.Fields(m[1])[1:]...)
	exit := p.wait()
	nothing := undoing && strings.Contains(p.said(), "there is no candidate at all")
	if exit != exitDone && (exit != exitInput || !nothing) {
		s.t.Fatalf("%s: exit status %d\n%s", m[1], exit, p.said())
	}
}

// members are the account's droplets and where its reserved IP points.
func (s *interruptedSite) members() (out []string) {
	now := s.box.cloud.Snapshot()
	for _, d := range now.Droplets {
		served := slices.Contains(d.Tags, "cattle:served")
		out = append(out, d.Name+map[bool]string{true: " served"}[served]+map[bool]string{true: " live"}[now.ReservedIPs[0].Droplet == d.ID])
	}
	return out
}

// live is the droplet that holds the reserved IP.
func (s *interruptedSite) live() (live sandbox.Machine) {
	now := s.box.cloud.Snapshot()
	for _, d := range now.Droplets {
		if d.ID == now.ReservedIPs[0].Droplet {
			live = d
		}
	}
	return live
}

// await waits until the process has said something, or has called the API.
func (s *interruptedSite) await(p *typed, what string) {
	s.t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		called := slices.ContainsFunc(s.box.cloud.Requests(), func(r sandbox.Request) bool {
			return strings.HasPrefix(r.Method+" "+r.Path, what)
		})
		if called || strings.Contains(p.said(), what) {
			return
		}
	}
	s.t.Fatalf("it never came to %q:\n%s", what, p.said())
}

// A typed command is one in a process of its own.
type typed struct {
	cmd *exec.Cmd
	out lockedBuffer
}

func (s *interruptedSite) prepare(args ...string) *typed {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	s.t.Cleanup(cancel) // which kills what is left of it
	p := &typed{cmd: exec.CommandContext(ctx, typedCattle(s.t), args...)}
	p.cmd.Dir, p.cmd.Env = s.dir, slices.Clone(s.env)
	return p
}

func (s *interruptedSite) start(args ...string) *typed {
	s.t.Helper()
	p := s.prepare(args...)
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.out
	if err := p.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	return p
}

func (p *typed) signal(s syscall.Signal) { p.cmd.Process.Signal(s) }

func (p *typed) wait() int {
	p.cmd.Wait()
	return p.cmd.ProcessState.ExitCode()
}

func (p *typed) said() string { return p.out.String() }

// lockedBuffer is read while it is written.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
