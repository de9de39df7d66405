//go:build chaos && linux

package main

import (
	"bufio"
	"context"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"cattle/droplets/release/probe"
	"cattle/droplets/sandbox"
)

// A chaosSite is a site in an account of its own: a sandbox process, the wires
// to it, the operator's folder, and visitors.
type chaosSite struct {
	t      *testing.T
	bin    string
	dir    string
	direct *runningSandbox // the sandbox without the wires: to look at it
	env    []string        // of the operator, who is behind the wires
	api    *wire
	socks  *wire
	crowd  *visitors

	foreign []string        // what is somebody else's, as chaosWorld.foreign shows it
	gated   map[string]bool // names of droplets that passed a gate
	version int             // of the next release
}

// newChaosSite starts a sandbox process, which ends with this one.
func newChaosSite(ctx context.Context, t *testing.T) *chaosSite {
	t.Helper()
	bin, err := filepath.Abs("../../bin/cattle")
	if err == nil {
		_, err = os.Stat(bin)
	}
	if err != nil {
		t.Fatalf("make build comes first: %v", err)
	}
	dir := t.TempDir()
	s := &chaosSite{t: t, bin: bin, dir: dir, gated: map[string]bool{}}
	env := s.startSandbox(ctx)
	s.direct = &runningSandbox{env: maps.Clone(env)}
	if s.api, err = newWire(strings.TrimPrefix(env["DIGITALOCEAN_API_URL"], "http://")); err == nil {
		s.socks, err = newWire(strings.TrimPrefix(env["ALL_PROXY"], "socks5h://"))
	}
	if err != nil {
		t.Fatal(err)
	}
	leakFiles(t, dir, map[string]string{"DB_PASSWORD": "a", "ADMINS": "root:b", "SMTP_USER": "c", "SMTP_PASSWORD": "d", "REGISTRY_PASSWORD": "e"})
	s.write("cattle.yaml", strings.Replace(leakProfile, "deadline: 5s", "deadline: 30s", 1)+patience)
	env["DIGITALOCEAN_API_URL"], env["ALL_PROXY"] = "http://"+s.api.addr, "socks5h://"+s.socks.addr
	env["CI"], env["SOPS_AGE_KEY_FILE"] = "true", filepath.Join(dir, "age.key")
	s.env = os.Environ()
	for name, value := range env {
		s.env = append(s.env, name+"="+value)
	}
	s.furnish(ctx)
	return s
}

// patience keeps a busy computer from being taken for a bad release: what the
// public got, the visitors tell.
const patience = "release: {boot_within: 2m, cutover: {failed: 1000, gap: 30s}}\n"

func (s *chaosSite) write(name, content string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(content), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// startSandbox returns the environment that the sandbox asks for.
func (s *chaosSite) startSandbox(ctx context.Context) map[string]string {
	s.t.Helper()
	ctx, stop := context.WithCancel(ctx)
	cmd := exec.CommandContext(ctx, s.bin, "sandbox", "--dir", filepath.Join(s.dir, "box"), "--listen", "127.0.0.1:0", "--socks", "127.0.0.1:0",
		"--latency", "fast", "--unlimited", "--break", brokenInChaos+"=never-healthy")
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGINT) }
	cmd.WaitDelay = 10 * time.Second
	out, in := io.Pipe()
	var complaint lockedBuffer
	cmd.Stdout, cmd.Stderr = in, &complaint
	ended := make(chan struct{})
	go func() {
		in.CloseWithError(runChild(cmd))
		close(ended)
	}()
	s.t.Cleanup(func() { stop(); <-ended })
	env := map[string]string{}
	// SSL_CERT_FILE is the last of them.
	for lines := bufio.NewScanner(out); env["SSL_CERT_FILE"] == ""; {
		if !lines.Scan() {
			s.t.Fatalf("the sandbox does not say how to reach it: %v %s", lines.Err(), &complaint)
		}
		if m := regexp.MustCompile(`^export (\w+)="(.*)"$`).FindStringSubmatch(lines.Text()); m != nil {
			env[m[1]] = m[2]
		}
	}
	go io.Copy(io.Discard, out)
	return env
}

// furnish puts into the account what is none of the site's: another site of
// cattle's with a reserved IP and a standby, and a droplet that looks like ours.
func (s *chaosSite) furnish(ctx context.Context) {
	s.t.Helper()
	for _, d := range []struct{ name, tags string }{
		{"shop-v1-00112233", `"cattle:app:shop"`}, {"shop-v0-44556677", `"cattle:app:shop","cattle:served"`}, {"blog-v1-8899aabb", `"blog","mail"`},
	} {
		body := json.RawMessage(fmt.Sprintf(`{"name":%q,"region":"nyc3","size":"s-1vcpu-1gb","image":"debian-13-x64","tags":[%s]}`, d.name, d.tags))
		if err := s.direct.post(ctx, "/v2/droplets", body); err != nil {
			s.t.Fatal(err)
		}
	}
	for time.Sleep(3 * time.Second); len(s.look().Droplets) < 3; time.Sleep(time.Second) {
	}
	if err := s.direct.post(ctx, "/v2/reserved_ips", map[string]int{"droplet_id": s.look().Droplets[0].ID}); err != nil {
		s.t.Fatal(err)
	}
	time.Sleep(time.Second)
	s.foreign = s.look().foreign()
}

// open does what the owner does after a first release: an A record. The
// droplet gets its certificate, and visitors come.
func (s *chaosSite) open(ctx context.Context) error {
	ip := s.look().reserved().IP
	if err := s.direct.post(ctx, "/v2/domains", map[string]string{"name": "blog.example.com", "ip_address": ip}); err != nil {
		return err
	}
	pem, err := os.ReadFile(s.direct.env["SSL_CERT_FILE"])
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	for end := time.Now().Add(stubCertificate); !s.look().secure(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			return fmt.Errorf("no certificate within %s", stubCertificate)
		}
	}
	s.crowd = startVisitors(ctx, s.socks, probe.Door{HTTPS: true, Address: ip, Host: "blog.example.com", Roots: roots})
	return nil
}

// get reads from the sandbox, without the wires.
func (s *chaosSite) get(path string, into any) {
	s.t.Helper()
	req, err := http.NewRequest(http.MethodGet, s.direct.env["DIGITALOCEAN_API_URL"]+path, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+sandboxToken)
	resp, err := http.DefaultClient.Do(req)
	if err == nil {
		defer resp.Body.Close()
		err = json.NewDecoder(resp.Body).Decode(into)
	}
	if err != nil {
		s.t.Fatalf("%s: %v", path, err)
	}
}

// requests are the API's calls since then, but for this test's own.
func (s *chaosSite) requests(since time.Time) []sandbox.Request {
	var all []sandbox.Request
	s.get("/_sandbox/requests", &all)
	return slices.DeleteFunc(all, func(r sandbox.Request) bool {
		return r.At.Before(since) || strings.HasPrefix(r.Path, "/_sandbox/") || strings.HasPrefix(r.Path, "/v2/snapshots") && r.Query == chaosQuery
	})
}

// chaosQuery marks this test's own calls in the log.
const chaosQuery = "resource_type=droplet&per_page=199"

// A chaosWorld is the account as it is.
type chaosWorld struct {
	sandbox.Snapshot
	Snapshots []struct {
		ID   string   `json:"id"`
		Name string   `json:"name"`
		Tags []string `json:"tags"`
	} `json:"snapshots"`
}

func (s *chaosSite) look() (w chaosWorld) {
	s.t.Helper()
	s.get("/_sandbox/state", &w.Snapshot)
	s.get("/v2/snapshots?"+chaosQuery, &w)
	return w
}

func isOurs(tags []string) bool { return slices.Contains(tags, "cattle:app:blog") }

// reserved is the site's reserved IP; the account's other one came first.
func (w chaosWorld) reserved() (ip sandbox.ReservedIP) {
	if len(w.ReservedIPs) > 1 {
		ip = w.ReservedIPs[1]
	}
	return ip
}

// live holds the site's reserved IP.
func (w chaosWorld) live() (m sandbox.Machine) {
	for _, d := range w.Droplets {
		if d.ID == w.reserved().Droplet {
			m = d
		}
	}
	return m
}

func (w chaosWorld) secure() bool { return w.live().TLS }

// site is what the site consists of, to be compared.
func (w chaosWorld) site() (out []string) {
	for _, d := range w.Droplets {
		if !isOurs(d.Tags) {
			continue
		}
		role := "candidate"
		switch {
		case d.ID == w.reserved().Droplet:
			role = "live"
		case slices.Contains(d.Tags, "cattle:served"):
			role = "standby"
		}
		out = append(out, fmt.Sprintf("%s %d %s", role, d.ID, d.Name))
	}
	for _, sn := range w.Snapshots {
		out = append(out, "snapshot "+sn.Name)
	}
	return append(out, fmt.Sprintf("addresses %d", len(w.ReservedIPs)))
}

// foreign is what is somebody else's.
func (w chaosWorld) foreign() (out []string) {
	for _, d := range w.Droplets {
		if !isOurs(d.Tags) && d.App == "" {
			out = append(out, fmt.Sprint(d.ID, d.Name, d.Tags, d.Status))
		}
	}
	if len(w.ReservedIPs) > 0 {
		out = append(out, fmt.Sprint(w.ReservedIPs[0].IP, w.ReservedIPs[0].Droplet))
	}
	return out
}
