package ppp

import (
	"net"
	"time"

	"github.com/dialway/dialway/internal/bufpool"
)

// stageBuffers hold frames on their way to the connection: eight full TLS records, one send.
var stageBuffers = bufpool.Pool{Size: 128 << 10}

// WriteFrames is FrameConn's. It frames, encrypts and sends on the caller's goroutine while the connection takes it.
func (s *Stream) WriteFrames(header []byte, bufs [][]byte, offset int) (n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.mayWrite(); err != nil {
		return 0, err
	}
	if s.holding {
		s.sendHeld() // what is written first goes first
	}
	if !s.mustWait() && s.rate.bytes == 0 && s.conn.Inline() {
		if n, err = s.sendFrames(header, bufs, offset); err != nil {
			return n, err
		}
	}
	if n < len(bufs) {
		s.queue(header, bufs[n:], offset)
	}
	return len(bufs), nil
}

// sendFrames sends until the connection refuses, or what it takes would delay what comes after it; mu is held.
func (s *Stream) sendFrames(header []byte, bufs [][]byte, offset int) (n int, err error) {
	takes := s.conn.Takes()
	if takes == 0 {
		return 0, nil
	}
	stage := stageBuffers.Get()
	defer stage.Free()
	most := len(stage.B) - s.framing.MaxFrame()
	slow := takes < most
	room := min(takes, most)
	for n < len(bufs) && s.conn.Backlog() == 0 {
		b, i := stage.B[:0], n
		for ; i < len(bufs) && (len(b) <= room || i == n); i++ {
			b = s.framing.AppendFrame(b, header, bufs[i][offset:])
		}
		if err = s.conn.TryWrite(b); err != nil {
			return n, s.failLocked(err)
		}
		if n = i; slow {
			break // nothing has waited, so an echo or an acknowledgement has gone at once
		}
	}
	if s.conn.Backlog() > 0 {
		s.start()
	}
	return n, nil
}

// queue puts packets into the flow queues; mu is held.
func (s *Stream) queue(header []byte, bufs [][]byte, offset int) {
	if s.flows == nil {
		s.flows = newFlowQueue(&s.dropped)
	}
	now := time.Now()
	for _, p := range bufs {
		s.flows.push(now, header, p[offset:])
	}
	s.start()
}

func (s *Stream) freeFlows() {
	if s.flows != nil {
		s.flows.free()
		s.flows = nil
	}
}

// WriteControl is FrameConn's.
func (s *Stream) WriteControl(frame []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.mayWrite(); err != nil {
		return err
	}
	s.control = s.framing.AppendFrame(s.control, frame[:headerLen], frame[headerLen:])
	return s.sendControl()
}

// WriteRaw puts bytes on the stream as they are, in order with control frames and within the same bound: a transport's
// own control packets. It copies and never waits.
func (s *Stream) WriteRaw(b []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.mayWrite(); err != nil {
		return err
	}
	s.control = append(s.control, b...)
	return s.sendControl()
}

// sendControl sends what is in control, or leaves it to R's next read or to W; mu is held.
func (s *Stream) sendControl() error {
	if s.holding && !s.resting && len(s.control) <= maxHeldControl {
		return nil
	}
	return s.sendHeld()
}

// sendHeld sends what is in control, or leaves it to W; mu is held.
func (s *Stream) sendHeld() error {
	if len(s.control) == 0 {
		return nil
	}
	if s.mustWait() || !s.conn.Inline() {
		if !mayWaitControl(len(s.control)) {
			return s.failLocked(ErrPeerStalled)
		}
		s.start()
		s.wake() // a rate is none of a control frame's
		return nil
	}
	err := s.conn.TryWrite(s.control)
	s.control = s.control[:0]
	s.shed()
	if err != nil {
		return s.failLocked(err)
	}
	if s.conn.Backlog() > 0 {
		s.start()
	}
	return nil
}

// controlKept is what an idle session may keep for its next control frame.
const controlKept = 64

// shed is rid of what held control frames, if that is much and not about to be used again; mu is held.
func (s *Stream) shed() {
	if len(s.control) == 0 && cap(s.control) > controlKept && !s.holding {
		s.control = nil
	}
}

// maxHeldControl is how much R's next read may find to send.
const maxHeldControl = 4 << 10

// Hold has control frames that are written between two ReadFrames wait for the second, so that those that answer one another
// go together: one record of TLS, one packet, one wake-up of the far side. It is called by R, when much is answered at once;
// package sstp's conn has it called by a Conn that opens. Release ends it.
func (s *Stream) Hold() {
	s.mu.Lock()
	s.holding = true
	s.mu.Unlock()
}

// Release sends what Hold has had wait, and gives back the buffers of the last ReadFrames, whose frames are invalid then. It
// is called by R, who may not read again for long.
func (s *Stream) Release() {
	s.mu.Lock()
	s.holding = false
	if s.mayWrite() == nil {
		s.sendHeld()
		s.shed()
	}
	s.mu.Unlock()
	s.rd.reclaim()
	s.rd.giveBack()
}

// rests says whether R reads, and sends what Hold has had wait: while it reads, what others write goes at once. R calls it,
// who alone changes holding.
func (s *Stream) rests(reads bool) {
	if !s.holding {
		return
	}
	s.mu.Lock()
	s.resting = reads
	if reads && s.mayWrite() == nil {
		s.sendHeld() // an error ends the read, too
	}
	s.mu.Unlock()
}

// mayWrite says why nothing may be written any more; mu is held.
func (s *Stream) mayWrite() error {
	if s.err == nil && s.closed {
		return net.ErrClosed
	}
	return s.err
}

// mustWait reports whether what comes stands behind something that waits; mu is held.
func (s *Stream) mustWait() bool { return s.running || s.conn.Backlog() > 0 }
