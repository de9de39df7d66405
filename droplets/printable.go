package droplets

import (
	"strings"
	"unicode"
)

// Printable makes text from the cloud or a droplet safe to show: terminal
// escapes and other control characters become visible, newlines and tabs stay.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || unicode.IsPrint(r) {
			return r
		}
		return '\uFFFD'
	}, s)
}

// maxLine is the longest text that Line leaves whole, in characters: some lines
// of a terminal. A name has 255 at most.
const maxLine = 1000

var oneLine = strings.NewReplacer("\r", " ", "\n", " ", "\t", " ")

// Line is Printable for what belongs on one line, a name or a message: a line
// break in it is no line break, so that nothing passes for a line of ours, and
// what follows after 1000 characters is cut off.
func Line(s string) string {
	if isPlain(s) { // nearly all of what an API says
		return s
	}
	s = oneLine.Replace(s)
	n := 0
	for i := range s {
		if n++; n > maxLine {
			s = s[:i] + "…"
			break
		}
	}
	return Printable(s)
}

func isPlain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return len(s) <= maxLine
}

// tail is a Writer that keeps the last max bytes.
type tail struct {
	max int
	buf []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.buf = append(t.buf, p...)
	if over := len(t.buf) - t.max; over > 0 {
		t.buf = append(t.buf[:0], t.buf[over:]...)
	}
	return len(p), nil
}

func (t *tail) String() string { return string(t.buf) }
