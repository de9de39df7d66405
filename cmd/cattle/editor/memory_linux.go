package editor

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// inMemory asks the kernel what file system a folder is on. tmpfs may be
// swapped out; docs/secrets.md says so.
func inMemory(folder string) bool {
	var fs unix.Statfs_t
	if unix.Statfs(folder, &fs) != nil {
		return false
	}
	kind := uint32(fs.Type)
	return kind == unix.TMPFS_MAGIC || kind == unix.RAMFS_MAGIC
}

// hold locks a folder of this user, if nobody has. The kernel ends the lock
// with the process.
func hold(dir string) (release func(), held bool) {
	// What others may have put there in a folder's place is not opened.
	f, err := os.OpenFile(dir, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return func() {}, false
	}
	release = func() { f.Close() }
	info, err := f.Stat()
	if err != nil {
		return release, false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	mine := ok && int(stat.Uid) == os.Getuid() && info.IsDir()
	return release, mine && syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) == nil
}
