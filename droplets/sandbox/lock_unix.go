//go:build darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd

package sandbox

import (
	"errors"
	"os"
	"syscall"
)

// lockFile takes a lock that ends with f, and so with this process.
func lockFile(f *os.File) (taken bool, err error) {
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return false, nil
	}
	return err == nil, err
}
