package profiles

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A source is one file that was read, kept to show its lines in faults.
type source struct {
	name  string
	text  []byte
	lines []string
	order int
}

func newSource(name string, text []byte) *source {
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	plain := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(string(text))
	return &source{name: name, text: text, lines: strings.Split(plain, "\n")}
}

// pos is a place in a source; line and col count from 1, col in characters.
type pos struct {
	src       *source
	line, col int
}

func (s *source) start() pos { return pos{s, 1, 1} }

func (s *source) line(n int) string {
	if n < 1 || n > len(s.lines) {
		return ""
	}
	return s.lines[n-1]
}

// maxShown is the longest line that is shown, in bytes. What has longer ones
// was not written by hand, and may have a fault in every column.
const maxShown = 2000

// show returns a line as it may be printed, and where col is in it.
func (s *source) show(line, col int) (string, int) {
	if len(s.line(line)) > maxShown {
		return "", 0
	}
	text := []rune(s.line(line))
	if len(strings.TrimSpace(string(text))) == 0 {
		return "", 0
	}
	at := min(col-1, len(text))
	text, at = blot(text, at)
	return printable(string(text)), at + 1
}

// A fault beside a password must not print the password. This looks at the
// text alone, because a file with a syntax error has nothing else to look at.
var looksSecret = regexp.MustCompile(
	`(?i)[\w.-]*(?:passw|passphrase|secret|token|api_?key|private_?key|auth)[\w.-]*["']?\s*[:=]\s*`)

// namesSecrets is the name of a secrets file, which the key `secrets` invites.
var namesSecrets = regexp.MustCompile(`^["']?[\w./-]+\.(?:env|ya?ml|json)["']?\s*(?:[,}#]|$)`)

// blot replaces what follows a key that looks like a secret's, unless that is
// a ${NAME}, and moves the caret along.
func blot(text []rune, at int) ([]rune, int) {
	line := string(text)
	var out strings.Builder
	rest, caret := 0, at
	for _, span := range secretSpans(line) {
		out.WriteString(line[rest:span[0]] + "********")
		caret = shift(line, at, caret, span[0], span[1])
		rest = span[1]
	}
	out.WriteString(line[rest:])
	return []rune(out.String()), caret
}

// inAddress finds the password in an address: //user:password@host.
var inAddress = regexp.MustCompile(`//[^/\s:@]*:([^/\s@]+)@`)

// secretSpans are from where to where, in bytes, a line has what looks secret.
func secretSpans(line string) [][2]int {
	out := keyedSpans(line)
	for _, m := range inAddress.FindAllStringSubmatchIndex(line, -1) {
		inside := func(span [2]int) bool { return m[2] < span[1] && span[0] < m[3] }
		if !strings.HasPrefix(line[m[2]:], "${") && !slices.ContainsFunc(out, inside) {
			out = append(out, [2]int{m[2], m[3]})
		}
	}
	slices.SortFunc(out, func(a, b [2]int) int { return a[0] - b[0] })
	return out
}

// keyedSpans are those of values whose keys look like a secret's.
func keyedSpans(line string) [][2]int {
	var out [][2]int
	rest := 0
	for _, m := range looksSecret.FindAllStringIndex(line, -1) {
		if m[0] < rest {
			continue
		}
		if n := secretLength(line[m[1]:]); n > 0 {
			rest = m[1] + n
			out = append(out, [2]int{m[1], rest})
		}
	}
	return out
}

// shows says whether what is written at a place is shown with a fault there,
// and so may be repeated in its message.
func (p pos) shows() bool {
	if p.src == nil {
		return true
	}
	line := p.src.line(p.line)
	if len(line) > maxShown {
		return false
	}
	if !utf8.ValidString(line) {
		return false // columns are of the decoded text
	}
	runes := []rune(line)
	at := len(string(runes[:min(max(p.col-1, 0), len(runes))]))
	for _, span := range secretSpans(line) {
		if span[0] <= at && at < span[1] {
			return false
		}
	}
	// A block scalar is not on the line where it begins.
	return !strings.ContainsAny(line[at:min(at+1, len(line))], "|>") || !looksSecret.MatchString(line[:at])
}

// shift moves the caret when line[from:to] has become eight characters.
func shift(line string, at, caret, from, to int) int {
	first := utf8.RuneCountInString(line[:from])
	after := utf8.RuneCountInString(line[:to])
	switch {
	case at >= after:
		return caret - (after - first) + 8
	case at > first:
		return caret - (at - first)
	}
	return caret
}

// secretLength returns how many bytes of s are a plain value: 0 for ${NAME},
// for a block or flow collection, and where there is nothing.
func secretLength(s string) int {
	if namesSecrets.MatchString(s) {
		return 0
	}
	body := strings.TrimLeft(s, `"'`)
	if body == "" || strings.HasPrefix(body, "${") || strings.ContainsAny(s[:1], "{[|>&*#") {
		return 0
	}
	if quote := s[0]; quote == '"' || quote == '\'' {
		if end := strings.IndexByte(s[1:], quote); end >= 0 {
			return end + 2
		}
		return len(s)
	}
	if end := strings.IndexAny(s, ",}"); end > 0 {
		return end
	}
	return len(s)
}

// printable makes s safe for a terminal: a file under check may come from
// anyone, and must not move the cursor, change the title or reverse the text.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t' || r == '\n':
			return ' '
		case unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || unicode.In(r, unicode.Zl, unicode.Zp):
			return unicode.ReplacementChar
		}
		return r
	}, s)
}
