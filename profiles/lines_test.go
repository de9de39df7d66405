package profiles

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const linesProfile = `app: blog
domain: blog.example.com
image: ghcr.io/me/blog
port: 8000
env: {LOG: hush-env, B: "2"}
build: {args: {TOKEN: hush-arg}}
files:
  - {path: /etc/motd, content: hush-file}
  - {path: /opt/x, from: files/x}
notify:
  - {webhook: "https://example.com/hush-hook"}
  - {ntfy: "env:TOPIC"}
hooks: {after_release: "./smoke.sh --all 'two words'"}
release: {keep: 0}
`

// TestLines: the same profile has the same lines, from wherever it is read, and
// no value that may be a secret is in them.
func TestLines(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"site/cattle.yaml": linesProfile, "site/files/x": "x", "site/Dockerfile": "", "site/smoke.sh": "#!/bin/sh\n"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	load := func(path string) []string {
		t.Helper()
		p, faults := Load(path, Options{})
		if err := faults.Err(); err != nil {
			t.Fatal(err)
		}
		return p.Lines()
	}
	whole := load(filepath.Join(dir, "site", "cattle.yaml"))
	t.Chdir(dir)
	if below := load("site/cattle.yaml"); !slices.Equal(whole, below) {
		t.Errorf("by its whole path:\n%s\nby a path of here:\n%s", strings.Join(whole, "\n"), strings.Join(below, "\n"))
	}
	t.Chdir("site")
	if here := load("cattle.yaml"); !slices.Equal(whole, here) {
		t.Errorf("from its own folder:\n%s", strings.Join(here, "\n"))
	}
	for _, want := range []string{"app: blog", "domains: blog.example.com", "droplet.size: s-1vcpu-1gb", "env.B: …", "env.LOG: …", "build.args.TOKEN: …", "build.context: .",
		"files.0.content: …", "files.1.from: files/x", "notify.0.webhook: …", "notify.1.ntfy: env:TOPIC", "release.keep: 0", "health.interval: 1s",
		`hooks.after_release: ["./smoke.sh" "--all" "two words"]`, "routes.0.to: web:8000"} {
		if !slices.Contains(whole, want) {
			t.Errorf("there is no line %s in:\n%s", want, strings.Join(whole, "\n"))
		}
	}
	if text := strings.Join(whole, "\n"); strings.Contains(text, "hush") || strings.Contains(text, dir) {
		t.Errorf("the lines tell too much:\n%s", text)
	}
}
