//go:build !unix

package hook

import "os/exec"

func apart(*exec.Cmd) {}

// signal kills the command; its children go on.
func signal(cmd *exec.Cmd, kill bool) error { return cmd.Process.Kill() }
