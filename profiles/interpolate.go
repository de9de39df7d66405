package profiles

import (
	"regexp"
	"strings"
)

// Interpolated text is written for a second reader, the droplet's docker
// compose: a literal $ is $$ in it, and a secret is ${NAME}.

// known says what a name is.
type known uint8

const (
	unknownName known = iota
	valueName         // its text is interpolated text
	secretName        // it stays ${NAME}
)

// A lookup knows names.
type lookup func(name string) (text string, is known)

// A complaint is one reference that cannot be resolved. Ref is as written,
// up to the end of the name, so that it can be found in the source again.
type complaint struct {
	ref, name, message string
}

// An expander interpolates and collects complaints.
type expander struct {
	lookup     lookup
	complaints []complaint
}

var (
	bracedName = regexp.MustCompile(`(?s)^([A-Za-z_][A-Za-z0-9_]*)(?:(:?[-+?])(.*))?$`)
	plainName  = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*`)
	secretRef  = regexp.MustCompile(`^\$\{([A-Za-z_][A-Za-z0-9_]*)\}$`)
)

// composeText interpolates as compose does: $$, $NAME, ${NAME}, ${NAME:-x},
// ${NAME-x}, ${NAME:+x}, ${NAME+x}, ${NAME:?x}, ${NAME?x}, nested in x.
func (e *expander) composeText(s string) string {
	var out strings.Builder
	for s != "" {
		i := strings.IndexByte(s, '$')
		if i < 0 {
			break
		}
		out.WriteString(s[:i])
		text, rest := e.dollar(s[i:])
		out.WriteString(text)
		s = rest
	}
	return out.String() + s
}

// dollar interpolates what begins with $ and returns what follows it.
func (e *expander) dollar(s string) (text, rest string) {
	switch {
	case strings.HasPrefix(s, "$$"):
		return "$$", s[2:]
	case strings.HasPrefix(s, "${"):
		return e.brace(s)
	}
	if name := plainName.FindString(s[1:]); name != "" {
		return e.reference("$"+name, name, "", ""), s[1+len(name):]
	}
	return "$$", s[1:] // compose leaves $5 and $( alone: so it is a literal
}

// envText interpolates a value of the profile's env: only ${…} is a
// reference, so that a $ in a hash needs no care; $${ is a literal ${.
func (e *expander) envText(s string) string {
	var out strings.Builder
	for s != "" {
		i := strings.IndexByte(s, '$')
		if i < 0 {
			break
		}
		out.WriteString(s[:i])
		s = s[i:]
		text, n := "$$", 1
		switch {
		case strings.HasPrefix(s, "$${"):
			n = 2
		case strings.HasPrefix(s, "${"):
			var rest string
			text, rest = e.brace(s)
			n = len(s) - len(rest)
		}
		out.WriteString(text)
		s = s[n:]
	}
	return out.String() + s
}

// brace interpolates s, which begins with ${.
func (e *expander) brace(s string) (text, rest string) {
	end := closing(s)
	if end < 0 {
		e.complain("${", "", "${ is never closed: write $$ for a literal $")
		return "", ""
	}
	m := bracedName.FindStringSubmatch(s[2:end])
	if m == nil {
		e.complain(s[:end+1], "", s[:end+1]+" is not a reference: write $$ for a literal $")
		return "", s[end+1:]
	}
	return e.reference("${"+m[1], m[1], m[2], m[3]), s[end+1:]
}

// closing finds the } of the ${ that s begins with, as compose does: every
// brace counts.
func closing(s string) int {
	depth := 0
	for i := range len(s) {
		switch s[i] {
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}

func (e *expander) reference(ref, name, op, arg string) string {
	text, is := e.lookup(name)
	if is == secretName {
		if op == "" {
			return "${" + name + "}"
		}
		return "${" + name + op + e.composeText(arg) + "}"
	}
	present := is == valueName && (text != "" || !strings.HasPrefix(op, ":"))
	switch {
	case strings.HasSuffix(op, "+"):
		if present {
			return e.composeText(arg)
		}
		return ""
	case present:
		return text
	case strings.HasSuffix(op, "-"):
		return e.composeText(arg)
	}
	e.missing(ref, name, op, arg)
	return ""
}

func (e *expander) missing(ref, name, op, arg string) {
	message := quote(name) + " is not known"
	if op == ":?" {
		message = quote(name) + " is not known or empty"
	}
	if arg != "" {
		message += ": " + arg
	}
	e.complain(ref, name, message)
}

func (e *expander) complain(ref, name, message string) {
	e.complaints = append(e.complaints, complaint{ref, name, message})
}

// escape makes literal text interpolated text.
func escape(s string) string { return strings.ReplaceAll(s, "$", "$$") }

// locate finds a reference in the lines of a source, from a place on. Where
// it is not found (an escape inside quotes), the place itself is returned.
func locate(at pos, ref string) pos {
	if at.src == nil {
		return at
	}
	skip := at.col - 1
	for n := at.line; n <= len(at.src.lines) && n < at.line+200; n++ {
		line := []rune(at.src.line(n))
		tail := string(line[min(skip, len(line)):])
		if i := strings.Index(tail, ref); i >= 0 {
			return pos{at.src, n, min(skip, len(line)) + len([]rune(tail[:i])) + 1}
		}
		skip = 0
	}
	return at
}
