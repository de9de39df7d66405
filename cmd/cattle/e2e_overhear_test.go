//go:build e2e

package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"cattle/droplets/release"
)

// overheard is what a command told with --json.
type overheard struct {
	exit     int
	failures []struct{ Code, Error, Hint string }
	failed   time.Time // when its first step failed
	data     *release.DataReport
}

// says compares the exit status and the first failure, by its code and by words
// that it has to have.
func (h overheard) says(exit int, code string, words ...string) bool {
	if h.exit != exit || len(h.failures) == 0 || h.failures[0].Code != code {
		return false
	}
	for _, word := range words {
		if !strings.Contains(h.failures[0].Error, word) {
			return false
		}
	}
	return true
}

// overhear plays a command that says --json. After a line such as "copy ok" it holds
// still until what is to be done then is done.
func (r *rig) overhear(t *testing.T, at map[string]func(), args ...string) (h overheard) {
	t.Helper()
	cmd := r.command(t, args...)
	cmd.Stdout = nil
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if do := at[h.line(r, lines.Bytes())]; do != nil {
			cmd.Process.Signal(syscall.SIGSTOP)
			do()
			cmd.Process.Signal(syscall.SIGCONT)
		}
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	h.exit = cmd.ProcessState.ExitCode()
	return h
}

// line keeps what a line tells, and returns the step and its state, if it is about one.
func (h *overheard) line(r *rig, text []byte) string {
	var l struct {
		release.Event
		Failures []struct{ Code, Error, Hint string }
		Data     *release.DataReport
	}
	if err := json.Unmarshal(text, &l); err != nil {
		return ""
	}
	switch l.Kind {
	case release.KindStep:
		fmt.Fprintf(r.printed, "%s %s %s %s\n", l.Time.Format("15:04:05.000"), l.Step, l.State, l.Text)
		if l.State == release.StateFailed && h.failed.IsZero() {
			h.failed = l.Time
		}
		return l.Step + " " + string(l.State)
	case "error":
		h.failures = l.Failures
		for _, f := range l.Failures {
			fmt.Fprintf(r.printed, "%s: %s\n", f.Code, f.Error)
		}
	case "result":
		h.data = l.Data
	}
	return ""
}
