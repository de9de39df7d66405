package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// crowd is how many droplets the account has in which cattle has to be quick.
const crowd = 1000

// TestStatusInALargeAccount: what an account has beside the app costs no calls.
func TestStatusInALargeAccount(t *testing.T) {
	t.Parallel()
	site := crowdedAccount(t, typedCattle(t))
	out, err := site.command("status").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{"blog serves at", "\nlive     v1.1.0 ", "\nstandby  v1.0.0 "} {
		if !strings.Contains(string(out), want) {
			t.Errorf("status does not say %q:\n%s", want, out)
		}
	}
	calls := site.box.cloud.Requests()
	if len(calls) > 6 {
		t.Errorf("%d calls of the API, at most 6 are allowed:", len(calls))
	}
	for _, c := range calls {
		t.Logf("%s %s?%s", c.Method, c.Path, c.Query)
	}
}

// TestNothingIsCollectedAtStart: the heap has room for what all packages
// allocate before main begins.
func TestNothingIsCollectedAtStart(t *testing.T) {
	t.Parallel()
	for gogc, collects := range map[string]bool{"": false, "100": true} {
		cmd := exec.Command(typedCattle(t), "--help")
		cmd.Env = append(os.Environ(), "GODEBUG=gctrace=1", "GOGC="+gogc)
		var trace bytes.Buffer
		cmd.Stderr = &trace
		if err := cmd.Run(); err != nil {
			t.Fatal(err)
		}
		if got := strings.HasPrefix(trace.String(), "gc 1 "); got != collects {
			t.Errorf("with GOGC=%s: collected at start: %v, not %v\n%s", gogc, got, collects, trace.String())
		}
	}
}

// A releasedSite is a site with a live droplet, v1.1.0, and a standby, v1.0.0.
type releasedSite struct {
	box      *runningSandbox
	bin, dir string
}

// crowdedAccount is a released site in an account whose other droplets are
// other sites'.
func crowdedAccount(tb testing.TB, bin string) *releasedSite {
	s := released(tb, bin)
	s.crowd(tb)
	s.box.cloud.ResetRequests()
	return s
}

func released(tb testing.TB, bin string) *releasedSite {
	tb.Helper()
	s := &releasedSite{bin: bin, dir: tb.TempDir()}
	var err error
	s.box, err = startSandbox(context.Background(), sandboxOptions{dir: filepath.Join(s.dir, "box"), listen: "127.0.0.1:0", socks: "127.0.0.1:0",
		latency: "none", unlimited: true, quota: crowd})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { s.box.close() })
	profile := "app: blog\ndomain: blog.example.com\nimage: ghcr.io/me/blog\nport: 8000\n"
	if err := os.WriteFile(filepath.Join(s.dir, "cattle.yaml"), []byte(profile), 0o600); err != nil {
		tb.Fatal(err)
	}
	for _, version := range []string{"v1.0.0", "v1.1.0"} {
		if out, err := s.command("release", version).CombinedOutput(); err != nil {
			tb.Fatalf("%v\n%s", err, out)
		}
	}
	return s
}

// crowd orders other sites' droplets, ten at a time as the API allows, until
// the account's quota is used up.
func (s *releasedSite) crowd(tb testing.TB) {
	for n := len(s.box.cloud.Snapshot().Droplets); n < crowd; {
		var names []string
		for ; len(names) < 10 && n < crowd; n++ {
			names = append(names, fmt.Sprintf("shop-%d", n))
		}
		err := s.box.post(context.Background(), "/v2/droplets", map[string]any{"names": names, "region": "nyc3", "size": "s-1vcpu-1gb",
			"image": "ubuntu-24-04-x64", "tags": []string{fmt.Sprintf("cattle:app:shop-%d", n/50)}})
		if err != nil {
			tb.Fatal(err)
		}
	}
}

func (s *releasedSite) command(args ...string) *exec.Cmd {
	cmd := exec.Command(s.bin, args...)
	cmd.Dir, cmd.Env = s.dir, append(os.Environ(), "HOME="+s.dir)
	for name, value := range s.box.env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	return cmd
}

// TestSiteOnly: whose site it is the compose files do not say, so they are not
// read, and a broken one keeps nobody from a rollback.
func TestSiteOnly(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	profile := filepath.Join(dir, "cattle.yaml")
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("cattle.yaml", "app: shop\ndomain: shop.example.com\ncompose: services.yaml\npackages: [jq]\n"+
		"droplet: {size: s-2vcpu-2gb}\ncron: [{schedule: \"0 3 * * *\", command: bin/nightly}]\n")
	write("services.yaml", "services:\n  web: {image: \"web:1\", expose: [\"8000\"]}\n")
	whole, err := loadQuietly(profile)
	if err != nil {
		t.Fatal(err)
	}
	want := siteOf(whole, nil)
	write("services.yaml", "services: [")
	if _, err := loadQuietly(profile); err == nil {
		t.Error("a broken compose file is let pass by what reads it")
	}
	alone, err := loadSite(profile)
	if err != nil {
		t.Fatal(err)
	}
	if got := siteOf(alone, nil); !reflect.DeepEqual(got, want) {
		t.Errorf("without the compose files it is another site:\n%+v\n%+v", got, want)
	}
}
