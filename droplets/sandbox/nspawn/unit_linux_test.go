package nspawn

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The record of a sandbox that runs is not touched; that of one that has ended
// is found, once.
func TestRegister(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "a", "b")
	r, err := register(folder, "/disks", "/cache", "/groups")
	if err != nil {
		t.Fatal(err)
	}
	if r.Cgroup != cgroup("/groups/cattle-sandbox-"+r.ID) {
		t.Errorf("its control group is %s", r.Cgroup)
	}
	if found, err := abandoned(r.path); found != nil || err != nil {
		t.Fatalf("a sandbox that runs is %v, %v", found, err)
	}
	r.file.Close() // as the end of a process does
	found, err := abandoned(r.path)
	if err != nil || found == nil || found.ID != r.ID || found.Dir != "/disks" || found.Cgroup != r.Cgroup {
		t.Fatalf("a sandbox that has ended is %+v, %v", found, err)
	}
	if again, err := abandoned(r.path); again != nil || err != nil {
		t.Errorf("two may clean at once: %v, %v", again, err)
	}
	if err := found.erase(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(folder); !os.IsNotExist(err) {
		t.Errorf("the empty folder is left: %v", err)
	}
}

// A record that was given up while somebody waited for it is nobody's.
func TestRegisterWasTaken(t *testing.T) {
	r, err := register(t.TempDir(), "/disks", "/cache", "/groups")
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(r.path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if !sameFile(f, r.path) {
		t.Error("a file is not itself")
	}
	r.erase()
	if sameFile(f, r.path) {
		t.Error("a file that was removed is there")
	}
	if err := os.MkdirAll(filepath.Dir(r.path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(r.path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if sameFile(f, r.path) {
		t.Error("another file with the same name is taken for it")
	}
}

// An empty record, of a process killed while it wrote it, is removed.
func TestCleanEmptyRecord(t *testing.T) {
	if os.Geteuid() != 0 {
		var m *MissingError
		if _, err := clean(context.Background(), t.TempDir(), nil); !errors.As(err, &m) {
			t.Errorf("without root: %v", err)
		}
		return
	}
	folder := filepath.Join(t.TempDir(), "a", "b")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "1.json"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if removed, err := clean(context.Background(), folder, nil); removed != 1 || err != nil {
		t.Errorf("removed %d, %v", removed, err)
	}
	if removed, err := clean(context.Background(), folder, nil); removed != 0 || err != nil {
		t.Errorf("removed %d of nothing, %v", removed, err)
	}
}

func TestEmptyFolder(t *testing.T) {
	dir := t.TempDir()
	for _, ok := range []string{dir, filepath.Join(dir, "not/there")} {
		if got, err := emptyFolder(ok); err != nil || got != ok {
			t.Errorf("%s: %s, %v", ok, got, err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "mine"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := emptyFolder(dir); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("a folder with a file in it: %v", err)
	}
	if _, err := emptyFolder(""); err == nil {
		t.Error("no folder is taken")
	}
}

// Images go with their last use, and with them what they stood on.
func TestCollect(t *testing.T) {
	ground := &image{dir: "ground", uses: 2, deleted: true} // a machine and middle
	middle := &image{dir: "middle", uses: 1, parent: ground}
	if got := ground.release(); got != nil {
		t.Errorf("ground is removed below middle: %v", got)
	}
	middle.deleted = true
	if got := middle.collect(); got != nil {
		t.Errorf("middle is removed below a machine: %v", got)
	}
	if got := strings.Join(middle.release(), " "); got != "middle ground" {
		t.Errorf("removed %q, want both", got)
	}
	if got := (*image)(nil).release(); got != nil {
		t.Errorf("nothing frees %v", got)
	}
}

func TestPaths(t *testing.T) {
	if got := unescape(`/a\040b\134c`); got != `/a b\c` {
		t.Errorf("a mount point is %q", got)
	}
	if got := escapeOption(`/a,b\c`); got != `/a\,b\\c` {
		t.Errorf("an option is %q", got)
	}
}

// A thread's namespaces end with it, whichever thread it is given.
func TestOnThread(t *testing.T) {
	main := unix.Getpid()
	for range 50 {
		err := onThread(func() error {
			if unix.Gettid() == main {
				return errors.New("on the main thread")
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	want := errors.New("this")
	if err := onThread(func() error { return want }); err != want {
		t.Errorf("the error is %v", err)
	}
}

func TestTool(t *testing.T) {
	out, err := tool{argv: []string{"sh", "-c", "cat; echo $A; echo $HOME"}, stdin: "in\n", env: []string{"A=b"}}.run(t.Context())
	if err != nil || string(out) != "in\nb\n\n" {
		t.Errorf("%q, %v", out, err)
	}
	_, err = tool{argv: []string{"sh", "-c", "echo first >&2; echo last >&2; exit 3"}}.run(t.Context())
	if err == nil || err.Error() != "sh: exit status 3:\n\tfirst\n\tlast" {
		t.Errorf("a failure says %v", err)
	}
	ctx, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, errors.New("too late"))
	defer cancel()
	begin := time.Now()
	if _, err = (tool{argv: []string{"sleep", "60"}}).run(ctx); err == nil || err.Error() != "sleep: too late" || time.Since(begin) > 10*time.Second {
		t.Errorf("after %s: %v", time.Since(begin), err)
	}
	if _, err = (tool{argv: []string{"not-a-program"}}).run(t.Context()); err == nil {
		t.Error("a program that is not there ran")
	}
}
