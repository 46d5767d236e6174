package tlsconn

import (
	"encoding/binary"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// recordHeader is type, version and length, RFC 8446 section 5.1.
const recordHeader = 5

// A records is the net.Conn below tls.Conn. It gives tls no byte beyond the present record: tls would keep it, in a
// buffer that never shrinks again.
type records struct {
	nc      net.Conn
	sock    sock
	batched atomic.Bool
	closed  atomic.Bool
	notes   any    // of who made the server's end
	before  func() // to be called before the handshake goes on

	// Before Batch.
	ahead []byte           // read, and not given to tls
	room  *[earlyRoom]byte // what ahead is in, of rooms
	joins bool             // writes wait for the next read
	late  *[]byte          // what waits, for a read or a write; nil: nothing

	header [recordHeader]byte // of the present record
	have   int                // bytes of it that tls has had
	rest   int                // bytes of its body that tls has not had
	begun  bool               // the first record has
	second int                // bytes of it that come as a record of their own; 0: none
}

func (c *records) init(nc net.Conn) {
	c.nc = nc
	c.sock.init(nc)
}

func (c *records) batch() {
	if c.flush() == nil && len(c.ahead) > 0 {
		c.sock.readAhead(c.ahead)
	}
	if c.room != nil {
		rooms.Put(c.room)
	}
	c.ahead, c.room, c.late = nil, nil, nil
	c.batched.Store(true)
	c.sock.lowat()
}

// errWouldBlock is what tls gets when no more is here. It must be Timeout and Temporary, and a net.Error itself:
// crypto/tls makes any other error permanent, and goes on after this one in the middle of a record, too.
var errWouldBlock error = wouldBlock{}

type wouldBlock struct{}

func (wouldBlock) Error() string   { return "tlsconn: nothing here" }
func (wouldBlock) Timeout() bool   { return true }
func (wouldBlock) Temporary() bool { return true }

// Read is called by tls, by whoever reads.
func (c *records) Read(b []byte) (n int, err error) {
	if !c.batched.Load() {
		c.goOn()
		if c.second > 0 && c.have == 0 && len(b) >= recordHeader {
			c.rest, c.second = c.second, 0
			binary.BigEndian.PutUint16(c.header[3:], uint16(c.rest))
			c.have = copy(b, c.header[:])
			return c.have, nil
		}
		if len(c.ahead) == 0 {
			if err = c.more(); len(c.ahead) == 0 {
				return 0, err
			}
		}
		for whole := false; n < len(b) && !whole && len(c.ahead) > 0; {
			k := copy(b[n:min(len(b), n+c.limit())], c.ahead)
			c.ahead = c.ahead[k:]
			whole = c.pass(b[n : n+k])
			if n += k; !c.begun && n == recordHeader {
				c.halve(b)
			}
			c.begun = true
		}
		return n, nil
	}
	// A header and its body at once, if both are here: each Read costs tls an allocation.
	for whole := false; n < len(b) && !whole && err == nil; {
		var k int
		if k, err = c.sock.tryRead(b[n:min(len(b), n+c.limit())]); k == 0 {
			break
		}
		whole = c.pass(b[n : n+k])
		n += k
	}
	if n > 0 {
		return n, nil // an error comes again
	}
	if err == nil {
		err = errWouldBlock
	}
	return 0, err
}

// earlyRoom is how much is read at once before Batch: most answers to a ClientHello fit, which are six records.
const earlyRoom = 4 << 10

// rooms are those of Conns that were turned over.
var rooms = sync.Pool{New: func() any { return new([earlyRoom]byte) }}

// more reads what is to be given to tls, when what waits has been sent.
func (c *records) more() error {
	if err := c.flush(); err != nil {
		return err
	}
	if c.room == nil {
		c.room = rooms.Get().(*[earlyRoom]byte)
	}
	n, err := c.sock.Stream.Read(c.room[:])
	c.ahead = c.room[:n]
	return err // beside bytes, it comes again
}

// lates hold what waits: what ends a handshake, and a request.
var lates = sync.Pool{New: func() any { return new(make([]byte, 0, 1<<10)) }}

// write sends what waits and b, or has b wait, too.
func (c *records) write(b []byte) (int, error) {
	if c.late == nil {
		if !c.joins {
			return c.nc.Write(b)
		}
		c.late = lates.Get().(*[]byte)
	}
	if *c.late = append(*c.late, b...); !c.joins {
		if err := c.flush(); err != nil {
			return 0, err
		}
	}
	return len(b), nil
}

// flush sends what waits.
func (c *records) flush() error {
	if c.late == nil {
		return nil
	}
	b := c.late
	c.late = nil
	_, err := c.nc.Write(*b)
	*b = (*b)[:0]
	lates.Put(b)
	return err
}

// halve makes two records of a ClientHello, as its sender may (RFC 8446 section 5.1). With a post-quantum key share it has a
// kilobyte and a half, and crypto/tls keeps for good what it has read a record into, with as much room again: of a server's
// idle session it would be two kilobytes.
func (c *records) halve(header []byte) {
	const handshake, most = 22, 1 << 10
	if c.have < recordHeader || c.header[0] != handshake || c.rest <= most {
		return
	}
	c.second = c.rest / 2
	c.rest -= c.second
	binary.BigEndian.PutUint16(header[3:], uint16(c.rest))
}

// goOn calls what Before was given.
func (c *records) goOn() {
	if f := c.before; f != nil {
		c.before = nil
		f()
	}
}

// limit is how much tls may have before the next boundary is known.
func (c *records) limit() int {
	if c.have < recordHeader {
		return recordHeader - c.have
	}
	return c.rest
}

// pass follows what tls is given, and reports whether that was the end of a record.
func (c *records) pass(b []byte) (whole bool) {
	if c.have < recordHeader {
		c.have += copy(c.header[c.have:], b)
		if c.have == recordHeader {
			c.rest = int(binary.BigEndian.Uint16(c.header[3:]))
		}
	} else {
		c.rest -= len(b)
	}
	if whole = c.have == recordHeader && c.rest == 0; whole {
		c.have = 0
	}
	return whole
}

// Write is called by tls, with one record: by who sends, and for KeyUpdates and alerts by who reads.
func (c *records) Write(b []byte) (int, error) {
	if !c.batched.Load() {
		c.goOn()
		return c.write(b)
	}
	return c.sock.append(b)
}

// closing comes before tls.Conn.Close, which waits for the lock of whoever writes and then gives its close_notify five
// seconds. After Batch no write waits; before, this deadline ends both.
func (c *records) closing() {
	if !c.batched.Load() && !c.closed.Swap(true) {
		c.nc.SetWriteDeadline(time.Now().Add(closeTime))
	}
}

func (c *records) Close() error                      { return c.sock.close() }
func (c *records) LocalAddr() net.Addr               { return c.nc.LocalAddr() }
func (c *records) RemoteAddr() net.Addr              { return c.nc.RemoteAddr() }
func (c *records) SetReadDeadline(t time.Time) error { return c.sock.Stream.SetReadDeadline(t) }

// SetWriteDeadline does nothing after Batch or closing: tls sets one when it closes.
func (c *records) SetWriteDeadline(t time.Time) error {
	if c.batched.Load() || c.closed.Load() {
		return nil
	}
	return c.nc.SetWriteDeadline(t)
}

func (c *records) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}
