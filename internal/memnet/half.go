package memnet

import (
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// A half is one direction.
type half struct {
	mu     sync.Mutex
	wake   chan struct{} // closed and renewed on every change
	buf    []byte
	base   []byte // buf's array, from its beginning
	max    int
	rd, wd time.Time
	rerr   error // what a reader gets when buf is empty
	werr   error // what a writer gets
	reset  bool
}

func newHalf(max int) *half { return &half{max: max, wake: make(chan struct{})} }

// changed wakes whoever waits; mu is held.
func (h *half) changed() {
	close(h.wake)
	h.wake = make(chan struct{})
}

// wait unlocks, waits for a change or the deadline, and locks again.
func (h *half) wait(deadline time.Time) {
	wake := h.wake
	h.mu.Unlock()
	defer h.mu.Lock()
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

func past(t time.Time) bool { return !t.IsZero() && !t.After(time.Now()) }

// readable waits for data; mu is held. nil means that buf is not empty.
func (h *half) readable() error {
	for {
		switch {
		case h.reset || h.rerr == net.ErrClosed:
			return h.rerr
		case past(h.rd):
			return os.ErrDeadlineExceeded
		case len(h.buf) > 0:
			return nil
		case h.rerr != nil:
			return h.rerr
		}
		h.wait(h.rd)
	}
}

func (h *half) waitRead() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.readable()
}

func (h *half) read(b []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(b) == 0 {
		return 0, nil
	}
	if err := h.readable(); err != nil {
		return 0, err
	}
	return h.take(b), nil
}

func (h *half) tryRead(b []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.reset || h.rerr == net.ErrClosed:
		return 0, h.rerr
	case len(h.buf) > 0:
		return h.take(b), nil
	}
	return 0, h.rerr
}

func (h *half) take(b []byte) int {
	n := copy(b, h.buf)
	if h.buf = h.buf[n:]; len(h.buf) == 0 {
		h.buf = h.base[:0]
	}
	h.changed()
	return n
}

// put takes what there is room for; mu is held.
func (h *half) put(b []byte) int {
	n := max(0, min(h.max-len(h.buf), len(b)))
	if n == 0 {
		return 0
	}
	fresh := len(h.buf) == 0
	h.buf = append(h.buf, b[:n]...)
	if fresh {
		h.base = h.buf // the largest array so far is used again
	}
	h.changed()
	return n
}

// write writes all of b, waiting for room.
func (h *half) write(b []byte) (n int, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		switch {
		case h.werr != nil:
			return n, h.werr
		case past(h.wd):
			return n, os.ErrDeadlineExceeded
		}
		if n += h.put(b[n:]); n == len(b) {
			return n, nil
		}
		h.wait(h.wd)
	}
}

func (h *half) tryWrite(b []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.werr != nil {
		return 0, h.werr
	}
	return h.put(b), nil
}

func (h *half) waitWrite() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		switch {
		case past(h.wd) && h.werr != net.ErrClosed:
			return os.ErrDeadlineExceeded
		case h.werr != nil:
			return h.werr
		case len(h.buf) < h.max:
			return nil
		}
		h.wait(h.wd)
	}
}

func (h *half) shut(rerr, werr error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.rerr == nil || rerr == net.ErrClosed && !h.reset {
		h.rerr = rerr
	}
	if h.werr == nil || werr == net.ErrClosed && !h.reset {
		h.werr = werr
	}
	h.changed()
}

func (h *half) cut() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.rerr, h.werr, h.reset, h.buf = syscall.ECONNRESET, syscall.ECONNRESET, true, nil
	h.changed()
}

func (h *half) setReadDeadline(t time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.rd = t
	h.changed()
}

func (h *half) setWriteDeadline(t time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.wd = t
	h.changed()
}
