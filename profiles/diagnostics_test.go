package profiles

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

func loadText(t testing.TB, text string) (*Profile, Diagnostics) {
	t.Helper()
	splitArchive("-- cattle.yaml --\n" + text).unpack(t)
	return Load("cattle.yaml", Options{})
}

const shortestProfile = "app: blog\ndomain: blog.example.com\nimage: ghcr.io/me/blog\nport: 8000\n"

func TestPrintColoured(t *testing.T) {
	_, faults := loadText(t, strings.Replace(shortestProfile, "port", "prot", 1)+"secrets: {file: s.env, deliver: user-data}\n-- s.env --\n")
	var b strings.Builder
	if err := faults.Print(&b, true); err != nil {
		t.Fatal(err)
	}
	want := "\x1b[1mcattle.yaml:4:1:\x1b[0m \x1b[31merror:\x1b[0m unknown key \"prot\" [unknown-key]\n" +
		"  prot: 8000\n  \x1b[32m^\x1b[0m\n  \x1b[32mhint:\x1b[0m did you mean \"port\"?\n" +
		"\x1b[1mcattle.yaml:5:33:\x1b[0m \x1b[33mwarning:\x1b[0m the key to the secrets rides in user-data, " +
		"which the cloud keeps and root on the droplet can always read [deliver-user-data]\n" +
		"  secrets: {file: s.env, deliver: user-data}\n                                  \x1b[32m^\x1b[0m\n" +
		"  \x1b[32mhint:\x1b[0m deliver: ssh keeps the key out of it\n"
	if b.String() != want {
		t.Errorf("got\n%q\nwant\n%q", b.String(), want)
	}
}

func TestJSON(t *testing.T) {
	_, faults := loadText(t, strings.Replace(shortestProfile, "port", "prot", 1))
	got, err := json.Marshal(faults)
	if err != nil {
		t.Fatal(err)
	}
	want := `[{"severity":"error","code":"unknown-key","file":"cattle.yaml","line":4,"column":1,"message":"unknown key \"prot\"","hint":"did you mean \"port\"?","source":"prot: 8000"}]`
	if string(got) != want {
		t.Errorf("got %s", got)
	}
}

func TestErr(t *testing.T) {
	warning := Diagnostics{{Severity: SeverityWarning, File: "a", Line: 1, Column: 1, Message: "m"}}
	if warning.HasErrors() || warning.Err() != nil {
		t.Error("a warning is taken for an error")
	}
	both := append(warning, Diagnostic{Severity: SeverityError, File: "a", Line: 2, Column: 3, Message: "n"})
	var ds Diagnostics
	if err := both.Err(); !errors.As(err, &ds) || err.Error() != "a:1:1: warning: m\na:2:3: error: n" {
		t.Errorf("got %v", err)
	}
}

// TestPrintIsSafe: nothing in a file can reach the terminal as a control
// character, in whatever part of a fault it is shown.
func TestPrintIsSafe(t *testing.T) {
	evil := "\x1b]0;title\a\x1b[2J\u202e\u2028\u009b"
	d := Diagnostic{Severity: SeverityError, File: evil, Line: 1, Column: 1, Message: evil, Hint: evil}
	d.Source, d.caret = newSource("x", []byte(evil)).show(1, 3)
	got := Diagnostics{d}.Error() + d.String()
	if strings.ContainsAny(got, "\x1b\a\u202e\u2028\u009b") {
		t.Errorf("got %q", got)
	}
}

func TestShowBlotsSecrets(t *testing.T) {
	for _, c := range []struct {
		line      string
		col       int
		want      string
		wantCaret int
	}{
		{"password: hunter2", 11, "password: ********", 11},
		{"{password: hunter2, prot: 1}", 21, "{password: ********, prot: 1}", 22},
		{"{password: hunter2-very-long, prot: 1}", 31, "{password: ********, prot: 1}", 22},
		{`DB_PASSWORD: "a, b" # x`, 1, "DB_PASSWORD: ******** # x", 1},
		{"- API_KEY=abc", 3, "- API_KEY=********", 3},
		{"token: 'abc", 8, "token: ********", 8},
		{"password: ${DB}", 11, "password: ${DB}", 11},
		{"password:", 1, "password:", 1},
		{"secrets: {file: a.env}", 10, "secrets: {file: a.env}", 10},
		{"é: {auth: x, b: 1}", 14, "é: {auth: ********, b: 1}", 21},
		{"secrets: secrets.env", 10, "secrets: secrets.env", 10},
		{"{secrets: 'a/b.yaml', password: x.env2}", 12, "{secrets: 'a/b.yaml', password: ********}", 12},
		{"", 1, "", 0},
		{strings.Repeat("a", 5000), 1, "", 0},
	} {
		got, caret := newSource("x", []byte(c.line)).show(1, c.col)
		if got != c.want || caret != c.wantCaret {
			t.Errorf("%s at %d: got %q at %d, want %q at %d", c.line, c.col, got, caret, c.want, c.wantCaret)
		}
	}
}

// TestFaultsAreSorted: the same faults in the same order every time.
func TestFaultsAreSorted(t *testing.T) {
	a := readArchive(t, "testdata/faults/misc_values.txt")
	a.unpack(t)
	for range 20 {
		if _, faults := Load("cattle.yaml", Options{}); faults.Error()+"\n" != a.files["want"] {
			t.Fatalf("got\n%v", faults)
		}
	}
}
