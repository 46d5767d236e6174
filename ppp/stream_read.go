package ppp

import (
	"errors"
	"net"
	"sync"
)

// A reader is the receive side of a Stream. It belongs to R.
type reader struct {
	lent *plain // nil: none borrowed
	r, w int
	tail []byte // a partial frame, while no buffer is borrowed
	err  error
}

// A plain is a receive buffer and the frames in it, in use only while there is data.
type plain struct {
	b      []byte
	frames [][]byte
}

const (
	plainSize   = 128 << 10 // one drain: beyond it a batch gains nothing
	plainRecord = 16 << 10  // the room that TryRead wants
)

var plains = sync.Pool{New: func() any {
	return &plain{b: make([]byte, plainSize), frames: make([][]byte, 0, 128)}
}}

// ReadFrames is FrameConn's: it drains what is here before it returns, so that a batch is as large as it can be.
func (s *Stream) ReadFrames() ([][]byte, error) {
	rd := &s.rd
	rd.reclaim()
	for {
		if rd.err == nil {
			rd.err = s.drain()
		}
		if frames, err := rd.split(s.framing); len(frames) > 0 || err != nil {
			return frames, err
		}
		if rd.err != nil {
			rd.giveBack()
			return nil, s.readError(rd.err)
		}
		if err := s.await(); err != nil {
			return nil, s.readError(err)
		}
	}
}

// drain reads what is here without waiting.
func (s *Stream) drain() error {
	if s.batch == nil {
		return nil
	}
	rd := &s.rd
	rd.borrow()
	for len(rd.lent.b)-rd.w >= plainRecord {
		n, err := s.batch.TryRead(rd.lent.b[rd.w:])
		rd.w += n
		if err != nil {
			return err
		}
		if n == 0 {
			return nil
		}
	}
	return nil
}

// await waits for more, with no buffer borrowed where the connection can do that.
func (s *Stream) await() error {
	rd := &s.rd
	if s.batch != nil {
		rd.giveBack()
		return s.batch.Wait()
	}
	rd.borrow()
	n, err := s.conn.Read(rd.lent.b[rd.w:])
	rd.w += n
	if n > 0 {
		rd.err = permanent(err)
		return nil
	}
	return err
}

// permanent keeps an error that came with data for the next read; a time-out is none.
func permanent(err error) error {
	if isTimeout(err) {
		return nil
	}
	return err
}

// readError prefers the reason for which this end closed the connection.
func (s *Stream) readError(err error) error {
	if isTimeout(err) {
		return errTimeout
	}
	if why := s.failure(); why != nil && why != net.ErrClosed {
		return why
	}
	if errors.Is(err, net.ErrClosed) {
		return net.ErrClosed
	}
	return err
}

// reclaim takes back the frames that were lent.
func (rd *reader) reclaim() {
	if rd.lent == nil {
		return
	}
	clear(rd.lent.frames)
	rd.lent.frames = rd.lent.frames[:0]
	poison(rd.lent.b[:rd.r])
	if rd.r == rd.w {
		rd.r, rd.w = 0, 0
	} else if rd.r > 0 {
		rd.w = copy(rd.lent.b, rd.lent.b[rd.r:rd.w])
		rd.r = 0
	}
}

func (rd *reader) borrow() {
	if rd.lent != nil {
		return
	}
	rd.lent = plains.Get().(*plain)
	rd.r, rd.w = 0, copy(rd.lent.b, rd.tail)
	rd.tail = nil
}

func (rd *reader) giveBack() {
	if rd.lent == nil {
		return
	}
	if rd.w > rd.r {
		rd.tail = append([]byte(nil), rd.lent.b[rd.r:rd.w]...)
	}
	plains.Put(rd.lent)
	rd.lent, rd.r, rd.w = nil, 0, 0
}

// split finds the frames in what has been read.
func (rd *reader) split(f Framing) ([][]byte, error) {
	if rd.lent == nil {
		return nil, nil
	}
	for rd.r < rd.w {
		frame, n, err := f.NextFrame(rd.lent.b[rd.r:rd.w])
		if err != nil {
			if len(rd.lent.frames) == 0 {
				rd.err = err
				return nil, err
			}
			break // first what came before it
		}
		if n == 0 {
			break
		}
		rd.r += n
		if frame != nil {
			rd.lent.frames = append(rd.lent.frames, frame)
		}
	}
	return rd.lent.frames, nil
}
