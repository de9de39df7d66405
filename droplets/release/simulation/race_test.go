//go:build race

package simulation

// thinner leaves out most schedules under the race detector, which makes them
// ten times slower and looks for another kind of fault.
const thinner = 20
