//go:build unix

package secrets

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// lockPatience is how long a change waits for another one: a set takes
// milliseconds, an editor is open for minutes.
const lockPatience = 3 * time.Second

// A lock is an open folder that one process at a time has locked. The kernel
// ends it with the process, so none is ever left behind, and no file either.
// The folder, not the file: that one is replaced by each change.
type lock struct{ folder *os.File }

// lockFolder locks the folder of the file at path.
func lockFolder(path string) (*lock, error) {
	dir := filepath.Dir(path)
	f, err := os.Open(dir)
	if err != nil {
		return nil, &InputError{path, "there is no folder " + dir, "mkdir -p " + dir}
	}
	for start := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case err == nil:
			return &lock{f}, nil
		case errors.Is(err, syscall.ENOLCK), errors.Is(err, syscall.ENOTSUP):
			return &lock{f}, nil // a file system without locks; Save still looks for changes
		case !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR):
			f.Close()
			return nil, &os.PathError{Op: "lock", Path: dir, Err: err}
		case time.Since(start) > lockPatience:
			f.Close()
			return nil, &InputError{path, "another cattle secrets is changing it, or a file beside it", "end that one, perhaps an open editor, and do it again"}
		}
	}
}

func (l *lock) release() { l.folder.Close() }
