// Package page makes one HTML page of a release, for people who would rather
// look than read. The page is whole in itself: it loads nothing, runs nothing,
// and has nothing in it that the command did not print or measure.
package page

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"slices"
	"sync"
	"time"

	"cattle/droplets/release"
)

// A Record is what is known of a command while it runs. It may be used from
// several goroutines; a nil one keeps nothing.
type Record struct {
	verb, version string // of the command, and of cattle
	began         time.Time

	mu      sync.Mutex
	plan    *release.Plan // nil: it never came to one
	differs []Difference
	notices []string
	events  []release.Event
	report  *release.Report
}

// NewRecord begins the record of a verb, told by that version of cattle.
func NewRecord(verb, version string) *Record {
	return &Record{verb: verb, version: version, began: time.Now()}
}

// A Difference is one thing of which the new droplet is made otherwise than the
// live one, as the plan says it.
type Difference struct{ What, Text string }

// Planned adds what the command is about to do.
func (r *Record) Planned(p *release.Plan, differs []Difference, notices []string) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.plan, r.differs, r.notices = p, slices.Clone(differs), slices.Clone(notices)
}

// Happened adds an event.
func (r *Record) Happened(e release.Event) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
}

// Came adds what the plan came to, whether it serves or not.
func (r *Record) Came(to *release.Report) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report = to
}

// An Outcome is how the command ended.
type Outcome struct {
	Status   int    // the exit status
	Serving  string // the release that serves after a refusal; "" where none does, or none is known
	Failures []Failure
}

// A Failure is one thing that went wrong, and what to type next.
type Failure struct{ Msg, Hint, Tail string }

//go:embed templates/page.html
var pageHTML string

//go:embed templates/page.css
var pageCSS string

// Write writes the page. What clouds, droplets and registries said is in it as
// text, whatever it looks like.
func (r *Record) Write(w io.Writer, o Outcome) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	t, err := template.New("page").Funcs(template.FuncMap{"show": show}).Parse(pageHTML)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := t.Execute(&b, r.view(o)); err != nil {
		return fmt.Errorf("the page: %w", err)
	}
	_, err = b.WriteTo(w)
	return err
}
