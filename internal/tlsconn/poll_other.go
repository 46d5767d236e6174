//go:build !unix

package tlsconn

import "net"

// newPoller knows connections in memory only: without one, a session reads record by record and writes by its writing
// goroutine.
func newPoller(nc net.Conn) poller {
	p, _ := nc.(poller)
	return p
}
