package tlsconn

import "time"

// A Stream is the part of a net.Conn that a Plain needs.
type Stream interface {
	Read(b []byte) (n int, err error)
	Write(b []byte) (n int, err error)
	SetReadDeadline(t time.Time) error
	SetWriteDeadline(t time.Time) error
	Close() error
}

// A Plain is a byte stream with the methods of a Conn after Batch, without TLS.
type Plain struct {
	Stream
	sock sock
}

// NewPlain turns c over. A stream without read deadlines (an ssh channel) gets a goroutine that reads it.
func NewPlain(c Stream) *Plain {
	p := new(Plain)
	p.sock.init(c)
	p.sock.lowat()
	p.Stream = p.sock.Stream
	return p
}

// Batch does nothing: a Plain is turned over from the start.
func (p *Plain) Batch() {}

// Inline is as Conn.Inline.
func (p *Plain) Inline() bool { return p.sock.write != nil }

// Wait is as Conn.Wait.
func (p *Plain) Wait() error { return p.sock.waitRead() }

// TryRead is as Conn.TryRead.
func (p *Plain) TryRead(b []byte) (int, error) { return p.sock.tryRead(b) }

// TryWrite is as Conn.TryWrite.
func (p *Plain) TryWrite(b []byte) error { return p.sock.tryWrite(b) }

// Backlog is as Conn.Backlog.
func (p *Plain) Backlog() int { return p.sock.backlog() }

// Takes is as Conn.Takes.
func (p *Plain) Takes() int { return p.sock.takes() }

// RTT is as Conn.RTT.
func (p *Plain) RTT() time.Duration { return p.sock.rtt() }

// WaitWrite is as Conn.WaitWrite.
func (p *Plain) WaitWrite(patience time.Duration) error { return p.sock.waitWrite(patience) }

// Close closes the stream. What waits is lost.
func (p *Plain) Close() error { return p.sock.close() }
