package manual_test

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"cattle/cmd/cattle/manual"
)

func herd() manual.Topic {
	file := manual.Flag{Names: []string{"file", "f"}, Value: "FILE", Usage: "read this FILE", Default: "herd.yaml", Env: "HERD"}
	return manual.Topic{Name: "herd", Usage: "keep cattle", Topics: []manual.Topic{
		{Name: "herd move", Usage: "drive them on", Args: "[PLACE] [COW|all...]", Flags: []manual.Flag{file, {Names: []string{"fast"}, Usage: "run"},
			{Names: []string{"gait"}, Value: "GAIT", Usage: "how", Choices: []string{"walk", "trot"}}},
			Text: "Where they are, they eat.\n'Quoted' and .dotted lines, and a back\\slash.\n\n    herd move\n    herd move -f x.yaml hill  # all of them\n"},
		{Name: "herd barn", Usage: "their house", Topics: []manual.Topic{{Name: "herd barn clean", Usage: "clean it"}, {Name: "herd barn close", Usage: "close it"}}},
	}}
}

// TestHelp: examples come first, and nothing is wider than a terminal.
func TestHelp(t *testing.T) {
	move, _ := herd().Find("move")
	move.Usage = strings.Repeat("on and on ", 20)
	got := manual.Help(move)
	order := []string{"herd move: on and on", "    herd move -f x.yaml hill  all of them\n", "\nUsage: herd move [OPTIONS] [PLACE] [COW|all...]\n",
		"\nWhere they are, they eat. 'Quoted' and .dotted lines, and a back\\slash.\n", "\nOptions:\n", "-f, --file FILE  read this FILE ($HERD, default: herd.yaml)\n"}
	for at, i := 0, 0; i < len(order); i++ {
		found := strings.Index(got[at:], order[i])
		if found < 0 {
			t.Fatalf("%q is not there, or too early:\n%s", order[i], got)
		}
		at += found + len(order[i])
	}
	for line := range strings.Lines(got) {
		if utf8.RuneCountInString(strings.TrimRight(line, "\n")) > 80 {
			t.Errorf("wider than 80 columns: %s", line)
		}
	}
}

// TestComplete has what is typed, what may stand there, and the kind of what
// only somebody else knows.
func TestComplete(t *testing.T) {
	for _, c := range []struct{ typed, words, kind string }{
		{"", "move barn", ""},
		{"m", "move", ""},
		{"x", "", ""},
		{"move -", "--file --fast --gait", ""},
		{"move --fast -", "--file --gait", ""},
		{"move --file", "--file", ""},
		{"move --file ", "", "FILE"},
		{"move -f ", "", "FILE"},
		{"move --file=", "", "FILE"},
		{"move --gait ", "walk trot", ""},
		{"move --gait=t", "--gait=trot", ""},
		{"move --gait = t", "trot", ""}, // as bash takes it apart
		{"move --gait =", "walk trot", ""},
		{"move --gait walk ", "", "PLACE"},
		{"move --gait=walk ", "", "PLACE"},
		{"move --gait = walk ", "", "PLACE"},
		{"move ", "", "PLACE"},
		{"move hill ", "all", "COW"},
		{"move hill a", "all", "COW"},
		{"move hill bessy ", "all", "COW"},
		{"move hill -", "", "COW"}, // flags come before arguments
		{"move -- ", "", "PLACE"},
		{"barn ", "clean close", ""},
		{"barn cl", "clean close", ""},
		{"barn clean ", "", ""},
		{"nowhere ", "", ""},
		{"--nonsense ", "move barn", ""},
	} {
		words := strings.Fields(c.typed)
		if strings.HasSuffix(c.typed, " ") || c.typed == "" {
			words = append(words, "")
		}
		wish := manual.Complete(herd(), words)
		var got []string
		for _, w := range wish.Narrow() {
			got = append(got, w.Word)
		}
		if !slices.Equal(got, strings.Fields(c.words)) || wish.Kind != c.kind {
			t.Errorf("%q: %v and %q, not %v and %q", c.typed, got, wish.Kind, strings.Fields(c.words), c.kind)
		}
	}
	wish := manual.Complete(herd(), []string{"move", "-f", "x.yaml", "--gait", "trot", "hill", "b"})
	if wish.Given["file"] != "x.yaml" || wish.Given["gait"] != "trot" || !slices.Equal(wish.Words, []string{"hill"}) || wish.Command.Name != "herd move" {
		t.Errorf("what was given is read as %+v", wish)
	}
	if got := fmt.Sprint(wish.Narrow(manual.Candidate{Word: "bessy", Says: "brown"}, manual.Candidate{Word: "anna"}, manual.Candidate{Word: "bessy"})); got != "[{bessy brown}]" {
		t.Errorf("narrowed to %s", got)
	}
}

func FuzzComplete(f *testing.F) {
	f.Add("move\x00--gait\x00=\x00t")
	f.Add("=\x00=")
	f.Fuzz(func(t *testing.T, words string) {
		wish := manual.Complete(herd(), strings.Split(words, "\x00"))
		for _, c := range wish.Narrow(manual.Candidate{Word: "x"}) {
			if !strings.HasPrefix(c.Word, wish.Prefix+wish.Typed) {
				t.Errorf("%q offers %q", words, c.Word)
			}
		}
	})
}

// TestPage: the readers of man pages find nothing to complain of, and what is
// typed is in the page as it is typed.
func TestPage(t *testing.T) {
	page := manual.Page{Root: herd(), Version: "v1.2.0", Date: "2026-11-22",
		Sections: []manual.Section{{Title: "FILES", Entries: [][2]string{{".herd", "'Their' names."}}}}}.String()
	for _, reader := range [][]string{{"mandoc", "-Tlint", "-Wwarning"}, {"groff", "-man", "-Tutf8", "-ww", "-z"}} {
		t.Run(reader[0], func(t *testing.T) {
			if _, err := exec.LookPath(reader[0]); err != nil {
				t.Skip(err)
			}
			cmd := exec.Command(reader[0], reader[1:]...)
			cmd.Stdin = strings.NewReader(page)
			if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
				t.Errorf("%v: %s\n%s", err, out, page)
			}
		})
	}
	for _, want := range []string{`herd move \-f x.yaml hill  all of them`, `\fB\-f, \-\-file FILE\fR`, `back\eslash`, `\fB\&.herd\fR`, "\n\\&'Their' names."} {
		if !strings.Contains(page, want) {
			t.Errorf("%q is not in the page:\n%s", want, page)
		}
	}
}
