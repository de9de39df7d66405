//go:build !unix

package builder

import "os/exec"

// Without process groups the tool alone is killed.
func asGroup(*exec.Cmd)   {}
func killGroup(*exec.Cmd) {}
