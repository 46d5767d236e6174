package memnet

import (
	"errors"
	"sync"
)

// ErrInjected is the failure that FailRead and FailWrite inject.
var ErrInjected = errors.New("memnet: injected failure")

// hooks make the Nth operation of an end fail, and every later one, as a broken connection does.
type hooks struct {
	mu            sync.Mutex
	reads, writes int // until failure; 0: never
	nr, nw        int // so far
	failed        bool
}

// FailRead makes the nth read from now on fail, and everything after; n counts from 1.
func (c *Conn) FailRead(n int) {
	c.hooks.mu.Lock()
	defer c.hooks.mu.Unlock()
	c.hooks.nr, c.hooks.reads = 0, n
}

// FailWrite makes the nth write from now on fail, and everything after; n counts from 1.
func (c *Conn) FailWrite(n int) {
	c.hooks.mu.Lock()
	defer c.hooks.mu.Unlock()
	c.hooks.nw, c.hooks.writes = 0, n
}

// Ops returns how many reads and writes this end has made.
func (c *Conn) Ops() (reads, writes int) {
	c.hooks.mu.Lock()
	defer c.hooks.mu.Unlock()
	return c.hooks.nr, c.hooks.nw
}

func (h *hooks) read(c *Conn) error {
	h.mu.Lock()
	h.nr++
	h.failed = h.failed || h.reads != 0 && h.nr >= h.reads
	return h.outcome(c)
}

func (h *hooks) write(c *Conn) error {
	h.mu.Lock()
	h.nw++
	h.failed = h.failed || h.writes != 0 && h.nw >= h.writes
	return h.outcome(c)
}

// outcome unlocks; a failure breaks the connection for both ends.
func (h *hooks) outcome(c *Conn) error {
	failed := h.failed
	h.mu.Unlock()
	if !failed {
		return nil
	}
	c.Cut()
	return ErrInjected
}

// Feed makes bytes arrive at this end that the far one has not written.
func (c *Conn) Feed(b []byte) {
	c.in.mu.Lock()
	defer c.in.mu.Unlock()
	c.in.buf = append(c.in.buf, b...)
	c.in.changed()
}
