//go:build podman

package builder

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"cattle/profiles"
)

// Tests with a real podman, which has to be there: make builds runs them.

// podman is one whose images end with the test, and a registry on loopback that
// it takes plain HTTP from.
func podman(t *testing.T, admit func(*http.Request) bool) (tool *Tool, server string) {
	t.Helper()
	dir := t.TempDir()
	images := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if admit != nil && !admit(r) {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			w.WriteHeader(http.StatusUnauthorized)
			io.WriteString(w, `{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`)
			return
		}
		images.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	server = strings.TrimPrefix(front.URL, "http://")
	write(t, dir, "storage.conf", fmt.Sprintf("[storage]\ndriver = \"vfs\"\ngraphroot = %q\nrunroot = %q\n", dir+"/graph", dir+"/run"))
	write(t, dir, "registries.conf", fmt.Sprintf("[[registry]]\nlocation = %q\ninsecure = true\n", server))
	write(t, dir, "auth.json", "{}")
	t.Setenv("CONTAINERS_STORAGE_CONF", dir+"/storage.conf")
	t.Setenv("CONTAINERS_REGISTRIES_CONF", dir+"/registries.conf")
	t.Setenv("REGISTRY_AUTH_FILE", dir+"/auth.json")
	t.Setenv("TMPDIR", dir)
	tool = find(t, "podman")
	tool.Tell = func(line string) { t.Log(line) }
	if err := tool.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	return tool, server
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// source is a folder with a Dockerfile and what it copies.
func source(t *testing.T, dockerfile string) profiles.Order {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, "Dockerfile", dockerfile)
	write(t, dir, "app", "hello")
	return profiles.Order{Context: dir, Dockerfile: filepath.Join(dir, "Dockerfile")}
}

const twoStages = "FROM scratch AS run\nARG VERSION\nCOPY app /app\nLABEL version=$VERSION\nFROM scratch\nCOPY app /other\n"

// TestPodman builds, pushes and packs: the digest is the registry's, the id is
// podman's own and that of the archive's image, and arguments and target count.
func TestPodman(t *testing.T) {
	tool, server := podman(t, nil)
	o := source(t, twoStages)
	o.Ref, o.Target, o.Args = server+"/me/blog:v1", "run", []string{"VERSION=v1"}
	if err := tool.Build(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	digest, err := tool.Push(t.Context(), o.Ref, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	ref, err := name.ParseReference(o.Ref, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	there, err := remote.Head(ref)
	if err != nil || there.Digest.String() != digest {
		t.Errorf("pushed as %s, there is %v, %v", digest, there, err)
	}

	other := source(t, "FROM scratch\nCOPY app /x\n")
	other.Ref = "blog" // a short name with no tag
	if err := tool.Build(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	a, err := tool.Pack(t.Context(), []string{o.Ref, other.Ref}, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range []profiles.Order{o, other} {
		id, err := tool.output(t.Context(), "image", "inspect", "--format", "{{.Id}}", Full(o.Ref))
		if err != nil || a.IDs[o.Ref] != "sha256:"+id {
			t.Errorf("%s: %s, podman has %s, %v", o.Ref, a.IDs[o.Ref], id, err)
		}
		packed(t, a, o.Ref)
	}
	if info, err := os.Stat(a.Path); err != nil || info.Size() != a.Size || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}

// packed reads an image of the archive with somebody else's code.
func packed(t *testing.T, a *Archive, ref string) {
	t.Helper()
	tag, err := name.NewTag(Full(ref))
	if err != nil {
		t.Fatal(err)
	}
	image, err := tarball.Image(func() (io.ReadCloser, error) {
		f, err := os.Open(a.Path)
		if err != nil {
			return nil, err
		}
		return gzip.NewReader(f)
	}, &tag)
	if err != nil {
		t.Fatal(err)
	}
	if id, err := image.ConfigName(); err != nil || id.String() != a.IDs[ref] {
		t.Errorf("%s: the archive has %s, %v", ref, id, err)
	}
	config, err := image.ConfigFile()
	if err != nil || config.Architecture != "amd64" || strings.Contains(ref, "me/blog") && config.Config.Labels["version"] != "v1" {
		t.Errorf("%s: %+v, %v", ref, config, err)
	}
}

func TestPodmanRefused(t *testing.T) {
	tool, server := podman(t, func(r *http.Request) bool { return false })
	o := source(t, twoStages)
	o.Ref = server + "/me/blog:v1"
	if err := tool.Build(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	var push *PushError
	if _, err := tool.Push(t.Context(), o.Ref, t.TempDir()); !errors.As(err, &push) || !push.Denied || push.Server != server {
		t.Errorf("%v", err)
	}
	gone := "127.0.0.1:1/me/blog:v1"
	o.Ref = gone
	if err := tool.Build(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if _, err := tool.Push(t.Context(), gone, t.TempDir()); !errors.As(err, &push) || push.Denied {
		t.Errorf("%v: %+v", err, push)
	}
}

func TestPodmanFails(t *testing.T) {
	tool, _ := podman(t, nil)
	var build *BuildError
	o := source(t, "FROM scratch\nCOPY gone /\n")
	o.Ref = "blog:v1"
	if err := tool.Build(t.Context(), o); !errors.As(err, &build) || !strings.Contains(build.Tail, "gone") {
		t.Errorf("%v", err)
	}
}

// TestPodmanInterrupted: a build that waits for the network ends at once, and
// leaves no process.
func TestPodmanInterrupted(t *testing.T) {
	tool, _ := podman(t, nil)
	asked := make(chan struct{}, 1)
	hang := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		<-r.Context().Done()
	}))
	defer hang.Close()
	mark := fmt.Sprintf("CATTLE_TEST_MARK=%d.%d", os.Getpid(), time.Now().UnixNano())
	t.Setenv("CATTLE_TEST_MARK", strings.TrimPrefix(mark, "CATTLE_TEST_MARK="))
	o := source(t, "FROM scratch\nADD "+hang.URL+"/file /\n")
	o.Ref = "blog:v1"
	cause := errors.New("interrupted")
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		<-asked
		cancel(cause)
	}()
	if err := tool.Build(ctx, o); !errors.Is(err, cause) {
		t.Errorf("%v", err)
	}
	processes, _ := filepath.Glob("/proc/[0-9]*/environ")
	for _, p := range processes {
		if text, err := os.ReadFile(p); err == nil && strings.Contains(string(text), mark) && !strings.Contains(p, fmt.Sprintf("/%d/", os.Getpid())) {
			t.Errorf("%s lives on", p)
		}
	}
}
