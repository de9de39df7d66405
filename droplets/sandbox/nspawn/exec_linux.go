package nspawn

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Exec runs a command in a machine as root and returns what it printed. An
// error wraps *exec.ExitError if the command failed, and has the last lines of
// its error output.
func (h *Host) Exec(ctx context.Context, id int, argv ...string) (out []byte, err error) {
	m, err := h.machine(id)
	if err != nil {
		return nil, err
	}
	r := m.current()
	if r == nil {
		return nil, fmt.Errorf("%s is off", m.spec.Name)
	}
	group, err := r.leaderGroup()
	if err != nil {
		return nil, err
	}
	defer group.Close()
	// The command ends with its parent, and so with the context. That parent is
	// not nsenter, which stops itself when its child is stopped: a machine that
	// shuts down stops all its processes before it kills them, and would then wait
	// for ever for the one that nobody reaps.
	enter := []string{"nsenter", "--no-fork", "-t", fmt.Sprint(r.leader), "-m", "-u", "-i", "-n", "-p", "-C", "--",
		"setpriv", "--pdeathsig", "KILL", "--", "unshare", "--fork", "--kill-child=KILL", "--"}
	out, err = tool{argv: append(enter, argv...), cgroup: int(group.Fd()), env: []string{"HOME=/root", "LOGNAME=root"}}.run(ctx)
	if err != nil {
		return out, fmt.Errorf("%s on %s: %w", argv[0], m.spec.Name, err)
	}
	return out, nil
}

// leaderGroup opens the control group of the machine's first process: a leaf,
// so that others may join.
func (r *run) leaderGroup() (*os.File, error) {
	root, err := cgroupRoot()
	if err != nil {
		return nil, err
	}
	groups, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", r.leader))
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(groups)) {
		if path, found := strings.CutPrefix(strings.TrimSpace(line), "0::"); found {
			return os.Open(filepath.Join(string(root), path))
		}
	}
	return nil, fmt.Errorf("%s has no control group", r.m.spec.Name)
}
