//go:build race

package secrets_test

// raceDetector says that this test runs with the race detector.
const raceDetector = true
