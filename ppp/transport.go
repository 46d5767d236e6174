package ppp

import "time"

// A FrameConn carries PPP frames without HDLC flags or FCS. A Stream is one; package sstp has another.
//
// Its reading side belongs to one goroutine, R; WriteFrames, WriteControl, SetReadDeadline and Close may be called
// from any.
type FrameConn interface {
	// ReadFrames waits for at least one frame. Frames begin with FF 03 or, compressed, with the protocol (RFC 1661
	// sections 6.5, 6.6). They and their capacity are the callee's until the next call, and may be rewritten until
	// then. A read that ends by the deadline returns os.ErrDeadlineExceeded and can be called again.
	ReadFrames() (frames [][]byte, err error)

	// WriteFrames sends one frame for each packet, header and then bufs[i][offset:]. It copies, never waits, and drops
	// what cannot be taken; n is the frames taken. What is dropped is dropped before it is encoded (a stateful
	// compressor above stays in step), frames of one flow are not reordered.
	WriteFrames(header []byte, bufs [][]byte, offset int) (n int, err error)

	// WriteControl sends a frame that is not dropped, in order with other control frames. It copies and never waits.
	// When 64 KiB of them wait, the transport ends with an error that is ErrPeerStalled.
	WriteControl(frame []byte) error

	// SetReadDeadline sets when ReadFrames stops waiting. A time in the past wakes a ReadFrames that waits.
	SetReadDeadline(t time.Time) error

	// Bind is called once by R, when authentication is through in every direction that was asked for, with the master
	// keys as this end sees them (nil for methods that yield none): a client's transport proves its possession of
	// them, a server's checks the proof that came or comes.
	//
	// A transport that has a method Authenticated(AuthProtocol) has that called before Bind, with the method in which
	// the server was the authenticator; NoProtocol: there was none.
	Bind(send, recv []byte) error

	// Bound reports whether data frames (protocols below 0x8000) may pass. A transport that does not bind is always
	// bound. When a transport becomes bound while ReadFrames waits, ReadFrames returns (no frames, no error).
	Bound() bool

	// Binds reports whether the transport binds to the keys of one authentication, so that a link must not
	// renegotiate after Bind.
	Binds() bool

	// MaxFrame is the length of the largest frame that either direction carries, FF 03 and protocol included.
	MaxFrame() int

	// Close flushes what waits, for a second at most, says the transport's own goodbye, within seconds, and closes.
	// ReadFrames then returns net.ErrClosed. The goodbye may read: Close ends what ReadFrames has lent.
	Close() error
}

// A StreamConn is the part of a net.Conn that a Stream needs; a tls.Conn, a pty and a serial port (os.File) are such.
type StreamConn interface {
	Read(b []byte) (n int, err error)
	Write(b []byte) (n int, err error)
	SetReadDeadline(t time.Time) error
	SetWriteDeadline(t time.Time) error
	Close() error
}

// A Framing puts frames on a byte stream. Its methods only touch their arguments.
type Framing interface {
	// AppendFrame appends one frame to b. header is FF 03 and the protocol.
	AppendFrame(b, header, body []byte) []byte

	// NextFrame returns the first frame in b as a view of it, and the bytes of b that are done with. n is 0 while
	// more bytes are needed; a nil frame with n > 0 is skipped.
	NextFrame(b []byte) (frame []byte, n int, err error)

	// MaxFrame is how many bytes NextFrame may need at once.
	MaxFrame() int
}
