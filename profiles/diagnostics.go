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
	// Code names the kind of fault, for `cattle explain`.
	Code string `json:"code"`
	// File is written as the user wrote it, or "starter NAME".
	File string `json:"file"`
	// Line and Column count from 1; columns count characters, not bytes. Both
	// are 0, and not in the JSON, where nothing of the file could be read.
	Line    int    `json:"line,omitempty"`
	Column  int    `json:"column,omitempty"`
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
	return printable(fmt.Sprintf("%s: %s: %s", d.place(), d.Severity, d.Message))
}

func (d Diagnostic) place() string {
	if d.Line == 0 {
		return d.File
	}
	return fmt.Sprintf("%s:%d:%d", d.File, d.Line, d.Column)
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

// maxPrinted is how many faults are printed: nobody reads more, and the first
// ones are often the cause of the others.
const maxPrinted = 50

// Print writes each fault with its source line, a caret and the hint; of more
// than 50 it counts the rest. Colour is ANSI; whether the reader can see it is
// the caller's knowledge.
func (ds Diagnostics) Print(w io.Writer, colour bool) error {
	shown := ds[:min(len(ds), maxPrinted)]
	for _, d := range shown {
		if _, err := io.WriteString(w, d.text(paint{colour})); err != nil {
			return err
		}
	}
	if rest := ds[len(shown):]; len(rest) > 0 {
		_, err := io.WriteString(w, rest.counted())
		return err
	}
	return nil
}

// counted is the closing line for faults that are not printed.
func (ds Diagnostics) counted() string {
	errors := 0
	for _, d := range ds {
		if d.Severity == SeverityError {
			errors++
		}
	}
	return fmt.Sprintf("and %d more (errors: %d)\n", len(ds), errors)
}

func (d Diagnostic) text(p paint) string {
	var b strings.Builder
	message := printable(d.Message)
	if d.Code != "" {
		message += " [" + d.Code + "]"
	}
	fmt.Fprintf(&b, "%s %s %s\n",
		p.bold(printable(d.place()+":")),
		p.severity(d.Severity), message)
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

func (r *report) add(s Severity, code string, at pos, hint, format string, args ...any) {
	d := Diagnostic{
		Severity: s, Code: code, Line: max(at.line, 1), Column: max(at.col, 1),
		Message: fmt.Sprintf(format, args...), Hint: hint,
	}
	if at.src != nil {
		d.File, d.order = at.src.name, at.src.order
		d.Source, d.caret = at.src.show(d.Line, d.Column)
	}
	r.list = append(r.list, d)
}

// whole reports a fault of a file that nothing could be read of.
func (r *report) whole(code, file, hint, format string, args ...any) {
	r.list = append(r.list, Diagnostic{Severity: SeverityError, Code: code, File: file, Message: fmt.Sprintf(format, args...), Hint: hint})
}

func (r *report) errorf(code string, at pos, hint, format string, args ...any) {
	r.add(SeverityError, code, at, hint, format, args...)
}

func (r *report) warnf(code string, at pos, hint, format string, args ...any) {
	r.add(SeverityWarning, code, at, hint, format, args...)
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
