package main

import (
	"os/exec"
	"runtime"
	"syscall"
)

// runChild runs a command that is killed when this process is: the sandbox that
// it talks to is gone then, and with it all that it could undo.
func runChild(cmd *exec.Cmd) error {
	// The kernel means the thread that started it, by "parent".
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd.Run()
}
