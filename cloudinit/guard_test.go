package cloudinit

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

const (
	guardToken   = "dop_v1_of_the_guard"
	guardAttempt = "00000000000000aa"
)

// A guarded is a droplet with a dead-man switch and a world around it.
type guarded struct {
	t     *testing.T
	dir   string
	world *httptest.Server

	mu      sync.Mutex
	here    bool   // the metadata service says that the address is
	answers string // the attempt at the address
	refuses int    // status of the API, 0: it moves the address
	ordered []string
}

func newGuarded(t *testing.T) *guarded {
	t.Helper()
	if _, err := exec.LookPath("python3"); err != nil {
		t.Skip("no python3, which droplets have: the guard's program is not run")
	}
	g := &guarded{t: t, dir: t.TempDir(), answers: guardAttempt}
	for name, does := range map[string]string{"systemctl": "true", "systemd-run": `printf '%s\n' "$*" >>` + g.dir + "/timers"} {
		if err := os.WriteFile(filepath.Join(g.dir, name), []byte("#!/bin/sh\n"+does+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	g.world = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.mu.Lock()
		defer g.mu.Unlock()
		switch {
		case r.URL.Path == "/metadata/v1/reserved_ip/ipv4/active":
			fmt.Fprint(w, g.here)
		case r.URL.Path == "/.well-known/cattle/attempt":
			fmt.Fprintln(w, g.answers)
		case g.refuses != 0:
			w.WriteHeader(g.refuses)
		default:
			body, _ := io.ReadAll(r.Body)
			g.ordered = append(g.ordered, r.Method+" "+r.URL.Path+" "+r.Header.Get("Authorization")+" "+string(body))
			g.here = true
			w.WriteHeader(http.StatusCreated)
		}
	}))
	t.Cleanup(g.world.Close)
	return g
}

// orders is what the API was asked to do.
func (g *guarded) orders() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.ordered)
}

// be changes the world.
func (g *guarded) be(change func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	change()
}

// run is a verb; it never shows the token.
func (g *guarded) run(in string, args ...string) (string, error) {
	g.t.Helper()
	cmd := exec.Command("python3", append([]string{script(g.t, "guard")}, args...)...)
	cmd.Env = []string{"PATH=" + g.dir + ":" + os.Getenv("PATH"), "CATTLE_RUN=" + g.dir, "CATTLE_API=" + g.world.URL, "CATTLE_METADATA=" + g.world.URL}
	cmd.Stdin = strings.NewReader(in)
	out, err := cmd.CombinedOutput()
	if strings.Contains(string(out), guardToken) {
		g.t.Errorf("%v shows the token: %s", args, out)
	}
	return strings.TrimSpace(string(out)), err
}

func (g *guarded) arm() {
	g.t.Helper()
	order := fmt.Sprintf(`{"token":%q,"ip":%q,"droplet":7,"attempt":%q,"seconds":360}`, guardToken, strings.TrimPrefix(g.world.URL, "http://"), guardAttempt)
	if out, err := g.run(order, "guard"); err != nil || out != "armed" {
		g.t.Fatalf("%v: %s", err, out)
	}
}

// holdsToken tells whether the token is in any file.
func (g *guarded) holdsToken() (held bool) {
	g.t.Helper()
	names, _ := filepath.Glob(g.dir + "/*")
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			g.t.Fatal(err)
		}
		if strings.Contains(string(text), guardToken) {
			held = true
			if info, _ := os.Stat(name); info.Mode() != 0o600 {
				g.t.Errorf("%s has mode %v", name, info.Mode())
			}
		}
	}
	return held
}

func (g *guarded) disarm(attempt, want string) {
	g.t.Helper()
	if out, err := g.run(attempt+"\n", "disarm"); err != nil || out != want {
		g.t.Errorf("disarm says %q, %v; want %s", out, err, want)
	}
}

func TestGuardDisarmed(t *testing.T) {
	g := newGuarded(t)
	g.disarm(guardAttempt, "idle")
	g.arm()
	if !g.holdsToken() {
		t.Error("an armed guard has no token")
	}
	timers, _ := os.ReadFile(g.dir + "/timers")
	if !strings.Contains(string(timers), "--on-active=360s") || !strings.Contains(string(timers), "fire "+guardAttempt) || strings.Contains(string(timers), guardToken) {
		t.Errorf("the timer is %s", timers)
	}
	g.disarm("00000000000000bb", "idle")
	g.disarm(guardAttempt, "disarmed")
	g.disarm(guardAttempt, "disarmed")
	if g.holdsToken() {
		t.Error("a disarmed guard keeps the token")
	}
	if out, err := g.run("", "fire", guardAttempt); err != nil || out != "" || len(g.orders()) > 0 {
		t.Errorf("a disarmed guard goes off: %v %s %v", err, out, g.orders())
	}
}

func TestGuardFires(t *testing.T) {
	g := newGuarded(t)
	g.arm()
	out, err := g.run("", "fire", guardAttempt)
	want := "POST /v2/reserved_ips/" + strings.TrimPrefix(g.world.URL, "http://") + `/actions Bearer ` + guardToken + ` {"type": "assign", "droplet_id": 7}`
	ordered := g.orders()
	if err != nil || len(ordered) != 1 || ordered[0] != want || !strings.HasSuffix(out, "guard: the address is here") {
		t.Errorf("%v %s\n%v\n%s", err, out, ordered, want)
	}
	if g.holdsToken() {
		t.Error("a guard that went off keeps the token")
	}
	g.disarm(guardAttempt, "fired")
}

func TestGuardFiresInVain(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*guarded)
		says   string
		fails  bool
	}{
		"it is here":     {func(g *guarded) { g.be(func() { g.here = true }) }, "the address is here", false},
		"somebody else":  {func(g *guarded) { g.be(func() { g.answers = "00000000000000cc" }) }, "attempt 00000000000000cc answers there", false},
		"no token":       {func(g *guarded) { g.be(func() { g.refuses = 401 }) }, "cannot be taken back", true},
		"no scope":       {func(g *guarded) { g.be(func() { g.refuses = 403 }) }, "cannot be taken back", true},
		"another timer":  {func(g *guarded) { g.run("", "fire", "00000000000000dd"); g.be(func() { g.here = true }) }, "the address is here", false},
		"nonsense there": {func(g *guarded) { g.be(func() { g.answers, g.refuses = "<html>", 404 }) }, "cannot be taken back", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := newGuarded(t)
			g.arm()
			c.change(g)
			out, err := g.run("", "fire", guardAttempt)
			if (err != nil) != c.fails || !strings.Contains(out, c.says) || len(g.orders()) > 0 {
				t.Errorf("%v %q %v", err, out, g.orders())
			}
			g.disarm(guardAttempt, "fired")
		})
	}
}

// TestGuardIsAskedFor: nobody has the program who did not ask for it.
func TestGuardIsAskedFor(t *testing.T) {
	in := shortest(images()[0])
	for _, want := range []bool{false, true} {
		in.Profile.Release.Guard = want
		if has := file(render(t, in), "/opt/cattle/guard") != ""; has != want {
			t.Errorf("release.guard: %v, and the program is there: %v", want, has)
		}
	}
}
