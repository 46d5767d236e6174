package tlsconn

import "github.com/dialway/dialway/internal/rawio"

// calls are the system calls of a direction.
type calls struct{ in rawio.Reader }

// reads is how a stream is read. A file may have been put into blocking mode by somebody.
func (c *calls) reads(file bool) func(fd uintptr, b []byte) (int, error) {
	if file {
		return read
	}
	return c.in.Recv
}

// writes is how it is written.
func (c *calls) writes(file bool) func(fd uintptr, b []byte) (int, error) {
	if file {
		return write
	}
	return rawio.Send
}

// ready reports whether a descriptor is ready for events. If not, whoever asks will wait.
func (c *calls) ready(fd uintptr, events int16) bool {
	if rawio.Ready(fd, events) {
		return true
	}
	c.in.Paused()
	return false
}
