package profiles

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Severity says whether a profile with this fault can be used.
type Severity string

const (
	SeverityError   Severity = "error"   // the profile cannot be used
	SeverityWarning Severity = "warning" // it can, unless the user asked for --strict
)

// A Diagnostic is one fault of a profile or of a compose file that it names.
type Diagnostic struct {
	Severity Severity `json:"severity"`
	// File is written as the user wrote it, or "starter NAME".
	File string `json:"file"`
	// Line and Column count from 1; columns count characters, not bytes.
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"`
	// Source is the line that the fault is in, with control characters
	// replaced and what looks like a password blotted out.
	Source string `json:"source,omitempty"`

	caret int // column in Source
	order int // of the file: faults come in the order in which files were read
}

// String is the line without source and hint: file:line:col: severity: message.
func (d Diagnostic) String() string {
	return printable(fmt.Sprintf("%s:%d:%d: %s: %s", d.File, d.Line, d.Column, d.Severity, d.Message))
}

// Diagnostics are all faults that were found, in the order of files and lines.
type Diagnostics []Diagnostic

// HasErrors says whether one of them is an error.
func (ds Diagnostics) HasErrors() bool {
	return slices.ContainsFunc(ds, func(d Diagnostic) bool { return d.Severity == SeverityError })
}

// Error makes Diagnostics an error: the text of Print without colours.
func (ds Diagnostics) Error() string {
	var b strings.Builder
	_ = ds.Print(&b, false)
	return strings.TrimSuffix(b.String(), "\n")
}

// Err is nil when there is no error among them, and all of them otherwise.
func (ds Diagnostics) Err() error {
	if !ds.HasErrors() {
		return nil
	}
	return ds
}

// Print writes each fault with its source line, a caret and the hint.
// Colour is ANSI; whether the reader can see it is the caller's knowledge.
func (ds Diagnostics) Print(w io.Writer, colour bool) error {
	for _, d := range ds {
		if _, err := io.WriteString(w, d.text(paint{colour})); err != nil {
			return err
		}
	}
	return nil
}

func (d Diagnostic) text(p paint) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %s\n",
		p.bold(printable(fmt.Sprintf("%s:%d:%d:", d.File, d.Line, d.Column))),
		p.severity(d.Severity), printable(d.Message))
	if d.Source != "" {
		fmt.Fprintf(&b, "  %s\n  %s%s\n", d.Source, strings.Repeat(" ", max(d.caret-1, 0)), p.green("^"))
	}
	if d.Hint != "" {
		fmt.Fprintf(&b, "  %s %s\n", p.green("hint:"), printable(d.Hint))
	}
	return b.String()
}

// paint wraps text in ANSI colours, or leaves it alone.
type paint struct{ on bool }

func (p paint) wrap(code, s string) string {
	if !p.on {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

func (p paint) bold(s string) string  { return p.wrap("1", s) }
func (p paint) green(s string) string { return p.wrap("32", s) }

func (p paint) severity(s Severity) string {
	if s == SeverityWarning {
		return p.wrap("33", "warning:")
	}
	return p.wrap("31", "error:")
}

// report collects faults.
type report struct{ list Diagnostics }

func (r *report) add(s Severity, at pos, hint, format string, args ...any) {
	d := Diagnostic{
		Severity: s, Line: max(at.line, 1), Column: max(at.col, 1),
		Message: fmt.Sprintf(format, args...), Hint: hint,
	}
	if at.src != nil {
		d.File, d.order = at.src.name, at.src.order
		d.Source, d.caret = at.src.show(d.Line, d.Column)
	}
	r.list = append(r.list, d)
}

func (r *report) errorf(at pos, hint, format string, args ...any) {
	r.add(SeverityError, at, hint, format, args...)
}

func (r *report) warnf(at pos, hint, format string, args ...any) {
	r.add(SeverityWarning, at, hint, format, args...)
}

// sorted returns the faults in reading order, each once: an alias or a file
// that is read for two releases would tell the same fault twice.
func (r *report) sorted() Diagnostics {
	slices.SortStableFunc(r.list, func(a, b Diagnostic) int {
		return cmp.Or(cmp.Compare(a.order, b.order), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column),
			cmp.Compare(a.Message, b.Message))
	})
	return slices.Compact(r.list)
}
