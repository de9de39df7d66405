package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"cattle/droplets"
	"cattle/droplets/release"
)

// A printer shows what happens while it happens. Progress goes to standard
// error, results to standard output; with --json both are NDJSON on standard
// output, told apart by message_type.
type printer interface {
	event(release.Event)
	// close leaves the screen as a readable record.
	close()
}

func newPrinter(std stdio, plan *release.Plan, asJSON bool) printer {
	groups, ci := groupsOf(std)
	switch {
	case asJSON:
		return jsonPrinter{std.out}
	case ci:
		return &groupPrinter{plainPrinter: plainPrinter{std.err}, groups: groups, raw: std.raw.err}
	case std.errTTY && std.env("TERM") != "dumb" && std.env("CI") == "":
		return newLive(std, plan.Steps)
	}
	return plainPrinter{std.err}
}

// say writes text for people. Names and messages come from the cloud, from
// registries and from droplets: none may move the reader's cursor.
func say(w io.Writer, text string) error {
	_, err := io.WriteString(w, droplets.Printable(text))
	return err
}

var oneLine = strings.NewReplacer("\n", " ", "\t", " ")

// flat is text on one line, whoever wrote it: what begins a line is ours.
func flat(text string) string {
	return oneLine.Replace(droplets.Printable(text))
}

// jsonPrinter writes events as they are.
type jsonPrinter struct{ w io.Writer }

func (p jsonPrinter) event(e release.Event) { writeJSON(p.w, e) }
func (p jsonPrinter) close()                {}

// plainPrinter writes a line for what began or ended: for logs and pipes.
type plainPrinter struct{ w io.Writer }

func (p plainPrinter) event(e release.Event) {
	fmt.Fprintf(p.w, "%s %s\n", e.Time.UTC().Format(time.TimeOnly), line(e))
}

func (p plainPrinter) close() {}

// line says one event in words.
func line(e release.Event) string {
	name := flat(e.Step)
	if e.Kind == release.KindBoot {
		name = "boot: " + name
	}
	text := flat(e.Text)
	switch {
	case e.Kind == release.KindNotice:
		return "note: " + text
	case e.Kind == release.KindWatch, e.Kind == release.KindBuild, e.Kind == release.KindImages, e.Kind == release.KindData:
		return name + ": " + text
	case e.State == release.StateRunning && text == "":
		return name + " …"
	case e.State == release.StateRunning:
		return name + ": " + text
	case e.State == release.StateFailed && text != "":
		return fmt.Sprintf("%s failed after %s: %s", name, seconds(e.Elapsed), text)
	case e.State == release.StateFailed:
		return fmt.Sprintf("%s failed after %s", name, seconds(e.Elapsed))
	case e.State == release.StateSkipped && text != "":
		return name + " skipped: " + text
	case e.State == release.StateSkipped:
		return name + " skipped"
	}
	return fmt.Sprintf("%s done in %s", name, seconds(e.Elapsed))
}

// seconds rounds for people.
func seconds(d time.Duration) string {
	if d < time.Minute {
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return d.Round(time.Second).String()
}
