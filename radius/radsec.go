package radius

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// RadSec, RFC 6614: RADIUS in TLS. A connection carries all kinds of packets, many at a time; nothing is sent twice on it.
// It lives until it breaks, and is asked whether it does where it is silent:
//
//	          silent for 30 s                    still silent              still silent
//	in use ─────────────────────▶ Status-Server ─────────────▶ suspected ─────────────▶ closed; dialled again when there is
//	  ▲                                 │                          │                    a request, 1 s after a failure and
//	  └──────── a verified reply ───────┴──────────────────────────┘                    then after twice as long, to 15 s
//
// (RFC 3539 section 3.4.1, by Status-Server on an identifier of its own, 0: RFC 6613 section 2.6.5.) Suspected, the server is
// asked after others.

const (
	radsecSecret Secret = "radsec" // RFC 6614 section 2.3: TLS protects, but the digests want one

	watchEvery = 30 * time.Second // Tw
	dialTime   = 10 * time.Second // connection and handshake
	writeTime  = 10 * time.Second // until a packet must have left
	packetTime = 10 * time.Second // from a packet's first byte to its last
	sayTime    = time.Second      // for the far end to have said why it takes nothing
	firstDial  = time.Second      // to wait after a connection failed
	longDial   = 15 * time.Second // less than a request waits: each has a try
)

// sealed reports whether the server is asked by TLS.
func (s *server) sealed() bool { return s.target.TLS != nil }

func (s *server) secret() Secret {
	if s.target.Secret == "" && s.sealed() {
		return radsecSecret
	}
	return s.target.Secret
}

// patience makes fail-over the same by TLS as by UDP: it is how long a UDP request that is sent so often waits in all.
func patience(sends int, wait time.Duration) (all time.Duration) {
	for range sends {
		all += wait
		wait = min(2*wait, longWait)
	}
	return all
}

// roundTripTLS is roundTrip over a connection: for as long as sends would take, it is sent once on each connection that
// lives (RFC 6613 section 2.6.1).
func (s *server) roundTripTLS(ctx context.Context, p *Packet, sends int, wait time.Duration) (*Packet, error) {
	start := time.Now()
	ctx, cancel := context.WithTimeoutCause(ctx, patience(sends, wait), ErrNoAnswer)
	defer cancel()
	for again := false; ; again = true {
		k, w, err := s.open(ctx, p.Code)
		if err == nil {
			var reply *Packet
			reply, err = k.ask(ctx, w, p, again)
			k.release(w)
			if err == nil {
				return reply, nil
			}
		}
		if ctx.Err() == nil {
			var pause *pauseError
			switch {
			case errors.As(err, &pause):
				if sends < mostSends { // there are others to ask, or it comes again
					s.count(func(st *TargetStats) { st.Lost++ })
					return nil, fmt.Errorf("%w: %w", ErrNoAnswer, err)
				}
				pause.wait(ctx)
				continue
			case errors.Is(err, errBroken):
				continue
			}
			return nil, err
		}
		if why := context.Cause(ctx); !errors.Is(why, ErrNoAnswer) {
			return nil, why // the caller's
		}
		s.unanswered(start, k)
		if why := s.unconnected(); why != nil {
			return nil, fmt.Errorf("%w: %w", ErrNoAnswer, why)
		}
		return nil, ErrNoAnswer
	}
}

// ask sends a request once and waits for its reply.
func (k *socket) ask(ctx context.Context, w *waiter, p *Packet, again bool) (*Packet, error) {
	if p.Code.isAccess() {
		rand.Read(w.auth[:])
	}
	b, err := encode(p, w.id, w.auth, k.server.secret(), p.Code.isSigned())
	if err != nil {
		return nil, err
	}
	if !p.Code.isAccess() {
		w.auth = [16]byte(b[4:])
	}
	k.expect(w)
	k.server.count(func(st *TargetStats) {
		if again {
			st.Resent++
		} else {
			st.Sent++
		}
	})
	k.send(b)
	select {
	case reply := <-w.reply:
		return reply, nil
	case <-k.closed:
		return nil, k.reason()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// send writes a packet. A connection that takes none is closed: what was written in part cannot be gone on with. The reader
// does it, for the far end may have said why: in TLS 1.3 a client hears only then that its certificate was not liked.
func (k *socket) send(b []byte) {
	if err := writePacket(k.conn, &k.writes, b); err != nil {
		k.mu.Lock()
		k.sendErr = err
		k.mu.Unlock()
		k.conn.SetReadDeadline(time.Now().Add(sayTime))
	}
}

// readErr is why reading ended.
func (k *socket) readErr(err error) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.sendErr != nil && !strings.Contains(err.Error(), "tls: ") {
		return k.sendErr
	}
	return err
}

// broke closes a connection. One on which nothing was ever answered counts as one that failed: who takes connections and
// drops them at once is not to be dialled in a loop.
func (k *socket) broke(why error) {
	s := k.server
	s.mu.Lock()
	k.mu.Lock()
	if !k.over {
		s.client.log().Debug("radius: RadSec connection ended", "server", s.addr, "err", why)
		if !k.replied.Load() {
			s.backOff(why)
		}
		k.shut(errBroken)
	}
	k.mu.Unlock()
	s.mu.Unlock()
}

func (k *socket) reason() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.why
}

// A pauseError says that a connection failed, and when it may be tried again.
type pauseError struct {
	until time.Time
	err   error
}

func (e *pauseError) Error() string { return fmt.Sprintf("radius: not connected: %v", e.err) }
func (e *pauseError) Unwrap() error { return e.err }

func (e *pauseError) wait(ctx context.Context) {
	t := time.NewTimer(time.Until(e.until))
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// dialTLS connects, unless it is too early after a failure.
func (s *server) dialTLS(ctx context.Context, dial func(ctx context.Context, network, addr string) (net.Conn, error)) (net.Conn, error) {
	s.mu.Lock()
	until, why := s.dialAt, s.dialErr
	s.mu.Unlock()
	if time.Now().Before(until) {
		return nil, &pauseError{until, why}
	}
	asker := ctx
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	conn, err := dial(ctx, "tcp", s.addr)
	if err == nil {
		config := s.target.TLS.Clone()
		if config.ServerName == "" {
			config.ServerName, _, _ = net.SplitHostPort(s.addr)
		}
		sealed := tls.Client(conn, config)
		if err = sealed.HandshakeContext(ctx); err != nil {
			conn.Close()
		}
		conn = sealed
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		return conn, nil
	}
	if why := context.Cause(asker); why != nil && !errors.Is(why, ErrNoAnswer) {
		return nil, why // who asked has left; that says nothing about the server
	}
	s.backOff(err)
	return nil, &pauseError{s.dialAt, err}
}

// backOff notes that a connection failed. s.mu is held.
func (s *server) backOff(why error) {
	s.client.log().Warn("radius: RadSec connection failed", "server", s.addr, "err", why)
	s.dialAt, s.dialErr = time.Now().Add(jittered(min(firstDial<<min(s.dials, 6), longDial))), why
	s.dials++
	s.died("it cannot be connected")
}

// unconnected is why there is no connection; nil: the last attempt did not fail.
func (s *server) unconnected() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dialErr
}

// readTLS takes packets until the connection ends.
func (k *socket) readTLS() {
	defer close(k.stopped)
	defer k.server.forget(k)
	var work sync.WaitGroup
	defer work.Wait()
	ctx, cancel := context.WithCancel(context.WithValue(context.Background(), clientKey{}, k.server.client))
	defer cancel() // before it
	b := make([]byte, maxPacket)
	for {
		n, err := readPacket(k.conn, b, 0, nil)
		if err != nil {
			if errors.Is(err, errFrame) {
				k.server.drop(err)
			}
			k.broke(k.readErr(err))
			return
		}
		if Code(b[0]).isDynamic() {
			k.dynamic(ctx, &work, b[:n])
			continue
		}
		if err := k.take(b[:n]); err != nil {
			k.server.drop(err)
			if !errors.As(err, new(lateError)) {
				k.broke(err)
				return // RFC 6613 section 2.6.4: who sends such a packet is out of step, or not who it should be
			}
		}
	}
}

// clientKey is of the Client over whose connection a request came back.
type clientKey struct{}

// dynamic answers a request that the server sends back over the connection.
func (k *socket) dynamic(ctx context.Context, work *sync.WaitGroup, b []byte) {
	if d := k.server.client.Dynamic; d != nil {
		d.answer(ctx, work, streamAddr(k.conn), k.server.secret(), b, k.send)
		return
	}
	p, err := Parse(b)
	if err == nil {
		_, err = verifyRequest(trim(b), k.server.secret())
	}
	if err != nil {
		k.server.drop(err)
		return
	}
	if answer, err := encode(unsupported(p), p.Identifier, p.Authenticator, k.server.secret(), true); err == nil {
		k.send(answer)
	}
}

// unsupported refuses a kind of request that is not wanted, RFC 6614 section 2.5.
func unsupported(p *Packet) *Packet {
	q := new(Packet)
	switch p.Code {
	case DisconnectRequest:
		q.Code = DisconnectNAK
	case CoARequest:
		q.Code = CoANAK
	default:
		q.Code = AccountingResponse
	}
	q.addUint32(ErrorCause, uint32(nakExtension))
	for a, v := range p.All() {
		if a == ProxyState {
			q.Add(a, v)
		}
	}
	return q
}

// watch asks a connection that is silent whether it lives. See the diagram above.
func (k *socket) watch() {
	t := time.NewTimer(jittered(watchEvery))
	defer t.Stop()
	var dog *waiter
	var asked time.Time
	misses := 0
	for {
		select {
		case <-k.closed:
			return
		case <-t.C:
		}
		if dog != nil {
			k.release(dog)
			dog = nil
		}
		heard := time.Unix(0, k.heard.Load())
		if !heard.Before(asked) {
			misses = 0
		}
		if silent := time.Since(heard); silent < watchEvery*9/10 {
			t.Reset(jittered(watchEvery - silent))
			continue
		}
		switch misses++; misses {
		case 1:
			asked = time.Now()
			dog = k.askStatus()
		case 2:
			k.server.mu.Lock()
			k.server.died("its connection is silent")
			k.server.mu.Unlock()
		case 3:
			k.broke(errSilent)
			return
		}
		t.Reset(jittered(watchEvery))
	}
}

// askStatus sends a Status-Server.
func (k *socket) askStatus() *waiter {
	w := &waiter{code: StatusServer, reply: make(chan *Packet, 1)}
	k.mu.Lock()
	k.waiters[0] = w // and id 0: nobody else has it
	k.mu.Unlock()
	rand.Read(w.auth[:])
	p := &Packet{Code: StatusServer}
	k.server.client.addNAS(p, nil)
	b, err := encode(p, w.id, w.auth, k.server.secret(), true)
	if err != nil {
		k.release(w)
		return nil
	}
	k.expect(w)
	k.server.count(func(st *TargetStats) { st.Sent++ })
	k.send(b)
	return w
}

var errSilent = errors.New("radius: the connection is silent, and Status-Server is not answered")

// errFrame says that a stream is not made of packets; nothing behind it can be found.
var errFrame = errors.New("radius: not a packet")

// readPacket reads a packet from a stream into b, which has room for the largest. The wait for its first byte is idle, 0
// for ever; the rest must come soon. Who sets a deadline in the past to end the wait lets over be true first.
func readPacket(c net.Conn, b []byte, idle time.Duration, over func() bool) (int, error) {
	if idle > 0 {
		c.SetReadDeadline(time.Now().Add(idle))
		if over() {
			return 0, ErrServerClosed
		}
	}
	if _, err := io.ReadFull(c, b[:1]); err != nil {
		return 0, err
	}
	c.SetReadDeadline(time.Now().Add(packetTime))
	if _, err := io.ReadFull(c, b[1:4]); err != nil {
		return 0, err
	}
	n := int(binary.BigEndian.Uint16(b[2:]))
	if n < headerLen || n > maxPacket {
		return 0, fmt.Errorf("%w: it says %d bytes", errFrame, n)
	}
	_, err := io.ReadFull(c, b[4:n])
	c.SetReadDeadline(time.Time{})
	return n, err
}

// writePacket writes a whole packet, or fails.
func writePacket(c net.Conn, mu sync.Locker, b []byte) error {
	mu.Lock()
	defer mu.Unlock()
	c.SetWriteDeadline(time.Now().Add(writeTime))
	_, err := c.Write(b)
	return err
}

// streamAddr is the far end of a connection.
func streamAddr(c net.Conn) netip.AddrPort {
	if t, ok := c.RemoteAddr().(*net.TCPAddr); ok {
		p := t.AddrPort()
		return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
	}
	p, _ := netip.ParseAddrPort(c.RemoteAddr().String())
	return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
}
