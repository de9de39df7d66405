//go:build unix && !linux

package hook

import (
	"os/exec"
	"syscall"
)

// apart puts the command into a process group of its own, so that all of it
// can be ended, and an interrupt at the terminal does not reach it by itself.
func apart(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// signal tells the group to end, or kills it.
func signal(cmd *exec.Cmd, kill bool) error {
	if kill {
		return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	}
	return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
}
