//go:build unix && !linux

package tlsconn

import "golang.org/x/sys/unix"

// calls are the system calls of a direction.
type calls struct{ poll [1]unix.PollFd }

func reads(bool) func(c *calls, fd uintptr, b []byte) (int, error)  { return read }
func writes(bool) func(c *calls, fd uintptr, b []byte) (int, error) { return write }

// ready reports whether a descriptor is ready for events.
func (c *calls) ready(fd uintptr, events int16) bool {
	c.poll[0] = unix.PollFd{Fd: int32(fd), Events: events}
	n, err := unix.Poll(c.poll[:], 0)
	return n > 0 || err != nil && err != unix.EINTR
}
