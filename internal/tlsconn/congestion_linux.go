package tlsconn

import (
	"errors"
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// SetCongestion sets the congestion control of a TCP socket, or of those that a listener will accept; "" leaves it. An
// error that is errors.ErrUnsupported says that c is nothing of the system's.
func SetCongestion(c any, name string) error {
	if name == "" {
		return nil
	}
	sc, ok := c.(syscall.Conn)
	if !ok {
		return fmt.Errorf("congestion control of a %T: %w", c, errors.ErrUnsupported)
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return err
	}
	if e := raw.Control(func(fd uintptr) {
		err = unix.SetsockoptString(int(fd), unix.IPPROTO_TCP, unix.TCP_CONGESTION, name)
	}); e != nil {
		return e
	}
	if err != nil {
		return fmt.Errorf("congestion control %q: %w", name, err)
	}
	return nil
}
