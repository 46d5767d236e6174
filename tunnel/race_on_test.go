//go:build race

package tunnel_test

// Under the race detector sync.Pool drops at random, so allocations are not counted.
const raceEnabled = true
