//go:build podman

package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// Tests of release --build with a real podman, which has to be there: make
// builds runs them.

// A workshop is a sandbox, a podman with images of its own and a registry that
// wants a login.
type workshop struct {
	t      *testing.T
	dir    string
	server string
	env    []string
	box    *runningSandbox
}

func newWorkshop(t *testing.T) *workshop {
	t.Helper()
	w := &workshop{t: t, dir: t.TempDir()}
	box, err := startSandbox(t.Context(), sandboxOptions{dir: filepath.Join(w.dir, "box"), listen: "127.0.0.1:0", socks: "127.0.0.1:0", latency: "none"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { box.close() })
	w.box = box
	images := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	front := httptest.NewServer(http.HandlerFunc(func(res http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "me" || password != "hush" {
			res.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			res.WriteHeader(http.StatusUnauthorized)
			return
		}
		images.ServeHTTP(res, r)
	}))
	t.Cleanup(front.Close)
	w.server = strings.TrimPrefix(front.URL, "http://")
	w.write("storage.conf", fmt.Sprintf("[storage]\ndriver = \"vfs\"\ngraphroot = %q\nrunroot = %q\n", w.dir+"/graph", w.dir+"/run"))
	w.write("registries.conf", fmt.Sprintf("[[registry]]\nlocation = %q\ninsecure = true\n", w.server))
	w.login("wrong")
	w.write("Dockerfile", "FROM scratch\nARG VERSION\nCOPY app /app\nLABEL version=$VERSION\n")
	w.write("app", "hello")
	w.env = append(os.Environ(), "CATTLE_BUILDER=podman", "CONTAINERS_STORAGE_CONF="+w.dir+"/storage.conf",
		"CONTAINERS_REGISTRIES_CONF="+w.dir+"/registries.conf", "REGISTRY_AUTH_FILE="+w.dir+"/auth.json", "TMPDIR="+w.dir, "HOME="+w.dir)
	for name, value := range box.env {
		w.env = append(w.env, name+"="+value)
	}
	return w
}

func (w *workshop) write(name, text string) {
	w.t.Helper()
	writeDoc(w.t, filepath.Join(w.dir, name), text)
}

func (w *workshop) login(password string) {
	w.write("auth.json", fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, w.server, base64.StdEncoding.EncodeToString([]byte("me:"+password))))
}

func (w *workshop) profile(image, build string) {
	w.write("cattle.yaml", "app: blog\ndomain: blog.example.com\nimage: "+image+"\nport: 8000\nhealth: {interval: 100ms, deadline: 5s}\nbuild: {args: {VERSION: \"${RELEASE}\"}"+build+"}\n")
}

// run is one command, which has to end with that exit status.
func (w *workshop) run(want int, args ...string) string {
	w.t.Helper()
	cmd := exec.CommandContext(w.t.Context(), typedCattle(w.t), args...)
	cmd.Dir, cmd.Env = w.dir, w.env
	out, _ := cmd.CombinedOutput()
	if got := cmd.ProcessState.ExitCode(); got != want {
		w.t.Fatalf("cattle %v: exit status %d, want %d\n%s", args, got, want, out)
	}
	return string(out)
}

// image is what the live droplet was made of, by its manifest.
func (w *workshop) image() string {
	w.t.Helper()
	out := w.run(0, "ssh", "/opt/cattle/droplet", "history")
	var made struct{ Images map[string]string }
	first, _, _ := strings.Cut(out, "\n")
	if err := json.Unmarshal([]byte(first), &made); err != nil || len(made.Images) != 1 {
		w.t.Fatalf("%v: %s", err, out)
	}
	for _, digest := range made.Images {
		return digest
	}
	return ""
}

// pushed is the digest that the registry has.
func (w *workshop) pushed(image string) string {
	w.t.Helper()
	ref, err := name.ParseReference(image, name.Insecure)
	if err != nil {
		w.t.Fatal(err)
	}
	there, err := remote.Head(ref, remote.WithAuth(&authn.Basic{Username: "me", Password: "hush"}))
	if err != nil {
		w.t.Fatal(err)
	}
	return there.Digest.String()
}

func (w *workshop) podman(args ...string) string {
	w.t.Helper()
	cmd := exec.CommandContext(w.t.Context(), "podman", args...)
	cmd.Env = w.env
	out, err := cmd.Output()
	if err != nil {
		w.t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// TestPodmanRelease: what podman built is what runs, through a registry and
// without one, and what a rebuild brings.
func TestPodmanRelease(t *testing.T) {
	w := newWorkshop(t)
	w.profile(w.server+"/me/blog", "")
	out := w.run(1, "release", "--build", "v1")
	if !strings.Contains(out, w.server+" does not let you push") || !strings.Contains(out, "hint: podman login "+w.server) {
		t.Error(out)
	}
	w.login("hush")
	w.run(0, "release", "--build", "v1")
	ref := w.server + "/me/blog:v1"
	if want := w.pushed(ref); w.image() != want {
		t.Errorf("released %s, the registry has %s", w.image(), want)
	}
	if version := w.podman("image", "inspect", "--format", "{{.Labels.version}}", ref); version != "v1" {
		t.Errorf("the build argument is %q", version)
	}

	w.profile("blog", ", via: ssh")
	w.write("app", "hello again")
	w.run(0, "release", "--build", "v2")
	id := "sha256:" + w.podman("image", "inspect", "--format", "{{.Id}}", "docker.io/library/blog:v2")
	if w.image() != id {
		t.Errorf("released %s, podman has %s", w.image(), id)
	}
	w.podman("image", "rm", "--all", "--force")
	w.run(0, "rebuild")
	if w.image() != id {
		t.Errorf("rebuilt %s, released was %s", w.image(), id)
	}
	if left, _ := filepath.Glob(filepath.Join(w.dir, "cattle-build-*")); len(left) > 0 {
		t.Errorf("left over: %q", left)
	}
}

// TestPodmanFails: a Dockerfile's fault costs nothing, and its last lines are shown.
func TestPodmanFails(t *testing.T) {
	w := newWorkshop(t)
	w.profile("blog", ", via: ssh")
	w.write("Dockerfile", "FROM scratch\nCOPY gone /\n")
	before := len(w.box.cloud.Requests())
	out := w.run(2, "release", "--build", "v1")
	if !regexp.MustCompile(`(?m)^    \| .*gone.*no such file`).MatchString(out) || !strings.Contains(out, "building blog:v1 failed with exit status 125; nothing was created") {
		t.Error(out)
	}
	if n := len(w.box.cloud.Requests()); n != before {
		t.Errorf("%d calls", n-before)
	}
}

// TestPodmanInterrupted: Ctrl-C ends the build, and nothing is left of it.
func TestPodmanInterrupted(t *testing.T) {
	w := newWorkshop(t)
	asked := make(chan struct{}, 1)
	hang := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		<-r.Context().Done()
	}))
	defer hang.Close()
	w.profile("blog", ", via: ssh")
	w.write("Dockerfile", "FROM scratch\nADD "+hang.URL+"/file /\n")
	before := len(w.box.cloud.Requests())
	mark := fmt.Sprintf("CATTLE_TEST_MARK=%d", time.Now().UnixNano())
	cmd := exec.CommandContext(t.Context(), typedCattle(t), "release", "--build", "v1")
	var out strings.Builder
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = w.dir, append(w.env, mark), &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	<-asked
	cmd.Process.Signal(syscall.SIGINT)
	began := time.Now()
	cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != exitInterrupted || time.Since(began) > 15*time.Second {
		t.Errorf("exit status %d after %s\n%s", code, time.Since(began), &out)
	}
	processes, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, p := range processes {
		if text, err := os.ReadFile(p); err == nil && strings.Contains(string(text), mark) {
			t.Errorf("%s lives on", p)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(w.dir, "cattle-build-*")); len(left) > 0 || len(w.box.cloud.Requests()) > before {
		t.Errorf("left over: %q, %d calls", left, len(w.box.cloud.Requests())-before)
	}
}
