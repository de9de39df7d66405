package profiles

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestProfiles compares the loaded profile of every case of testdata/profiles,
// with all that was filled in.
func TestProfiles(t *testing.T) {
	for _, path := range archives(t, "profiles") {
		t.Run(caseName(path), func(t *testing.T) {
			a := readArchive(t, path)
			a.unpack(t)
			p, faults := Load(a.names[0], Options{SecretNames: lineNames})
			if len(faults) > 0 {
				t.Fatal(faults)
			}
			got, err := json.MarshalIndent(p, "", " ")
			if err != nil {
				t.Fatal(err)
			}
			a.golden(t, path, "want", string(got)+"\n")
		})
	}
}

func TestLoadMissing(t *testing.T) {
	t.Chdir(t.TempDir())
	p, faults := Load("cattle.yaml", Options{})
	want := "cattle.yaml: error: no such file [file-missing]\n" +
		"  hint: write one: app: blog / domain: blog.example.com / image: ghcr.io/me/blog / port: 8000, or name it with --file"
	if p != nil || faults.Error() != want || faults[0].String() != "cattle.yaml: error: no such file" {
		t.Errorf("got %v", faults)
	}
}

func TestSecretNamesFail(t *testing.T) {
	splitArchive("-- cattle.yaml --\n" + shortestProfile + "secrets: {file: s.env}\nenv: {A: '${B}'}\n-- s.env --\n").unpack(t)
	_, faults := Load("cattle.yaml", Options{SecretNames: func(string) ([]string, error) { return nil, advised{errors.New("s.env: not encrypted")} }})
	if len(faults) != 1 || faults[0].String() != `cattle.yaml:5:17: error: secrets file s.env: not encrypted` || faults[0].Hint != "encrypt it" {
		t.Errorf("got %v", faults)
	}
}

// advised is an error of another room that knows what to type.
type advised struct{ error }

func (advised) Advice() string { return "encrypt it" }

func TestSecretNamesUnchecked(t *testing.T) {
	splitArchive("-- cattle.yaml --\n" + shortestProfile + "secrets: {file: s.env}\nenv: {A: '${B}'}\n-- s.env --\n").unpack(t)
	if p, faults := Load("cattle.yaml", Options{}); p == nil || len(faults) > 0 {
		t.Errorf("got %v", faults)
	}
}

func TestStarters(t *testing.T) {
	if got := Starters(); !slices.Equal(got, []string{"compose", "web"}) {
		t.Errorf("got %v", got)
	}
}

func TestValidRelease(t *testing.T) {
	for _, good := range []string{"1", "v1.2.0", "v1.2.0+build.7", "release/2026-01-01", "a_b", strings.Repeat("a", 64)} {
		if err := ValidRelease(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for bad, want := range map[string]string{
		"": "needs a version", "-1": "must begin", "v 1": "must begin", "v1\n": "must begin", "é": "must begin",
		"../x": "must begin", strings.Repeat("a", 65): "64 are allowed",
	} {
		if err := ValidRelease(bad); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", bad, err, want)
		}
	}
}

func TestParseDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"30s": 30 * time.Second, "10m": 10 * time.Minute, "7d": 168 * time.Hour, "1d12h": 36 * time.Hour, "0": 0, "0s": 0, "1.5h": 90 * time.Minute,
	} {
		if got, ok := parseDuration(text); !ok || got != want {
			t.Errorf("%q: got %v %v, want %v", text, got, ok, want)
		}
	}
	for _, bad := range []string{"", "5", "-5s", "d", "7days", "1h1d", "99999999d", "36500d2562047h", "soon"} {
		if got, ok := parseDuration(bad); ok {
			t.Errorf("%q: got %v", bad, got)
		}
	}
}

func TestSplitWords(t *testing.T) {
	for text, want := range map[string][]string{
		"bin/nightly --all":     {"bin/nightly", "--all"},
		`a 'b c' "d e" f\ g`:    {"a", "b c", "d e", "f g"},
		`a ''`:                  {"a", ""},
		`a"b"'c'`:               {"abc"},
		`'$HOME | x' "\$A\"\n"`: {"$HOME | x", `$A"\n`},
		"  ":                    nil,
	} {
		if got, complaint := splitWords(text); !slices.Equal(got, want) || complaint != "" {
			t.Errorf("%q: got %q %s, want %q", text, got, complaint, want)
		}
	}
	for text, want := range map[string]string{
		"a | b": `needs a shell for "|"`, "a $B": `needs a shell for "$"`, `a "$B"`: `needs a shell for "$"`,
		"a 'b": "has a quote that is never closed", `a \`: "ends in a backslash",
	} {
		if _, got := splitWords(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

func TestDidYouMean(t *testing.T) {
	known := []string{"port", "image", "reserved_ip", "routes"}
	for word, want := range map[string]string{
		"prot": "port", "Port": "port", "imgae": "image", "reservedip": "reserved_ip", "route": "routes", "xyzzy": "", "": "",
	} {
		if got, _ := Nearest(word, known); got != want {
			t.Errorf("%q: got %q, want %q", word, got, want)
		}
	}
}
