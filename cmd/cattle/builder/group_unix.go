//go:build unix

package builder

import (
	"os/exec"
	"syscall"
)

// asGroup starts a command in a process group of its own, so that an interrupt
// ends what it started too, and so that a Ctrl-C reaches it through us alone.
func asGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
}

// killGroup ends what is left of it.
func killGroup(cmd *exec.Cmd) {
	if cmd.Process != nil {
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	}
}
