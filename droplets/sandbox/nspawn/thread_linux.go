package nspawn

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// onThread runs f on an operating system thread that ends with it, and with it
// whatever f did to the thread's namespaces. Children that f starts may ask to
// die with the thread.
func onThread(f func() error) error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // without an unlock: this is what ends the thread
		if unix.Gettid() == unix.Getpid() {
			// The main thread cannot end, and /proc/self shows its namespaces. While
			// this goroutine holds it, the next one is on another thread.
			err := onThread(f)
			runtime.UnlockOSThread()
			result <- err
			return
		}
		result <- f()
	}()
	return <-result
}
