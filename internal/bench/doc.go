// Package bench measures what only the whole says: packets from device to device through a session, beside a plain copy
// by crypto/tls in the same run, and the memory of a session that is idle. These machines are shared and noisy: what
// counts is the ratio.
//
//	go test -run - -bench . ./internal/bench
package bench
