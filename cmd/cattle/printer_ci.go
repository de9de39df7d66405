package main

import (
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"

	"cattle/droplets"
	"cattle/droplets/release"
)

// groups are how a CI system folds lines of a log into one. What they write is
// read by a program: it is nothing but ours.
type groups struct {
	open  func(at time.Time, name string) string
	close func(at time.Time, name string) string
}

// groupsOf tells which CI system reads the log, if it is one that folds.
func groupsOf(std stdio) (groups, bool) {
	switch {
	case onGitHub(std):
		// https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands
		return groups{
			open:  func(_ time.Time, name string) string { return "::group::" + name + ", step by step\n" },
			close: func(time.Time, string) string { return "::endgroup::\n" },
		}, true
	case std.env("GITLAB_CI") == "true":
		// https://docs.gitlab.com/ci/jobs/job_logs/#custom-collapsible-sections
		return groups{
			open: func(at time.Time, name string) string {
				return fmt.Sprintf("\x1b[0Ksection_start:%d:cattle_%s[collapsed=true]\r\x1b[0K%s, step by step\n", at.Unix(), name, name)
			},
			close: func(at time.Time, name string) string {
				return fmt.Sprintf("\x1b[0Ksection_end:%d:cattle_%s\r\x1b[0K\n", at.Unix(), name)
			},
		}, true
	}
	return groups{}, false
}

// A groupPrinter writes what plainPrinter does, with what happens within a step
// folded: the line that begins the step and the one that ends it stay outside.
type groupPrinter struct {
	plainPrinter
	groups groups
	raw    io.Writer
	step   string // that runs
	open   string // the group that is open, "" if none is
}

func (p *groupPrinter) event(e release.Event) {
	switch {
	case e.Kind == release.KindStep:
		p.end(e.Time)
		p.step = groupName(e.Step)
	case p.open == "" && p.step != "":
		p.open = p.step
		io.WriteString(p.raw, p.groups.open(e.Time, p.open))
	}
	p.plainPrinter.event(e)
}

func (p *groupPrinter) close() { p.end(time.Now()) }

func (p *groupPrinter) end(at time.Time) {
	if p.open != "" {
		io.WriteString(p.raw, p.groups.close(at, p.open))
	}
	p.open = ""
}

var notInAName = regexp.MustCompile(`[^A-Za-z0-9_.-]`)

// groupName is a step's name with the characters that a group's may have.
func groupName(step string) string { return notInAName.ReplaceAllString(step, "_") }

func onGitHub(std stdio) bool { return std.env != nil && std.env("GITHUB_ACTIONS") == "true" }

// annotate has GitHub show a failure where the run is looked at first, beside
// the lines of the log. What serves all the same is a warning.
func annotate(std stdio, code int, failures []failure) {
	if !onGitHub(std) {
		return
	}
	kind := "error"
	if code == exitLeftover {
		kind = "warning"
	}
	for _, f := range failures {
		text := f.Msg
		if f.Hint != "" {
			text += "\nhint: " + f.Hint
		}
		fmt.Fprintf(std.raw.err, "::%s title=cattle::%s\n", kind, commandData.Replace(oldCommand.ReplaceAllString(droplets.Printable(text), "## [")))
	}
}

// commandData is how a workflow command takes text of more than one line.
var commandData = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")

// fitForCI keeps words of clouds and droplets from being taken for commands
// where a CI system reads commands in what a job prints.
func (std stdio) fitForCI() stdio {
	if onGitHub(std) {
		std.out, std.err = noCommands{std.out}, noCommands{std.err}
	}
	return std
}

// noCommands writes text in which GitHub's runner finds no command: it takes a
// line that begins with two colons for one, and "##[" anywhere in a line.
type noCommands struct{ w io.Writer }

var (
	newCommand = regexp.MustCompile(`(?m)^([ \t]*)::`)
	oldCommand = regexp.MustCompile(`##\[`)
)

func (n noCommands) Write(b []byte) (int, error) {
	text := newCommand.ReplaceAll(b, []byte("${1}: :"))
	text = oldCommand.ReplaceAll(text, []byte("## ["))
	if _, err := n.w.Write(text); err != nil {
		return 0, err
	}
	return len(b), nil
}
