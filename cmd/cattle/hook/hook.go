// Package hook runs a command of the operator's that may hang, shout, or leave
// children behind.
package hook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"time"
)

// grace is how long a command that was told to end may take before it is
// killed, and one that has ended may leave its output open.
const grace = 5 * time.Second

// Bounds of what is told of a command's output: lines, and bytes of each.
const (
	maxLines = 200
	maxLine  = 1000
)

// A Command is a program with its arguments, taken as they are: no shell reads
// them. A program that is named by a path is looked for from Dir.
type Command struct {
	Words  []string
	Dir    string
	Env    []string
	Stdin  []byte
	Within time.Duration
}

// Run runs the command and has tell called for each line that it writes, from
// one goroutine. After its time, or with ctx, it and its children are told to
// end, and killed 5 s later. The error says in words how it ended; it is ctx's
// cause where that ended it.
func (c Command) Run(ctx context.Context, tell func(line string)) error {
	late := fmt.Errorf("%s was not done within %s", c.Words[0], brief(c.Within))
	bounded, cancel := context.WithTimeoutCause(ctx, c.Within, late)
	defer cancel()
	out := &lines{tell: tell}
	cmd := exec.CommandContext(bounded, c.Words[0], c.Words[1:]...)
	cmd.Dir, cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = c.Dir, c.Env, bytes.NewReader(c.Stdin), out, out
	cmd.WaitDelay = grace
	apart(cmd)
	cmd.Cancel = func() error { return signal(cmd, false) }
	// It dies with this process; the kernel means the thread that started it.
	runtime.LockOSThread()
	err := cmd.Run()
	runtime.UnlockOSThread()
	out.flush()
	if bounded.Err() != nil && cmd.Process != nil {
		_ = signal(cmd, true) // its children, who may not have heard
		return context.Cause(bounded)
	}
	return inWords(c.Words[0], err)
}

func inWords(name string, err error) error {
	var exit *exec.ExitError
	switch {
	case err == nil, errors.Is(err, exec.ErrWaitDelay): // it has left somebody behind, who works on
		return nil
	case errors.As(err, &exit) && exit.ExitCode() >= 0:
		return fmt.Errorf("%s ended with exit status %d", name, exit.ExitCode())
	case errors.As(err, &exit):
		return fmt.Errorf("%s was ended: %s", name, exit)
	}
	return err
}

func brief(d time.Duration) string {
	if d%time.Minute == 0 {
		return fmt.Sprintf("%d min", d/time.Minute)
	}
	return d.String()
}

// lines tells what is written to it, line by line, until it is too much.
type lines struct {
	tell  func(string)
	rest  []byte
	count int
}

func (l *lines) Write(b []byte) (int, error) {
	for _, c := range b {
		switch {
		case c == '\n':
			l.flush()
		case len(l.rest) < maxLine && c != '\r':
			l.rest = append(l.rest, c)
		}
	}
	return len(b), nil
}

// flush tells the line that was begun.
func (l *lines) flush() {
	if len(l.rest) == 0 {
		return
	}
	switch l.count++; {
	case l.count <= maxLines:
		l.tell(string(l.rest))
	case l.count == maxLines+1:
		l.tell("… it says more than is shown")
	}
	l.rest = l.rest[:0]
}
