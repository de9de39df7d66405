package profiles

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
)

const oddRelease = "v1.2.0+build/7"

func testPins() map[string]string {
	return map[string]string{
		"ghcr.io/me/blog:v1.2.0-build-7": "sha256:" + strings.Repeat("a", 64),
		"ghcr.io/me/api":                 "sha256:" + strings.Repeat("b", 64),
	}
}

func mustLoad(t testing.TB) *Profile {
	t.Helper()
	p, faults := Load("cattle.yaml", Options{SecretNames: lineNames})
	if p == nil {
		t.Fatal(faults)
	}
	return p
}

// TestStacks compares the whole stack of every case of testdata/stacks.
func TestStacks(t *testing.T) {
	for _, path := range archives(t, "stacks") {
		t.Run(caseName(path), func(t *testing.T) {
			a := readArchive(t, path)
			a.unpack(t)
			s, err := mustLoad(t).Stack(context.Background(), oddRelease, testPins())
			if err != nil {
				t.Fatal(err)
			}
			a.golden(t, path, "want.yaml", string(s.YAML))
			a.golden(t, path, "want", fmt.Sprintf("services %v\nimages %v\nupstreams %v\n", s.Services, s.Images, s.Upstreams))
		})
	}
}

// TestStackIsPure: neither the environment, nor a .env file, nor files that
// changed since Load, nor the order of maps shows in the bytes.
func TestStackIsPure(t *testing.T) {
	readArchive(t, "testdata/stacks/compose_two_files.txt").unpack(t)
	p := mustLoad(t)
	first, err := p.Stack(context.Background(), "v1", nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{"COLOUR": "red", "LOG_LEVEL": "debug", "DB_PASSWORD": "hunter2", "COMPOSE_PROJECT_NAME": "x"} {
		t.Setenv(name, value)
	}
	if err := os.WriteFile(".env", []byte("COLOUR=red\nDB_PASSWORD=hunter2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	again := mustLoad(t)
	if err := os.Remove("compose.yaml"); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		for _, q := range []*Profile{p, again} {
			s, err := q.Stack(context.Background(), "v1", nil)
			if err != nil {
				t.Fatal(err)
			}
			if string(s.YAML) != string(first.YAML) {
				t.Fatalf("bytes differ:\n%s\n%s", s.YAML, first.YAML)
			}
		}
	}
}

// TestStackConcurrently is for the race detector: a loaded Profile is read-only.
func TestStackConcurrently(t *testing.T) {
	readArchive(t, "testdata/stacks/compose_two_files.txt").unpack(t)
	p := mustLoad(t)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			if _, err := p.Stack(context.Background(), fmt.Sprintf("v%d", i), nil); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// TestStackOnDroplet reads the stack as the droplet's compose does, with the
// secrets in its environment, and looks at what a container gets.
func TestStackOnDroplet(t *testing.T) {
	environment := func(t *testing.T, name, service string) types.MappingWithEquals {
		readArchive(t, "testdata/stacks/"+name+".txt").unpack(t)
		s, err := mustLoad(t).Stack(context.Background(), oddRelease, nil)
		if err != nil {
			t.Fatal(err)
		}
		project, err := loader.LoadWithContext(context.Background(), types.ConfigDetails{
			WorkingDir:  "/",
			ConfigFiles: []types.ConfigFile{{Filename: "compose.yaml", Content: s.YAML}},
			Environment: map[string]string{"DB_PASSWORD": "p$w${X}", "TOKEN": "t"},
		})
		if err != nil {
			t.Fatal(err)
		}
		return project.Services[service].Environment
	}
	check := func(t *testing.T, got types.MappingWithEquals, want map[string]string) {
		for name, value := range want {
			if got[name] == nil || *got[name] != value {
				t.Errorf("%s: got %v, want %q", name, deref(got[name]), value)
			}
		}
	}
	t.Run("image", func(t *testing.T) {
		check(t, environment(t, "image_env", "web"), map[string]string{
			"NUMBER": "010", "FLAG": "true", "HASH": "$2y$10$abc", "DOLLARS": "a$$b", "LITERAL": "${NOT}",
			"URL":     "postgres://me:p$w${X}@db/blog",
			"VERSION": oddRelease + " of ghcr.io/me/blog:v1.2.0-build-7",
		})
	})
	t.Run("compose", func(t *testing.T) {
		check(t, environment(t, "compose_two_files", "web"), map[string]string{
			"LOG": "in$fo", "DATABASE_URL": "postgres://shop:p$w${X}@db/shop", "VERSION": oddRelease, "COLOUR": "blue",
			"NESTED": oddRelease, "IF_SET": "--token=t", "LITERAL": "$HOME costs $5", "WORKERS": "2", "LATER": oddRelease,
		})
	})
}

func deref(s *string) string {
	if s == nil {
		return "nothing"
	}
	return fmt.Sprintf("%q", *s)
}

// TestStackByHand: a Profile that was not loaded makes a stack too.
func TestStackByHand(t *testing.T) {
	p := &Profile{App: "blog", Image: "ghcr.io/me/blog", Port: 8000, Secrets: Secrets{File: "s.env"}, Env: map[string]string{"A": "${ANY}"}}
	s, err := p.Stack(context.Background(), "v1", nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Upstreams["web:8000"]; len(got) != 1 || got[0] != "127.0.0.1:20000" || !strings.Contains(string(s.YAML), "A: ${ANY}") {
		t.Errorf("upstreams %v, yaml\n%s", s.Upstreams, s.YAML)
	}
}

func TestStackRefuses(t *testing.T) {
	good := Profile{App: "blog", Image: "ghcr.io/me/blog", Port: 8000}
	for name, c := range map[string]struct {
		change  func(*Profile)
		release string
		pins    map[string]string
		want    string
	}{
		"release": {func(*Profile) {}, "v 1", nil, `version "v 1" must begin`},
		"app":     {func(p *Profile) { p.App = "" }, "v1", nil, `"" is not a name of an app`},
		"pin":     {func(*Profile) {}, "v1", map[string]string{"ghcr.io/me/blog:v1": "latest"}, `digest of image "ghcr.io/me/blog:v1" is malformed`},
		"route":   {func(p *Profile) { p.Routes = []Route{{To: "db:1"}} }, "v1", nil, `route to "db:1": there is no such service`},
		"compose": {func(p *Profile) { p.Image, p.Compose = "", []string{"gone.yaml"} }, "v1", nil, `compose file "gone.yaml": no such file`},
	} {
		t.Run(name, func(t *testing.T) {
			p := good
			c.change(&p)
			s, err := p.Stack(context.Background(), c.release, c.pins)
			if err == nil || !strings.Contains(err.Error(), c.want) || s != nil {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}
