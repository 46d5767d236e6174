package tlsconn

import (
	"net"
	"time"
)

// Write is called by tls, with one record, by whoever wrote or, for a KeyUpdate's answer and for alerts, by the reader.
func (c *rawConn) Write(b []byte) (int, error) {
	if !c.batched {
		return c.Conn.Write(b)
	}
	c.mu.Lock()
	if c.werr != nil {
		defer c.mu.Unlock()
		return 0, c.werr
	}
	if len(c.keep)+len(b) > maxBacklog {
		c.werr = ErrBacklog
		c.mu.Unlock()
		c.Conn.Close()
		return 0, ErrBacklog
	}
	c.keepBytes(b)
	if c.joining || c.flush1 {
		c.mu.Unlock()
		return len(b), nil
	}
	err := c.push()
	left := len(c.keep) > 0
	c.mu.Unlock()
	if left && err == nil && c.notify != nil {
		c.notify()
	}
	return len(b), err
}

// keepBytes appends to what is kept; mu is held.
func (c *rawConn) keepBytes(b []byte) {
	if c.keep == nil {
		c.keep = getKeep()
	}
	c.keep = append(c.keep, b...)
}

// push sends what the socket takes now; mu is held.
func (c *rawConn) push() error {
	if len(c.keep) == 0 {
		return nil
	}
	n, err := c.poll.TryWrite(c.keep)
	if err != nil {
		c.werr = err
		c.drop()
		return err
	}
	if n == len(c.keep) {
		c.drop()
	} else {
		c.keep = c.keep[:copy(c.keep, c.keep[n:])]
	}
	return nil
}

func (c *rawConn) drop() {
	putKeep(c.keep)
	c.keep = nil
}

// join begins to collect records.
func (c *rawConn) join() {
	c.mu.Lock()
	c.joining = true
	c.mu.Unlock()
}

// collected ends it, and sends nothing.
func (c *rawConn) collected() {
	c.mu.Lock()
	c.joining = false
	c.mu.Unlock()
}

// joined ends it, and sends.
func (c *rawConn) joined(err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.joining = false
	if err != nil || c.flush1 {
		return err
	}
	return c.push()
}

func (c *rawConn) backlog() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.keep)
}

// flushChunk is how much one blocking write takes: its deadline is renewed when it is through, that is, when bytes move.
const flushChunk = 16 << 10

func (c *rawConn) flush(d time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.keep) > 0 && c.werr == nil {
		b := c.keep
		c.keep, c.flush1 = nil, true // tls may go on collecting meanwhile
		c.mu.Unlock()
		err := writeSlowly(c.Conn, b, d)
		putKeep(b)
		c.mu.Lock()
		c.flush1 = false
		if err != nil && c.werr == nil {
			c.werr = err
			c.drop()
		}
	}
	return c.werr
}

// writeSlowly writes b, each chunk within d.
func writeSlowly(nc net.Conn, b []byte, d time.Duration) error {
	for len(b) > 0 {
		if err := nc.SetWriteDeadline(time.Now().Add(d)); err != nil {
			return err
		}
		n, err := nc.Write(b[:min(len(b), flushChunk)])
		if err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}
