//go:build !race

package simulation

// thinner leaves out nothing: without the race detector every schedule runs.
const thinner = 1
