package ppp

import (
	"errors"
	"io"
	"os"
	"sync"
	"time"
)

// errTimeout is what a read that ran into its deadline returns.
var errTimeout = os.ErrDeadlineExceeded

func isTimeout(err error) bool {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return true
	}
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

// A deadlineConn gives read deadlines to a stream that has none (an ssh channel, a pipe), by a goroutine that reads. It
// ends when the stream is closed.
type deadlineConn struct {
	StreamConn
	mu       sync.Mutex
	wake     chan struct{} // closed and renewed on every change
	buf      []byte
	err      error
	deadline time.Time
}

// deadlineBuffer bounds what is read ahead.
const deadlineBuffer = 64 << 10

func newDeadlineConn(c StreamConn) *deadlineConn {
	d := &deadlineConn{StreamConn: c, wake: make(chan struct{})}
	go d.pump()
	return d
}

func (d *deadlineConn) changed() {
	close(d.wake)
	d.wake = make(chan struct{})
}

func (d *deadlineConn) pump() {
	b := make([]byte, 16<<10)
	for {
		n, err := d.StreamConn.Read(b)
		d.mu.Lock()
		d.buf = append(d.buf, b[:n]...)
		if err == nil && n == 0 {
			err = io.ErrNoProgress
		}
		d.err = err
		d.changed()
		for len(d.buf) > deadlineBuffer && d.err == nil {
			wake := d.wake
			d.mu.Unlock()
			<-wake
			d.mu.Lock()
		}
		d.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (d *deadlineConn) Read(b []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for {
		switch {
		case !d.deadline.IsZero() && !d.deadline.After(time.Now()):
			return 0, errTimeout
		case len(d.buf) > 0:
			n := copy(b, d.buf)
			d.buf = d.buf[:copy(d.buf, d.buf[n:])]
			d.changed()
			return n, nil
		case d.err != nil:
			return 0, d.err
		}
		d.wait()
	}
}

// wait unlocks, waits for a change or the deadline, and locks again.
func (d *deadlineConn) wait() {
	wake, deadline := d.wake, d.deadline
	d.mu.Unlock()
	defer d.mu.Lock()
	if deadline.IsZero() {
		<-wake
		return
	}
	t := time.NewTimer(time.Until(deadline))
	defer t.Stop()
	select {
	case <-wake:
	case <-t.C:
	}
}

func (d *deadlineConn) SetReadDeadline(t time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.deadline = t
	d.changed()
	return nil
}

func (d *deadlineConn) Close() error {
	err := d.StreamConn.Close()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err == nil {
		d.err = os.ErrClosed
	}
	d.buf = nil
	d.changed()
	return err
}
