package guess_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"cattle/profiles"
	"cattle/profiles/guess"
)

var update = flag.Bool("update", false, "write the golden files anew")

// write lays the files of an archive out in a folder that is called blog.
func write(t *testing.T, files []txtar.File) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "blog")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if err := os.WriteFile(filepath.Join(dir, f.Name), f.Data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestProfiles holds what is written for each folder of testdata, which is an
// archive with the result under want/, and that `cattle check` takes it.
func TestProfiles(t *testing.T) {
	archives, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatal("no testdata", err)
	}
	for _, path := range archives {
		t.Run(filepath.Base(path), func(t *testing.T) {
			archive, err := txtar.ParseFile(path)
			if err != nil {
				t.Fatal(err)
			}
			wanted := func(f txtar.File) bool { return strings.HasPrefix(f.Name, "want/") }
			given := slices.DeleteFunc(slices.Clone(archive.Files), wanted)
			dir := write(t, given)
			folder, err := guess.Look(t.Context(), dir)
			if err != nil {
				t.Fatal(err)
			}
			s := &guess.Sketch{Folder: folder}
			made := sketch(t, s, dir)
			if *update {
				archive.Files = append(given, made...)
				if err := os.WriteFile(path, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want := slices.DeleteFunc(slices.Clone(archive.Files), func(f txtar.File) bool { return !wanted(f) })
			if got, want := string(txtar.Format(&txtar.Archive{Files: made})), string(txtar.Format(&txtar.Archive{Files: want})); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// sketch writes the profile, checks it as the command does, and returns what
// was written and told.
func sketch(t *testing.T, s *guess.Sketch, dir string) []txtar.File {
	t.Helper()
	text, doubts := s.Profile()
	files := []txtar.File{{Name: "cattle.yaml", Data: []byte(text)}}
	if overlay := s.Overlay(); overlay != "" {
		files = append(files, txtar.File{Name: guess.OverlayFile, Data: []byte(overlay)})
	}
	var names []string
	told := fmt.Sprintf("guesses: %s\n", strings.Join(doubts, ", "))
	for _, v := range s.Secrets() {
		names = append(names, v.Name)
		told += fmt.Sprintf("secret: %s %v\n", v.Name, map[bool]string{true: "known", false: "missing"}[v.Known()])
	}
	for _, f := range append(files, txtar.File{Name: profiles.DefaultSecretsFile}) {
		if strings.Contains(string(f.Data), "canary") {
			t.Errorf("a secret is in %s:\n%s", f.Name, f.Data)
		}
		if err := os.WriteFile(filepath.Join(dir, f.Name), f.Data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	_, faults := profiles.Load(filepath.Join(dir, "cattle.yaml"), profiles.Options{SecretNames: func(string) ([]string, error) { return names, nil }})
	told += strings.ReplaceAll(faults.Error(), dir+"/", "")
	if faults.HasErrors() {
		t.Errorf("cattle check finds:\n%v", faults)
	}
	files = append(files, txtar.File{Name: "told", Data: []byte(strings.TrimSuffix(told, "\n") + "\n")})
	for i := range files {
		files[i].Name = "want/" + files[i].Name
	}
	return files
}

// TestMountedFile: a file of the developer's may be one that the app cannot do
// without, so its mount stays, and cattle check asks about it.
func TestMountedFile(t *testing.T) {
	for mount, dropped := range map[string]bool{".:/app": true, "./:/app": true, "../app:/app": true, "./src:/src": true, "./.config:/config": true,
		"./nginx.conf:/etc/nginx.conf": false, "./conf.d/site.conf:/etc/site.conf": false} {
		dir := write(t, []txtar.File{{Name: "compose.yaml", Data: []byte("services: {web: {image: web, volumes: [\"" + mount + "\"]}}\n")}})
		folder, err := guess.Look(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains((&guess.Sketch{Folder: folder}).Overlay(), "volumes: !reset"); got != dropped {
			t.Errorf("%s: dropped %v", mount, got)
		}
	}
}

func TestSecretsAreNotReadAsPlain(t *testing.T) {
	env := map[string]bool{ // whether it looks like a secret
		"DB_PASSWORD=x": true, "API_KEY=abc": true, "SENTRY_DSN=": true, "SMTP_PASS=info": true, "SLACK_WEBHOOK=https://h.example/x": true,
		"DATABASE_URL=postgres://u:p@h/d": true, "SIGNED=https://h.example/x?sig=1": true, "MYSTERY=a8f5f167f44f4964e6c998dee827110c": true,
		"CODE=Xk2_pQ": true, "MIXED=aBcDeFgH": true, "DOLLAR=a$b": true, "SPACE=two words": true, "MAIL=me@example.com": true,
		"LOG_LEVEL=info": false, "DEBUG=false": false, "PORT=8080": false, "TZ=Europe/Berlin": false, "HOST=0.0.0.0": false,
		"URL=https://blog.example.com": false, "DB_HOST=db:5432": false, "MODE=PRODUCTION": false, "DIR=/var/lib/app": false,
	}
	var text strings.Builder
	for pair := range env {
		name, value, _ := strings.Cut(pair, "=")
		fmt.Fprintf(&text, "%s='%s'\n", name, value)
	}
	f, err := guess.Look(t.Context(), write(t, []txtar.File{{Name: ".env", Data: []byte(text.String())}}))
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range f.Variables {
		if want, known := env[v.Name+"="+v.Value.Reveal()]; !known || v.Secret != want {
			t.Errorf("%s: secret %v, want %v (known %v)", v.Name, v.Secret, want, known)
		}
	}
	if len(f.Variables) != len(env) {
		t.Errorf("%d of %d were read", len(f.Variables), len(env))
	}
}

// TestUnreadableEnv: the parser's words may quote the value.
func TestUnreadableEnv(t *testing.T) {
	dir := write(t, []txtar.File{{Name: ".env", Data: []byte("A=\"canary\nB=x\n")}})
	if _, err := guess.Look(t.Context(), dir); err == nil || strings.Contains(err.Error(), "canary") {
		t.Errorf("got %v", err)
	}
}

func TestImageOfTheRemote(t *testing.T) {
	for remote, want := range map[string]string{
		"git@github.com:Me/Blog.git":                "ghcr.io/me/blog",
		"https://github.com/me/blog":                "ghcr.io/me/blog",
		"https://me:canary@github.com/me/blog.git/": "ghcr.io/me/blog",
		"ssh://git@gitlab.com:22/a/b/c.git":         "registry.gitlab.com/a/b/c",
		"https://codeberg.org/me/blog.git":          "codeberg.org/me/blog",
		"https://git.example.com/me/blog.git":       "",
		"https://github.com/me/my%20blog%0Ax.git":   "",
		"/srv/git/blog.git":                         "",
		"../blog":                                   "",
	} {
		dir := write(t, nil)
		for _, args := range [][]string{{"init", "-q"}, {"remote", "add", "origin", remote}} {
			if out, err := exec.Command("git", append([]string{"-C", dir}, args...)...).CombinedOutput(); err != nil {
				t.Fatalf("git %v: %v\n%s", args, err, out)
			}
		}
		f, err := guess.Look(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		if got := f.Git.Image(); got != want || strings.Contains(f.Git.Remote, "canary") {
			t.Errorf("%s: %q (%s), want %q", remote, got, f.Git.Remote, want)
		}
	}
}

func TestDomain(t *testing.T) {
	for text, want := range map[string]string{
		"DOMAIN=blog.example.org":                       "blog.example.org",
		"APP_URL=https://blog.example.org/x":            "blog.example.org",
		"VIRTUAL_HOST=a.example.org,b.example.org":      "a.example.org",
		"APP_URL=http://localhost:3000":                 "",
		"DOMAIN=blog.test":                              "",
		"DOMAIN=127.0.0.1":                              "",
		"DATABASE_URL=postgres://u:p@db.example.org/db": "",
	} {
		f, err := guess.Look(t.Context(), write(t, []txtar.File{{Name: ".env", Data: []byte(text + "\n")}}))
		if err != nil {
			t.Fatal(err)
		}
		if f.Domain != want {
			t.Errorf("%s: %q, want %q", text, f.Domain, want)
		}
	}
	label := "services:\n  web:\n    image: web\n    labels: [\"traefik.http.routers.web.rule=Host(`shop.example.org`)\"]\n"
	f, err := guess.Look(t.Context(), write(t, []txtar.File{{Name: "compose.yaml", Data: []byte(label)}}))
	if err != nil || f.Domain != "shop.example.org" || f.DomainOf != "compose.yaml" {
		t.Errorf("of a label: %q of %q, %v", f.Domain, f.DomainOf, err)
	}
}

func TestMonorepo(t *testing.T) {
	g := guess.Git{Remote: "github.com/me/shop", Inside: "apps/front"}
	if got := g.Image(); got != "ghcr.io/me/shop/front" {
		t.Errorf("got %s", got)
	}
}

// TestAccount: what the account says goes into comments and one value, and is
// no line of its own, whatever it is.
func TestAccount(t *testing.T) {
	f, err := guess.Look(t.Context(), write(t, nil))
	if err != nil {
		t.Fatal(err)
	}
	s := &guess.Sketch{Folder: f, Asked: "blog.example.org", Image: "ghcr.io/me/blog",
		Account: guess.Account{Region: "fra1\nsecrets: {file: /etc/passwd}", FreeIPs: []string{"203.0.113.4"}, Keys: []string{"laptop]\napp: x", "ci"}}}
	text, doubts := s.Profile()
	for _, line := range []string{"domain: blog.example.org", "image: ghcr.io/me/blog", "droplet:", `  region: "fra1\nsecrets: {file: /etc/passwd}" # where your reserved IPs are`,
		"# reserved_ip: 203.0.113.4 # points at nothing; else the first release makes one", `#   ssh_keys: ["laptop]\napp: x"] # else all of the account's`} {
		if !slices.Contains(strings.Split(text, "\n"), line) {
			t.Errorf("no line %q:\n%s", line, text)
		}
	}
	if !slices.Equal(doubts, []string{"port"}) {
		t.Errorf("guesses %v", doubts)
	}
}
