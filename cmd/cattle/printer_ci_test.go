package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"cattle/droplets/release"
)

// inCI plays the story in the log of a CI system.
func inCI(t *testing.T, variable string) string {
	t.Helper()
	var out bytes.Buffer
	std := newStdio(strings.NewReader(""), &out, &out)
	std.env = func(name string) string { return map[string]string{variable: "true", "CI": "true"}[name] }
	std = std.fitForCI()
	p := newPrinter(std, &release.Plan{}, false)
	for _, e := range story() {
		p.event(e)
	}
	p.close()
	return out.String()
}

// TestGroups: what happens within a step is folded, what begins and ends it is not.
func TestGroups(t *testing.T) {
	const inside = `12:00:00 boot: docker …
12:00:00 boot: docker done in 14.0 s
12:00:00 boot: packages failed after 1.0 s
12:00:00 boot: nginx skipped
12:00:00 note: a note�[31m
12:00:00 watch: 9m left�[2J; of 999999999999999999999999999999999999999999999999999999999999
`
	outside := "12:00:00 boot: " + strings.Repeat("long ", 40) + "\n"
	const after = `12:00:00 boot failed after 15.0 s: boot step packages failed �]0;title�
12:00:00 undo: destroy the candidate
12:00:00 undo done in 1m30s
`
	tests := map[string]string{
		"GITHUB_ACTIONS": outside + "::group::boot, step by step\n" + inside + "::endgroup::\n" + after,
		"GITLAB_CI": outside + "\x1b[0Ksection_start:1795262400:cattle_boot[collapsed=true]\r\x1b[0Kboot, step by step\n" + inside +
			"\x1b[0Ksection_end:1795262400:cattle_boot\r\x1b[0K\n" + after,
		"JENKINS_URL": outside + inside + after,
	}
	for variable, want := range tests {
		if got := inCI(t, variable); got != want {
			t.Errorf("%s: got\n%q\nwant\n%q", variable, got, want)
		}
	}
}

// TestNoWordIsACommand: GitHub's runner obeys lines that jobs print. Nothing
// that somebody else said is one, in lines, in errors or in JSON.
func TestNoWordIsACommand(t *testing.T) {
	var out bytes.Buffer
	std := newStdio(strings.NewReader(""), &out, &out)
	std.env = func(name string) string { return map[string]string{"GITHUB_ACTIONS": "true"}[name] }
	std = std.fitForCI()
	const hostile = "::add-mask::a\n  ::stop-commands::b\n\t::error::c\n##[error]d\nx ##[add-path]e\r::set-env::f"
	err := &release.Refused{Step: "boot", Err: errText(hostile), BootStep: "x", Tail: hostile, Hint: hostile,
		Leftovers: []release.Leftover{{What: hostile, Command: hostile}}}
	report(t.Context(), err, std, false)
	report(t.Context(), err, std, true)
	say(std.out, hostile)
	p := newPrinter(std, &release.Plan{}, false)
	for _, kind := range []release.Kind{release.KindStep, release.KindBoot, release.KindNotice} {
		p.event(release.Event{Kind: kind, Step: hostile, State: release.StateRunning, Text: hostile})
	}
	p.close()
	ours := []string{"::error title=cattle::", "::group::", "::endgroup::"}
	annotations := 0
	for line := range strings.FieldsFuncSeq(out.String(), func(r rune) bool { return r == '\n' || r == '\r' }) {
		line = strings.TrimSpace(line)
		mine := false
		for _, o := range ours {
			mine = mine || strings.HasPrefix(line, o)
		}
		if strings.HasPrefix(line, ours[0]) {
			annotations++
		}
		if strings.HasPrefix(line, "::") && !mine || strings.Contains(line, "##[") {
			t.Errorf("a command: %q", line)
		}
	}
	if annotations != 2 {
		t.Errorf("%d annotations, want one for each failure\n%s", annotations, out.String())
	}
}

// TestNoWordChangesJSON: what a program reads is what was said.
func TestNoWordChangesJSON(t *testing.T) {
	const said = "###[error]##[x] ::a\n::b"
	var out bytes.Buffer
	if err := writeJSON(noCommands{&out}, said); err != nil {
		t.Fatal(err)
	}
	var got string
	if err := json.Unmarshal(out.Bytes(), &got); err != nil || got != said {
		t.Errorf("%q, %v: %s", got, err, &out)
	}
}

type errText string

func (e errText) Error() string { return string(e) }

func TestColours(t *testing.T) {
	for _, tt := range []struct {
		env  map[string]string
		tty  bool
		want bool
	}{
		{nil, true, true}, {nil, false, false},
		{map[string]string{"NO_COLOR": "1"}, true, false},
		{map[string]string{"TERM": "dumb"}, true, false},
		{map[string]string{"CLICOLOR": "0"}, true, false},
		{map[string]string{"CLICOLOR": "1"}, false, false},
		{map[string]string{"CLICOLOR_FORCE": "1"}, false, true},
		{map[string]string{"CLICOLOR_FORCE": "0"}, false, false},
		{map[string]string{"CLICOLOR_FORCE": "1", "NO_COLOR": "1"}, true, false},
	} {
		std := stdio{errTTY: tt.tty, env: func(name string) string { return tt.env[name] }}
		if got := colours(std); got != tt.want {
			t.Errorf("%v on a terminal (%v): %v", tt.env, tt.tty, got)
		}
	}
}
