//go:build e2e

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"cattle/droplets/release/probe"
	"cattle/secrets"
)

// The rehearsal as a test, on booted machines: `make e2e`. It needs root, Linux,
// systemd-nspawn and mmdebstrap; CATTLE_E2E_SOPS and CATTLE_E2E_IMAGES name the
// sops binary and the images of the example, which the Makefile builds.

// rig is one sandbox with booted machines and the blog on it.
type rig struct {
	*stage
	printed *record // everything that any command printed
	values  map[string]string
}

// record keeps what it passes on.
type record struct {
	mu  sync.Mutex
	buf bytes.Buffer
	to  io.Writer
}

func (r *record) Write(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.buf.Write(p)
	return r.to.Write(p)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.buf.String()
}

// since is what was printed after n bytes.
func (r *record) since(n int) string { return r.String()[n:] }

func fromEnv(t *testing.T, name string) string {
	t.Helper()
	v := os.Getenv(name)
	if v == "" {
		t.Fatalf("%s is not set: run make e2e", name)
	}
	return v
}

// newRig starts the sandbox; more are files of images beside the usual ones.
func newRig(t *testing.T, more ...string) *rig {
	t.Helper()
	dir := t.TempDir()
	out := &record{to: os.Stdout}
	say := func(what string) { fmt.Fprintln(out, what) }
	box, err := startSandbox(t.Context(), sandboxOptions{dir: filepath.Join(dir, "sandbox"), listen: "127.0.0.1:0", socks: "127.0.0.1:0", latency: "none",
		machines: machinesNspawn, images: append(strings.Split(fromEnv(t, "CATTLE_E2E_IMAGES"), ","), more...), relayPorts: []int{2525}, say: say})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := box.close(); err != nil {
			t.Error("the end of the sandbox:", err)
		}
	})
	mirror, err := box.world.serveSOPS(t.Context(), fromEnv(t, "CATTLE_E2E_SOPS"), say)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{printed: out, values: map[string]string{}, stage: &stage{
		std: newStdio(strings.NewReader(""), out, out), sandbox: box, dir: filepath.Join(dir, "blog"), patience: bootedCertificate}}
	pairs := demoSecrets()
	for _, p := range pairs {
		r.values[p.Name] = p.Value.Reveal()
	}
	if err := r.dress(pairs); err != nil {
		t.Fatal(err)
	}
	r.login(t, mirror)
	return r
}

// login tells the peers the example's credentials, and points the commands at
// them.
func (r *rig) login(t *testing.T, mirror map[string]string) {
	t.Helper()
	t.Setenv("SOPS_AGE_KEY_FILE", filepath.Join(r.sandbox.dir, "age.key"))
	known, err := loginsOf(r.profile)
	if err != nil {
		t.Fatal(err)
	}
	r.sandbox.world.admit(known)
	docker, err := known.docker(r.sandbox.dir)
	if err != nil {
		t.Fatal(err)
	}
	r.environment(mirror, docker)
}

// must plays a command that has to end and to leave the site as it says.
func (r *rig) must(t *testing.T, exit int, serving string, args ...string) (printed string) {
	t.Helper()
	before := len(r.printed.String())
	if err := r.play(t.Context(), scene{args, exit, serving}); err != nil {
		t.Fatal(err)
	}
	return r.printed.since(before)
}

// member finds a droplet by its role.
func (r *rig) member(t *testing.T, role string) dropletJSON {
	t.Helper()
	st, err := r.status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range st.Droplets {
		if d.Role == role {
			return d
		}
	}
	t.Fatalf("there is no %s: %+v", role, st.Droplets)
	return dropletJSON{}
}

// in runs a shell command inside a machine, as root, from outside of it. What
// takes minutes there hangs.
func (r *rig) in(ctx context.Context, id int, command string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	out, err := r.sandbox.world.host.Exec(ctx, id, "/bin/bash", "-c", command)
	return strings.TrimSpace(string(out)), err
}

func (r *rig) mustIn(t *testing.T, id int, command string) string {
	t.Helper()
	out, err := r.in(t.Context(), id, command)
	if err != nil {
		t.Fatalf("%s: %v\n%s", command, err, out)
	}
	return out
}

// sound holds a machine against what its own cloud-init and systemd say.
func (r *rig) sound(t *testing.T, id int) {
	t.Helper()
	var s struct {
		Status, Datasource string
		Errors             []string
		Recoverable        map[string]any `json:"recoverable_errors"`
	}
	text, _ := r.in(t.Context(), id, "cloud-init status --wait --format json")
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		t.Fatalf("cloud-init status: %v: %s", err, text)
	}
	if s.Status != "done" || len(s.Errors)+len(s.Recoverable) > 0 || s.Datasource != "digitalocean" {
		t.Errorf("cloud-init: %s", text)
	}
	if out, err := r.in(t.Context(), id, "cloud-init schema --system"); err != nil {
		t.Errorf("cloud-init schema: %v\n%s", err, out)
	}
	if out, _ := r.in(t.Context(), id, "systemctl is-system-running"); out != "running" {
		failed, _ := r.in(t.Context(), id, "systemctl --failed --no-legend --plain; systemctl list-jobs")
		t.Errorf("systemd is %s\n%s", out, failed)
	}
	if out := r.mustIn(t, id, "systemctl --failed --no-legend --plain"); out != "" {
		t.Errorf("failed units:\n%s", out)
	}
}

// entrance is how visitors come in now.
func (r *rig) entrance(t *testing.T) probe.Door {
	t.Helper()
	st, err := r.status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	door, err := r.door(st.IP)
	if err != nil {
		t.Fatal(err)
	}
	return door
}

// get asks the site as a visitor, through the reserved IP, certificate verified.
func (r *rig) get(t *testing.T, ctx context.Context, method, path, body string) (int, string, *http.Response) {
	t.Helper()
	door := r.entrance(t)
	req, err := http.NewRequestWithContext(ctx, method, "https://"+door.Host+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := door.Client().Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	return res.StatusCode, string(text), res
}

// eventually waits for something that is to come by itself.
func eventually(t *testing.T, what string, within time.Duration, done func() bool) time.Duration {
	t.Helper()
	start := time.Now()
	for !done() {
		if time.Since(start) > within {
			t.Fatalf("%s did not come within %s", what, within)
		}
		time.Sleep(100 * time.Millisecond)
	}
	return time.Since(start)
}

// site writes a profile of its own beside the blog's, for what the blog is too
// good for.
func (r *rig) site(t *testing.T, name string, files map[string]string) string {
	t.Helper()
	dir := filepath.Join(filepath.Dir(r.dir), name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for path, content := range files {
		if err := os.WriteFile(filepath.Join(dir, path), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "cattle.yaml")
}

// run is a command whose result is looked at, not demanded.
func (r *rig) run(t *testing.T, args ...string) (printed string, exit int) {
	t.Helper()
	before := len(r.printed.String())
	fmt.Fprintf(r.printed, "\n$ cattle %s\n", strings.Join(args, " "))
	exit, err := r.cattle(t.Context(), r.printed, args...)
	if err != nil {
		t.Fatal(err)
	}
	return r.printed.since(before), exit
}

// recipient is the operator's age key, for secrets that a test encrypts.
func (r *rig) recipient(t *testing.T) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(r.sandbox.dir, "age.key"))
	if err != nil {
		t.Fatal(err)
	}
	id, err := secrets.ParseIdentity(strings.TrimSpace(string(raw)))
	if err != nil {
		t.Fatal(err)
	}
	return id.Recipient
}
