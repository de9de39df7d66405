package nspawn

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// A tool is a program to run to its end. It dies with this process.
type tool struct {
	argv   []string
	stdin  string
	env    []string     // beside a bare environment
	stderr io.Writer    // beside the error
	cgroup int          // a file descriptor; 0: this process's own
	clone  uintptr      // namespaces that it gets
	before func() error // runs first, on the thread that starts the program
}

// bare is an environment that tells programs nothing of the user's.
func bare() []string {
	return []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8"}
}

// run returns what the tool printed. An error has the last lines of what it
// printed on its error output.
func (t tool) run(ctx context.Context) ([]byte, error) {
	var out bytes.Buffer
	complaint := &tail{limit: 2 << 10}
	err := onThread(func() error {
		if t.before != nil {
			if err := t.before(); err != nil {
				return err
			}
		}
		cmd := exec.CommandContext(ctx, find(t.argv[0]), t.argv[1:]...)
		cmd.Env = append(bare(), t.env...)
		cmd.Stdin = strings.NewReader(t.stdin)
		cmd.Stdout = &out
		cmd.Stderr = complaint
		if t.stderr != nil {
			cmd.Stderr = io.MultiWriter(complaint, t.stderr)
		}
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Pdeathsig: syscall.SIGKILL, Cloneflags: t.clone,
			UseCgroupFD: t.cgroup != 0, CgroupFD: t.cgroup,
		}
		cmd.WaitDelay = 5 * time.Second // for what it left behind with our pipes
		return cmd.Run()
	})
	switch {
	case err == nil:
		return out.Bytes(), nil
	case ctx.Err() != nil:
		return out.Bytes(), fmt.Errorf("%s: %w", filepath.Base(t.argv[0]), context.Cause(ctx))
	default:
		return out.Bytes(), fmt.Errorf("%s: %w%s", filepath.Base(t.argv[0]), err, quote(complaint.lines(8)))
	}
}

// find is where a program is. Administrators' programs are found for a root
// whose PATH is a user's, too; what is nowhere keeps its name.
func find(program string) string {
	for _, name := range []string{program, "/usr/sbin/" + program, "/sbin/" + program} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return program
}

// quote puts lines below an error, if there are any.
func quote(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	return ":\n\t" + strings.Join(lines, "\n\t")
}
