package page

import (
	"fmt"
	"html/template"
	"slices"
	"strconv"
	"time"

	"cattle/droplets"
	"cattle/droplets/release"
)

// A view is the page's content, in the order of the page.
type view struct {
	CSS      template.CSS
	Title    string
	Verdict  verdict
	Facts    []fact
	Failures []Failure
	Timeline *timeline // nil: no step began
	Visits   *visits   // nil: nobody was asked through the switch
	Watch    *watch
	Undone   bool // what follows was to be, and is not
	Changes  []release.Change
	Differs  []Difference
	Costs    []fact
	Notices  []string
	Version  string
	Made     string // when, in UTC
}

// A verdict is the page in a line. Its kind is good, warn or bad.
type verdict struct{ Kind, Mark, Text, More string }

type fact struct{ Name, Value string }

func (r *Record) view(o Outcome) view {
	v := view{CSS: template.CSS(pageCSS), Verdict: r.verdict(o), Failures: o.Failures, Notices: r.told(),
		Version: r.version, Made: time.Now().UTC().Format("2006-01-02 15:04:05 UTC")}
	v.Title = r.app() + ": " + v.Verdict.Text
	v.Facts = r.facts(o)
	v.Timeline = r.timeline()
	v.Visits = r.visits()
	if v.Visits != nil && v.Timeline != nil && len(v.Timeline.Undo) > 0 {
		v.Visits.Summary += " Nobody was asked any more while it was taken back."
	}
	v.Undone = v.Verdict.Kind == "bad"
	if r.report != nil && r.report.Watch != nil {
		v.Watch = watchOf(r.report.Watch)
	}
	if r.plan != nil {
		v.Changes, v.Costs = r.plan.Changes, costs(r.plan.Cost)
		v.Differs = r.differs
	}
	if r.report != nil && r.report.Updates != nil {
		v.Changes = append(slices.Clone(v.Changes), updated(r.report.Updates)...)
	}
	return v
}

// updated is what came with the packages and images of a rebuild.
func updated(u *droplets.Updates) (out []release.Change) {
	if u.Kernel != nil {
		out = append(out, release.Change{What: "kernel", From: u.Kernel.From, To: u.Kernel.To})
	}
	for _, i := range u.Images {
		out = append(out, release.Change{What: "image " + i.Name, From: i.From, To: i.To})
	}
	for _, p := range u.Packages {
		out = append(out, release.Change{What: p.Name, From: p.From, To: p.To})
	}
	if u.More > 0 {
		out = append(out, release.Change{What: fmt.Sprintf("%d more packages", u.More), From: "not listed", To: "not listed"})
	}
	return out
}

// show makes text safe to look at: html/template keeps it from being markup,
// this from turning the direction of what stands beside it.
func show(s string) string { return droplets.Printable(s) }

func (r *Record) app() string {
	if r.plan == nil {
		return "cattle " + r.verb
	}
	return r.plan.Site.App
}

func (r *Record) release() string {
	if r.plan == nil {
		return ""
	}
	return r.plan.Release
}

// The exit statuses of a command, as the README lists them.
const (
	done        = 0
	input       = 2
	notReleased = 3
	leftover    = 4
	interrupted = 130
)

func (r *Record) verdict(o Outcome) verdict {
	stays := "Nothing serves, as before."
	if o.Serving != "" {
		stays = o.Serving + " still serves."
	}
	switch {
	case o.Status == done && r.report == nil:
		return verdict{"good", "✓", "there was nothing to do", "What is live serves, and was asked."}
	case o.Status == done:
		return verdict{"good", "✓", r.release() + " serves", "It was seen to answer through the reserved IP."}
	case o.Status == leftover:
		return verdict{"warn", "!", r.release() + " serves, and something needs you", "It is below, with what to type."}
	case o.Status == notReleased:
		return verdict{"bad", "✗", r.subject("was not released", "not released"), stays}
	case o.Status == interrupted:
		return verdict{"bad", "✗", r.subject("was interrupted", "interrupted"), stays}
	case o.Status == input:
		return verdict{"bad", "✗", "nothing was done", "The command or the profile is at fault."}
	}
	return verdict{"bad", "✗", r.subject("failed", "failed"), "What serves now: type cattle status."}
}

// subject says something of the release; without a plan there is none yet.
func (r *Record) subject(does, alone string) string {
	if r.plan == nil {
		return alone
	}
	return r.plan.Release + " " + does
}

func (r *Record) facts(o Outcome) (out []fact) {
	add := func(name, value string) {
		if value != "" {
			out = append(out, fact{name, value})
		}
	}
	add("Begun", r.began.UTC().Format("2006-01-02 15:04:05 UTC"))
	rep := r.report
	if rep == nil {
		return out
	}
	add("Took", seconds(rep.Took))
	add("Reserved IP", rep.IP)
	if rep.Droplet != 0 && (o.Status == done || o.Status == leftover) {
		add("Droplet", fmt.Sprintf("%d at %s", rep.Droplet, rep.Address))
	}
	for _, f := range dataFacts(rep.Data) {
		add(f.Name, f.Value)
	}
	if rep.Snapshot != nil {
		add("Began from", fmt.Sprintf("snapshot %s of %s", rep.Snapshot.Name, rep.Snapshot.Ago))
	}
	if rep.Standby != nil {
		add("Standby", rep.Standby.Release+": cattle rollback goes back to it")
	}
	if rep.NewIP {
		add("New", "the reserved IP: point the domain at it, and write it down in the profile")
	}
	return out
}

// told are the notices, of the plan and of its run, each once.
func (r *Record) told() []string {
	out := r.notices
	for _, e := range r.events {
		if e.Kind == release.KindNotice {
			out = append(out, e.Text)
		}
	}
	return out
}

func costs(c release.Cost) []fact {
	out := []fact{{"Before, a month", dollars(c.Before)}, {"Afterwards, a month", dollars(c.Monthly)}}
	if c.Overlap > 0 {
		out = append(out, fact{"Both at once, an hour", fmt.Sprintf("$%.4f more", c.Overlap)})
	}
	return out
}

func dollars(d float64) string { return fmt.Sprintf("$%.2f", d) }

// A watch is what visitors got before and after, as the droplets counted them.
type watch struct {
	Took string
	Rows []watched
}

type watched struct {
	When             string
	Requests, Errors int
	Share            string
}

func watchOf(w *release.WatchReport) *watch {
	out := &watch{Took: seconds(w.Took)}
	if b := w.Before; b != nil {
		out.Rows = append(out.Rows, watched{"Before the switch", b.Requests, b.Errors, share(b.Errors, b.Requests)})
	}
	out.Rows = append(out.Rows, watched{"Since", w.Requests, w.Errors, share(w.Errors, w.Requests)})
	return out
}

func share(part, of int) string {
	if of == 0 {
		return "–"
	}
	return strconv.FormatFloat(100*float64(part)/float64(of), 'f', 2, 64) + " %"
}

// seconds is a duration for people.
func seconds(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return d.Round(time.Second).String()
}
