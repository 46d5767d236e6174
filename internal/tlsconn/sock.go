package tlsconn

import (
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dialway/dialway/internal/bufpool"
)

// ErrStalled ends a connection whose far side does not read: nothing was taken within the patience of a WaitWrite, or it
// made tls answer and answer.
var ErrStalled = errors.New("tlsconn: the far side does not read")

// Buffers of either direction. A read beyond 128 KiB makes batches no better; out holds what 128 KiB become by
// encryption, and what tls adds of itself. A control frame that waits needs no more than a small one.
var (
	inBuffers    = bufpool.Pool{Size: 128 << 10}
	outBuffers   = bufpool.Pool{Size: 128<<10 + ownRoom}
	smallBuffers = bufpool.Pool{Size: 2 << 10}
)

// ownRoom is for what tls writes of itself beside a TryWrite. A far side that does nothing but ask for KeyUpdates, and
// never reads the answers, comes to an end when out is full.
const ownRoom = 32 << 10

// A readPoller reads without waiting. Where a stream has none, reading waits.
type readPoller interface {
	TryRead(b []byte) (int, error) // 0, nil: nothing is here
	WaitRead() error               // until TryRead has something to say, or the read deadline
}

// A writePoller writes without waiting. Where a stream has none, a TryWrite only keeps.
type writePoller interface {
	TryWrite(b []byte) (int, error) // n < len(b), nil: the stream takes no more
	WaitWrite() error               // until TryWrite takes something or fails, or the write deadline
}

// A sock is a stream read and written without waiting.
type sock struct {
	Stream
	read  readPoller
	write writePoller
	own   poller // that of the system, if there is one

	// The reader's.
	in    *bufpool.Buffer // nil: none borrowed
	r, w  int             // in.B[r:w] was read
	rerr  error           // for good
	dry   bool            // the last read has left nothing: see lonely
	heard uint16          // bytes that came, while they are few
	small [smallRead]byte // of a stream without a readPoller
	big   bool

	mu      sync.Mutex
	out     *bufpool.Buffer // nil: nothing waits
	sent    int             // out.B[sent:kept] waits
	kept    int
	moved   int64        // bytes taken from out so far
	corked  bool         // a TryWrite is collecting records
	writing bool         // WaitWrite is in a write that waits
	werr    error        // for good
	left    atomic.Int64 // what waits, but for a TryWrite that is at work
	stalled atomic.Bool
	broken  atomic.Bool // werr is set

	written int32                 // bytes, until there may be a pacer
	pace    atomic.Pointer[pacer] // nil: not yet, or not to be had
}

// init takes a stream's own way to do without waiting, if it has one, or the system's. A stream without read
// deadlines is read by a goroutine.
func (s *sock) init(c Stream) {
	s.Stream = c
	if c.SetReadDeadline(time.Time{}) != nil {
		p := newPump(c)
		s.Stream, s.read = p, p
		return
	}
	s.read, _ = c.(readPoller)
	s.write, _ = c.(writePoller)
	if s.read == nil && s.write == nil && s.own.init(c) {
		s.read, s.write = &s.own, &s.own
	}
}

// tryRead takes from the buffer, or fills it first.
func (s *sock) tryRead(b []byte) (int, error) {
	if s.r == s.w && !s.fill() {
		return 0, s.rerr
	}
	n := copy(b, s.in.B[s.r:s.w])
	s.r += n
	if s.r == s.w {
		s.giveBack()
	}
	return n, nil
}

// drained reports whether tryRead would say that nothing is here. Of a far side to which nothing can be sent any more, what it
// said last is looked for in any case.
func (s *sock) drained() bool { return s.dry && s.r == s.w && !s.broken.Load() }

// fill reads into the buffer, which is empty, what is here; false: nothing is.
func (s *sock) fill() bool {
	if s.stalled.Load() {
		s.rerr = ErrStalled
	}
	if s.rerr != nil || s.read == nil || s.drained() {
		return false
	}
	s.borrow()
	s.w, s.rerr = s.read.TryRead(s.in.B)
	s.dry = 0 < s.w && s.w <= s.lonely() && s.rerr == nil
	if s.w == 0 {
		s.giveBack()
		return false
	}
	return true
}

// readAhead takes what was read in another way; it is less than a buffer's size.
func (s *sock) readAhead(b []byte) {
	s.borrow()
	s.w = copy(s.in.B, b)
}

// lonely is how much is read when one control packet has come, in a record. A read that brings less than was asked for has
// left nothing, and a session that gets no more than this is idle: a read more would say what a wait has to ask anyhow. Where
// more has come, there will be more by the time that it is decrypted, and it belongs to the same batch.
const lonely = 64

// While a session opens, more is answered before more comes: until youth bytes have come, as much is lonely as then comes at
// once.
const (
	youngLonely = 256
	youth       = 2 << 10
)

// lonely is how much is lonely of this connection, of which w bytes have come.
func (s *sock) lonely() int {
	if s.heard >= youth {
		return lonely
	}
	s.heard += uint16(min(s.w, youth))
	return youngLonely
}

func (s *sock) borrow() {
	if s.in == nil {
		s.in = inBuffers.Get()
		s.r, s.w = 0, 0
	}
}

func (s *sock) giveBack() {
	s.in.Free()
	s.in, s.r, s.w = nil, 0, 0
}

// ended says why reading is over, which is err, unless it has come of a far side that does not read: tls loses count of its
// keys when it cannot answer a KeyUpdate.
func (s *sock) ended(err error) error {
	s.giveBack()
	if s.stalled.Load() {
		return ErrStalled
	}
	return err
}

// waitRead waits until tryRead has something to say.
func (s *sock) waitRead() error {
	if s.r < s.w || s.rerr != nil {
		return nil
	}
	if s.read == nil {
		return s.readWaiting()
	}
	s.dry = false
	s.own.young = s.heard < youth
	return s.waited(s.read.WaitRead())
}

// waited says what has come of a wait. Streams wait in what calls it, many of them, so its frame is not beneath them.
func (s *sock) waited(err error) error {
	if err != nil && !isTimeout(err) {
		s.rerr = err
	}
	if s.stalled.Load() {
		return ErrStalled
	}
	return timeout(err)
}

// smallRead is how much is read while an idle stream is waited for, if it can only be waited for in a read: no buffer is
// held then. It is more than a record's header, and less than any record.
const smallRead = 16

// readWaiting reads little where nothing may come for long, and much where more of the same must follow.
func (s *sock) readWaiting() error {
	b := s.small[:]
	if s.big {
		s.borrow()
		b = s.in.B
	}
	n, err := s.Stream.Read(b)
	if n > 0 && !s.big {
		s.borrow()
		copy(s.in.B, b[:n])
	}
	if s.w = n; n == 0 && s.big {
		s.giveBack()
	}
	s.big = n == len(b)
	if err != nil && !isTimeout(err) {
		s.rerr = err
	}
	if n > 0 {
		return nil // a time-out comes again
	}
	return timeout(err)
}

// close closes the stream. Buffers of the reader go back when it has noticed.
func (s *sock) close() error {
	s.mu.Lock()
	s.failed(net.ErrClosed)
	s.mu.Unlock()
	return s.shut()
}

// shut closes the stream. A close of one that is written by waiting (a tls.Conn says goodbye) may have to stand in line
// for a write that waits, so those get a deadline first.
func (s *sock) shut() error {
	if s.write == nil {
		s.SetWriteDeadline(time.Now().Add(closeTime))
	}
	return s.Stream.Close()
}

// closeTime is what a goodbye may take that needs waiting.
const closeTime = 100 * time.Millisecond

func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

// timeout strips a time-out of its wrapping.
func timeout(err error) error {
	if isTimeout(err) {
		return os.ErrDeadlineExceeded
	}
	return err
}

// Lent is how many buffers are borrowed, by all connections. Tests ask.
func Lent() int { return inBuffers.Lent() + outBuffers.Lent() + smallBuffers.Lent() }
