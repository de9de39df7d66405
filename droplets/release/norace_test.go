//go:build !race

package release_test

// skipped leaves out nothing: without the race detector every schedule runs.
func skipped(int) bool { return false }
