//go:build unix

package hook_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"cattle/cmd/cattle/hook"
)

// sh is a hook of a few lines of shell.
func sh(t *testing.T, script string, within time.Duration) hook.Command {
	return hook.Command{Words: []string{"sh", "-c", script, "sh", "a  b", "$HOME"}, Dir: t.TempDir(),
		Env: append(os.Environ(), "FACT=1"), Stdin: []byte("on stdin\n"), Within: within}
}

func run(ctx context.Context, c hook.Command) ([]string, error) {
	var said []string
	err := c.Run(ctx, func(line string) { said = append(said, line) })
	return said, err
}

func TestRun(t *testing.T) {
	c := sh(t, `echo "$1|$2|$FACT"; cat; pwd >&2; printf 'no end'`, time.Minute)
	said, err := run(t.Context(), c)
	dir, _ := filepath.EvalSymlinks(c.Dir)
	if want := []string{"a  b|$HOME|1", "on stdin", dir, "no end"}; err != nil || !slices.Equal(said, want) {
		t.Errorf("%q, %v", said, err)
	}
}

// TestEnds: each way to end has its words.
func TestEnds(t *testing.T) {
	for script, want := range map[string]string{
		"exit 7": "sh ended with exit status 7", "kill -9 $$": "sh was ended: signal: killed",
	} {
		if _, err := run(t.Context(), sh(t, script, time.Minute)); err == nil || err.Error() != want {
			t.Errorf("%s: %v, want %s", script, err, want)
		}
	}
	c := sh(t, "", time.Minute)
	c.Words = []string{"no-such-program-anywhere"}
	if _, err := run(t.Context(), c); err == nil || !strings.Contains(err.Error(), "not found") {
		t.Error(err)
	}
}

// TestHangs: after its time, and when it is interrupted, a hook ends with its
// children, also those that do not want to.
func TestHangs(t *testing.T) {
	interrupted := errors.New("interrupted")
	for _, tt := range []struct{ name, script string }{
		{"it heeds", `sleep 60 & echo $! >child; wait`},
		{"its child does not", `sh -c 'trap "" TERM; sleep 60 & echo $! >child; wait; wait' & wait`},
		{"it does not", `trap "" TERM; sleep 60 & echo $! >child; while :; do sleep 60; done`},
	} {
		for _, stop := range []bool{true, false} {
			t.Run(fmt.Sprint(tt.name, stop), func(t *testing.T) {
				t.Parallel()
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				c := sh(t, tt.script, time.Second)
				want := "sh was not done within 1s"
				if stop {
					c.Within, want = time.Minute, "interrupted"
					time.AfterFunc(time.Second, func() { cancel(interrupted) })
				}
				start := time.Now()
				_, err := run(ctx, c)
				if took := time.Since(start); err == nil || err.Error() != want || took > 8*time.Second {
					t.Errorf("%v after %s", err, took)
				}
				text, _ := os.ReadFile(filepath.Join(c.Dir, "child"))
				child, err := strconv.Atoi(strings.TrimSpace(string(text)))
				if err != nil {
					t.Fatal(err)
				}
				gone(t, child)
			})
		}
	}
}

// gone waits for the end of a process, or until it is a zombie that nobody has
// asked for.
func gone(t *testing.T, pid int) {
	t.Helper()
	for range 50 {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if syscall.Kill(pid, 0) != nil || err == nil && strings.Contains(string(stat), ") Z ") {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Errorf("process %d runs on", pid)
}

// TestLeavesOneBehind: what it started for good holds nothing up for long.
func TestLeavesOneBehind(t *testing.T) {
	start := time.Now()
	if _, err := run(t.Context(), sh(t, "sleep 20 & echo done", time.Minute)); err != nil || time.Since(start) > 10*time.Second {
		t.Error(err, time.Since(start))
	}
}

// TestBounds: too many lines are cut, and so is a long one.
func TestBounds(t *testing.T) {
	said, err := run(t.Context(), sh(t, `i=0; while [ $i -lt 500 ]; do echo $i; i=$((i+1)); done`, time.Minute))
	if err != nil || len(said) != 201 || said[199] != "199" || !strings.HasPrefix(said[200], "…") {
		t.Errorf("%d lines, %v", len(said), err)
	}
	said, err = run(t.Context(), sh(t, `head -c 1000000 /dev/zero | tr '\0' x`, time.Minute))
	if err != nil || len(said) != 1 || len(said[0]) != 1000 {
		t.Errorf("%d lines, %v", len(said), err)
	}
}
