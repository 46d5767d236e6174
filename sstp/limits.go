package sstp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/dialway/dialway/ppp"
)

// Defaults of a Server's fields.
const (
	defaultHandshake   = 15 * time.Second
	defaultNegotiation = time.Minute // [MS-SSTP] sections 3.2.2.1 and 3.3.2.1
	defaultEstablish   = 150 * time.Second
	defaultHello       = time.Minute // section 3.1.2.3

	// A server asks a second later than clients do, so that of two who have the same interval only one asks.
	defaultServerHello = defaultHello + time.Second
	defaultPending     = 1024
	defaultPerSource   = 16
)

// orDefault returns v, or d where v is zero.
func orDefault[T int | time.Duration](v, d T) T {
	if v == 0 {
		return d
	}
	return v
}

// A phase is how far a connection has come, for those who end it.
type phase uint8

const (
	handshaking  phase = iota // TLS, HTTP, Call Connect
	establishing              // PPP
	running                   // the Handler has it
)

// errRefused is the cause of those that do not fit a limit or come from where they may not.
var errRefused = errors.New("sstp: refused")

// admit counts a new connection in, or refuses it. A connection counts as a session in the making until it is open or
// has turned out to be a web request: before that nobody can tell.
func (s *Server) admit(base context.Context, nc net.Conn) *session {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Accepted++
	if s.closing || !s.hasRoom() {
		s.stats.Refused++
		return nil
	}
	x := &session{server: s, nc: nc, handler: handlerContext{base: base}, began: time.Now(), call: new(ppp.Call)}
	x.ctx, x.cancel = context.WithCancelCause(base)
	if s.sessions == nil {
		s.sessions = make(map[*session]struct{})
	}
	s.sessions[x] = struct{}{}
	s.pending++
	return x
}

// locate counts a connection by its source. It runs on the session's goroutine and not in the accept loop, because
// behind a PROXY protocol listener RemoteAddr waits for the client's header.
func (s *Server) locate(x *session, a netip.Addr) error {
	p := source(a)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !hasRoom(s.sources[p], orDefault(s.MaxPendingPerIP, defaultPerSource)) {
		return fmt.Errorf("%w: too many connections in the making from %v", errRefused, p)
	}
	if s.sources == nil {
		s.sources = make(map[netip.Prefix]int)
	}
	s.sources[p]++
	x.source, x.located = p, true
	return nil
}

// full says whether there is no session left, before one is in the making.
func (s *Server) full() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.MaxSessions > 0 && !hasRoom(s.opened, s.MaxSessions)
}

// established moves a connection from handshaking to establishing: from here on it is ended by its context.
func (s *Server) established(x *session) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return ErrServerClosed
	}
	x.phase = establishing
	x.timer.Reset(time.Until(x.began.Add(orDefault(s.EstablishTimeout, defaultEstablish))))
	return nil
}

// late ends what has taken too long: a handshake by closing the connection, which ends every wait in it, a PROXY header's
// included; what comes after by its context.
func (x *session) late() {
	x.server.mu.Lock()
	defer x.server.mu.Unlock()
	switch x.phase {
	case handshaking:
		x.nc.Close()
		x.stopMaking(errHandshake) // it may wait for its turn
	case establishing:
		x.stopMaking(errEstablish)
	}
}

// opens makes a session of a connection in the making.
func (s *Server) opens(x *session, link *ppp.Conn) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closing:
		return ErrServerClosed
	case s.MaxSessions > 0 && !hasRoom(s.opened, s.MaxSessions):
		return fmt.Errorf("%w: %d sessions are open", errRefused, s.opened)
	}
	s.notPending(x)
	s.opened++
	s.stats.Opened++
	x.phase, x.link, x.handler.link = running, link, link
	return nil
}

// notPending ends the counting of a connection as one in the making.
func (s *Server) notPending(x *session) {
	if x.settled {
		return
	}
	x.settled = true
	s.pending--
	s.moved()
	if x.located {
		if s.sources[x.source]--; s.sources[x.source] == 0 {
			delete(s.sources, x.source)
		}
	}
}

// forget takes a connection out, when it is over or another's.
func (s *Server) forget(x *session, count func(*ServerStats)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.notPending(x)
	if x.phase == running {
		s.opened--
	}
	if count != nil {
		count(&s.stats)
	}
	delete(s.sessions, x)
	if len(s.sessions) == 0 && s.idle != nil {
		close(s.idle)
		s.idle = nil
	}
}

// shutdown ends a session in good order. The server's lock is held.
func (x *session) shutdown() {
	switch x.phase {
	case handshaking:
		x.cut() // there is nothing yet to say goodbye to
	case establishing:
		x.stopMaking(ErrServerClosed)
	case running:
		x.handler.end(ErrServerClosed)
		x.link.Terminate(ppp.AdminReboot, "server shutting down")
	}
}

// stopMaking ends the context of the making, if that is not over. The server's lock is held.
func (x *session) stopMaking(why error) {
	if x.cancel != nil {
		x.cancel(why)
	}
}

// cut ends a session at once. The server's lock is held.
func (x *session) cut() {
	x.nc.Close()
	x.stopMaking(ErrServerClosed)
	if x.phase == running {
		x.shutdown() // a Handler that does not serve the link hears of it by its context
	}
}
