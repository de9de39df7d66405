//go:build race

package release_test

// skipped leaves out most schedules under the race detector, which makes them
// ten times slower and looks for another kind of fault.
func skipped(n int) bool { return n%25 != 1 }
