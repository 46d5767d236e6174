//go:build !unix

package tlsconn

// A poller is not to be had here: a session writes by its writing goroutine, and reads in waiting reads.
type poller struct {
	readPoller
	writePoller
	young bool // sock says so to every system's
}

func (*poller) init(Stream) bool { return false }
