package droplets

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestQuote has a real shell take the line apart again.
func TestQuote(t *testing.T) {
	for _, words := range [][]string{
		{"a"}, {"a b"}, {""}, {"it's"}, {`"$HOME"`}, {"`id`"}, {"a\nb"}, {`back\slash`}, {"*"}, {"~"}, {"#"}, {"x=1", "!!"},
		{"sh", "-c", "echo 'a  b' | cat; exit 3"}, {"ü", "\t"}, {"'", "''"},
	} {
		out, err := exec.Command("sh", "-c", `printf '%s\0' `+Quote(words...)).Output()
		if err != nil {
			t.Fatal(words, err)
		}
		if got := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00"); !slices.Equal(got, words) {
			t.Errorf("%q arrives as %q", words, got)
		}
	}
}

func FuzzQuote(f *testing.F) {
	f.Add("it's", "$(id)")
	f.Fuzz(func(t *testing.T, a, b string) {
		if strings.ContainsRune(a+b, 0) {
			t.Skip("no argument has one")
		}
		out, err := exec.Command("sh", "-c", `printf '%s\0' `+Quote(a, b)).Output()
		if err != nil || string(out) != a+"\x00"+b+"\x00" {
			t.Errorf("%q, %q arrive as %q: %v", a, b, out, err)
		}
	})
}
