// Package tlsconn is the connection a session runs on: crypto/tls, or nothing, over a socket that never makes anybody
// wait who did not ask to.
//
// crypto/tls makes one write of each record, blocks in it, and cannot say whether another record is here already. All
// three are dear for packets: a send and a wake-up for each 11 of them, a reader that sticks where no read deadline
// reaches it, batches that end too early. So below tls.Conn lies a net.Conn of ours:
//
//	read     socket ──▶ in: 128 KiB, borrowed while there is data ──▶ records: never a byte beyond ──▶ tls
//	write    tls, by senders and, for KeyUpdates and alerts, by the reader ──▶ out ──▶ socket, one send
//	                                                             what it refuses stays: the backlog
//
// A Conn begins as an ordinary net.Conn, for handshake and preface. Batch turns it over; from then on nothing that is
// called by tls waits, so tls never holds a lock for longer than it computes.
package tlsconn

import (
	"context"
	"crypto/tls"
	"net"
	"sync"
	"time"
)

// A Conn is a TLS connection. It is a net.Conn; after Batch it is read by Wait and TryRead, by one goroutine, and written
// by TryWrite and WaitWrite.
type Conn struct {
	tls  *tls.Conn
	raw  *records
	text *text // read from tls, and not taken; nil: nothing
	more bool  // tls may have more of a record that the last TryRead has begun
}

// A text is what a Read that wanted little has brought.
type text struct {
	r, w int // b[r:w]
	b    [earlyRoom]byte
}

var texts = sync.Pool{New: func() any { return new(text) }}

// Server makes the server's end of TLS over nc. config is shared, not cloned; see Prepare. notes is what NotesOf will find
// from inside of the handshake.
func Server(nc net.Conn, config *tls.Config, notes any) *Conn {
	c := newConn(nc, config, tls.Server)
	c.raw.notes = notes
	return c
}

// NotesOf returns what Server was given for the connection that a callback of crypto/tls names.
func NotesOf(c net.Conn) any {
	if r, ok := c.(*records); ok {
		return r.notes
	}
	return nil
}

// Before has f called, once, before the handshake of a connection that a callback of crypto/tls names reads or writes again.
func Before(c net.Conn, f func()) {
	if r, ok := c.(*records); ok {
		r.before = f
	}
}

// Client makes the client's end of TLS over nc. config is shared, not cloned; see Prepare.
func Client(nc net.Conn, config *tls.Config) *Conn { return newConn(nc, config, tls.Client) }

// Prepare sets in a Config what suits a Conn: packets come in batches, and crypto/tls's small first records, which serve the
// latency of web pages, only cost.
func Prepare(c *tls.Config) { c.DynamicRecordSizingDisabled = true }

func newConn(nc net.Conn, config *tls.Config, side func(net.Conn, *tls.Config) *tls.Conn) *Conn {
	p := new(parts)
	p.raw = &p.records
	p.records.init(nc)
	p.tls = side(p.raw, config)
	return &p.Conn
}

// parts are a Conn and what it consists of, side by side: when a session that has long been idle is woken, each thing that lies
// elsewhere has to be fetched from memory, and that is most of what it costs.
type parts struct {
	Conn
	records records
}

// TLS returns the tls.Conn itself, for handing on a connection that turned out to be somebody else's: what comes first is in
// Untaken. Not after Batch.
func (c *Conn) TLS() *tls.Conn { return c.tls }

// HandshakeContext runs the handshake.
func (c *Conn) HandshakeContext(ctx context.Context) error { return c.tls.HandshakeContext(ctx) }

// HandshakeLate runs the handshake, but what this end sends last in it may wait, to go together with the Write that must
// follow. It is for clients.
func (c *Conn) HandshakeLate(ctx context.Context) error {
	c.raw.joins = true
	err := c.tls.HandshakeContext(ctx)
	if c.raw.joins = false; err != nil {
		c.raw.flush() // an alert does not wait
	}
	return err
}

// ConnectionState is tls.Conn's; net/http asks for it.
func (c *Conn) ConnectionState() tls.ConnectionState { return c.tls.ConnectionState() }

// Read is tls.Conn's, of whose locks and checks one byte costs as much as many: so what is wanted byte by byte is taken from
// it at once. Not after Batch.
func (c *Conn) Read(b []byte) (int, error) {
	if c.text == nil {
		if len(b) >= earlyRoom {
			return c.tls.Read(b)
		}
		c.text = texts.Get().(*text)
	}
	if t := c.text; t.r == t.w {
		n, err := c.tls.Read(t.b[:])
		if t.r, t.w = 0, n; n == 0 {
			return 0, err
		} // an error comes again
	}
	return c.text.take(b), nil
}

// take moves to b what it holds.
func (t *text) take(b []byte) int {
	n := copy(b, t.b[t.r:t.w])
	t.r += n
	return n
}

// Untaken returns what was read and not taken, for handing on; see TLS.
func (c *Conn) Untaken() []byte {
	if c.text == nil {
		return nil
	}
	return c.text.b[c.text.r:c.text.w]
}

// untext takes what a Read before Batch has left, and is rid of what held it.
func (c *Conn) untext(b []byte) (n int) {
	n = c.text.take(b)
	if c.text.r == c.text.w {
		texts.Put(c.text)
		c.text = nil
	}
	return n
}

// Write waits until the socket has taken everything. Not after Batch.
func (c *Conn) Write(b []byte) (int, error) { return c.tls.Write(b) }

// LocalAddr is the socket's.
func (c *Conn) LocalAddr() net.Addr { return c.tls.LocalAddr() }

// RemoteAddr is the socket's.
func (c *Conn) RemoteAddr() net.Addr { return c.tls.RemoteAddr() }

// SetDeadline sets both deadlines.
func (c *Conn) SetDeadline(t time.Time) error { return c.tls.SetDeadline(t) }

// SetReadDeadline sets when Read and Wait end; both can be called again, in the middle of a record as well.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.tls.SetReadDeadline(t) }

// SetWriteDeadline sets when Write ends, for good. After Batch it does nothing: WaitWrite has a deadline of its own.
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.tls.SetWriteDeadline(t) }

// Close sends close_notify, if that needs no waiting, and closes the socket. What waits is lost.
func (c *Conn) Close() error {
	c.raw.closing()
	return c.tls.Close()
}

// Batch turns the connection over, once; nobody may be reading or writing.
func (c *Conn) Batch() {
	c.raw.batch()
	if c.text != nil {
		c.untext(nil)
	}
}

// Inline reports whether TryWrite sends. If not (the socket can only wait), it leaves all to WaitWrite.
func (c *Conn) Inline() bool { return c.raw.sock.write != nil }

// Wait waits until there is something to read, and holds no buffer while it waits. It may be called when TryRead has
// returned 0, nil. At the read deadline it returns os.ErrDeadlineExceeded.
func (c *Conn) Wait() error { return c.raw.sock.waitRead() }

// TryRead reads what is here, the rest of one record at most; 0, nil: nothing is, or not a whole record.
func (c *Conn) TryRead(b []byte) (int, error) {
	if c.text != nil {
		return c.untext(b), nil
	}
	if !c.more && c.raw.sock.drained() {
		return 0, nil
	}
	n, err := c.tls.Read(b)
	c.more = n == len(b)
	switch {
	case err == nil:
	case err == errWouldBlock:
		err = nil
	default:
		err = c.raw.sock.ended(err)
	}
	return n, err
}

// recordSize is a little less than a record may hold. A far side on crypto/tls reads a record into a buffer with room for
// 512 bytes more, which it keeps for good: of a full record it would be 18 KiB, of this one it is 16.
const recordSize = 15<<10 + 480

// TryWrite encrypts b, sends what the socket takes, by one write, and keeps the rest. It takes all of b or fails for
// good. b is not retained. It is for one goroutine at a time, and 128 KiB at most.
func (c *Conn) TryWrite(b []byte) error {
	c.raw.sock.cork()
	var err error
	for err == nil && len(b) > 0 {
		n := min(len(b), recordSize)
		_, err = c.tls.Write(b[:n])
		b = b[n:]
	}
	return c.raw.sock.uncork(err)
}

// Backlog is how many bytes wait for the socket: the rest of a TryWrite, or what tls has written of itself while reading.
func (c *Conn) Backlog() int { return c.raw.sock.backlog() }

// Takes is how much TryWrite may be given without delaying by much what comes after it; 0: nothing, it had better wait.
func (c *Conn) Takes() int { return c.raw.sock.takes() }

// WaitWrite sends the backlog and waits until the socket takes more. When the socket takes nothing for patience, it fails
// with ErrStalled. It is for one goroutine at a time; TryWrite may be called meanwhile.
func (c *Conn) WaitWrite(patience time.Duration) error { return c.raw.sock.waitWrite(patience) }

// RTT is how long TCP takes to have a packet acknowledged: its round trip, smoothed, as it was when much was written last,
// and two more while packets are lost, since what comes behind one waits for it. 0: it is not known.
func (c *Conn) RTT() time.Duration { return c.raw.sock.rtt() }
