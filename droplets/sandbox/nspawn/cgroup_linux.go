package nspawn

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A cgroup is the folder of a control group, version 2.
type cgroup string

// cgroupRoot finds where this machine has control groups of version 2.
func cgroupRoot() (cgroup, error) {
	f, err := os.Open("/proc/thread-self/mountinfo")
	if err != nil {
		return "", err
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		before, after, _ := strings.Cut(lines.Text(), " - ")
		if where := strings.Fields(before); strings.HasPrefix(after, "cgroup2 ") && len(where) > 5 && !slices.Contains(strings.Split(where[5], ","), "ro") {
			return cgroup(where[4]), nil
		}
	}
	return "", errors.New("no writable cgroup2 file system is mounted")
}

// child makes a control group below this one, with what controllers there are.
func (c cgroup) child(name string) (cgroup, error) {
	child := cgroup(filepath.Join(string(c), name))
	if err := os.Mkdir(string(child), 0o755); err != nil {
		return "", fmt.Errorf("a control group: %w", err)
	}
	controllers, err := os.ReadFile(filepath.Join(string(child), "cgroup.controllers"))
	if err != nil {
		return child, err
	}
	for _, controller := range strings.Fields(string(controllers)) {
		// One that the kernel cannot give is missing in the machines then.
		os.WriteFile(filepath.Join(string(child), "cgroup.subtree_control"), []byte("+"+controller), 0)
	}
	return child, nil
}

// open is for starting processes in it.
func (c cgroup) open() (*os.File, error) { return os.Open(string(c)) }

// each visits this control group and all below it, the innermost first.
func (c cgroup) each(visit func(cgroup)) {
	var all []cgroup
	filepath.WalkDir(string(c), func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			all = append(all, cgroup(path))
		}
		return nil
	})
	for _, c := range slices.Backward(all) {
		visit(c)
	}
}

// processes are the ids of all processes in it and below.
func (c cgroup) processes() []int {
	var pids []int
	c.each(func(c cgroup) {
		procs, _ := os.ReadFile(filepath.Join(string(c), "cgroup.procs"))
		for _, field := range strings.Fields(string(procs)) {
			if pid, err := strconv.Atoi(field); err == nil && pid > 0 {
				pids = append(pids, pid)
			}
		}
	})
	return pids
}

// kill ends all processes in it and below.
func (c cgroup) kill() {
	c.freeze(false)
	if os.WriteFile(filepath.Join(string(c), "cgroup.kill"), []byte("1"), 0) == nil {
		return
	}
	// A kernel older than 5.14. What is forked meanwhile is found the next time.
	for _, pid := range c.processes() {
		unix.Kill(pid, unix.SIGKILL)
	}
}

// freeze stops all processes in it and below for a while, or lets them go on.
// It returns once they are stopped, or after a second.
func (c cgroup) freeze(stop bool) {
	value := map[bool]string{true: "1", false: "0"}[stop]
	if os.WriteFile(filepath.Join(string(c), "cgroup.freeze"), []byte(value), 0) != nil {
		return
	}
	for range 100 {
		events, _ := os.ReadFile(filepath.Join(string(c), "cgroup.events"))
		if strings.Contains(string(events), "frozen "+value) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// remove kills what is in it and takes it away, with all below it.
func (c cgroup) remove() error {
	var err error
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if _, gone := os.Stat(string(c)); errors.Is(gone, fs.ErrNotExist) {
			return nil
		}
		if len(c.processes()) > 0 {
			c.kill()
		}
		c.each(func(c cgroup) {
			if e := os.Remove(string(c)); e != nil && !errors.Is(e, fs.ErrNotExist) {
				err = e
			}
		})
		if time.Now().After(deadline) {
			return fmt.Errorf("the control group does not end: %w", err)
		}
	}
}
