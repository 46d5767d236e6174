package radius

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	mrand "math/rand/v2"
	"net"
	"sync"
	"time"
)

// A server is a target's port as the Client sees it.
//
//	        no answer to a request for so long, and to no other since it was sent, nor to a Status-Server
//	alive ─────────────────────────────────────────────────────────────▶ dead
//	  ▲                                                                    │ every 10 s, while there are requests:
//	  │   any answer                                                       │ a Status-Server
//	  └────────────────────────────────────────────────────────────────────┤
//	                                                                       │ every 2 min: one request on trial, for
//	                                                                       ▼ servers without Status-Server
type server struct {
	client *Client
	target *Target
	index  int
	addr   string

	dialling chan struct{} // room for one

	mu      sync.Mutex
	sockets []*socket
	dead    bool
	dialAt  time.Time // of TLS, after a failure: not before
	dialErr error     // and why
	dials   int       // failed one after the other
	trialAt time.Time // when dead: when a request may try it first
	probeAt time.Time // when dead: when a Status-Server may
	answer  time.Time // the last that was verified
	stats   TargetStats

	probing   chan struct{} // closed when the probe under way has ended; nil: there is none
	stopProbe context.CancelFunc
}

const (
	probeEvery = 10 * time.Second
	trialEvery = 2 * time.Minute
	maxSockets = 16 // of 256 identifiers each
)

var errTooMany = errors.New("radius: too many requests wait for a server")

// RFC 5080 section 2.2.1.
const (
	firstWait  = 2 * time.Second  // IRT
	longWait   = 16 * time.Second // MRT
	mostSends  = 5                // MRC
	mostTime   = 30 * time.Second // MRD
	beforeNext = 2                // transmissions, where another server may be asked
)

// jittered is a wait with RAND, plus or minus a tenth.
func jittered(d time.Duration) time.Duration {
	return d + time.Duration((mrand.Float64()*0.2-0.1)*float64(d))
}

// roundTrip sends a request, up to sends times with wait after the first, and returns the verified reply.
func (s *server) roundTrip(ctx context.Context, p *Packet, sends int, wait time.Duration) (*Packet, error) {
	if s.sealed() {
		return s.roundTripTLS(ctx, p, sends, wait)
	}
	k, w, err := s.open(ctx, p.Code)
	if err != nil {
		return nil, err
	}
	defer k.release(w)
	if p.Code.isAccess() {
		rand.Read(w.auth[:])
	}
	b, err := encode(p, w.id, w.auth, s.secret(), p.Code.isSigned())
	if err != nil {
		return nil, err
	}
	if !p.Code.isAccess() {
		w.auth = [16]byte(b[4:])
	}
	k.expect(w)
	start := time.Now()
	for i := range sends {
		s.count(func(st *TargetStats) {
			if i == 0 {
				st.Sent++
			} else {
				st.Resent++
			}
		})
		if _, err := k.conn.Write(b); err != nil && !errors.Is(err, net.ErrClosed) {
			// It may be a passing state of the network, or an ICMP error for an earlier datagram.
			s.client.log().Debug("radius: send", "server", s.addr, "err", err)
		}
		t := time.NewTimer(jittered(wait))
		select {
		case reply := <-w.reply:
			t.Stop()
			return reply, nil
		case <-k.closed:
			t.Stop()
			return nil, k.reason()
		case <-ctx.Done():
			t.Stop()
			err := context.Cause(ctx)
			if errors.Is(err, ErrNoAnswer) { // the time of RFC 5080, not the caller's
				s.unanswered(start, k)
			}
			return nil, err
		case <-t.C:
		}
		wait = min(2*wait, longWait)
	}
	s.unanswered(start, k)
	return nil, ErrNoAnswer
}

// unanswered notes that a request first sent at start, on mine, was not answered.
func (s *server) unanswered(start time.Time, mine *socket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Lost++
	if s.answer.After(start) {
		return // it is slow with one, not dead
	}
	s.died("it does not answer")
	// The name may lead elsewhere by now.
	keep := s.sockets[:0]
	for _, k := range s.sockets {
		if !k.closeIfIdle(k == mine) {
			keep = append(keep, k)
		}
	}
	s.sockets = keep
}

// died notes that the server is not to be asked first. s.mu is held.
func (s *server) died(why string) {
	if s.dead {
		return
	}
	now := time.Now()
	s.client.log().Warn("radius: server is dead", "server", s.addr, "why", why)
	s.dead, s.probeAt, s.trialAt = true, now, now.Add(trialEvery)
}

// answered notes a verified reply.
func (s *server) answered() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Replies++
	s.answer = time.Now()
	s.dialAt, s.dialErr, s.dials = time.Time{}, nil, 0
	if s.dead {
		s.dead = false
		s.client.log().Info("radius: server answers again", "server", s.addr)
	}
}

// usable reports whether a request may go to the server first. Of one that is dead, one request now and then may.
func (s *server) usable(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.dead {
		return true
	}
	if !now.Before(s.trialAt) {
		s.trialAt = now.Add(trialEvery)
		return true
	}
	if !now.Before(s.probeAt) {
		s.probeNow(now)
	}
	return false
}

// probeNow begins a probe, if there is none. s.mu is held.
func (s *server) probeNow(now time.Time) {
	if s.probing != nil {
		return
	}
	s.probeAt = now.Add(probeEvery)
	ctx, cancel := context.WithTimeout(context.Background(), probeEvery)
	s.probing, s.stopProbe = make(chan struct{}), cancel
	go s.probe(ctx)
}

// silent reports whether the server has answered nobody since then. It is asked whether it lives; where that has been done,
// it is dead.
func (s *server) silent(since time.Time, asked bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.answer.After(since):
		return false
	case asked:
		s.died("it answers nobody")
	case !s.dead: // one that is has its own probes
		s.probeNow(time.Now())
	}
	return true
}

// probe asks a dead server whether it lives, RFC 5997.
func (s *server) probe(ctx context.Context) {
	p := &Packet{Code: StatusServer}
	s.client.addNAS(p, nil)
	s.roundTrip(ctx, p, 1, firstWait)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopProbe()
	close(s.probing)
	s.probing = nil
}

func (s *server) count(f func(*TargetStats)) {
	s.mu.Lock()
	f(&s.stats)
	s.mu.Unlock()
}

// snapshot is what Stats tells.
func (s *server) snapshot() TargetStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.stats
	st.Addr, st.Dead = s.addr, s.dead
	return st
}

// open finds an identifier that is free, on a new socket if it must be.
func (s *server) open(ctx context.Context, code Code) (*socket, *waiter, error) {
	w := &waiter{code: code, reply: make(chan *Packet, 1)}
	if k := s.reserve(w); k != nil {
		return k, w, nil
	}
	// One at a time: who waited may find a socket that another has opened.
	select {
	case s.dialling <- struct{}{}:
		defer func() { <-s.dialling }()
	case <-ctx.Done():
		return nil, nil, context.Cause(ctx)
	}
	if k := s.reserve(w); k != nil {
		return k, w, nil
	}
	conn, err := s.dial(ctx)
	if err != nil {
		return nil, nil, err
	}
	k := &socket{server: s, conn: conn, closed: make(chan struct{}), stopped: make(chan struct{})}
	k.watched = s.sealed()
	k.heard.Store(time.Now().UnixNano())
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.sockets) >= maxSockets {
		conn.Close()
		return nil, nil, errTooMany
	}
	k.reserve(w)
	s.sockets = append(s.sockets, k)
	if s.sealed() {
		go k.readTLS()
		go k.watch()
	} else {
		go k.read()
	}
	return k, w, nil
}

// dial connects a socket.
func (s *server) dial(ctx context.Context) (net.Conn, error) {
	dial := s.client.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	if s.sealed() {
		return s.dialTLS(ctx, dial)
	}
	return dial(ctx, "udp", s.addr)
}

// reserve takes an identifier of an open socket.
func (s *server) reserve(w *waiter) *socket {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.sockets {
		if k.reserve(w) {
			return k
		}
	}
	return nil
}

// forget takes a socket out that is closed.
func (s *server) forget(k *socket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, o := range s.sockets {
		if o == k {
			s.sockets = append(s.sockets[:i:i], s.sockets[i+1:]...)
			return
		}
	}
}

// close ends exchanges and readers, and waits for both; the next request begins anew.
func (s *server) close() {
	s.mu.Lock()
	if probing := s.probing; probing != nil {
		s.stopProbe()
		s.mu.Unlock()
		<-probing // or it would open a socket behind our back
		s.mu.Lock()
	}
	list := s.sockets
	s.sockets = nil
	s.mu.Unlock()
	for _, k := range list {
		k.close(errClosed)
	}
	for _, k := range list {
		<-k.stopped
	}
}

// drop counts a reply that does not count, and says why. Such a reply changes nothing: RFC 5080 section 2.2.2.
func (s *server) drop(why error) {
	s.count(func(st *TargetStats) { st.Bad++ })
	s.client.log().LogAttrs(context.Background(), slog.LevelWarn, "radius: reply dropped",
		slog.String("server", s.addr), slog.Any("err", why))
}
