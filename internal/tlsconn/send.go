package tlsconn

import "time"

// append takes what tls writes: part of a TryWrite's records, or something of tls's own, which is sent at once.
func (s *sock) append(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.werr != nil {
		return 0, s.werr
	}
	if !s.keep(b) {
		return 0, s.werr
	}
	if s.corked {
		return len(b), nil
	}
	return len(b), s.push()
}

// keep appends to what waits, or ends a connection on which too much does; mu is held.
func (s *sock) keep(b []byte) bool {
	if s.out == nil || s.kept+len(b) > len(s.out.B) && !s.writing {
		s.makeRoom(len(b))
	}
	if s.kept+len(b) > len(s.out.B) {
		s.stall()
		return false
	}
	s.kept += copy(s.out.B[s.kept:], b)
	return true
}

// makeRoom moves what waits to the front of a buffer that takes n more bytes, if there is one so large.
func (s *sock) makeRoom(n int) {
	old := s.out
	switch {
	case old == nil && n <= smallBuffers.Size:
		s.out = smallBuffers.Get()
	case old == nil || len(old.B) < outBuffers.Size:
		s.out = outBuffers.Get()
	}
	if old != nil {
		s.sent, s.kept = 0, copy(s.out.B, old.B[s.sent:s.kept])
	}
	if old != s.out {
		old.Free()
	}
}

// waits is what the stream has not taken; mu is held.
func (s *sock) waits() int { return s.kept - s.sent }

// push sends what waits, as far as the stream takes it; mu is held.
func (s *sock) push() error {
	if s.waits() > 0 && s.write != nil {
		n, err := s.write.TryWrite(s.out.B[s.sent:s.kept])
		if err != nil {
			s.failed(err)
			return err
		}
		s.took(n)
		s.observe(n, 0)
	}
	s.left.Store(int64(s.waits()))
	return nil
}

// took forgets n bytes; mu is held.
func (s *sock) took(n int) {
	s.moved += int64(n)
	if s.sent += n; s.sent == s.kept {
		s.drop()
	}
	s.left.Store(int64(s.waits()))
}

func (s *sock) drop() {
	s.out.Free()
	s.out, s.sent, s.kept = nil, 0, 0
	s.left.Store(0)
}

// failed ends writing for good; mu is held.
func (s *sock) failed(err error) {
	if s.werr != nil {
		return
	}
	s.werr = err
	s.broken.Store(true)
	if !s.writing {
		s.drop()
	}
}

// stall ends the connection for both directions; mu is held.
func (s *sock) stall() {
	s.failed(ErrStalled)
	s.stalled.Store(true)
	s.shut()
}

// cork begins a TryWrite.
func (s *sock) cork() {
	s.mu.Lock()
	s.corked = true
	s.mu.Unlock()
}

// uncork ends it, and sends.
func (s *sock) uncork(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.corked = false
	if s.werr != nil {
		return s.werr // tls wraps it, or has an older one
	}
	if err != nil {
		return err
	}
	return s.push()
}

// tryWrite is a TryWrite without TLS: what goes out at once is not copied.
func (s *sock) tryWrite(b []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.werr != nil {
		return s.werr
	}
	if s.waits() == 0 && s.write != nil {
		n, err := s.write.TryWrite(b)
		if err != nil {
			s.failed(err)
			return err
		}
		b = b[n:]
		s.observe(n, 0)
	}
	if len(b) > 0 && !s.keep(b) {
		return s.werr
	}
	s.left.Store(int64(s.waits()))
	return nil
}

func (s *sock) backlog() int { return int(s.left.Load()) }

// waitWrite sends what waits and waits until the stream takes more. Its patience begins anew when bytes move.
func (s *sock) waitWrite(patience time.Duration) error {
	if s.write == nil {
		return s.writeWaiting(patience)
	}
	for began, moved := false, int64(0); ; {
		s.mu.Lock()
		err := s.werr
		if err == nil {
			err = s.push()
		}
		idle, renew := s.waits() == 0, !began || s.moved != moved
		moved = s.moved
		s.mu.Unlock()
		if err != nil {
			return err
		}
		if idle && began && !renew {
			return nil // it has just been found writable, and there was nothing to write
		}
		now := time.Now()
		if renew {
			if err := s.SetWriteDeadline(now.Add(patience)); err != nil {
				return s.fail(err)
			}
		}
		began = true
		if err := s.write.WaitWrite(); err != nil {
			return s.fail(err)
		}
		s.mu.Lock()
		s.observe(0, time.Since(now))
		s.mu.Unlock()
	}
}

// chunk is how much one write that waits takes: it is done when bytes have moved.
const chunk = 16 << 10

// writeWaiting writes what waits on a stream that can only wait. What is appended meanwhile stands behind.
func (s *sock) writeWaiting(patience time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.waits() > 0 && s.werr == nil {
		s.writing = true
		b := s.out.B[s.sent:min(s.kept, s.sent+chunk)]
		s.mu.Unlock()
		n, err := s.writeWithin(b, patience)
		s.mu.Lock()
		s.writing = false
		switch {
		case s.werr != nil: // closed meanwhile
			s.drop()
		case isTimeout(err):
			s.stall()
		case err != nil:
			s.failed(err)
		default:
			s.took(n)
		}
	}
	return s.werr
}

// writeWithin writes b. Where the stream knows no write deadline, closing it ends the write.
func (s *sock) writeWithin(b []byte, patience time.Duration) (int, error) {
	if s.SetWriteDeadline(time.Now().Add(patience)) != nil {
		t := time.AfterFunc(patience, func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.stall()
		})
		defer t.Stop()
	}
	return s.Stream.Write(b)
}

// fail ends writing; a time-out is a far side that does not read.
func (s *sock) fail(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if isTimeout(err) {
		s.stall()
	}
	s.failed(err)
	return s.werr
}

// observe watches what writing does to the line; mu is held.
func (s *sock) observe(n int, waited time.Duration) {
	p := s.pace.Load()
	if p == nil {
		if s.written > paceFrom {
			return // there is none to be had
		}
		if s.written += int32(n); s.written <= paceFrom {
			return
		}
		if p = newPacer(s.Stream); p == nil {
			return
		}
		s.pace.Store(p)
	}
	p.observe(time.Now(), n, waited)
}

// takes is a pacer's, and everything where there is none.
func (s *sock) takes() int {
	if p := s.pace.Load(); p != nil {
		return p.takes()
	}
	return maxRoom
}

// rtt is the round trip of TCP as a pacer saw it last; 0: there is none.
func (s *sock) rtt() time.Duration {
	if p := s.pace.Load(); p != nil {
		return time.Duration(p.told.rtt.Load())
	}
	return 0
}
