// Package simulation runs the real release code on a sandbox in virtual time,
// lets go wrong what can, and judges the whole history of what happened. Only
// tests use it; docs/ARCHITECTURE.md has a section on it.
package simulation

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
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"cattle/droplets"
	"cattle/droplets/release"
	"cattle/droplets/release/probe"
	"cattle/droplets/sandbox"
)

// A Bench is one app's account on one sandbox, in virtual time, with an
// operator. Its methods fail the test when something other than what is tested
// goes wrong.
type Bench struct {
	T     testing.TB
	Cloud *sandbox.Cloud
	Op    *release.Operator
	Site  release.Site
	// Before is what was there when the schedule began.
	Before sandbox.Snapshot
	beside map[string]string // what is somebody else's, see foreignAround

	writer *writer    // nil where nobody writes
	acked  []ackedRow // what was acknowledged before the schedule began
	begun  bool       // the scene is put up, and a schedule begins

	skewed atomic.Bool // somebody's clock jumped: what he wrote of a lease may last for hours
	ends   bool        // the scene's verb takes the site down
	key    Key
	seed   uint64
	tries  int // candidates that were rendered

	verbs  sync.WaitGroup // those of the killed too, who notice it at their next call
	others sync.WaitGroup // who began before the operators of a schedule

	mu    sync.Mutex
	lines []line // of the history, beside what the cloud keeps
	runs  []*run
	found []violation
}

// A Key is an operator's SSH key.
type Key struct {
	Public string // one line of authorized_keys
	login  *droplets.Login
}

// NewKey makes a key.
func NewKey(t testing.TB) Key {
	t.Helper()
	key, err := droplets.NewHostKey()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "id_ed25519")
	if err := os.WriteFile(file, []byte(key.Private), 0o600); err != nil {
		t.Fatal(err)
	}
	login, err := droplets.NewLogin(file, "", "")
	if err != nil {
		t.Fatal(err)
	}
	return Key{key.Public, login}
}

// Simulate runs f in a synctest bubble: the real release code and a sandbox,
// where a day takes milliseconds.
func Simulate(t *testing.T, latency sandbox.Latency, f func(*Bench)) {
	t.Helper()
	key := NewKey(t)
	synctest.Test(t, func(t *testing.T) { WithBench(t, key, latency, f) })
}

// WithBench runs f on an empty account that takes the key. It is for a
// goroutine in a bubble.
func WithBench(t testing.TB, key Key, latency sandbox.Latency, f func(*Bench)) {
	b := open(t, key, sandbox.Options{Latency: latency})
	defer b.Cloud.Close()
	b.Post("/v2/account/keys", map[string]any{"name": "me", "public_key": key.Public})
	f(b)
}

func open(t testing.TB, key Key, opt sandbox.Options) *Bench {
	t.Helper()
	opt.Open = openNothing
	opt.Tokens = map[string][]string{guardToken: {"reserved_ip:update"}, WeakToken: {"reserved_ip:read"}}
	b := &Bench{T: t, Site: blog(), key: key}
	opt.Observe = b.observe
	cloud, err := sandbox.New(opt)
	if err != nil {
		t.Fatal(err)
	}
	b.Cloud = cloud
	b.Op = b.Operator(key)
	return b
}

// Operator is somebody with that key whose way to the cloud takes no time and
// never fails.
func (b *Bench) Operator(key Key) *release.Operator {
	return &release.Operator{Cloud: b.api(named{b.Cloud.Client().Transport, calm}), Dialer: inside{b.Cloud}, Login: key.login, GuardToken: plainKey(guardToken), RunHook: calmly, Emit: b.Record}
}

func (b *Bench) api(over http.RoundTripper) droplets.Cloud {
	b.T.Helper()
	api, err := droplets.Open(droplets.Config{Token: "t", HTTP: &http.Client{Transport: over}, URL: "http://api.test"})
	if err != nil {
		b.T.Fatal(err)
	}
	return api
}

// Record keeps what an operator is told.
func (b *Bench) Record(e release.Event) { b.say(calm, e) }

// inside dials in the sandbox's own network.
type inside struct{ *sandbox.Cloud }

func (i inside) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return i.Dial(ctx, network, address)
}

// What must not be seen in any traffic of the API.
const (
	ageKey = "AGE-SECRET-KEY-1TEST"
	// guardToken moves reserved IPs, and can do nothing else.
	guardToken = "guard-token"
	secret     = "correct horse battery staple"
)

// WeakToken can read reserved IPs and nothing else: no guard could use it.
const WeakToken = "weak-token"

// openNothing stands for sops: who has the key gets the value.
func openNothing(_ []byte, _, identity string) (map[string]string, error) {
	if identity != ageKey {
		return nil, fmt.Errorf("wrong key")
	}
	return map[string]string{"NAME": secret}, nil
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

// Candidate renders by hand what the droplet's contract asks for.
func (b *Bench) Candidate(version string) *release.Candidate { return b.Render(version, false) }

// Render renders a candidate, or a droplet to bake. The attempts of a bench
// count upwards, so that they are the same in each run of a schedule.
func (b *Bench) Render(version string, bake bool) *release.Candidate {
	b.T.Helper()
	host, err := droplets.NewHostKey()
	if err != nil {
		b.T.Fatal(err)
	}
	b.mu.Lock()
	b.tries++
	attempt := fmt.Sprintf("%016x", b.tries)
	b.mu.Unlock()
	manifest, err := json.Marshal(map[string]any{
		"format": 1, "app": b.Site.App, "release": version, "attempt": attempt, "domains": b.Site.Domains,
		"identity_path": probe.IdentityPath, "services": []string{"web"}, "images": map[string]string{"blog:" + version: "sha256:" + strings.Repeat("1", 64)},
		"secrets": map[string]string{"file": "/etc/cattle/secrets.sops", "format": "dotenv", "deliver": "ssh"},
		"tls":     map[string]string{"cert_name": "cattle", "directory": "", "email": ""}, "bake": bake,
	})
	if err != nil {
		b.T.Fatal(err)
	}
	var u bytes.Buffer
	settings := ""
	if b.Site.State {
		settings = "- {path: /etc/cattle/settings, permissions: '0600', content: \"APP=blog\\nSTATE=1\\n\"}\n"
	}
	fmt.Fprintf(&u, "#cloud-config\nwrite_files:\n- {path: /etc/cattle/release.json, permissions: '0600', content: %q}\n", manifest)
	fmt.Fprintf(&u, "- {path: /etc/cattle/secrets.sops, permissions: '0600', content: sealed}\n%s", settings)
	for path, asked := range map[string]bool{"/opt/cattle/guard": b.Site.Guard, "/opt/cattle/traffic": b.Site.Watch > 0,
		"/opt/cattle/mail": b.Site.Mail, "/etc/postfix/main.cf": b.Site.Mail} {
		if asked {
			fmt.Fprintf(&u, "- {path: %s, permissions: '0755', content: script}\n", path)
		}
	}
	fmt.Fprintf(&u, "ssh_keys:\n  ed25519_private: %q\n  ed25519_public: %q\nruncmd: [/opt/cattle/boot]\n", host.Private, host.Public)
	c := &release.Candidate{Release: version, Attempt: attempt, Digest: strings.Repeat("a", 32), HostKey: host.Fingerprint,
		UserData: u.Bytes(), Key: plainKey(ageKey), Manifest: &droplets.Manifest{Release: version}}
	if !bake {
		c.State = b.kit()
	}
	return c
}

// LoginToLive is somebody's on the live droplet, who closes it.
func (b *Bench) LoginToLive() (*release.World, *droplets.Machine) {
	b.T.Helper()
	ctx := b.T.Context()
	w, err := b.Op.Survey(ctx, b.Site)
	if err != nil {
		b.T.Fatal(err)
	}
	m, err := droplets.Connect(ctx, b.Op.Dialer, b.Op.Login, w.Live.Address(w.Reserved.IP), w.Live.Birth.HostKey)
	if err != nil {
		b.T.Fatal(err)
	}
	return w, m
}

// Post calls the API as somebody else's client would.
func (b *Bench) Post(path string, body any) {
	b.T.Helper()
	raw, _ := json.Marshal(body)
	b.Call(http.MethodPost, path, raw)
}

// Call is Post for any method. It returns the answer.
func (b *Bench) Call(method, path string, body []byte) []byte {
	b.T.Helper()
	status, answer := b.try(method, path, body)
	if status >= 300 {
		b.T.Fatalf("%s %s: %d %s", method, path, status, answer)
	}
	return answer
}

func (b *Bench) try(method, path string, body []byte) (int, []byte) {
	b.T.Helper()
	req, err := http.NewRequest(method, "http://api.test"+path, bytes.NewReader(body))
	if err != nil {
		b.T.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer t")
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", hand)
	resp, err := b.Cloud.Client().Do(req)
	if err != nil {
		b.T.Fatal(err)
	}
	defer resp.Body.Close()
	answer, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, answer
}

// Serving is the release that the public gets, asked at the site's reserved
// IP; "" for none.
func (b *Bench) Serving() string {
	b.T.Helper()
	for _, ip := range b.addresses(b.Cloud.Snapshot()) {
		d := probe.Door{Dial: b.Cloud.Dial, Address: ip.IP, Host: "blog.example.com", Untrusted: true}
		for _, d.HTTPS = range []bool{true, false} {
			if status, body, err := d.Get(b.T.Context(), d.Client(), "/"); err == nil && status == 200 {
				return strings.TrimSpace(strings.TrimPrefix(body, "blog "))
			}
		}
	}
	return ""
}

// Running are the releases of all droplets, sorted.
func (b *Bench) Running() []string {
	var out []string
	for _, d := range b.Cloud.Snapshot().Droplets {
		out = append(out, d.Release)
	}
	slices.Sort(out)
	return out
}

// Expect wants a release to serve, and droplets of these releases to run.
func (b *Bench) Expect(serving string, running ...string) {
	b.T.Helper()
	// Deleting takes its time.
	time.Sleep(20 * time.Second)
	if got := b.Serving(); got != serving {
		b.T.Errorf("serving %q, want %q\n%s", got, serving, b.History())
	}
	if got := b.Running(); !slices.Equal(got, running) {
		b.T.Errorf("running %q, want %q\n%s", got, running, b.History())
	}
}

// Snapshots are all of the account, tagged or not.
func (b *Bench) Snapshots() []droplets.Snapshot {
	b.T.Helper()
	var answer struct{ Images []droplets.Snapshot }
	if err := json.Unmarshal(b.Call(http.MethodGet, "/v2/images?private=true&per_page=200", nil), &answer); err != nil {
		b.T.Fatal(err)
	}
	return answer.Images
}

// Orphan orders a droplet as a release does that is killed right afterwards.
func (b *Bench) Orphan(digit string) {
	b.T.Helper()
	birth := droplets.Birth{Release: "v0", Attempt: strings.Repeat(digit, 16), Lease: time.Now().Add(10 * time.Minute),
		Digest: strings.Repeat("d", 32), HostKey: strings.Repeat("c", 64)}
	b.Post("/v2/droplets", map[string]any{"name": "left", "region": "fra1", "size": "s-1vcpu-1gb", "image": "debian-13-x64",
		"tags": []string{droplets.AppTag(b.Site.App), birth.Tag()}})
}

// Holder is the droplet that the site's reserved IP leads to, nil for none.
func (b *Bench) Holder() *sandbox.Machine { return b.holder(b.Cloud.Snapshot()) }

func (b *Bench) holder(s sandbox.Snapshot) *sandbox.Machine {
	for _, ip := range b.addresses(s) {
		for i, d := range s.Droplets {
			if d.ID == ip.Droplet {
				return &s.Droplets[i]
			}
		}
	}
	return nil
}

// addresses are the reserved IPs that are not somebody else's.
func (b *Bench) addresses(s sandbox.Snapshot) []sandbox.ReservedIP {
	return slices.DeleteFunc(slices.Clone(s.ReservedIPs), func(ip sandbox.ReservedIP) bool { return b.foreignIP(s, ip.IP) || b.foreignIP(b.Before, ip.IP) })
}
