package ppp

import (
	"time"

	"github.com/dialway/dialway/internal/bufpool"
)

// W takes little at a time, since what is encrypted can be neither dropped nor overtaken any more: on a slow line 4 KiB, on
// one that takes them in no time a TLS record.
const (
	minDrain = 4 << 10
	maxDrain = 16 << 10
)

var drainBuffers = bufpool.Pool{Size: maxDrain + 4<<10}

// start starts W, unless it runs; mu is held.
func (s *Stream) start() {
	if s.running || s.err != nil {
		return
	}
	if s.wakeW == nil {
		s.wakeW = make(chan struct{}, 1)
	}
	s.running, s.done = true, make(chan struct{})
	go s.write(s.done, s.wakeW)
}

// wake ends W's pause; mu is held.
func (s *Stream) wake() {
	select {
	case s.wakeW <- struct{}{}:
	default:
	}
}

// write is W. It chooses packets as late as can be: when the connection takes more.
func (s *Stream) write(done chan<- struct{}, wake <-chan struct{}) {
	defer close(done)
	buf := drainBuffers.Get()
	defer buf.Free()
	for size := minDrain; s.waits(); {
		began := time.Now()
		if err := s.conn.WaitWrite(s.patience()); err != nil {
			s.fail(err)
			continue
		}
		now := time.Now()
		switch took := now.Sub(began); {
		case took < time.Millisecond:
			size = min(2*size, maxDrain)
		case took > 4*time.Millisecond:
			size = minDrain
		}
		b, pause := s.next(now, buf.B[:0], size)
		if pause > 0 {
			wait(pause, wake)
			continue
		}
		if len(b) == 0 {
			continue
		}
		if err := s.conn.TryWrite(b); err != nil {
			s.fail(err)
		}
	}
}

// waits reports whether there is work for W; if not, it is over.
func (s *Stream) waits() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil && (len(s.control) > 0 || s.flows != nil && s.flows.packets > 0 || s.conn.Backlog() > 0) {
		return true
	}
	s.freeFlows()
	s.running = false
	return false
}

// next takes all control frames or, if there are none, packets for size bytes, into b. pause: the rate lets none pass yet.
func (s *Stream) next(now time.Time, b []byte, size int) (_ []byte, pause time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.control) > 0 {
		b, s.control = s.control, nil
		return b, 0
	}
	if s.flows != nil {
		s.flows.tune(s.conn.RTT())
	}
	for s.flows != nil && len(b) < size {
		if pause = s.rate.wait(now); pause > 0 {
			break
		}
		p := s.flows.pop(now)
		if p == nil {
			break
		}
		b = s.framing.AppendFrame(b, p.header[:], p.body())
		s.rate.spend(p.size, now)
		s.flows.release(p)
	}
	if len(b) > 0 {
		pause = 0
	}
	return b, pause
}

// wait waits for the rate, or for something that it does not bind.
func wait(d time.Duration, wake <-chan struct{}) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-wake:
	}
}
