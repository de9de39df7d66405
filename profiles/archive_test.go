package profiles

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// update writes what the tests got into their goldens.
var update = flag.Bool("update", false, "rewrite the golden files in testdata")

// An archive is a test case: files, each after a line `-- name --`.
type archive struct {
	names []string
	files map[string]string
}

var archiveLine = regexp.MustCompile(`(?m)^-- (\S+) --\n`)

func readArchive(t testing.TB, path string) *archive {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return splitArchive(string(raw))
}

func splitArchive(text string) *archive {
	a := &archive{files: map[string]string{}}
	marks := archiveLine.FindAllStringSubmatchIndex(text, -1)
	for i, m := range marks {
		end := len(text)
		if i+1 < len(marks) {
			end = marks[i+1][0]
		}
		name := text[m[2]:m[3]]
		a.names = append(a.names, name)
		a.files[name] = text[m[1]:end]
	}
	return a
}

// unpack writes the files that are no golden into a new folder and goes there.
func (a *archive) unpack(t testing.TB) {
	t.Helper()
	dir := t.TempDir()
	for _, name := range a.names {
		if strings.HasPrefix(name, "want") {
			continue
		}
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(a.files[name]), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
}

// golden compares got with a section of the archive, or rewrites it.
func (a *archive) golden(t *testing.T, path, section, got string) {
	t.Helper()
	if *update {
		if _, ok := a.files[section]; !ok {
			a.names = append(a.names, section)
		}
		a.files[section] = got
		a.write(t, path)
		return
	}
	if want := a.files[section]; got != want {
		t.Errorf("%s: got\n%s\nwant\n%s", section, got, want)
	}
}

func (a *archive) write(t *testing.T, path string) {
	t.Helper()
	var b strings.Builder
	for _, name := range a.names {
		b.WriteString("-- " + name + " --\n" + a.files[name])
	}
	if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

// archives returns the absolute paths of the cases in a folder of testdata.
func archives(t testing.TB, folder string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata", folder, "*.txt"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no cases in testdata/%s: %v", folder, err)
	}
	for i := range paths {
		if paths[i], err = filepath.Abs(paths[i]); err != nil {
			t.Fatal(err)
		}
	}
	return paths
}

// lineNames reads a pretended secrets file: the names before the =.
func lineNames(path string) ([]string, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var names []string
	for line := range strings.Lines(string(raw)) {
		if name, _, ok := strings.Cut(line, "="); ok {
			names = append(names, name)
		}
	}
	return names, nil
}

func caseName(path string) string { return strings.TrimSuffix(filepath.Base(path), ".txt") }
