package profiles

import (
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// odd makes a fifo, a folder and a file that is too large by one byte.
func odd(t *testing.T) {
	t.Helper()
	if err := syscall.Mkfifo("pipe", 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir("folder", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("huge", []byte("# "+strings.Repeat("x", maxFile-1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/zero", "zero"); err != nil {
		t.Fatal(err)
	}
}

// inTime fails a test that would hang.
func inTime[T any](t *testing.T, f func() T) T {
	t.Helper()
	done := make(chan T, 1)
	go func() { done <- f() }()
	select {
	case v := <-done:
		return v
	case <-time.After(20 * time.Second):
		t.Fatal("it hangs")
		panic("unreachable")
	}
}

// TestOddFiles: whatever names a file gets an answer, at its place.
func TestOddFiles(t *testing.T) {
	why := map[string]string{
		"pipe": "not a regular file", "folder": "not a regular file", "zero": "not a regular file", "huge": "larger than 1 MiB",
	}
	for _, c := range []struct{ name, profile, want string }{
		{"extends", shortestProfile + "extends: ./FILE\n", `cattle.yaml:5:10: error: extends names "FILE": WHY`},
		{"compose", "app: blog\ndomain: blog.example.com\ncompose: FILE\n", `cattle.yaml:3:10: error: compose file "FILE": WHY`},
		{"files", shortestProfile + "files: [{path: /etc/a, from: FILE}]\n", `cattle.yaml:5:30: error: files.0.from: "FILE": WHY`},
		{"secrets", shortestProfile + "secrets: {file: FILE}\n", `cattle.yaml:5:17: error: secrets file "FILE": WHY`},
		{"profile", "", `FILE: error: cannot be read: WHY`},
	} {
		for file, why := range why {
			t.Run(c.name+"/"+file, func(t *testing.T) {
				fill := strings.NewReplacer("FILE", file, "WHY", why)
				splitArchive("-- cattle.yaml --\n" + fill.Replace(c.profile)).unpack(t)
				odd(t)
				name := "cattle.yaml"
				if c.profile == "" {
					name = file
				}
				faults := inTime(t, func() Diagnostics { _, f := Load(name, Options{}); return f })
				if len(faults) != 1 || faults[0].String() != fill.Replace(c.want) || faults[0].Hint == "" {
					t.Errorf("got %v, want %s", faults, fill.Replace(c.want))
				}
			})
		}
	}
}

func TestReadFileTakesAll(t *testing.T) {
	t.Chdir(t.TempDir())
	want := strings.Repeat("x", maxFile)
	if err := os.WriteFile("full", []byte(want), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := ReadFile("full"); err != nil || string(got) != want {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
}

// many repeats a line with its number in place of #.
func many(n int, line string) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.ReplaceAll(line, "#", itoa(i)))
	}
	return b.String()
}

// TestLargeProfiles: what fits into a file is checked in seconds at most.
func TestLargeProfiles(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"many keys":      {shortestProfile + "env:\n" + many(10_000, " K#: 1\n"), ""},
		"too many":       {shortestProfile + "packages: [" + many(150_000, "a,") + "]\n", "cattle.yaml:1:1: error: the file has more than 100000 values"},
		"duplicates":     {shortestProfile + "env: {" + many(90_000, "A: 1,") + "}\n", `cattle.yaml:5:12: error: duplicate key "A"`},
		"too many keys":  {shortestProfile + "env:\n" + many(90_000, " K#: 1\n"), "cattle.yaml:6:2: error: a mapping of more than 10000 keys"},
		"keys upon keys": {shortestProfile + "env: {" + many(110_000, "K#,") + "}\n", "cattle.yaml:1:1: error: the file has more than 100000 values"},
		"unknown":        {shortestProfile + many(9_000, "k#: 1\n"), `cattle.yaml:5:1: error: unknown key "k0"`},
		"wrong types":    {shortestProfile + "files:\n" + many(90_000, "- 1\n"), "cattle.yaml:6:3: error: files.0 must be a mapping, not the number 1"},
		"merged":         {shortestProfile + "x-a: &a\n" + many(3_000, " A#: 1\n") + "env:\n <<: *a\n" + many(1_000, " K#: 1\n"), ""},
	} {
		t.Run(name, func(t *testing.T) {
			if len(c.text) > maxFile {
				t.Fatal("too large for the test:", len(c.text))
			}
			began := time.Now()
			_, faults := loadText(t, c.text)
			if took := time.Since(began); took > 15*time.Second {
				t.Error("it took", took)
			} else {
				t.Log(took)
			}
			first := ""
			if len(faults) > 0 {
				first = faults[0].String()
			}
			if first != c.want {
				t.Errorf("got %s", first)
			}
		})
	}
}

func TestLargeParent(t *testing.T) {
	env := "env:\n" + many(2_000, " A#: 1\n")
	splitArchive("-- cattle.yaml --\n" + shortestProfile + "extends: ./base.yaml\n" + env + "-- base.yaml --\n" + strings.ReplaceAll(env, "A", "B")).unpack(t)
	began := time.Now()
	p, faults := Load("cattle.yaml", Options{})
	if took := time.Since(began); len(faults) > 0 || len(p.Env) != 4_000 || took > 15*time.Second {
		t.Error(took, faults)
	}
}

// TestPrintCapped: nobody reads thousands of faults; JSON has them all.
func TestPrintCapped(t *testing.T) {
	one := Diagnostic{Severity: SeverityError, File: "a", Line: 1, Column: 1, Message: "m"}
	ds := Diagnostics(slices.Repeat([]Diagnostic{one}, 50))
	if got := ds.Error(); strings.Count(got, "\n") != 49 || strings.Contains(got, "more") {
		t.Errorf("got %s", got)
	}
	ds = append(ds, one, one, Diagnostic{Severity: SeverityWarning, File: "a", Line: 1, Column: 1, Message: "m"})
	if got := ds.Error(); strings.Count(got, "\n") != 50 || !strings.HasSuffix(got, "\nand 3 more (errors: 2)") {
		t.Errorf("got %s", got)
	}
}
