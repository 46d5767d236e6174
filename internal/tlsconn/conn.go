// Package tlsconn is the connection a session runs on: crypto/tls over a net.Conn that knows records.
//
// crypto/tls makes one Write of each record it encrypts and may read into the record behind the present one. Both are
// dear for packets: one send and one wake-up for 11 of them, and no way to know whether a further record is here
// already. So the net.Conn below tls.Conn is ours. It
//
//   - collects the records of one write and sends them by one non-blocking write; what the socket refuses is kept, since
//     ciphertext cannot be dropped, and is the backlog;
//   - reads into a large buffer that is borrowed only while there is data, hands tls no byte beyond the present record,
//     and so knows whether a whole record is here.
//
// A Conn begins as an ordinary net.Conn, for handshake and preface; Batch turns it over. A connection that cannot do
// without waiting (no file descriptor, no TryRead and TryWrite) stays ordinary, and Batch says so.
package tlsconn

import (
	"context"
	"crypto/tls"
	"net"
	"time"
)

// A Conn is a TLS connection. It is a net.Conn, and after Batch it also reads and writes without waiting.
type Conn struct {
	tls *tls.Conn
	raw *rawConn
	pre []byte // was read already
}

// Server and Client make the two ends of TLS over nc. config is cloned.
func Server(nc net.Conn, config *tls.Config) *Conn { return newConn(nc, config, tls.Server) }
func Client(nc net.Conn, config *tls.Config) *Conn { return newConn(nc, config, tls.Client) }

func newConn(nc net.Conn, config *tls.Config, side func(net.Conn, *tls.Config) *tls.Conn) *Conn {
	raw := newRawConn(nc)
	config = config.Clone()
	config.DynamicRecordSizingDisabled = true // full records from the first byte
	return &Conn{tls: side(raw, config), raw: raw}
}

// TLS returns the tls.Conn itself, for handing on a connection that turned out to be somebody else's. Not after Batch.
func (c *Conn) TLS() *tls.Conn { return c.tls }

// HandshakeContext runs the handshake.
func (c *Conn) HandshakeContext(ctx context.Context) error { return c.tls.HandshakeContext(ctx) }

// ConnectionState is tls.Conn's.
func (c *Conn) ConnectionState() tls.ConnectionState { return c.tls.ConnectionState() }

func (c *Conn) Write(b []byte) (int, error)        { return c.tls.Write(b) }
func (c *Conn) LocalAddr() net.Addr                { return c.tls.LocalAddr() }
func (c *Conn) RemoteAddr() net.Addr               { return c.tls.RemoteAddr() }
func (c *Conn) SetDeadline(t time.Time) error      { return c.tls.SetDeadline(t) }
func (c *Conn) SetReadDeadline(t time.Time) error  { return c.tls.SetReadDeadline(t) }
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.tls.SetWriteDeadline(t) }

// Read reads what was put back, then the connection.
func (c *Conn) Read(b []byte) (int, error) {
	if len(c.pre) > 0 {
		return c.unread(b), nil
	}
	return c.tls.Read(b)
}

// Unread puts bytes back, in front: a preface was read with what follows it.
func (c *Conn) Unread(b []byte) { c.pre = append(append([]byte(nil), b...), c.pre...) }

func (c *Conn) unread(b []byte) int {
	n := copy(b, c.pre)
	if c.pre = c.pre[n:]; len(c.pre) == 0 {
		c.pre = nil
	}
	return n
}

// Close sends close_notify if that needs no waiting, and closes. Buffers go back when the reader has noticed.
func (c *Conn) Close() error { return c.tls.Close() }

// maxPlain is a record's plaintext.
const maxPlain = 16 << 10

// Batch turns the connection over to batches: from now on only Wait and TryRead read, only TryWrite, Encrypt and Flush
// write. notify is called, from any goroutine, when tls itself (a KeyUpdate's answer) has left a backlog; it must not
// call back. Batch reports whether the connection can do it; the reader calls it.
func (c *Conn) Batch(notify func()) bool {
	if !c.raw.batch(notify) {
		return false
	}
	// What tls has decrypted already is not seen from below: take it out.
	b := make([]byte, maxPlain)
	if n, _ := c.tls.Read(b); n > 0 {
		c.pre = append(c.pre, b[:n]...)
	}
	return true
}

// Wait waits until TryRead has something to do: a whole record, the end, or an error. It holds no buffer while it waits.
// It returns os.ErrDeadlineExceeded at the read deadline and can be called again.
func (c *Conn) Wait() error {
	if len(c.pre) > 0 {
		return nil
	}
	return c.raw.waitRecord()
}

// TryRead reads what is here, one record's plaintext at most; 0, nil when that is no whole record. b must hold 16 KiB,
// or tls would keep a part where nobody sees it.
func (c *Conn) TryRead(b []byte) (int, error) {
	if len(c.pre) > 0 {
		return c.unread(b), nil
	}
	if !c.raw.fillRecord() {
		return 0, c.raw.readErr()
	}
	n, err := c.tls.Read(b)
	if err == errWouldBlock {
		return n, nil
	}
	return n, err
}

// TryWrite encrypts b and sends what the socket takes; the rest is kept. It never waits. It must not be called while
// there is a backlog.
func (c *Conn) TryWrite(b []byte) error {
	c.raw.join()
	_, err := c.tls.Write(b)
	return c.raw.joined(err)
}

// Backlog is how many bytes of ciphertext are kept.
func (c *Conn) Backlog() int { return c.raw.backlog() }

// Encrypt encrypts b to the end of the backlog; Flush sends it. One goroutine at a time calls Encrypt and Flush.
func (c *Conn) Encrypt(b []byte) error {
	c.raw.join()
	_, err := c.tls.Write(b)
	c.raw.collected()
	return err
}

// Flush sends the backlog, waiting for the socket, for at most d without a byte being taken.
func (c *Conn) Flush(d time.Duration) error { return c.raw.flush(d) }
