//go:build linux

package editor_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cattle/cmd/cattle/editor"
)

// script is an editor: a shell script that gets the file as $1.
func script(t *testing.T, text string) func(string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "editor.sh")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return func(name string) string { return map[string]string{"EDITOR": "sh " + path}[name] }
}

func open(t *testing.T) *editor.Desk {
	t.Helper()
	d, err := editor.Open([]string{"/dev/shm"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// desks are the folders that there are now.
func desks(t *testing.T) string {
	t.Helper()
	found, err := filepath.Glob("/dev/shm/cattle-edit-*")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(found, " ")
}

func TestEdit(t *testing.T) {
	d := open(t)
	var out strings.Builder
	env := script(t, `echo "$(stat -f -c %T "$1") $(stat -c %a "$1") $(stat -c %a "$(dirname "$1")") $TMPDIR $(basename "$1")"; echo "B=2" >> "$1"`)
	text, err := d.Edit(t.Context(), env, editor.Streams{Out: &out}, "secrets.env", []byte("A=1\n"))
	if err != nil || string(text) != "A=1\nB=2\n" {
		t.Errorf("edited to %q, %v", text, err)
	}
	said := strings.Fields(out.String())
	if len(said) != 5 || said[0] != "tmpfs" || said[1] != "600" || said[2] != "700" || !strings.HasPrefix(said[3], "/dev/shm/cattle-edit-") || said[4] != "secrets.env" {
		t.Errorf("the editor saw %q", said)
	}
	dir := said[3]
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is there still", dir)
	}
}

func TestEditorFails(t *testing.T) {
	d := open(t)
	if _, err := d.Edit(t.Context(), script(t, "exit 3"), editor.Streams{}, "a.env", nil); err == nil || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("got %v", err)
	}
	if _, err := d.Edit(t.Context(), script(t, `rm "$1"`), editor.Streams{}, "a.env", nil); err == nil {
		t.Error("the file was taken away, and nobody says so")
	}
}

// TestInterrupted: the file is gone while the editor still runs.
func TestInterrupted(t *testing.T) {
	d := open(t)
	ctx, cancel := context.WithCancel(t.Context())
	place := filepath.Join(t.TempDir(), "place")
	env := script(t, `trap 'sleep 1; exit 0' TERM; echo "$1" > `+place+`.new; mv `+place+`.new `+place+`; while :; do sleep 0.05; done`)
	done := make(chan error, 1)
	go func() {
		_, err := d.Edit(ctx, env, editor.Streams{}, "a.env", []byte("A=1\n"))
		done <- err
	}()
	for start := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(place); err == nil {
			break
		}
		if time.Since(start) > 20*time.Second {
			t.Fatal("the editor did not begin")
		}
	}
	path, err := os.ReadFile(place)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	for start := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(strings.TrimSpace(string(path))); errors.Is(err, os.ErrNotExist) {
			break
		}
		if time.Since(start) > 900*time.Millisecond {
			t.Fatal("the text is there still")
		}
	}
	select {
	case err := <-done:
		t.Errorf("the editor had ended already: %v", err)
	default:
	}
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// TestNoMemory: a folder on a disk is none, whatever it is called.
func TestNoMemory(t *testing.T) {
	kind, err := exec.Command("stat", "-f", "-c", "%T", ".").Output()
	if err != nil || strings.TrimSpace(string(kind)) == "tmpfs" {
		t.Skipf("this folder is on %s, %v", kind, err)
	}
	dir, err := os.MkdirTemp(".", "disk-*")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if d, err := editor.Open([]string{"", dir, filepath.Join(dir, "none")}); !errors.Is(err, editor.ErrNoMemory) {
		t.Errorf("got %v, %v", d, err)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestSweep: what a killed cattle left behind is gone with the next one's
// begin, and what another one uses is not.
func TestSweep(t *testing.T) {
	left, err := os.MkdirTemp("/dev/shm", "cattle-edit-*")
	if err != nil {
		t.Fatal(err)
	}
	used := open(t) // sweeps too
	if strings.Contains(desks(t), left) {
		t.Errorf("%s is there still", left)
	}
	open(t)
	if _, err := used.Edit(t.Context(), script(t, "exit 0"), editor.Streams{}, "a.env", nil); err != nil {
		t.Errorf("a folder in use was swept: %v", err)
	}
}

func TestNoEditor(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if _, err := open(t).Edit(t.Context(), func(string) string { return "" }, editor.Streams{}, "a.env", nil); !errors.Is(err, editor.ErrNone) {
		t.Errorf("got %v", err)
	}
}
