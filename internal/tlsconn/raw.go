package tlsconn

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

// A poller reads and writes without waiting, and waits without reading. Connections in memory have one of their own;
// for sockets see poll_unix.go.
type poller interface {
	WaitRead() error                // until TryRead has something, or the read deadline
	TryRead(b []byte) (int, error)  // 0, nil: nothing here
	TryWrite(b []byte) (int, error) // n < len(b), nil: the socket takes no more
}

// errWouldBlock is what tls gets when a record is not whole yet. It must be Timeout and Temporary: crypto/tls makes any
// other error permanent.
var errWouldBlock error = wouldBlock{}

type wouldBlock struct{}

func (wouldBlock) Error() string   { return "tlsconn: no whole record here" }
func (wouldBlock) Timeout() bool   { return true }
func (wouldBlock) Temporary() bool { return true }

// ErrBacklog ends a connection whose far side makes tls answer and does not read the answers.
var ErrBacklog = errors.New("tlsconn: the far side does not read")

const (
	recordHeader = 5
	maxRecord    = recordHeader + 16384 + 2048 // TLS 1.2's allowance is the larger one (RFC 5246 section 6.2.3)
	maxBacklog   = 1 << 20                     // one TryWrite's ciphertext, and what tls writes of itself
)

// A rawConn lies below tls.Conn.
//
//	           read side                                   write side
//	socket ──▶ in.b[r:w] ──▶ tls, one record at a time     tls ──▶ keep ──▶ socket
//	           borrowed while there is data                        the backlog, if it refuses
type rawConn struct {
	net.Conn
	poll poller

	// Read side; one goroutine.
	in      *buffer // nil: none borrowed
	r, w    int
	tail    []byte // what stood in the buffer when it was given back
	rest    int    // bytes of the present record that tls has not had
	batched bool
	rerr    error // the socket's, for good

	// Write side.
	mu      sync.Mutex
	keep    []byte // from the pool when not empty
	joining bool   // TryWrite or Encrypt is collecting
	flush1  bool   // Flush is at work: it alone writes
	notify  func()
	werr    error
}

func newRawConn(nc net.Conn) *rawConn {
	return &rawConn{Conn: nc, poll: newPoller(nc)}
}

func (c *rawConn) batch(notify func()) bool {
	if c.poll == nil {
		return false
	}
	setNotSentLowat(c.Conn)
	c.mu.Lock()
	c.notify = notify
	c.mu.Unlock()
	c.batched = true
	return true
}

// Read is called by tls. It never gives a byte of a record behind the present one.
func (c *rawConn) Read(b []byte) (int, error) {
	if c.poll == nil {
		return c.Conn.Read(b)
	}
	for {
		if n := c.take(b); n > 0 {
			return n, nil
		}
		if c.batched {
			// TryRead has seen a whole record, but it was none of data, and tls wants the next.
			if c.fill() > 0 {
				continue
			}
			if c.rerr != nil {
				return 0, c.rerr
			}
			return 0, errWouldBlock
		}
		if err := c.wait(); err != nil {
			return 0, err
		}
	}
}

// take gives tls what the buffer has of the present record.
func (c *rawConn) take(b []byte) int {
	if c.rest == 0 {
		n := c.recordLen()
		if n == 0 {
			return 0
		}
		c.rest = n
	}
	n := min(len(b), c.rest, c.w-c.r)
	if n > 0 {
		copy(b, c.in.b[c.r:c.r+n])
		c.r += n
		c.rest -= n
	}
	return n
}

// recordLen is the length of the record that begins at r, header included; 0: its header is not here yet.
func (c *rawConn) recordLen() int {
	if c.w-c.r < recordHeader {
		return 0
	}
	return recordHeader + int(binary.BigEndian.Uint16(c.in.b[c.r+3:]))
}

// whole reports whether what tls needs next is here entirely. A record that is longer than any may be is given to tls
// as far as it goes: tls refuses it by its header.
func (c *rawConn) whole() bool {
	need := c.rest
	if need == 0 {
		need = c.recordLen()
	}
	return need > 0 && c.w-c.r >= min(need, maxRecord)
}

// fillRecord reads what is here and reports whether tls has a whole record to work on.
func (c *rawConn) fillRecord() bool {
	return c.whole() || c.fill() > 0 && c.whole()
}

// fill reads from the socket without waiting.
func (c *rawConn) fill() int {
	if c.rerr != nil {
		return 0
	}
	c.borrow()
	n, err := c.poll.TryRead(c.in.b[c.w:])
	if err != nil {
		c.rerr = err
	}
	c.w += n
	if c.w == c.r {
		c.giveBack()
	}
	return n
}

// borrow makes room in the buffer.
func (c *rawConn) borrow() {
	if c.in == nil {
		c.in = getBuffer()
		c.r, c.w = 0, copy(c.in.b, c.tail)
		c.tail = nil
		return
	}
	if c.r > 0 && len(c.in.b)-c.w < maxRecord {
		c.w = copy(c.in.b, c.in.b[c.r:c.w])
		c.r = 0
	}
}

// giveBack returns the buffer; what is in it is kept in as many bytes as it has.
func (c *rawConn) giveBack() {
	if c.in == nil {
		return
	}
	if c.w > c.r {
		c.tail = append([]byte(nil), c.in.b[c.r:c.w]...)
	}
	putBuffer(c.in)
	c.in, c.r, c.w = nil, 0, 0
}

// wait waits for the socket, and reads.
func (c *rawConn) wait() error {
	if c.rerr != nil {
		return c.rerr
	}
	c.giveBack()
	if err := c.poll.WaitRead(); err != nil {
		if !isTimeout(err) {
			c.rerr = err
		}
		return err
	}
	if c.fill() == 0 && c.rerr != nil {
		return c.rerr
	}
	return nil
}

// waitRecord waits until TryRead has something to do.
func (c *rawConn) waitRecord() error {
	for !c.fillRecord() && c.rerr == nil {
		if err := c.wait(); err != nil && c.rerr == nil {
			return err
		}
	}
	return nil
}

// readErr is why there is nothing to read; nil: it is only not here yet. An end in the middle of a record is no end.
func (c *rawConn) readErr() error {
	if c.rerr == io.EOF && (c.rest > 0 || c.w > c.r || len(c.tail) > 0) {
		return io.ErrUnexpectedEOF
	}
	return c.rerr
}

func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

// Close closes the socket.
func (c *rawConn) Close() error {
	return c.Conn.Close()
}

// SetWriteDeadline and SetDeadline: tls sets them when it closes; after Batch, deadlines of writes are Flush's.
func (c *rawConn) SetWriteDeadline(t time.Time) error { return c.Conn.SetWriteDeadline(t) }
