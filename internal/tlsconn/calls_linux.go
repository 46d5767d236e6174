package tlsconn

import "github.com/dialway/dialway/internal/rawio"

// calls are the system calls of a direction.
type calls struct{ in rawio.Reader }

// reads is how a stream is read. A file may have been put into blocking mode by somebody.
func reads(file bool) func(c *calls, fd uintptr, b []byte) (int, error) {
	if file {
		return read
	}
	return recv
}

// writes is how it is written.
func writes(file bool) func(c *calls, fd uintptr, b []byte) (int, error) {
	if file {
		return write
	}
	return send
}

func recv(c *calls, fd uintptr, b []byte) (int, error) { return c.in.Recv(fd, b) }
func send(_ *calls, fd uintptr, b []byte) (int, error) { return rawio.Send(fd, b) }

// ready reports whether a descriptor is ready for events. If not, whoever asks will wait.
func (c *calls) ready(fd uintptr, events int16) bool {
	if rawio.Ready(fd, events) {
		return true
	}
	c.in.Paused()
	return false
}
