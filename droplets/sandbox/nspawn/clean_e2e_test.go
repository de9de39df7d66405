//go:build e2e && linux

package nspawn

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"cattle/droplets/sandbox"
)

// TestKilledChild is the process that TestKilled kills.
func TestKilledChild(t *testing.T) {
	dir := os.Getenv("SANDBOX_TO_KILL")
	if dir == "" {
		return
	}
	s := newStage(t)
	s.create(10, 0, trivial)
	s.booted(10)
	s.must(s.Shutdown(t.Context(), 10))
	s.must(s.Snapshot(t.Context(), 10, 500))
	s.must(s.PowerOn(t.Context(), 10))
	s.create(11, 500, trivial)
	s.booted(11)
	v := sandbox.Volume{ID: "v", Name: "v", SizeGiB: 1, Filesystem: "ext4"}
	s.must(s.AttachVolume(t.Context(), 11, v))
	s.sh(11, "mount /dev/sda /mnt && echo x >/mnt/x")
	lines := append([]string{s.record.ID, s.record.Dir, string(s.record.Cgroup)}, s.namespaces()...)
	s.must(os.WriteFile(filepath.Join(dir, "being"), []byte(strings.Join(lines, "\n")), 0o600))
	s.must(os.Rename(filepath.Join(dir, "being"), filepath.Join(dir, "ready")))
	select {}
}

// loops are the loop devices in front of files of a folder.
func loops(dir string) (found []string) {
	all, _ := filepath.Glob("/sys/block/loop*/loop/backing_file")
	for _, l := range all {
		if file, err := os.ReadFile(l); err == nil && strings.HasPrefix(string(file), dir+"/") {
			found = append(found, l)
		}
	}
	return found
}

// Of a sandbox that was killed nothing is left after Clean, and one that runs
// is not touched.
func TestKilled(t *testing.T) {
	s := newStage(t)
	s.create(10, 0, trivial)
	s.booted(10)
	mountsBefore := mountTable(t)

	dir := t.TempDir()
	var out bytes.Buffer
	child := exec.Command(os.Args[0], "-test.run=^TestKilledChild$", "-test.v")
	child.Env = append(os.Environ(), "SANDBOX_TO_KILL="+dir, "SANDBOX_REGISTER="+s.register, "TMPDIR="+dir)
	child.Stdout, child.Stderr = &out, &out
	s.must(child.Start())
	var id, disks, group string
	var spaces []string
	ended := make(chan error, 1)
	go func() { ended <- child.Wait() }()
	for id == "" {
		select {
		case err := <-ended:
			t.Fatalf("the child ended: %v\n%s", err, out.String())
		case <-time.After(100 * time.Millisecond):
		}
		ready, err := os.ReadFile(filepath.Join(dir, "ready"))
		if parts := strings.Split(string(ready), "\n"); err == nil && len(parts) > 3 {
			id, disks, group, spaces = parts[0], parts[1], parts[2], parts[3:]
		}
	}
	if len(cgroup(group).processes()) < 10 {
		t.Errorf("only %d processes in two machines", len(cgroup(group).processes()))
	}
	if len(loops(disks)) != 1 {
		t.Errorf("the volume's device is %v", loops(disks))
	}
	s.must(child.Process.Signal(unix.SIGKILL))
	<-ended
	s.until(10*time.Second, "end of the machines' processes", func() bool { return len(cgroup(group).processes()) == 0 })

	var said []string
	s.until(10*time.Second, "end of the volume's device", func() bool { return len(loops(disks)) == 0 })

	removed, err := clean(t.Context(), s.register, func(line string) { said = append(said, line) })
	if err != nil || removed != 1 || len(said) != 1 || !strings.Contains(said[0], id) {
		t.Errorf("Clean removed %d, %v, and said %q", removed, err, said)
	}
	for _, path := range []string{disks, group, filepath.Join(s.register, id+".json")} {
		if _, err := os.Lstat(path); !os.IsNotExist(err) {
			t.Errorf("%s is left: %v", path, err)
		}
	}
	if mounts := mountTable(t); mounts != mountsBefore {
		t.Errorf("mounts before:\n%s\nafter:\n%s", mountsBefore, mounts)
	}
	if len(spaces) < 7 {
		t.Errorf("namespaces %v, want a world's and three of each machine", spaces)
	}
	s.gone(spaces)
	if pids := processesWith("sandbox-" + id); len(pids) > 0 {
		t.Errorf("processes are left: %v", pids)
	}
	s.booted(10) // the other one runs on
	if removed, err := clean(context.Background(), s.register, nil); removed != 0 || err != nil {
		t.Errorf("a second Clean removed %d, %v", removed, err)
	}
	s.sh(10, "true")
}

// Nothing is left of a sandbox that was closed.
func TestClosed(t *testing.T) {
	mountsBefore := mountTable(t)
	s := newStage(t)
	s.create(10, 0, trivial)
	s.must(s.AttachVolume(t.Context(), 10, sandbox.Volume{ID: "v", Name: "v", SizeGiB: 1}))
	spaces := s.namespaces()
	s.must(s.Close())
	for _, path := range []string{s.record.Dir, string(s.record.Cgroup), s.record.path} {
		if _, err := os.Lstat(path); !os.IsNotExist(err) {
			t.Errorf("%s is left: %v", path, err)
		}
	}
	if mounts := mountTable(t); mounts != mountsBefore {
		t.Errorf("mounts before:\n%s\nafter:\n%s", mountsBefore, mounts)
	}
	if left := loops(s.record.Dir); len(left) > 0 {
		t.Errorf("devices are left: %v", left)
	}
	s.gone(spaces)
	if pids := processesWith("sandbox-" + s.record.ID); len(pids) > 0 {
		t.Errorf("processes are left: %v", pids)
	}
}

// namespaces are those of the world and of every process in a machine.
func (s *stage) namespaces() []string {
	paths := []string{fmt.Sprintf("/proc/self/fd/%d", s.world.ns.Fd())}
	for _, pid := range s.record.Cgroup.processes() {
		if len(namespaceIDs(fmt.Sprint(pid))) > len(namespaceIDs("self")) {
			for _, kind := range []string{"net", "mnt", "pid"} {
				paths = append(paths, fmt.Sprintf("/proc/%d/ns/%s", pid, kind))
			}
		}
	}
	seen := map[string]bool{}
	for _, path := range paths {
		if ns, err := os.Readlink(path); err == nil {
			seen[ns] = true
		}
	}
	return slices.Sorted(maps.Keys(seen))
}

// gone waits until nothing is in some namespaces: dead processes are until the
// machine's own first process has noticed.
func (s *stage) gone(spaces []string) {
	s.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		left := alive(spaces)
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			s.t.Errorf("namespaces are left: %v", left)
			return
		}
	}
}

// alive are those of some namespaces that a thread is in.
func alive(spaces []string) []string {
	links, _ := filepath.Glob("/proc/[0-9]*/task/*/ns/*")
	var left []string
	for _, l := range links {
		if ns, err := os.Readlink(l); err == nil && slices.Contains(spaces, ns) {
			left = append(left, l+" "+ns)
		}
	}
	return left
}

func mountTable(t *testing.T) string {
	t.Helper()
	table, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	return string(table)
}

// processesIn are those that see a folder as the whole file system.
func processesIn(folder string) []string {
	var found []string
	roots, _ := filepath.Glob("/proc/[0-9]*/root")
	for _, path := range roots {
		if root, _ := os.Readlink(path); strings.HasPrefix(root, folder) {
			found = append(found, path)
		}
	}
	return found
}

// processesWith are those whose command line has some text.
func processesWith(text string) []string {
	var found []string
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range lines {
		if line, _ := os.ReadFile(path); bytes.Contains(line, []byte(text)) {
			found = append(found, path)
		}
	}
	return found
}

// TestKilledBuilder is the process that TestKilledBuild kills.
func TestKilledBuilder(t *testing.T) {
	cache := os.Getenv("CACHE_TO_KILL")
	if cache == "" {
		return
	}
	s := newStageWith(t, Options{Cache: cache})
	s.must(s.Prepare(t.Context(), "debian-13-x64"))
}

// A build that was killed leaves neither processes nor, after Clean, a folder.
func TestKilledBuild(t *testing.T) {
	cache, register := t.TempDir(), filepath.Join(t.TempDir(), "a", "b")
	mountsBefore := mountTable(t)
	child := exec.Command(os.Args[0], "-test.run=^TestKilledBuilder$")
	child.Env = append(os.Environ(), "CACHE_TO_KILL="+cache, "SANDBOX_REGISTER="+register, "TMPDIR="+t.TempDir())
	s := &stage{t: t}
	s.must(child.Start())
	building := filepath.Join(cache, "root-*"+unfinished)
	s.until(time.Minute, "half a root", func() bool {
		half, _ := filepath.Glob(building + "/usr/bin/python3")
		return len(half) == 1 && len(processesIn(cache)) > 0
	})
	s.must(child.Process.Signal(unix.SIGKILL))
	child.Wait()
	s.until(time.Second, "end of mmdebstrap", func() bool { return len(processesIn(cache)) == 0 })
	if removed, err := clean(t.Context(), register, nil); removed != 1 || err != nil {
		t.Errorf("Clean removed %d, %v", removed, err)
	}
	if left, _ := filepath.Glob(building); len(left) > 0 {
		t.Errorf("%v is left", left)
	}
	if mounts := mountTable(t); mounts != mountsBefore {
		t.Errorf("mounts before:\n%s\nafter:\n%s", mountsBefore, mounts)
	}
}
