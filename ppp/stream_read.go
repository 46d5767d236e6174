package ppp

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"

	"github.com/dialway/dialway/internal/bufpool"
	"github.com/dialway/dialway/internal/tlsconn"
)

// A reader is the receive side of a Stream. It belongs to R.
type reader struct {
	buf  *bufpool.Buffer // nil: none borrowed
	r, w int             // buf.B[r:w] is to be split
	tail *bufpool.Buffer // a partial frame, while R waits without buf
	n    int             // bytes of tail
	lent *views          // what ReadFrames returned; nil: nothing
	err  error           // for good; told when the frames before it are gone
}

// Buffers are borrowed while there is data: one to drain a connection into, beyond whose size batches gain nothing, or one
// that holds the part of a frame, a small size for a large number of sessions.
var (
	readBuffers = bufpool.Pool{Size: 128 << 10}
	tailBuffers = bufpool.Pool{Size: 4 << 10}
)

// views are the frames of a batch.
type views struct {
	n      int
	frames [512][]byte
}

var viewPool = sync.Pool{New: func() any { return new(views) }}

// ReadFrames is FrameConn's: it drains what is here before it returns, so that a batch is as large as it can be. Where
// bytes were skipped it may return no frames, and no error.
func (s *Stream) ReadFrames() ([][]byte, error) {
	rd := &s.rd
	rd.reclaim()
	s.rests(true)
	for {
		if s.shut.Load() {
			rd.err = s.failure()
		} else if rd.err == nil {
			rd.err = s.drain()
		}
		skipped, err := rd.split(s.framing)
		if err != nil && rd.err == nil {
			rd.err = err
		}
		if rd.lent != nil || skipped {
			s.rests(false)
			return rd.lent.all(), nil
		}
		if rd.err == nil {
			rd.err = s.failure()
		}
		if rd.err != nil {
			rd.free()
			s.rests(false)
			return nil, s.readError(rd.err)
		}
		if err := s.wait(); err != nil {
			s.rests(false)
			return nil, err
		}
	}
}

// drain reads what is here.
func (s *Stream) drain() error {
	rd := &s.rd
	rd.borrow(s.framing.MaxFrame())
	for rd.w < len(rd.buf.B) {
		n, err := s.conn.TryRead(rd.buf.B[rd.w:])
		rd.w += n
		if err != nil {
			return err
		}
		if n == 0 {
			break
		}
	}
	// Reading may have written: TLS answers a KeyUpdate. If the connection did not take it, that is W's.
	if s.conn.Backlog() > 0 {
		s.mu.Lock()
		s.start()
		s.mu.Unlock()
	}
	return nil
}

// wait waits for more without a large buffer.
func (s *Stream) wait() error {
	rd := &s.rd
	if rd.w-rd.r >= s.framing.MaxFrame() {
		rd.err = s.noFrame()
		return nil
	}
	rd.giveBack()
	if err := s.conn.Wait(); err != nil {
		return s.waited(err)
	}
	return nil
}

func (s *Stream) noFrame() error {
	return fmt.Errorf("ppp: %d bytes are no whole frame, the largest has %d", s.rd.w-s.rd.r, s.framing.MaxFrame())
}

// waited says what becomes of a wait that has failed.
func (s *Stream) waited(err error) error {
	switch {
	case !isTimeout(err):
		s.rd.err = err // told by the next turn
	case s.failure() == nil:
		return os.ErrDeadlineExceeded
	} // else woken by the failure, to read what is left and tell it
	return nil
}

// readError prefers the reason for which this end has closed the connection.
func (s *Stream) readError(err error) error {
	switch why := s.failure(); {
	case why != nil && (errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrDeadlineExceeded)):
		return why
	case errors.Is(err, tlsconn.ErrStalled):
		return ErrPeerStalled
	case errors.Is(err, net.ErrClosed):
		return net.ErrClosed
	}
	return err
}

func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

// reclaim takes back what was lent.
func (rd *reader) reclaim() {
	if rd.lent == nil {
		return
	}
	clear(rd.lent.frames[:rd.lent.n])
	rd.lent.n = 0
	viewPool.Put(rd.lent)
	rd.lent = nil
	bufpool.Poison(rd.buf.B[:rd.r])
}

// borrow gets a buffer that has room for the rest of a frame. Nothing is lent.
func (rd *reader) borrow(frame int) {
	switch {
	case rd.buf == nil:
		rd.buf = readBuffers.Get()
		rd.r, rd.w = 0, 0
		if rd.tail != nil {
			rd.w = copy(rd.buf.B, rd.tail.B[:rd.n])
			rd.tail.Free()
			rd.tail = nil
		}
	case rd.w-rd.r < frame: // else there is a whole one
		rd.w = copy(rd.buf.B, rd.buf.B[rd.r:rd.w])
		rd.r = 0
	}
}

// giveBack returns the buffer, but for a partial frame that is too large for a small one.
func (rd *reader) giveBack() {
	if rd.buf == nil || rd.w-rd.r > tailBuffers.Size {
		return
	}
	if rd.w > rd.r {
		rd.tail = tailBuffers.Get()
		rd.n = copy(rd.tail.B, rd.buf.B[rd.r:rd.w])
	}
	rd.buf.Free()
	rd.buf, rd.r, rd.w = nil, 0, 0
}

// free gives everything back: nothing more will be read.
func (rd *reader) free() {
	rd.buf.Free()
	rd.tail.Free()
	rd.buf, rd.tail, rd.r, rd.w = nil, nil, 0, 0
}

// split finds frames in what was read, and lends them. skipped: there were bytes, but no frame in them.
func (rd *reader) split(f Framing) (skipped bool, err error) {
	for rd.r < rd.w && (rd.lent == nil || rd.lent.n < len(rd.lent.frames)) {
		frame, n, err := f.NextFrame(rd.buf.B[rd.r:rd.w])
		if err != nil {
			return false, err
		}
		if n <= 0 {
			break
		}
		rd.r += n
		if frame == nil {
			skipped = true
			continue
		}
		if rd.lent == nil {
			rd.lent = viewPool.Get().(*views)
		}
		rd.lent.frames[rd.lent.n] = frame[:len(frame):len(frame)]
		rd.lent.n++
	}
	return skipped, nil
}

func (v *views) all() [][]byte {
	if v == nil {
		return nil
	}
	return v.frames[:v.n:v.n]
}
