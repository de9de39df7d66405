package terminal_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"cattle/cmd/cattle/terminal"
)

func TestWidth(t *testing.T) {
	for text, want := range map[string]int{
		"": 0, "abc": 3, "⠋ ✓ –": 5, "日本語": 6, "ｱｲ": 2, "e\u0301": 1, "🚀": 2, "한글": 4, "a\u0300\u0301\u0302": 1, "…": 1,
	} {
		if got := terminal.Width(text); got != want {
			t.Errorf("%q takes %d columns, want %d", text, got, want)
		}
	}
}

func TestCut(t *testing.T) {
	for _, tt := range []struct {
		text    string
		columns int
		want    string
	}{
		{"short", 5, "short"}, {"longer", 5, "long…"}, {"日本語", 5, "日本…"}, {"日本語", 4, "日…"},
		{"e\u0301e\u0301e\u0301", 2, "e\u0301…"}, {"a🚀b", 3, "a…"}, {"x", 0, ""}, {"", 0, ""}, {"xy", 1, "…"}, {"x", -1, ""},
	} {
		if got := terminal.Cut(tt.text, tt.columns); got != tt.want {
			t.Errorf("%q cut to %d columns is %q, want %q", tt.text, tt.columns, got, tt.want)
		}
	}
}

// FuzzCut: what is cut fits, is text, and is a beginning of what was there.
func FuzzCut(f *testing.F) {
	f.Add("日本\u0301e\u0301🚀x", 4)
	f.Fuzz(func(t *testing.T, text string, columns int) {
		if !utf8.ValidString(text) || columns < 0 {
			t.Skip()
		}
		got := terminal.Cut(text, columns)
		if terminal.Width(got) > columns || !utf8.ValidString(got) || !strings.HasPrefix(text, strings.TrimSuffix(got, "…")) {
			t.Errorf("%q cut to %d columns is %q", text, columns, got)
		}
	})
}

func TestFold(t *testing.T) {
	got := terminal.Fold("one two 日本語 four", 8, 2)
	if want := "one two\n  日本語\n  four"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := terminal.Fold("all on  one line", 0, 2); got != "all on one line" {
		t.Errorf("got %q", got)
	}
}
