package builder

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cattle/profiles"
)

// fakeTool is a program of that name that says what the real one would in a
// state that cannot be provoked here. What the real ones do, podman_test.go
// holds.
func fakeTool(t *testing.T, name, script string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\ncase $1 in --version) echo Docker version 28.2.2; exit ;; esac\n"+script), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":/usr/bin:/bin")
}

func find(t *testing.T, wanted string) *Tool {
	t.Helper()
	tool, err := Find(t.Context(), wanted)
	if err != nil {
		t.Fatal(err)
	}
	return tool
}

// TestFind: docker goes before podman, and what is installed as docker may be podman.
func TestFind(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	var missing *MissingError
	if _, err := Find(t.Context(), ""); !errors.As(err, &missing) || !strings.Contains(err.Error(), "neither docker nor podman") {
		t.Error(err)
	}
	program := func(name, version string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\necho "+version+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	program("podman", "podman version 4.3.1")
	if tool := find(t, ""); tool.Name != "podman" {
		t.Error(tool.Name)
	}
	program("docker", "Docker version 28.2.2, build e6534b4")
	if tool := find(t, ""); tool.Name != "docker" {
		t.Error(tool.Name)
	}
	if tool := find(t, "podman"); tool.Name != "podman" {
		t.Error(tool.Name)
	}
	program("docker", "podman version 5.0.0")
	if tool := find(t, ""); tool.Name != "podman" || filepath.Base(tool.path) != "docker" {
		t.Error(tool)
	}
	if _, err := Find(t.Context(), "kaniko"); err == nil || !strings.Contains(err.Error(), "no kaniko") {
		t.Error(err)
	}
}

func TestDown(t *testing.T) {
	fakeTool(t, "docker", "echo 'Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?' >&2; exit 1\n")
	var down *DownError
	if err := find(t, "").Ping(t.Context()); !errors.As(err, &down) || down.Denied() || down.Reason != "Cannot connect to the Docker daemon at unix:///var/run/docker.sock" {
		t.Error(err)
	}
	fakeTool(t, "docker", "echo 'permission denied while trying to connect to the Docker daemon socket' >&2; exit 1\n")
	if err := find(t, "").Ping(t.Context()); !errors.As(err, &down) || !down.Denied() {
		t.Error(err)
	}
	fakeTool(t, "docker", "echo 28.2.2\n")
	if err := find(t, "").Ping(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestTail: of a build that fails the last twenty lines are kept, all are told,
// and the arguments are docker's.
func TestTail(t *testing.T) {
	fakeTool(t, "docker", "echo \"$@\"; i=0; while [ $i -lt 30 ]; do echo line $i; i=$((i+1)); done; printf 'ERROR: a\\rfailed\\n\\n' >&2; sleep 0.1; exit 17\n")
	tool := find(t, "")
	var told []string
	tool.Tell = func(line string) { told = append(told, line) }
	err := tool.Build(t.Context(), profiles.Order{Ref: "me/blog:v1", Context: "src", Dockerfile: "src/Dockerfile", Target: "run", Args: []string{"A=b c"}})
	var failed *BuildError
	if !errors.As(err, &failed) || failed.Exit != 17 {
		t.Fatal(err)
	}
	if n := strings.Count(failed.Tail, "\n") + 1; n != 20 || !strings.Contains(failed.Tail, "line 29") || !strings.Contains(failed.Tail, "failed") {
		t.Errorf("%d lines: %s", n, failed.Tail)
	}
	want := "build --platform linux/amd64 --tag docker.io/me/blog:v1 --file src/Dockerfile --target run --build-arg A=b c src"
	if len(told) != 33 || told[0] != want {
		t.Errorf("%d lines told: %q", len(told), told)
	}
}

// TestKept: a builder that has built and keeps no image, or one for another machine.
func TestKept(t *testing.T) {
	var failed *BuildError
	fakeTool(t, "docker", "case $1 in image) echo 'Error: No such image' >&2; exit 1;; esac\n")
	if err := find(t, "").Build(t.Context(), profiles.Order{Ref: "a"}); !errors.As(err, &failed) || !strings.Contains(failed.Tail, "buildx use default") {
		t.Error(err)
	}
	fakeTool(t, "docker", "case $1 in image) echo linux/arm64;; esac\n")
	if err := find(t, "").Build(t.Context(), profiles.Order{Ref: "a"}); !errors.As(err, &failed) || !strings.Contains(failed.Tail, "for linux/arm64") {
		t.Error(err)
	}
}

func TestPushDocker(t *testing.T) {
	digest := "sha256:" + strings.Repeat("ab", 32)
	fakeTool(t, "docker", "echo 'The push refers to repository [ghcr.io/me/blog]'; echo 'v1: digest: "+digest+" size: 528'\n")
	if got, err := find(t, "").Push(t.Context(), "ghcr.io/me/blog:v1", t.TempDir()); err != nil || got != digest {
		t.Errorf("%q, %v", got, err)
	}
	fakeTool(t, "docker", "echo 'Pushed'\n")
	if _, err := find(t, "").Push(t.Context(), "me/blog", t.TempDir()); err == nil || !strings.Contains(err.Error(), "did not tell its digest") {
		t.Error(err)
	}
	for text, denied := range map[string]bool{
		"denied: requested access to the resource is denied": true, "no basic auth credentials": true,
		"unexpected status from PUT request: 500 Internal Server Error": false, "dial tcp: lookup ghcr.io: no such host": false,
	} {
		fakeTool(t, "docker", "echo '"+text+"' >&2; exit 1\n")
		var push *PushError
		if _, err := find(t, "").Push(t.Context(), "me/blog", t.TempDir()); !errors.As(err, &push) || push.Denied != denied || push.Server != "docker.io" || push.Tail != text {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// TestInterrupt: the builder and what it started end with the context, also
// where they do not want to.
func TestInterrupt(t *testing.T) {
	mark := filepath.Join(t.TempDir(), "alive")
	fakeTool(t, "docker", "(trap '' TERM; echo begun; while :; do touch "+mark+"; sleep 0.05; done) & wait\n")
	tool := find(t, "")
	cause := errors.New("interrupted")
	ctx, cancel := context.WithCancelCause(t.Context())
	tool.Tell = func(string) { cancel(cause) }
	began := time.Now()
	if err := tool.Build(ctx, profiles.Order{Ref: "a"}); !errors.Is(err, cause) {
		t.Error(err)
	}
	if took := time.Since(began); took > endWithin+5*time.Second {
		t.Errorf("it took %s", took)
	}
	time.Sleep(200 * time.Millisecond)
	os.Remove(mark)
	time.Sleep(300 * time.Millisecond)
	if _, err := os.Stat(mark); err == nil {
		t.Error("what the builder started lives on")
	}
}

// archive is one of docker's form, with that config under that name.
func archive(t *testing.T, name, config string) *bytes.Buffer {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, f := range [][2]string{{name, config}, {"manifest.json", fmt.Sprintf(`[{"Config":%q,"RepoTags":["me/blog:v1"],"Layers":[]}]`, name)}} {
		w.WriteHeader(&tar.Header{Name: f[0], Mode: 0o644, Size: int64(len(f[1]))})
		w.Write([]byte(f[1]))
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &out
}

// TestContents: an image's id is the digest of its config, in either form that
// docker writes; a config that is not what its name says is none.
func TestContents(t *testing.T) {
	sum := fmt.Sprintf("%x", sha256.Sum256([]byte("{}")))
	for _, name := range []string{sum + ".json", "blobs/sha256/" + sum} {
		tags, err := contents(archive(t, name, "{}"))
		if err != nil || tags["me/blog:v1"] != "sha256:"+sum {
			t.Errorf("%s: %v, %v", name, tags, err)
		}
		if _, err := contents(archive(t, name, "{ }")); err == nil {
			t.Errorf("%s: another config is taken", name)
		}
	}
	ids, err := pick(map[string]string{"docker.io/me/blog:v1": "sha256:a"}, []string{"me/blog:v1"})
	if err != nil || ids["me/blog:v1"] != "sha256:a" {
		t.Error(ids, err)
	}
	if _, err := pick(nil, []string{"me/blog:v1"}); err == nil {
		t.Error("an image that is not there is found")
	}
}
