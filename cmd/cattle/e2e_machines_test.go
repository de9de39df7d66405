//go:build e2e

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/proxy"

	"cattle/droplets"
	"cattle/droplets/cloudtest"
	"cattle/droplets/release/probe"
	"cattle/profiles"
)

// TestBootedStarters boots what each starter makes of the shortest profile.
func TestBootedStarters(t *testing.T) {
	r := newRig(t)
	for name, profile := range map[string]string{
		"web": "app: short\nextends: web\ndomain: short.example.com\nimage: ghcr.io/example/blog\nport: 8000\n" +
			"env: {SESSION_KEY: long-enough-for-a-test}\nhealth: {path: /up}\n",
		"compose": "app: composed\nextends: compose\ndomain: composed.example.com\ncompose: compose.yaml\nroutes: [{to: \"web:8000\"}]\nhealth: {path: /up}\n",
	} {
		t.Run(name, func(t *testing.T) {
			compose := strings.Replace(shopCompose, "${SESSION_KEY}", "long-enough-for-a-test", 1)
			r.file = r.site(t, "starter-"+name, map[string]string{"cattle.yaml": registryless(profile), "compose.yaml": registryless(compose)})
			r.must(t, exitDone, v1, "release", "--file", r.file, v1)
			r.sound(t, r.member(t, "live").ID)
		})
	}
}

// registryless takes the images from a registry that asks for no login.
func registryless(text string) string {
	return strings.ReplaceAll(text, "ghcr.io/example/blog", "public.example.net/blog")
}

// TestBootedSuites runs the suites of the API and of a droplet's verbs on booted machines.
func TestBootedSuites(t *testing.T) {
	r := newRig(t)
	t.Run("Conformance", func(t *testing.T) {
		cloudtest.Run(t, cloudtest.API{BaseURL: r.sandbox.env["DIGITALOCEAN_API_URL"], Token: sandboxToken, Poll: 200 * time.Millisecond,
			Patience: 2 * time.Minute, Domain: "conform.example.com"})
	})
	t.Run("Contract", r.contract)
}

// contract sees a machine of the blog through its boot.
func (r *rig) contract(t *testing.T) {
	file := filepath.Join(r.dir, "cattle.yaml")
	id, err := newIdentity()
	if err != nil {
		t.Fatal(err)
	}
	p, faults := profiles.Load(file, profiles.Options{})
	if faults.Err() != nil {
		t.Fatal(faults)
	}
	p.Release.Bake = time.Minute // so that it knows the verb traffic
	p.State = nil                // an app with state waits, after its boot, for what a release brings
	for _, name := range []string{"SOPS_AGE_KEY_FILE", sopsURL, sopsHash} {
		for _, pair := range r.env {
			if value, ok := strings.CutPrefix(pair, name+"="); ok {
				t.Setenv(name, value)
			}
		}
	}
	sealed, err := seal(p, id)
	if err != nil {
		t.Fatal(err)
	}
	data, err := renderUserData(t.Context(), p, v1, id, sealed, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	cloud, err := droplets.Open(droplets.Config{Token: sandboxToken, URL: r.sandbox.env["DIGITALOCEAN_API_URL"], UserAgent: "test"})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := cloud.SSHKeys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	d, err := cloud.Create(t.Context(), droplets.Spec{Name: "contract", Region: "fra1", Size: "s-1vcpu-1gb", Image: "debian-13-x64", SSHKeys: []int{keys[0].ID}, UserData: data.Bytes()})
	if err != nil {
		t.Fatal(err)
	}
	login, err := droplets.NewLogin(r.sandbox.env["CATTLE_SSH_KEY"], "", "")
	if err != nil {
		t.Fatal(err)
	}
	address := ""
	eventually(t, "an address", time.Minute, func() bool {
		d, err = cloud.Droplet(t.Context(), d.ID)
		address = d.Address("")
		return err == nil && address != ""
	})
	dialer := dialFunc(r.sandbox.cloud.Dial)
	exec := func(ctx context.Context, verb string, stdin []byte) ([]byte, []byte, int) {
		var out, errs bytes.Buffer
		exit := 127
		for exit == 127 && ctx.Err() == nil { // the scripts may not be written yet
			m, err := droplets.Connect(ctx, dialer, login, address, id.hostKey.Fingerprint)
			if err != nil {
				time.Sleep(200 * time.Millisecond)
				continue
			}
			out.Reset()
			errs.Reset()
			exit, err = m.Session(ctx, "/opt/cattle/droplet "+verb, droplets.Streams{In: bytes.NewReader(stdin), Out: &out, Err: &errs}, nil)
			m.Close()
			if err != nil {
				exit = 127
			}
		}
		return out.Bytes(), errs.Bytes(), exit
	}
	cloudtest.RunContract(t, cloudtest.Target{Exec: exec, Dial: r.sandbox.cloud.Dial, Address: address, App: "blog", Release: v1,
		Attempt: id.attempt, Domain: "blog.example.com", Key: id.age.Key.Reveal(), Body: v1, Watched: true, Mails: true})
	if err := cloud.Destroy(t.Context(), d.ID); err != nil {
		t.Error(err)
	}
}

type dialFunc func(ctx context.Context, network, address string) (net.Conn, error)

func (f dialFunc) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	return f(ctx, network, address)
}

// secrets are searched for everywhere that they might have got to.
func (r *rig) secrets(t *testing.T) {
	var seen []source
	seen = append(seen, source{"output", strings.NewReader(r.printed.String())})
	for _, req := range r.sandbox.cloud.Requests() {
		seen = append(seen, source{"the API's traffic", strings.NewReader(req.Path + req.Query + req.Body)})
	}
	for _, role := range []string{"live", "standby"} {
		d := r.member(t, role)
		for _, path := range []string{"/metadata/v1.json", "/metadata/v1/user-data"} {
			out := r.mustIn(t, d.ID, "curl --silent --fail http://169.254.169.254"+path)
			seen = append(seen, source{role + path, strings.NewReader(out)})
		}
		seen = append(seen, source{role + " journal", strings.NewReader(r.mustIn(t, d.ID, "journalctl --no-pager --output=export"))})
		files := 0
		for _, folder := range r.sandbox.world.host.DiskFolders(d.ID) {
			files += r.searchFolder(t, role, folder)
		}
		fmt.Fprintf(r.printed, "secrets: searched %d files of the %s's disk\n", files, role)
		if files < 1000 {
			t.Error("that is no whole disk")
		}
		// Where they have to be, the search finds them.
		if out := r.mustIn(t, d.ID, "cat /run/cattle/secrets.json"); !strings.Contains(out, r.values["SESSION_KEY"]) {
			t.Error("not even where it has to be")
		}
	}
	for _, s := range seen {
		all, _ := io.ReadAll(s.r)
		r.search(t, s.name, unpacked(t, all))
	}
}

type source struct {
	name string
	r    io.Reader
}

func (r *rig) search(t *testing.T, where string, text []byte) {
	for name, value := range r.values {
		if bytes.Contains(text, []byte(value)) {
			t.Errorf("%s was found in %s", name, where)
		}
	}
}

func (r *rig) searchFolder(t *testing.T, role, folder string) (files int) {
	err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil // what went away meanwhile
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return nil
		}
		files++
		r.search(t, role+" disk "+strings.TrimPrefix(path, folder), b)
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	return files
}

// TestBootedBesidePlain holds a first boot against the cloud-config that people
// write for the same machine, on the same warm package cache.
func TestBootedBesidePlain(t *testing.T) {
	r := newRig(t)
	// The cache has to be warm for both.
	r.plain(t, "warm")
	r.must(t, exitDone, v1, "release", v1)
	ours, _ := r.untilGated(t)
	plain := r.plain(t, "plain")
	fmt.Fprintf(r.printed, "create to gate passed: %.1f s; plain cloud-config to the same answers: %.1f s: %.2f\n", ours, plain.Seconds(), ours/plain.Seconds())
	if ours > 0.7*plain.Seconds() {
		t.Errorf("%.2f of the time, want at most 0.7", ours/plain.Seconds())
	}
}

// plain boots the plain cloud-config until its site answers as a gate asks.
func (r *rig) plain(t *testing.T, name string) time.Duration {
	text, err := os.ReadFile("testdata/e2e/plain.yaml")
	if err != nil {
		t.Fatal(err)
	}
	filled := strings.ReplaceAll(string(text), "@RELEASE@", v1)
	for name, value := range r.values {
		filled = strings.ReplaceAll(filled, "@"+name+"@", value)
	}
	start := time.Now()
	err = r.sandbox.post(t.Context(), "/v2/droplets", map[string]any{"name": name, "region": "fra1", "size": "s-1vcpu-1gb",
		"image": "debian-13-x64", "ssh_keys": []int{}, "user_data": filled})
	if err != nil {
		t.Fatal(err)
	}
	address, id := "", 0
	eventually(t, "an address", time.Minute, func() bool {
		for _, d := range r.sandbox.cloud.Snapshot().Droplets {
			if d.Name == name && d.Status == "active" {
				address, id = d.IP, d.ID
			}
		}
		return address != ""
	})
	dial, err := proxy.SOCKS5("tcp", r.sandbox.socks, nil, proxy.Direct)
	if err != nil {
		t.Fatal(err)
	}
	door := probe.Door{Dial: dial.(proxy.ContextDialer).DialContext, Address: address, Host: "blog.example.com"}
	health := r.profile.Health
	inRow := 0
	defer r.sandbox.world.host.Destroy(t.Context(), id)
	eventually(t, "the plain machine's site", 5*time.Minute, func() bool {
		if door.Healthy(t.Context(), door.Client(), probe.Health{Path: health.Path, Status: http.StatusOK, Timeout: 2 * time.Second}) != nil {
			inRow = 0
			return false
		}
		inRow++
		time.Sleep(health.Interval)
		return inRow >= health.Successes
	})
	return time.Since(start)
}

// TestBootedKilled kills a rehearsal in the middle, beside a sandbox that lives on.
func TestBootedKilled(t *testing.T) {
	r := newRig(t)
	r.file = r.site(t, "killed", map[string]string{"cattle.yaml": registryless("app: killed\ndomain: killed.example.com\nimage: ghcr.io/example/blog\nport: 8000\n" +
		"env: {SESSION_KEY: long-enough-for-a-test}\nhealth: {path: /up}\n")})
	before := footprint(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "rehearse", "--file", r.file, "--images", fromEnv(t, "CATTLE_E2E_IMAGES"), "--sops", fromEnv(t, "CATTLE_E2E_SOPS"), v1)
	cmd.Args[0] = "cattle"
	out := &record{to: io.Discard}
	cmd.Stdout, cmd.Stderr, cmd.Dir, cmd.WaitDelay = out, out, r.dir, 5*time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the boot of the other rehearsal", time.Minute, func() bool { return strings.Contains(out.String(), "boot: firewall") })
	if after := footprint(t); after == before {
		t.Error("a running rehearsal leaves no footprint: the comparison proves nothing")
	}
	// Its machines are in other process groups: they have to go by themselves.
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	if out, exit := r.run(t, "sandbox", "clean"); exit != exitDone {
		t.Errorf("clean: exit status %d: %s", exit, out)
	}
	eventually(t, "the end of its processes", 10*time.Second, func() bool { return footprint(t) == before })
	// The sandbox beside it noticed nothing.
	r.must(t, exitDone, v1, "release", "--file", r.file, v1)
}

// footprint is what a sandbox could leave on this machine: processes, mounts,
// namespaces, bridges, packet filters, control groups.
func footprint(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("sh", "-c", `
		ps -e -o args= | grep -c '[c]attle release\|[s]ystemd-nspawn\|[d]ockerd\|[/]usr/lib/systemd/systemd' || true
		grep -c 'overlay\|cattle\|nspawn' /proc/self/mountinfo || true
		ls /run/netns 2>/dev/null; ip -brief link | wc -l; ip route; nft list ruleset
		find /sys/fs/cgroup -type d -name '*cattle*' | sort; ls /var/lib/cattle/sandboxes 2>/dev/null; ls -d /var/tmp/cattle-rehearsal-* 2>/dev/null; true`).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}
