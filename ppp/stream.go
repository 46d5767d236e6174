package ppp

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dialway/dialway/internal/tlsconn"
)

// A Stream is a FrameConn over a byte stream: it has the egress queue, the writing goroutine and the receive buffer.
//
// While the connection takes what is written, a sender frames, encrypts and sends on its own goroutine. What the
// connection refuses is its backlog: encrypted already, it can be neither dropped nor overtaken. So from then on
// packets wait as they are, in flow queues, and a writing goroutine, W, exists until the connection takes more again:
//
//	no W:   WriteFrames, WriteControl ──▶ frame ──▶ TryWrite ──▶ connection
//
//	W:      WriteFrames ──▶ flow queues, CoDel ─┐
//	        WriteControl ──▶ control, in order ─┴▶ frame ──▶ TryWrite, when the connection takes more
//
// A packet is dropped from a queue, before it is framed and encrypted, or not at all: what stands above a Stream and
// keeps a state with the far side stays in step.
//
// Memory belongs to pools, and is borrowed only while there is something in it.
type Stream struct {
	conn     batchConn
	framing  Framing
	maxFrame int

	rd reader // R's

	mu      sync.Mutex // the egress lock
	control []byte     // framed; what is in it waits
	holding bool       // Hold; R alone changes it, and reads it without mu
	resting bool       // R reads; while holding
	flows   *flowQueue // nil: no packet waits
	rate    bucket
	running bool          // W
	done    chan struct{} // closed when the latest W is over
	err     error         // why nothing more is written
	closed  bool

	wakeW   chan struct{} // ends W's pause; nil: there has been no W
	trusted atomic.Bool
	failed  atomic.Bool // err is set
	shut    atomic.Bool // conn is closed
	dropped counter
}

// A batchConn is a connection that is read and written in batches; tlsconn has them, with TLS and without.
type batchConn interface {
	StreamConn
	Batch()                                 // turns over: no Read and no Write any more
	Inline() bool                           // TryWrite can send
	Wait() error                            // until TryRead has something, or the read deadline
	TryRead(b []byte) (n int, err error)    // 0, nil: nothing is here
	TryWrite(b []byte) error                // takes all, sends what it can
	Backlog() int                           // what was taken and not sent
	Takes() int                             // how much TryWrite may be given that delays nothing by much; 0: let it wait
	RTT() time.Duration                     // of the connection; 0: not known
	WaitWrite(patience time.Duration) error // until the backlog is sent and more would be
}

// How long a far side may take nothing before the connection ends. A stranger gets less time.
const (
	strangerPatience = 10 * time.Second
	friendPatience   = 30 * time.Second
	closePatience    = time.Second
)

// maxControlWaiting bounds control frames that wait: a far side that makes this end answer and never reads ends here.
const maxControlWaiting = 64 << 10

// NewStream returns a Stream that owns conn. A conn without read deadlines is read by a goroutine until it is closed.
func NewStream(conn StreamConn, f Framing) *Stream {
	b, ok := conn.(batchConn)
	if !ok {
		b = tlsconn.NewPlain(conn)
	}
	b.Batch()
	overhead := len(f.AppendFrame(nil, ipv4Header[:], nil)) - headerLen
	return &Stream{conn: b, framing: f, maxFrame: f.MaxFrame() - overhead}
}

// SetReadDeadline is FrameConn's.
func (s *Stream) SetReadDeadline(t time.Time) error { return s.conn.SetReadDeadline(t) }

// Bind is FrameConn's; a Stream does not bind, but takes it that the far side is authenticated.
func (s *Stream) Bind(send, recv []byte) error {
	s.Trust()
	return nil
}

// Bound is FrameConn's: always.
func (s *Stream) Bound() bool { return true }

// Binds is FrameConn's: never.
func (s *Stream) Binds() bool { return false }

// MaxFrame is FrameConn's: what Framing.MaxFrame leaves for the frame.
func (s *Stream) MaxFrame() int { return s.maxFrame }

// Trust lengthens the time that a far side may take nothing from 10 to 30 seconds: it is authenticated.
func (s *Stream) Trust() { s.trusted.Store(true) }

func (s *Stream) patience() time.Duration {
	if s.trusted.Load() {
		return friendPatience
	}
	return strangerPatience
}

// SetRate delays packets to r, in the flow queues; the zero Rate does not, and costs nothing.
func (s *Stream) SetRate(r Rate) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rate.set(r)
	s.wake()
}

// Dropped counts the packets that WriteFrames has taken and the queues have dropped, and their bytes.
func (s *Stream) Dropped() (packets, bytes uint64) {
	return s.dropped.packets.Load(), s.dropped.bytes.Load()
}

// A counter counts packets.
type counter struct{ packets, bytes atomic.Uint64 }

func (c *counter) add(bytes int) {
	c.packets.Add(1)
	c.bytes.Add(uint64(bytes))
}

// Close flushes what waits, for a second at most, ends W, and closes the connection. ReadFrames then returns
// net.ErrClosed. It may be called again.
func (s *Stream) Close() error {
	s.mu.Lock()
	if s.mayWrite() == nil {
		s.sendHeld()
	}
	s.closed = true
	if s.err == nil && s.conn.Backlog() > 0 {
		s.start()
	}
	done := s.done
	s.wake()
	s.mu.Unlock()
	if done != nil {
		t := time.AfterFunc(closePatience, func() { s.fail(net.ErrClosed) })
		<-done
		t.Stop()
	}
	s.fail(net.ErrClosed)
	return nil
}

// fail ends writing, and reading with it: the first reason counts.
func (s *Stream) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failLocked(err)
}

// failLocked returns why writing has ended. A far side that is gone may have left a goodbye, so R still reads what is
// here; one that does not read gets no more of R's time.
func (s *Stream) failLocked(err error) error {
	if errors.Is(err, tlsconn.ErrStalled) {
		err = ErrPeerStalled
	}
	if s.err == nil {
		s.err = err
		s.failed.Store(true)
		s.control = nil
		s.freeFlows()
		s.wake()
		s.conn.SetReadDeadline(longAgo)
	}
	if err == net.ErrClosed || err == ErrPeerStalled {
		s.shut.Store(true)
		s.conn.Close()
	}
	return s.err
}

// failure is why writing has ended; nil while it has not.
func (s *Stream) failure() error {
	if !s.failed.Load() {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}
