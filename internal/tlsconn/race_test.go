//go:build race

package tlsconn

// raceEnabled: sync.Pool forgets at random under the race detector, so that what borrows allocates.
const raceEnabled = true
