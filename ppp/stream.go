package ppp

import (
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// A Stream is a FrameConn over a byte stream: it has the egress queue, the writing goroutine and the receive buffer.
//
// While the connection takes what is written, a sender encrypts and writes on its own goroutine. What the connection
// refuses is its backlog; from then on packets wait, as they are, in flow queues, and a writing goroutine, W, exists
// until the backlog is gone:
//
//	WriteFrames ──▶ frame ──▶ TryWrite ──▶ connection          no backlog
//	WriteFrames ──▶ flow queues (CoDel) ─┐
//	WriteControl ──▶ control queue ──────┴▶ W ──▶ connection   backlog
//
// A packet is dropped from a queue, before it is framed and encrypted, or not at all. A connection that cannot write
// without waiting always has W write.
type Stream struct {
	conn    StreamConn
	batch   batchConn // conn, if it can do without waiting; else nil
	framing Framing

	rd reader // R's

	mu      sync.Mutex // the egress lock
	control []byte     // control frames that wait, framed
	flows   *flowQueue // packets that wait; nil: none
	running bool       // W
	done    chan struct{}
	err     error // why nothing more is written
	closing bool
	rate    bucket
	wakeW   chan struct{} // ends W's wait for the rate

	patience atomic.Int64 // write deadline, nanoseconds
	noticed  atomic.Bool  // tls left a backlog of its own
}

// A batchConn is a StreamConn that can do without waiting; tlsconn.Conn is one. Batch turns it over and reports whether
// it can. TryRead gives 0, nil when nothing is here and wants 16 KiB of room; TryWrite keeps what is not taken; Encrypt
// keeps all; Flush waits until what is kept is gone, for at most d without progress.
type batchConn interface {
	StreamConn
	Batch(notify func()) bool
	Wait() error
	TryRead(b []byte) (n int, err error)
	TryWrite(b []byte) error
	Encrypt(b []byte) error
	Backlog() int
	Flush(d time.Duration) error
}

// Write deadlines: how long a far side may take nothing. A stranger gets less time.
const (
	strangerPatience = 10 * time.Second
	friendPatience   = 30 * time.Second
	closePatience    = time.Second
)

// maxControlWaiting bounds control frames that wait: a far side that makes this end answer and never reads ends here.
const maxControlWaiting = 64 << 10

// NewStream returns a Stream that owns conn. A conn that has no read deadlines gets a goroutine that reads it.
func NewStream(conn StreamConn, f Framing) *Stream {
	if err := conn.SetReadDeadline(time.Time{}); err != nil {
		conn = newDeadlineConn(conn)
	}
	s := &Stream{conn: conn, framing: f, wakeW: make(chan struct{}, 1)}
	s.patience.Store(int64(strangerPatience))
	if b, ok := conn.(batchConn); ok && b.Batch(s.notice) {
		s.batch = b
	}
	return s
}

// Trust lengthens the write deadline from 10 to 30 seconds: the far side is authenticated.
func (s *Stream) Trust() { s.patience.Store(int64(friendPatience)) }

// SetReadDeadline is FrameConn's.
func (s *Stream) SetReadDeadline(t time.Time) error { return s.conn.SetReadDeadline(t) }

// Bind is FrameConn's; a Stream does not bind.
func (s *Stream) Bind(send, recv []byte) error {
	s.Trust()
	return nil
}

// Bound is FrameConn's: always.
func (s *Stream) Bound() bool { return true }

// Binds is FrameConn's: never.
func (s *Stream) Binds() bool { return false }

// MaxFrame is FrameConn's.
func (s *Stream) MaxFrame() int { return s.framing.MaxFrame() }

// Close flushes what waits, for a second at most, ends W, and closes the connection. It may be called again.
func (s *Stream) Close() error {
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		return nil
	}
	s.closing = true
	s.patience.Store(int64(closePatience))
	if s.err == nil && s.waiting() {
		s.start()
	}
	done := s.done
	s.mu.Unlock()
	if done != nil {
		s.wake()
		t := time.AfterFunc(closePatience, func() { s.conn.Close() })
		<-done
		t.Stop()
	}
	err := s.conn.Close()
	s.fail(net.ErrClosed)
	return err
}

// fail ends the writing side, and the connection with it.
func (s *Stream) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failLocked(err)
}

func (s *Stream) failLocked(err error) {
	if s.err != nil {
		return
	}
	s.err = err
	s.control = nil
	if s.flows != nil {
		s.flows.free()
		s.flows = nil
	}
	s.wake()
	if err != net.ErrClosed {
		s.conn.Close() // this frees R, even inside crypto/tls
	}
}

// failure is why the writing side has ended; nil while it has not.
func (s *Stream) failure() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

func (s *Stream) wake() {
	select {
	case s.wakeW <- struct{}{}:
	default:
	}
}

// backlogged reports whether packets written now would wait.
func (s *Stream) backlogged() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.waiting()
}
