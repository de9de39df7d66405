package builder

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"time"
)

const (
	// endWithin is how long a tool may take to end when it is interrupted.
	endWithin = 5 * time.Second
	// tailLines are kept of what a tool that failed has printed.
	tailLines = 20
	// maxLine is the longest part of a line that is passed on, in bytes.
	maxLine = 4096
)

// A failure is a tool that ran and ended with another status than 0.
type failure struct {
	exit int
	tail string
}

func (f *failure) Error() string { return fmt.Sprintf("exit status %d: %s", f.exit, f.tail) }

// last is the last line that says something.
func (f *failure) last() string {
	lines := strings.Split(strings.TrimSpace(f.tail), "\n")
	return lines[len(lines)-1]
}

// run runs the tool and passes on what it prints.
func (t *Tool) run(ctx context.Context, args ...string) error {
	out := &lineWriter{tell: t.tell}
	return t.start(ctx, out, out, args...)
}

// output runs the tool and returns what it prints on standard output.
func (t *Tool) output(ctx context.Context, args ...string) (string, error) {
	var out bytes.Buffer
	err := t.start(ctx, &out, &lineWriter{}, args...)
	return strings.TrimSpace(out.String()), err
}

// start runs the tool in a process group of its own. When ctx ends the group is
// told to end, and is killed if it does not. The error is *failure, or why ctx
// ended.
func (t *Tool) start(ctx context.Context, out io.Writer, said *lineWriter, args ...string) error {
	cmd := exec.CommandContext(ctx, t.path, args...)
	// Progress in lines, not in what moves the cursor.
	cmd.Env = append(cmd.Environ(), "BUILDKIT_PROGRESS=plain")
	cmd.Stdout, cmd.Stderr = out, said
	cmd.WaitDelay = endWithin
	asGroup(cmd)
	err := cmd.Run()
	said.flush()
	if ctx.Err() != nil {
		killGroup(cmd)
		return context.Cause(ctx)
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return &failure{exit.ExitCode(), said.tail()}
	}
	if err != nil {
		return fmt.Errorf("run %s: %w", t.Name, err)
	}
	return nil
}

func (t *Tool) tell(line string) {
	if t.Tell != nil {
		t.Tell(line)
	}
}

// A lineWriter passes lines on and keeps the last ones. It may be written to by
// several goroutines.
type lineWriter struct {
	tell func(string)

	mu   sync.Mutex
	line []byte
	kept []string
}

func (w *lineWriter) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range b {
		switch {
		case c == '\n' || c == '\r':
			w.end()
		case len(w.line) < maxLine:
			w.line = append(w.line, c)
		}
	}
	return len(b), nil
}

// end is the end of a line; empty ones say nothing.
func (w *lineWriter) end() {
	line := strings.TrimSpace(string(w.line))
	w.line = w.line[:0]
	if line == "" {
		return
	}
	if w.kept = append(w.kept, line); len(w.kept) > tailLines {
		w.kept = w.kept[1:]
	}
	if w.tell != nil {
		w.tell(line)
	}
}

func (w *lineWriter) flush() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.end()
}

func (w *lineWriter) tail() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.kept, "\n")
}
