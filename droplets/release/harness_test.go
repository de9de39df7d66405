package release_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"cattle/droplets"
	"cattle/droplets/release"
	"cattle/droplets/release/probe"
	"cattle/droplets/sandbox"
	"cattle/droplets/sandbox/described"
)

// realistic are the latencies that the issue of an API-call budget was
// measured with: active after 30 s, an assign of 5 s, 100 ms a call.
var realistic = sandbox.Latency{Call: 100 * time.Millisecond, Active: 30 * time.Second, Assign: 5 * time.Second, Delete: 2 * time.Second}

// bench is one app's operator on one sandbox, in virtual time.
type bench struct {
	t     testing.TB
	cloud *sandbox.Cloud
	op    *release.Operator
	site  release.Site
	tries int

	mu     sync.Mutex
	events []release.Event
}

// simulate runs f in a synctest bubble: the real release code and a sandbox,
// where a day takes milliseconds.
func simulate(t *testing.T, latency sandbox.Latency, f func(*bench)) {
	t.Helper()
	keyFile, public := operatorKey(t)
	synctest.Test(t, func(t *testing.T) { withBench(t, keyFile, public, latency, f) })
}

func operatorKey(t testing.TB) (file, public string) {
	t.Helper()
	key, err := droplets.NewHostKey()
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "id_ed25519")
	if err := os.WriteFile(file, []byte(key.Private), 0o600); err != nil {
		t.Fatal(err)
	}
	return file, key.Public
}

func withBench(t testing.TB, keyFile, public string, latency sandbox.Latency, f func(*bench)) {
	cloud, err := sandbox.New(sandbox.Options{Latency: latency, Open: openNothing, Observe: described.Observer()})
	if err != nil {
		t.Fatal(err)
	}
	defer cloud.Close()
	b := &bench{t: t, cloud: cloud, site: blog()}
	b.post("/v2/account/keys", map[string]any{"name": "me", "public_key": public})
	b.op = b.operator(keyFile)
	f(b)
}

func (b *bench) operator(keyFile string) *release.Operator {
	b.t.Helper()
	api, err := droplets.Open(droplets.Config{Token: "t", HTTP: b.cloud.Client(), URL: "http://api.test"})
	if err != nil {
		b.t.Fatal(err)
	}
	login, err := droplets.NewLogin(keyFile, "", "")
	if err != nil {
		b.t.Fatal(err)
	}
	return &release.Operator{Cloud: api, Dialer: inside{b.cloud}, Login: login, Emit: b.record}
}

func (b *bench) record(e release.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.events = append(b.events, e)
}

// inside dials in the sandbox's own network.
type inside struct{ *sandbox.Cloud }

func (i inside) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return i.Dial(ctx, network, address)
}

// openNothing stands for sops: the sealed file is its own plain text here.
func openNothing(sealed []byte, _, identity string) (map[string]string, error) {
	if identity != "AGE-SECRET-KEY-1TEST" {
		return nil, fmt.Errorf("wrong key")
	}
	return map[string]string{"NAME": string(sealed)}, nil
}

func blog() release.Site {
	return release.Site{
		Packages: strings.Repeat("e", 32), BakedWithin: 7 * 24 * time.Hour,
		App: "blog", Domains: []string{"blog.example.com"}, Region: "fra1", Size: "s-1vcpu-1gb", Image: "debian-13-x64",
		Services: []string{"web"}, Keep: 1, BootWithin: 10 * time.Minute, Untrusted: true,
		Health: probe.Health{Path: "/", Status: 200, Interval: time.Second, Timeout: 5 * time.Second, Successes: 3, Deadline: time.Minute},
		// No limit to failures: the sandbox counts what the budget would.
		Cutover: release.Cutover{Failed: 0, Gap: 5 * time.Second},
	}
}

type plainKey string

func (k plainKey) Reveal() string { return string(k) }

// candidate renders by hand what the droplet's contract asks for.
func (b *bench) candidate(version string) *release.Candidate { return b.render(version, false) }

func (b *bench) render(version string, bake bool) *release.Candidate {
	b.t.Helper()
	b.tries++
	host, err := droplets.NewHostKey()
	if err != nil {
		b.t.Fatal(err)
	}
	attempt := fmt.Sprintf("%016x", b.tries)
	manifest, err := json.Marshal(map[string]any{
		"format": 1, "app": b.site.App, "release": version, "attempt": attempt, "domains": b.site.Domains,
		"identity_path": probe.IdentityPath, "services": []string{"web"}, "images": map[string]string{"blog:" + version: "sha256:" + strings.Repeat("1", 64)},
		"secrets": map[string]string{"file": "/etc/cattle/secrets.sops", "format": "dotenv", "deliver": "ssh"},
		"tls":     map[string]string{"cert_name": "cattle", "directory": "", "email": ""}, "bake": bake,
	})
	if err != nil {
		b.t.Fatal(err)
	}
	var u bytes.Buffer
	fmt.Fprintf(&u, "#cloud-config\nwrite_files:\n- {path: /etc/cattle/release.json, permissions: '0600', content: %q}\n", manifest)
	fmt.Fprintf(&u, "- {path: /etc/cattle/secrets.sops, permissions: '0600', content: sealed}\n")
	fmt.Fprintf(&u, "ssh_keys:\n  ed25519_private: %q\n  ed25519_public: %q\nruncmd: [/opt/cattle/boot]\n", host.Private, host.Public)
	return &release.Candidate{Release: version, Attempt: attempt, Digest: strings.Repeat("a", 32), HostKey: host.Fingerprint,
		UserData: u.Bytes(), Key: plainKey("AGE-SECRET-KEY-1TEST")}
}

// release surveys, plans and executes, as the command does.
func (b *bench) release(ctx context.Context, version string) (*release.Report, error) {
	b.t.Helper()
	return b.releaseBy(ctx, b.op, version)
}

func (b *bench) releaseBy(ctx context.Context, o *release.Operator, version string) (*release.Report, error) {
	b.t.Helper()
	return b.execute(ctx, o, b.candidate(version))
}

func (b *bench) execute(ctx context.Context, o *release.Operator, c *release.Candidate) (*release.Report, error) {
	w, err := o.SurveyRelease(ctx, b.site)
	if err != nil {
		return nil, err
	}
	p, err := release.PlanRelease("release", b.site, w, c)
	if err != nil {
		return nil, err
	}
	return o.Execute(ctx, p)
}

func (b *bench) rollback(ctx context.Context, version string) (*release.Report, error) {
	return b.rollbackBy(ctx, b.op, version)
}

func (b *bench) rollbackBy(ctx context.Context, o *release.Operator, version string) (*release.Report, error) {
	w, err := o.Survey(ctx, b.site)
	if err != nil {
		return nil, err
	}
	p, err := release.PlanRollback(b.site, w, version)
	if err != nil {
		return nil, err
	}
	return o.Execute(ctx, p)
}

// must releases and fails the test when that fails.
func (b *bench) must(version string) *release.Report {
	b.t.Helper()
	r, err := b.release(b.t.Context(), version)
	if err != nil {
		b.t.Fatalf("release %s: %v\n%s", version, err, b.history())
	}
	return r
}

func (b *bench) history() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var s strings.Builder
	for _, e := range b.events {
		fmt.Fprintf(&s, "%s %-6s %-12s %-8s %s %s\n", e.Time.Format(time.TimeOnly), e.Kind, e.Step, e.State, e.Text, e.Tail)
	}
	return s.String()
}

// post calls the API as somebody else's client would.
func (b *bench) post(path string, body any) {
	b.t.Helper()
	raw, _ := json.Marshal(body)
	b.call(http.MethodPost, path, raw)
}

func (b *bench) call(method, path string, body []byte) []byte {
	b.t.Helper()
	req, err := http.NewRequest(method, "http://api.test"+path, bytes.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer t")
	req.Header.Set("Content-Type", "application/json")
	resp, err := b.cloud.Client().Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, _ := io.ReadAll(resp.Body)
	if resp.StatusCode >= 300 {
		b.t.Fatalf("%s %s: %s %s", method, path, resp.Status, answer)
	}
	return answer
}

func decode(t testing.TB, answer []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(answer, into); err != nil {
		t.Fatal(err)
	}
}

// serving is the release that the public gets, asked at the reserved IP.
func (b *bench) serving() string {
	b.t.Helper()
	s := b.cloud.Snapshot()
	for _, ip := range s.ReservedIPs {
		d := probe.Door{Dial: b.cloud.Dial, Address: ip.IP, Host: "blog.example.com", Untrusted: true}
		for _, d.HTTPS = range []bool{true, false} {
			if status, body, err := d.Get(b.t.Context(), d.Client(), "/"); err == nil && status == 200 {
				return strings.TrimSpace(strings.TrimPrefix(body, "blog "))
			}
		}
	}
	return ""
}

// running are the releases of all droplets, sorted.
func (b *bench) running() []string {
	var out []string
	for _, d := range b.cloud.Snapshot().Droplets {
		out = append(out, d.Release)
	}
	slices.Sort(out)
	return out
}

func (b *bench) expect(serving string, running ...string) {
	b.t.Helper()
	// Deleting takes its time.
	time.Sleep(20 * time.Second)
	if got := b.serving(); got != serving {
		b.t.Errorf("serving %q, want %q\n%s", got, serving, b.history())
	}
	if got := b.running(); !slices.Equal(got, running) {
		b.t.Errorf("running %q, want %q\n%s", got, running, b.history())
	}
}
