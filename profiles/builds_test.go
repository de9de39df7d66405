package profiles

import (
	"context"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// buildable writes files into a folder and loads the profile among them.
func buildable(t *testing.T, files map[string]string) (*Profile, string) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p, faults := Load(filepath.Join(dir, "cattle.yaml"), Options{SecretNames: func(string) ([]string, error) { return []string{"TOKEN"}, nil }})
	if err := faults.Err(); err != nil {
		t.Fatal(err)
	}
	return p, dir
}

const composedProfile = "app: blog\ndomain: blog.example.com\ncompose: compose.yaml\nroutes: [{to: web:80}]\nenv: {COLOUR: red}\nsecrets: {file: secrets.env}\n"

// TestOrders: what is built is what docker compose would build, or the
// profile's own image.
func TestOrders(t *testing.T) {
	own, dir := buildable(t, map[string]string{"src/Dockerfile.web": "FROM scratch\n", "cattle.yaml": `app: blog
domain: blog.example.com
image: ghcr.io/me/blog
port: 80
env: {COLOUR: a$b}
build: {context: src, dockerfile: Dockerfile.web, target: run, args: {VERSION: "${RELEASE}", PRICE: "5$", COLOUR: "${COLOUR}"}, via: ssh}
`})
	got, err := own.Orders(context.Background(), "v1+2")
	src := filepath.Join(dir, "src")
	want := []Order{{Ref: "ghcr.io/me/blog:v1-2", Context: src, Dockerfile: filepath.Join(src, "Dockerfile.web"), Target: "run",
		Args: []string{"COLOUR=a$b", "PRICE=5$", "VERSION=v1+2"}}}
	if err != nil || !reflect.DeepEqual(got, want) || own.Via() != ViaSSH {
		t.Errorf("%+v, %v, %s; want %+v", got, err, own.Via(), want)
	}

	composed, dir := buildable(t, map[string]string{"cattle.yaml": composedProfile + "build: {via: ssh}\n", "secrets.env": "", "Dockerfile": "", "job/Dockerfile": "",
		"compose.yaml": `services:
  web: {image: "ghcr.io/me/web:${RELEASE}", build: ., ports: ["127.0.0.1:8080:80"]}
  same: {image: "ghcr.io/me/web:${RELEASE}", build: .}
  job: {image: "ghcr.io/me/job:${RELEASE}", profiles: [jobs], build: {context: job, platforms: [linux/amd64], args: [COLOUR, "C=${COLOUR}", "D=$$1"]}}
  db: {image: "postgres:17"}
`})
	got, err = composed.Orders(context.Background(), "v1")
	want = []Order{
		{Ref: "ghcr.io/me/job:v1", Context: filepath.Join(dir, "job"), Dockerfile: filepath.Join(dir, "job/Dockerfile"), Args: []string{"C=red", "COLOUR=red", "D=$1"}},
		{Ref: "ghcr.io/me/web:v1", Context: dir, Dockerfile: filepath.Join(dir, "Dockerfile")},
	}
	if err != nil || !reflect.DeepEqual(got, want) || composed.Via() != ViaSSH {
		t.Errorf("%#v, %v; want %#v", got, err, want)
	}
}

// TestOrderFaults: each with its place; none stops a release that builds nothing.
func TestOrderFaults(t *testing.T) {
	web := "services:\n  web:\n    image: ghcr.io/me/web:${RELEASE}\n    ports: [\"127.0.0.1:8080:80\"]\n"
	for name, tt := range map[string]struct{ compose, want string }{
		"unsupported":  {web + "    build:\n      context: .\n      cache_from: [a]\n", "compose.yaml:7:7: error: build.cache_from of service \"web\""},
		"platforms":    {web + "    build:\n      context: .\n      platforms: [linux/arm64]\n", "compose.yaml:7:7: error: build.platforms"},
		"secret":       {web + "    build:\n      context: .\n      args: {KEY: \"${TOKEN}\"}\n", "build argument \"KEY\" is a secret"},
		"nothing sets": {web + "    build:\n      context: .\n      args: [HOME]\n", "compose.yaml:7:14: error: nothing sets the build argument"},
		"secret alone": {web + "    build:\n      context: .\n      args: [TOKEN]\n", "build argument \"TOKEN\" is a secret"},
		"no folder":    {web + "    build:\n      context: gone\n", "compose.yaml:6:7: error: context of service \"web\""},
		"remote":       {web + "    build: https://github.com/me/blog.git\n", "context of service \"web\""},
		"no file":      {web + "    build:\n      context: .\n      dockerfile: Gone\n", "compose.yaml:7:7: error: dockerfile of service \"web\""},
		"digest":       {strings.Replace(web, ":${RELEASE}", "@sha256:"+strings.Repeat("a", 64), 1) + "    build: .\n", "has a digest already"},
		"in two ways":  {web + "    build: .\n  b:\n    image: ghcr.io/me/web:${RELEASE}\n    build: {context: ., target: b}\n", "is built in two ways"},
		"own argument": {"", "cattle.yaml:6:21: error: build argument \"KEY\" is a secret"},
	} {
		t.Run(name, func(t *testing.T) {
			files := map[string]string{"cattle.yaml": composedProfile, "secrets.env": "", "Dockerfile": "", "compose.yaml": tt.compose}
			if tt.compose == "" {
				files["cattle.yaml"] = "app: blog\ndomain: blog.example.com\nimage: ghcr.io/me/blog\nport: 80\nsecrets: {file: secrets.env}\nbuild: {args: {KEY: \"${TOKEN}\"}}\n"
			}
			p, _ := buildable(t, files)
			_, err := p.Orders(context.Background(), "v1")
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v; want %s", err, tt.want)
			}
			if _, err := p.Stack(context.Background(), "v1", nil); err != nil {
				t.Errorf("without --build: %v", err)
			}
		})
	}
}

// TestBroughtIsNotPulled: a reference that the operator brings is never pulled,
// whatever the compose file says; others are as they are.
func TestBroughtIsNotPulled(t *testing.T) {
	p, _ := buildable(t, map[string]string{"cattle.yaml": composedProfile, "secrets.env": "",
		"compose.yaml": "services:\n  web: {image: \"me/web:${RELEASE}\", pull_policy: always, expose: [80]}\n  db: {image: \"postgres:17\"}\n"})
	s, err := p.Stack(context.Background(), "v1", map[string]string{"postgres:17": "sha256:" + strings.Repeat("b", 64)}, "me/web:v1")
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(s.YAML), "pull_policy: never"); n != 1 || !strings.Contains(string(s.YAML), "image: me/web:v1\n") {
		t.Errorf("%d services are not pulled\n%s", n, s.YAML)
	}
}
