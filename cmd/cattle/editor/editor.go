// Package editor opens text that must not reach a disk in the user's editor: a
// file in a folder of its own, in memory, that is gone when the editor is.
package editor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// ErrNoMemory says that there is no folder of which it is certain that it is
// in memory. So it is on every system but Linux.
var ErrNoMemory = errors.New("there is no folder in memory here, and a value in plain text must not reach a disk")

// ErrNone says that no editor is named, and none of the usual ones installed.
var ErrNone = errors.New("there is no editor")

// maxText is the largest text that is read back, in bytes, as for any secrets file.
const maxText = 1 << 20

// A Desk is a private folder in memory. It is used by one editor at a time.
type Desk struct {
	dir     string
	release func()
}

// Folders are where memory is found on Linux: one of the user's own, if he is
// logged in with systemd, and one that everybody has.
func Folders(env func(string) string) []string {
	return []string{env("XDG_RUNTIME_DIR"), "/dev/shm"}
}

// Open makes a Desk in the first of the folders that is in memory, and removes
// those that killed processes of this user left behind there.
func Open(folders []string) (*Desk, error) {
	for _, folder := range folders {
		if folder == "" || !inMemory(folder) {
			continue
		}
		sweep(folder)
		if d, err := newDesk(folder); err == nil {
			return d, nil
		}
	}
	return nil, ErrNoMemory
}

// pattern is how Desks are called, so that they are found again.
const pattern = "cattle-edit-*"

// newDesk makes the folder, mode 0700, and locks it for as long as it is used.
func newDesk(folder string) (*Desk, error) {
	for range 5 {
		dir, err := os.MkdirTemp(folder, pattern)
		if err != nil {
			return nil, err
		}
		release, held := hold(dir)
		if _, err := os.Stat(dir); held && err == nil {
			return &Desk{dir, release}, nil
		}
		release() // somebody's sweep came between
		os.RemoveAll(dir)
	}
	return nil, ErrNoMemory
}

// sweep removes Desks that nobody holds.
func sweep(folder string) {
	left, _ := filepath.Glob(filepath.Join(folder, pattern)) // the pattern is sound
	for _, dir := range left {
		release, held := hold(dir)
		if held {
			os.RemoveAll(dir)
		}
		release()
	}
}

// Close removes the folder and all that is in it. It may be called more than
// once, and while the editor still runs.
func (d *Desk) Close() error {
	err := os.RemoveAll(d.dir)
	d.release()
	return err
}

// Streams are what the editor draws on.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// Edit hands text to the user's editor as a file called name, mode 0600, and
// returns what the editor made of it. When ctx ends the file is removed at
// once and the editor is told to end.
func (d *Desk) Edit(ctx context.Context, env func(string) string, s Streams, name string, text []byte) ([]byte, error) {
	command, err := choose(env)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(d.dir, name)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		return nil, err
	}
	defer context.AfterFunc(ctx, func() { d.Close() })()
	// As git does it: what the variable says is for a shell.
	args := append([]string{"-c", "exec " + command + ` "$@"`, "sh"}, harmless(command)...)
	cmd := exec.CommandContext(ctx, "sh", append(args, path)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = s.In, s.Out, s.Err
	cmd.Env = append(os.Environ(), "TMPDIR="+d.dir) // filters and copies of the editor's own
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 2 * time.Second
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, fmt.Errorf("the editor %s: %w", command, err)
	}
	return read(path)
}

func read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, errors.New("the editor took the file away")
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxText+1))
	if err == nil && len(text) > maxText {
		err = errors.New("the text is larger than 1 MiB")
	}
	return text, err
}

// choose is the command that the user wants, or one that is there.
func choose(env func(string) string) (string, error) {
	for _, name := range []string{"VISUAL", "EDITOR"} {
		if command := strings.TrimSpace(env(name)); command != "" {
			return command, nil
		}
	}
	for _, name := range []string{"vim", "nano", "vi"} {
		if _, err := exec.LookPath(name); err == nil {
			return name, nil
		}
	}
	return "", ErrNone
}

// harmless are the flags that keep an editor from writing elsewhere what it
// shows: vim's swap file, its viminfo with the registers, backups, undo files.
// What other editors write beside the file is in memory as it is.
func harmless(command string) []string {
	program, _, _ := strings.Cut(command, " ")
	path, err := exec.LookPath(program)
	if err != nil {
		return nil
	}
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target // vi is often a link to vim, and often not
	}
	if !strings.Contains(filepath.Base(path), "vim") {
		return nil
	}
	return []string{"-n", "-i", "NONE", "-c", "set nobackup nowritebackup noundofile"}
}
