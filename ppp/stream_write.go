package ppp

import (
	"sync"
	"time"
)

// stageSize is how much is framed before it is encrypted and sent: eight full TLS records.
const stageSize = 128 << 10

// A stage holds frames on their way to the connection.
type stage struct{ b []byte }

var stages = sync.Pool{New: func() any { return &stage{make([]byte, 0, stageSize)} }}

// WriteFrames is FrameConn's. It frames, encrypts and sends on the caller's goroutine while the connection takes it.
func (s *Stream) WriteFrames(header []byte, bufs [][]byte, offset int) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return 0, s.err
	}
	if s.closing {
		return 0, nil
	}
	if s.waiting() || s.batch == nil || s.rate.bytes > 0 {
		return s.enqueue(header, bufs, offset), nil
	}
	st := stages.Get().(*stage)
	b := st.b[:0]
	for i, p := range bufs {
		b = s.framing.AppendFrame(b, header, p[offset:])
		if len(b) < stageSize-frameRoom && i < len(bufs)-1 {
			continue
		}
		if err := s.send(b); err != nil {
			s.putStage(st, b)
			return i, err
		}
		b = b[:0]
		if s.batch.Backlog() > 0 {
			s.putStage(st, b)
			s.start()
			return i + 1 + s.enqueue(header, bufs[i+1:], offset), nil
		}
	}
	s.putStage(st, b)
	return len(bufs), nil
}

// frameRoom is more than one frame takes: a stage is sent before it overflows.
const frameRoom = 8 << 10

func (s *Stream) putStage(st *stage, b []byte) {
	if cap(b) <= 2*stageSize {
		st.b = b[:0]
	}
	stages.Put(st)
}

// send encrypts and sends; mu is held and there is no backlog.
func (s *Stream) send(b []byte) error {
	if err := s.batch.TryWrite(b); err != nil {
		s.failLocked(err)
		return err
	}
	return nil
}

// WriteControl is FrameConn's.
func (s *Stream) WriteControl(frame []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.writeControl(func(b []byte) []byte {
		return s.framing.AppendFrame(b, frame[:headerLen], frame[headerLen:])
	})
}

// WriteRaw puts bytes on the stream as they are, in order with control frames and within the same bound: a transport's
// own control packets. It copies and never waits.
func (s *Stream) WriteRaw(raw []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.writeControl(func(b []byte) []byte { return append(b, raw...) })
}

func (s *Stream) writeControl(appendTo func(b []byte) []byte) error {
	if s.err != nil {
		return s.err
	}
	if s.batch == nil || s.waiting() {
		s.control = appendTo(s.control)
		if len(s.control) > maxControlWaiting {
			s.failLocked(ErrPeerStalled)
			return ErrPeerStalled
		}
		s.start()
		return nil
	}
	st := stages.Get().(*stage)
	b := appendTo(st.b[:0])
	err := s.send(b)
	s.putStage(st, b)
	if err == nil && s.batch.Backlog() > 0 {
		s.start()
	}
	return err
}

// waiting reports whether anything waits, so that what comes must wait behind it; mu is held.
func (s *Stream) waiting() bool {
	return s.running || s.noticed.Load() || len(s.control) > 0 || s.flows != nil
}

// enqueue puts packets into the flow queues and returns how many were taken; mu is held.
func (s *Stream) enqueue(header []byte, bufs [][]byte, offset int) (n int) {
	if len(bufs) == 0 {
		return 0
	}
	if s.flows == nil {
		s.flows = newFlowQueue()
	}
	now := time.Now()
	n = len(bufs)
	for _, p := range bufs {
		n -= s.flows.push(now, header, p[offset:])
	}
	s.start()
	return max(n, 0)
}

// notice is called by the connection when tls has left a backlog of its own. The connection holds no lock of ours, but
// it may be called inside TryWrite, which holds the egress lock: so W is started by a goroutine of its own.
func (s *Stream) notice() {
	if s.noticed.Swap(true) {
		return
	}
	go func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.start()
	}()
}

// start starts W, unless it runs; mu is held.
func (s *Stream) start() {
	if s.running || s.err != nil {
		return
	}
	s.running, s.done = true, make(chan struct{})
	go s.write(s.done)
}

// SetRate delays packets to r; the zero Rate does not.
func (s *Stream) SetRate(r Rate) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rate.set(r)
	s.wake()
}
