//go:build race

package ppp

// raceEnabled: sync.Pool forgets at random under the race detector, so that what borrows allocates.
const raceEnabled = true
