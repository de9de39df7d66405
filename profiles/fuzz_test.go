package profiles

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// seeds adds every profile, and every compose file beside it, of the test cases.
func seeds(f *testing.F, add func(profile, compose string)) {
	for _, folder := range []string{"faults", "stacks", "profiles"} {
		for _, path := range archives(f, folder) {
			a := readArchive(f, path)
			add(a.files[a.names[0]], a.files["compose.yaml"])
		}
	}
}

// inFolder writes the two files and returns the profile's path.
func inFolder(t *testing.T, profile, compose string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"cattle.yaml": profile, "compose.yaml": compose, "secrets.env": "A=1\nDB_PASSWORD=1\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "cattle.yaml")
}

// plausible are the faults that any text may have: a place inside the file, and
// nothing that a terminal would obey.
func plausible(t *testing.T, p *Profile, faults Diagnostics) {
	t.Helper()
	if (p == nil) != faults.HasErrors() {
		t.Fatalf("profile %v, faults %v", p != nil, faults)
	}
	for _, d := range faults {
		if d.Line < 1 || d.Column < 1 || d.Message == "" || d.File == "" {
			t.Fatalf("implausible fault %+v", d)
		}
		lines := strings.Split(strings.TrimSuffix(d.text(paint{}), "\n"), "\n")
		if len(lines) > 4 || strings.ContainsFunc(strings.Join(lines, ""), control) {
			t.Fatalf("printed as %q", lines)
		}
		if d.Source != "" && d.caret > utf8.RuneCountInString(d.Source)+1 {
			t.Fatalf("the caret is at %d of %q", d.caret, d.Source)
		}
		raw, err := os.ReadFile(d.File)
		if err == nil && d.Line > strings.Count(string(raw), "\n")+strings.Count(string(raw), "\r")+1 {
			t.Fatalf("line %d of %q", d.Line, raw)
		}
	}
}

func control(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) }

// FuzzLoad: no text makes Load panic or pass without a profile.
func FuzzLoad(f *testing.F) {
	seeds(f, func(profile, _ string) { f.Add(profile) })
	f.Fuzz(func(t *testing.T, profile string) {
		p, faults := Load(inFolder(t, profile, ""), Options{SecretNames: lineNames})
		plausible(t, p, faults)
	})
}

// FuzzStack: no compose file makes Stack panic, and what Load passes makes a
// stack for any release, twice the same.
func FuzzStack(f *testing.F) {
	seeds(f, func(_, compose string) { f.Add(compose, "v1.2.0+x/1") })
	const profile = "app: blog\ndomain: blog.example.com\ncompose: compose.yaml\nsecrets: {file: secrets.env}\nenv: {LOG_LEVEL: i$x}\n"
	f.Fuzz(func(t *testing.T, compose, release string) {
		p, faults := Load(inFolder(t, profile, compose), Options{SecretNames: lineNames})
		plausible(t, p, faults)
		if p == nil || ValidRelease(release) != nil {
			return
		}
		s, err := p.Stack(context.Background(), release, nil)
		if err != nil {
			return // a release may make an illegal value where v0.0.0 does not
		}
		again, err := p.Stack(context.Background(), release, nil)
		if err != nil || string(again.YAML) != string(s.YAML) {
			t.Fatalf("not the same twice: %v", err)
		}
	})
}
