//go:build chaos && linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"cattle/droplets/release"
)

// A strike is when a command is hit, and by what.
type strike struct {
	// step is the one of the plan whose beginning is waited for; "" for the
	// command's start. Then after passes.
	step   string
	after  time.Duration
	signal syscall.Signal
	second time.Duration // until a second signal; 0 for none
}

// An execution is one command: what it was, said and asked for.
type execution struct {
	args     []string
	from, to time.Time
	exit     int // -1 where a signal ended it
	out      narration

	struck   bool // while it ran, and it noticed
	struckIn string
	struckAt time.Time
}

// run runs a command to its end, struck or not.
func (s *chaosSite) run(ctx context.Context, hit *strike, args ...string) *execution {
	e := &execution{args: args, from: time.Now()}
	ctx, strikeNow := context.WithCancel(ctx)
	defer strikeNow()
	cmd := exec.CommandContext(ctx, s.bin, args...)
	cmd.Dir, cmd.Env = s.dir, s.env
	cmd.Stdout, cmd.Stderr = &e.out, &e.out.others
	cmd.WaitDelay = 5 * time.Minute
	ended := make(chan struct{})
	cmd.Cancel = func() error {
		if hit == nil {
			return cmd.Process.Kill()
		}
		return e.beStruck(cmd, hit, ended)
	}
	if hit != nil {
		go func() {
			if e.out.await(hit.step, ended) && pauseOr(hit.after, ended) {
				strikeNow()
			}
		}()
	}
	err := runChild(cmd)
	close(ended)
	e.to = time.Now()
	if cmd.ProcessState == nil {
		s.t.Fatalf("cattle %s: %v", strings.Join(args, " "), err)
	}
	e.exit = cmd.ProcessState.ExitCode()
	e.struck = hit != nil && (e.exit < 0 || strings.Contains(e.out.text(), "cattle: interrupted: "))
	return e
}

// beStruck sends the signals.
func (e *execution) beStruck(cmd *exec.Cmd, hit *strike, ended chan struct{}) error {
	e.struckIn = e.out.step()
	e.struckAt = time.Now()
	if hit.second > 0 {
		go func() {
			if pauseOr(hit.second, ended) {
				cmd.Process.Signal(hit.signal)
			}
		}()
	}
	return cmd.Process.Signal(hit.signal)
}

// pauseOr waits d; false when something ended before.
func pauseOr(d time.Duration, ended <-chan struct{}) bool {
	select {
	case <-time.After(d):
		return true
	case <-ended:
		return false
	}
}

// A narration is what a command says, and how far that shows it to be.
type narration struct {
	others lockedBuffer // standard error

	mu       sync.Mutex
	all      bytes.Buffer
	partial  []byte
	now      string
	reached  map[string]bool
	gated    time.Time // when its gate was passed; zero: it was not
	result   *release.Report
	failures []failure
}

// Write reads NDJSON; other text is kept as it is.
func (n *narration) Write(p []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.all.Write(p)
	n.partial = append(n.partial, p...)
	for {
		line, rest, found := bytes.Cut(n.partial, []byte("\n"))
		if !found {
			return len(p), nil
		}
		n.partial = rest
		n.take(line)
	}
}

func (n *narration) take(line []byte) {
	var said struct {
		Type string `json:"message_type"`
		release.Event
		Failures []failure `json:"failures"`
	}
	if json.Unmarshal(line, &said) != nil {
		return
	}
	switch {
	case said.Type == "plan":
		n.now = "planned"
	case said.Type == "result":
		n.result = new(release.Report)
		json.Unmarshal(line, n.result)
	case said.Type == "error":
		n.failures = said.Failures
	case said.Type != string(release.KindStep):
	case said.State == release.StateRunning:
		if n.reached == nil {
			n.reached = map[string]bool{}
		}
		n.now, n.reached[said.Step] = said.Step, true
	case said.State == release.StateOK && said.Step == "gate":
		n.gated = said.Time
	}
}

// step is the one that runs; "before" the plan is told, the command prepares.
func (n *narration) step() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.now == "" {
		return "before"
	}
	return n.now
}

// await waits until a step has begun; false when the command ended before.
func (n *narration) await(step string, ended <-chan struct{}) bool {
	for step != "" {
		n.mu.Lock()
		there := n.reached[step]
		n.mu.Unlock()
		if there {
			return true
		}
		if !pauseOr(2*time.Millisecond, ended) {
			return false
		}
	}
	return true
}

func (n *narration) text() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.all.String() + n.others.String()
}
