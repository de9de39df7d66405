package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"cattle/droplets/measure"
	"cattle/droplets/release"
	"cattle/profiles"
	"cattle/secrets"
)

// The exit statuses; the README lists them.
const (
	exitDone        = 0   // done and verified
	exitFailed      = 1   // failed
	exitInput       = 2   // bad input or profile; nothing was created
	exitNotReleased = 3   // not released, the old one serves
	exitLeftover    = 4   // it serves, and something needs the operator
	exitInterrupted = 130 // interrupted
)

// A usageError is a command line that makes no sense.
type usageError struct{ msg, hint string }

func (e *usageError) Error() string { return e.msg }

// A failure is one line of the report: what is wrong and what to type next.
// Code is its section of docs/errors.md, which `cattle explain` prints.
type failure struct {
	Code string `json:"code,omitempty"`
	Msg  string `json:"error"`
	Hint string `json:"hint,omitempty"`
	Tail string `json:"tail,omitempty"`
}

// report prints what went wrong and returns the exit status. It is the one
// place that maps an error to a status.
func report(ctx context.Context, err error, std stdio, asJSON bool) int {
	if err == nil {
		return exitDone
	}
	var remote *remoteExit
	if errors.As(err, &remote) {
		return remote.status
	}
	code, failures := endOf(ctx, err)
	var faults profiles.Diagnostics
	if errors.As(err, &faults) {
		printFaults(std, faults, asJSON)
	}
	return tell(std, code, failures, asJSON)
}

// tell says how it ended, and returns the exit status.
func tell(std stdio, code int, failures []failure, asJSON bool) int {
	if asJSON {
		writeJSON(std.out, map[string]any{"message_type": "error", "exit_status": code, "failures": failures})
		return code
	}
	printFailures(std.err, failures)
	annotate(std, code, failures)
	return code
}

// endOf is the exit status of a command that ended with err, and what to
// say of it.
func endOf(ctx context.Context, err error) (int, []failure) {
	if err == nil {
		return exitDone, nil
	}
	code, failures := diagnose(err)
	// A release that was interrupted after its confirm serves all the same.
	if errors.Is(context.Cause(ctx), errInterrupted) && code != exitLeftover {
		code = exitInterrupted
		failures[0].Code = "interrupted"
	}
	return code, failures
}

// printFailures prints them, and once for those of one code where it is explained.
func printFailures(w io.Writer, failures []failure) {
	for i, f := range failures {
		f.print(w)
		if last := i == len(failures)-1; f.Code != "" && (last || failures[i+1].Code != f.Code) {
			fmt.Fprintf(w, "cattle: see: cattle explain %s\n", f.Code)
		}
	}
}

func (f failure) print(w io.Writer) {
	for line := range strings.Lines(f.Tail) {
		fmt.Fprintf(w, "    | %s\n", strings.TrimRight(line, "\n"))
	}
	// What follows a line break is indented: it may be somebody else's words.
	indented := strings.NewReplacer("\n", "\n    ")
	if f.Msg != "" {
		fmt.Fprintf(w, "cattle: error: %s\n", indented.Replace(f.Msg))
	}
	if f.Hint != "" {
		fmt.Fprintf(w, "cattle: hint: %s\n", indented.Replace(f.Hint))
	}
}

func writeJSON(w io.Writer, v any) error {
	var line bytes.Buffer
	enc := json.NewEncoder(&line)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return err
	}
	_, err := w.Write(escape(line.Bytes()))
	return err
}

// escape escapes what JSON leaves alone and readers may obey: control
// characters from 0x7f on, those that turn the direction of the text, and what
// GitHub's runner takes for a command anywhere in a line.
func escape(line []byte) []byte {
	var out []byte
	line = bytes.ReplaceAll(line, []byte("##["), []byte(`#\u0023[`))
	for _, r := range string(line) {
		if r == '\n' || unicode.IsPrint(r) {
			out = utf8.AppendRune(out, r)
			continue
		}
		for _, unit := range utf16.Encode([]rune{r}) {
			out = fmt.Appendf(out, `\u%04x`, unit)
		}
	}
	return out
}

// diagnose turns an error into its exit status and its lines.
func diagnose(err error) (int, []failure) {
	var (
		faults     profiles.Diagnostics
		usage      *usageError
		input      *secrets.InputError
		preflight  *release.Preflight
		refused    *release.Refused
		incomplete *release.Incomplete
		broken     *release.Broken
		notBaked   *release.NotBaked
		needing    *needing
		silent     *notServing
		measuring  *measure.Leftovers
		stale      *planStale
		unheard    *unheard
		ailing     *ailing
	)
	if code, f, ok := builderFailure(err); ok {
		return code, []failure{f}
	}
	switch {
	case errors.As(err, &faults):
		return exitInput, []failure{{Code: "profile-faults", Msg: count(len(faults), "fault") + " in the profile; nothing was done"}}
	case errors.As(err, &usage):
		return exitInput, []failure{usageFailure(err, usage)}
	case errors.As(err, &input):
		return exitInput, []failure{{Code: "secrets-file", Msg: input.Error(), Hint: input.Hint}}
	case errors.As(err, &preflight):
		return preflightFailures(preflight)
	case errors.As(err, &stale):
		return exitNotReleased, stale.failures()
	case errors.As(err, &broken):
		out := []failure{{Code: "broken", Msg: broken.Error(), Hint: "cattle status shows what serves now; cattle gc cleans up"}}
		if errors.As(err, &refused) {
			out = append(out, leftoverFailures(refused.Leftovers)...)
		}
		return exitFailed, out
	case errors.As(err, &refused):
		return exitNotReleased, refusedFailures(refused)
	case errors.As(err, &notBaked):
		return exitFailed, notBakedFailures(notBaked)
	case errors.As(err, &needing) && !errors.As(err, &silent):
		return exitLeftover, needing.all
	case errors.As(err, &incomplete):
		return exitLeftover, leftoverFailures(incomplete.Leftovers)
	case errors.As(err, &ailing):
		return ailing.status(), []failure{{Msg: ailing.Error()}}
	case errors.As(err, &unheard):
		return exitFailed, unheard.wrong
	case errors.As(err, &measuring):
		return exitFailed, measureFailures(measuring, err)
	}
	c := cureFor(err)
	return exitFailed, []failure{{Code: c.code, Msg: err.Error(), Hint: c.hint}}
}

// usageFailure is of a command line, or an environment, that makes no sense.
func usageFailure(err error, usage *usageError) failure {
	f := failure{Code: "usage", Msg: usage.msg, Hint: usage.hint}
	if c := cureFor(err); c.code != "" {
		f.Code = c.code
	}
	return f
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func preflightFailures(e *release.Preflight) (int, []failure) {
	code := exitFailed
	switch {
	case e.Input():
		code = exitInput
	case e.Serving != "":
		code = exitNotReleased
	}
	var out []failure
	for _, f := range e.Faults {
		out = append(out, failure{Code: f.Code, Msg: f.Msg, Hint: f.Hint})
	}
	return code, out
}

// notReleased says what serves after a refusal.
func notReleased(serving string) string {
	if serving == "" {
		return "not released, nothing serves, as before"
	}
	return "not released, " + serving + " still serves"
}

func refusedFailures(e *release.Refused) []failure {
	c := cureOfRefusal(e)
	if c.hint == "" && (e.Step == "gate" || e.Step == release.BeforeSwitch || e.Step == "confirm" || e.Step == "watch" || e.BootStep != "") && len(e.Leftovers) == 0 {
		c.hint = "to look at the droplet when it fails, keep it: cattle release --keep-failed VERSION"
	}
	out := []failure{{Code: c.code, Msg: notReleased(e.Serving) + ": " + e.Error(), Tail: e.Tail, Hint: c.hint}}
	return append(out, leftoverFailures(e.Leftovers)...)
}

// cureOfRefusal asks the step that refused, then the error, then the last words
// of the droplet.
func cureOfRefusal(e *release.Refused) cure {
	c := cure{e.Code, e.Hint}
	if c == (cure{}) {
		c = cureFor(e.Err)
	}
	if e.BootStep != "" && c == (cure{}) {
		if c = readTelltale(e.Tail); c == (cure{}) {
			c.code = "boot-failed"
		}
	}
	return c
}

func notBakedFailures(e *release.NotBaked) []failure {
	c := cureOfRefusal(&e.Why)
	if c.hint == "" && e.Why.BootStep != "" && len(e.Why.Leftovers) == 0 {
		c.hint = "to look at the droplet when it fails, keep it: cattle bake --keep-failed"
	}
	out := []failure{{Code: c.code, Msg: e.Error(), Tail: e.Why.Tail, Hint: c.hint}}
	return append(out, leftoverFailures(e.Why.Leftovers)...)
}

func leftoverFailures(ls []release.Leftover) []failure {
	var out []failure
	for _, l := range ls {
		// Not what the API said: what is left is left, whyever.
		c := cureOfDroplet(l.Err)
		var known *release.Known
		if errors.As(l.Err, &known) {
			c = cure{known.Code, known.Hint}
		}
		if c.code == "" {
			c.code = "left-over"
		}
		out = append(out, failure{Code: c.code, Msg: "left over: " + l.String(), Hint: cmp.Or(c.hint, l.Command)})
	}
	return out
}

func measureFailures(e *measure.Leftovers, err error) []failure {
	out := []failure{{Msg: err.Error()}}
	for _, l := range e.Left {
		out = append(out, failure{Code: "left-over", Msg: "left over: " + l.What, Hint: l.Command})
	}
	return out
}
