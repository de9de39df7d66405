// Package manual is what a command line says of itself: one description of its
// commands, and its three readers, the help, the man page and the completion.
package manual

import (
	"slices"
	"strings"
)

// A Topic is a command, or the program as a whole.
type Topic struct {
	Name  string // as it is typed: "cattle secrets set"
	Usage string // one line
	// Args are its arguments as usage lines write them: SERVICE COMMAND...,
	// [VERSION], [bash|zsh|fish]. Words in capitals say what stands there, others
	// are what is typed.
	Args   string
	Text   string // paragraphs, and between them lines that are indented and stay as they are
	Flags  []Flag
	Topics []Topic
}

// A Flag is an option of a command.
type Flag struct {
	Names   []string // the long one first; without dashes
	Value   string   // what its value is called, "" for one without
	Usage   string
	Default string   // "" for none
	Env     string   // a variable that sets it
	Choices []string // all values that there are; nil: anything
}

// An Example is a command line to copy.
type Example struct{ Line, Says string }

// indent marks lines that are shown as they are.
const indent = "    "

// Examples are the indented lines of the text that are commands; what stands
// behind two spaces in one, or behind a #, says what it does.
func (t Topic) Examples() (out []Example) {
	program, _, _ := strings.Cut(t.Name, " ")
	for line := range strings.Lines(t.Text) {
		if command, ok := strings.CutPrefix(line, indent); ok && strings.HasPrefix(command, program) {
			command, says, _ := strings.Cut(strings.TrimSpace(command), "  ")
			out = append(out, Example{command, strings.TrimLeft(says, " #")})
		}
	}
	return out
}

// paragraphs are the text without its examples; those that begin with a space
// stay as they are.
func (t Topic) paragraphs() (out []string) {
	program, _, _ := strings.Cut(t.Name, " ")
	var rest strings.Builder
	for line := range strings.Lines(t.Text) {
		if !strings.HasPrefix(line, indent+program) {
			rest.WriteString(line)
		}
	}
	for p := range strings.SplitSeq(rest.String(), "\n\n") {
		if p = strings.Trim(p, "\n"); p != "" {
			out = append(out, p)
		}
	}
	return out
}

// Synopsis is the usage line.
func (t Topic) Synopsis() string {
	parts := []string{t.Name}
	if len(t.Flags) > 0 {
		parts = append(parts, "[OPTIONS]")
	}
	if t.Args != "" {
		parts = append(parts, t.Args)
	} else if len(t.Topics) > 0 {
		parts = append(parts, "[COMMAND]")
	}
	return strings.Join(parts, " ")
}

// Find is the topic of a command; false, with the last one that there is, when
// there is none.
func (t Topic) Find(words ...string) (Topic, bool) {
	for _, word := range words {
		i := slices.IndexFunc(t.Topics, func(s Topic) bool { return s.Word() == word })
		if i < 0 {
			return t, false
		}
		t = t.Topics[i]
	}
	return t, true
}

// Word is the last one of the name.
func (t Topic) Word() string { return t.Name[strings.LastIndexByte(t.Name, ' ')+1:] }

// Spelled is the flag with its dashes, short before long: "-f, --file FILE".
func (f Flag) Spelled() string {
	var parts []string
	for _, name := range slices.Backward(f.Names) {
		parts = append(parts, dashed(name))
	}
	s := strings.Join(parts, ", ")
	if f.Value != "" {
		s += " " + f.Value
	}
	return s
}

func dashed(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}

// says is the flag's usage with where its value comes from if it is not given.
func (f Flag) says() string {
	var from []string
	if f.Env != "" {
		from = append(from, "$"+f.Env)
	}
	if f.Default != "" {
		from = append(from, "default: "+f.Default)
	}
	if len(from) == 0 {
		return f.Usage
	}
	return f.Usage + " (" + strings.Join(from, ", ") + ")"
}
