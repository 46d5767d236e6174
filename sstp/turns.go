package sstp

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"time"
)

// Handshakes take turns. What a TLS handshake computes is most of what a session's opening costs, and when thousands of
// clients come back at once, all of them computing beside each other, each takes as long as all do: those who have waited
// longest give up just before their turn ends, and open sessions wait as long for the processor. So as many compute as
// there are processors, in the order of their coming:
//
//	system's queue ──▶ accepted ──▶ ClientHello is here ──▶ turn: it is answered ──▶ Finished, HTTP, PPP ──▶ open
//	        while all are taken or a turn          (waits, without a processor)
//	        is long in coming, none is accepted
//
// Nobody has a turn who waits for the far side, or for the user's code. A semaphore (golang.org/x/sync) would be nearly that,
// but does not say how long its queue is.
type turns struct {
	mu   sync.Mutex
	busy int
	wait []*turn // the first came first
}

// A turn that has not come yet.
type turn struct {
	since time.Time
	come  chan struct{}
}

// take waits for a turn until ctx ends, and reports whether it has come. give ends it.
func (t *turns) take(ctx context.Context) bool {
	t.mu.Lock()
	if t.busy < runtime.GOMAXPROCS(0) && len(t.wait) == 0 {
		t.busy++
		t.mu.Unlock()
		return true
	}
	me := &turn{since: time.Now(), come: make(chan struct{})}
	t.wait = append(t.wait, me)
	t.mu.Unlock()
	select {
	case <-me.come:
		return true
	case <-ctx.Done():
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	i := slices.Index(t.wait, me)
	if i < 0 {
		return true // it came meanwhile
	}
	t.wait = slices.Delete(t.wait, i, i+1)
	return false
}

// give ends a turn: it is the next one's.
func (t *turns) give() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.wait) == 0 {
		t.busy--
		return
	}
	next := t.wait[0]
	t.wait[0] = nil
	if t.wait = t.wait[1:]; len(t.wait) == 0 {
		t.wait = nil
	}
	close(next.come)
}

// waited is how long the first in the queue has waited: those who come now will wait as long.
func (t *turns) waited(now time.Time) time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.wait) == 0 {
		return 0
	}
	return now.Sub(t.wait[0].since)
}

// takeTurn waits until this handshake may compute.
func (x *session) takeTurn() error {
	if !x.server.turns.take(x.ctx) {
		return context.Cause(x.ctx)
	}
	x.turn = true
	return nil
}

// giveTurn ends the turn, if it has one.
func (x *session) giveTurn() {
	if x.turn {
		x.turn = false
		x.server.turns.give()
	}
}

const (
	// turnPatience is how much of the HandshakeTimeout a turn may be in coming; what is left is enough for the rest.
	turnPatience = 5 // a fifth

	// stuckTime is how long a Server that is full waits for somebody to come out of the making.
	stuckTime = time.Second
)

// hasRoom says whether another connection may be in the making; the lock is held.
func (s *Server) hasRoom() bool {
	return hasRoom(s.pending, orDefault(s.MaxPending, defaultPending)) &&
		s.turns.waited(time.Now()) < orDefault(s.HandshakeTimeout, defaultHandshake)/turnPatience
}

// awaitRoom waits until another connection may be accepted, as long as others come out of the making: whoever is in the
// system's queue meanwhile costs nothing, and will be served in time. When for stuckTime none has come out, those who come
// are refused, as soon as they come, until one does.
func (s *Server) awaitRoom() {
	for {
		s.mu.Lock()
		if s.closing || s.stuck || s.hasRoom() {
			s.mu.Unlock()
			return
		}
		if s.room == nil {
			s.room = make(chan struct{})
		}
		room := s.room
		s.mu.Unlock()
		t := time.NewTimer(stuckTime)
		select {
		case <-room:
		case <-t.C:
			s.mu.Lock()
			s.stuck = s.room == room
			s.mu.Unlock()
		}
		t.Stop()
	}
}

// moved ends awaitRoom's waiting; the lock is held.
func (s *Server) moved() {
	s.stuck = false
	if s.room != nil {
		close(s.room)
		s.room = nil
	}
}
