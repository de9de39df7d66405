package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"cattle/droplets"
	"cattle/droplets/sandbox"
)

// TestPrintableWriter cuts text wherever it can be cut: a writer that is given
// the halves of a character shows the character, and never an escape.
func TestPrintableWriter(t *testing.T) {
	for _, text := range []string{"plain ✓ text\n", sandbox.Babble, "\xe2\x9c", "\xff\x9b2J", "𝄞\u202e𝄞\u009b"} {
		want := droplets.Printable(text)
		for i := range len(text) + 1 {
			var out bytes.Buffer
			w := &printable{w: &out}
			for _, part := range []string{text[:i], text[i:]} {
				if n, err := w.Write([]byte(part)); n != len(part) || err != nil {
					t.Fatal(n, err)
				}
			}
			// The beginning of a character that never ends is not shown.
			if got := out.String(); got != want && !strings.HasPrefix(want, got) {
				t.Errorf("%q, cut at %d: %q, want %q", text, i, got, want)
			}
			obeyed(t, "the writer", out.String())
		}
	}
}

// TestJSONIsPrintable: what stands for a value in JSON is its own text, and
// reads back as what it was.
func TestJSONIsPrintable(t *testing.T) {
	var out bytes.Buffer
	want := strings.ToValidUTF8(sandbox.Babble, "\uFFFD") + "\u200b\U000e0001"
	if err := writeJSON(&printable{w: &out}, want); err != nil {
		t.Fatal(err)
	}
	var got string
	if err := json.Unmarshal(out.Bytes(), &got); err != nil || got != want {
		t.Errorf("%s reads back as %q, %v", out.String(), got, err)
	}
	obeyed(t, "--json", out.String())
}
