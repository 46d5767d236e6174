package ppp

import (
	"errors"
	"net"
	"time"
)

// drainSize is how much W takes at a time: little, since what is encrypted cannot be dropped or overtaken any more.
const drainSize = 4 << 10

// write is W: it writes while something waits, and ends.
func (s *Stream) write(done chan struct{}) {
	defer close(done)
	st := stages.Get().(*stage)
	defer stages.Put(st)
	for {
		// First what is encrypted already: only when the connection takes more are packets chosen.
		if err := s.flush(); err != nil {
			s.fail(err)
		}
		b, pause := s.next(st.b[:0])
		switch {
		case b == nil && pause == 0:
			return
		case b == nil:
			s.pause(pause)
			continue
		}
		if err := s.put(b); err != nil {
			s.fail(err)
		}
		st.b = b[:0]
	}
}

// next takes control frames, then packets; nil and no pause: nothing waits, W is over.
func (s *Stream) next(b []byte) ([]byte, time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if s.err != nil {
		s.running = false
		return nil, 0
	}
	b = append(b, s.control...)
	s.control = s.control[:0]
	if cap(s.control) > maxControlWaiting/4 {
		s.control = nil
	}
	var pause time.Duration
	for s.flows != nil && len(b) < drainSize {
		if pause = s.rate.wait(now); pause > 0 {
			break
		}
		p := s.flows.pop(now)
		if p == nil {
			s.flows.free()
			s.flows = nil
			break
		}
		b = s.framing.AppendFrame(b, p.header(), p.body())
		s.rate.spend(len(p.body()), now)
		p.free()
	}
	if len(b) > 0 {
		return b, 0
	}
	if pause > 0 {
		return nil, pause
	}
	if s.noticed.Swap(false) {
		return b[:0:cap(b)], 0 // once more round, for tls's own backlog
	}
	s.running = false
	return nil, 0
}

// put encrypts or, on a connection that waits, writes.
func (s *Stream) put(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	if s.batch != nil {
		return s.stalled(s.batch.Encrypt(b))
	}
	patience := time.Duration(s.patience.Load())
	if err := s.conn.SetWriteDeadline(time.Now().Add(patience)); err != nil && !errors.Is(err, net.ErrClosed) {
		// No write deadlines here: the connection is closed when the time is over, which frees the write.
		t := time.AfterFunc(patience, func() { s.fail(ErrPeerStalled) })
		defer t.Stop()
	}
	_, err := s.conn.Write(b)
	return s.stalled(err)
}

func (s *Stream) flush() error {
	if s.batch == nil {
		return nil
	}
	return s.stalled(s.batch.Flush(time.Duration(s.patience.Load())))
}

// stalled says what a write time-out means.
func (s *Stream) stalled(err error) error {
	if isTimeout(err) {
		return ErrPeerStalled
	}
	return err
}

// pause waits for the rate to allow a packet, or for something that is not bound by it.
func (s *Stream) pause(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-s.wakeW:
	}
}
