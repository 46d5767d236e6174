package radius

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/dialway/dialway/ppp"
)

// A Server answers requests over UDP and RadSec. Set Clients, and Authenticator or Account or Handler. It must not be copied once it
// serves.
type Server struct {
	Clients       func(from netip.Addr) (Secret, bool)       // the secret of an access server; required by Serve; Secrets.Find fits
	Authenticator ppp.Authenticator                          // answers Access-Requests; nil drops them
	Account       func(ctx context.Context, r *Record) error // takes accounting; an error sends no answer, so that it comes again; nil drops it
	Handler       Handler                                    // sees every verified request first; nil, or a nil answer with a nil error, goes on
	Accept        func(p *Packet, g *ppp.Grant)              // may add attributes to an Access-Accept
	Unsigned      bool                                       // accept Access-Requests without Message-Authenticator
	TLSConfig     *tls.Config                                // for ServeTLS
	MaxConns      int                                        // connections of ServeTLS; 0 means 1024
	MaxPending    int                                        // requests that are worked at, and EAP conversations; 0 means 1024
	Logger        *slog.Logger                               // nil is silent

	mu      sync.Mutex
	closing bool
	conns   map[endpoint]struct{}
	ctx     context.Context // of the work; nil before the first Serve
	cancel  context.CancelFunc
	drained chan struct{} // closed when Shutdown or Close has done its work
	work    sync.WaitGroup
	pending int

	streams, unproven int                // connections of RadSec, and those without a certificate yet
	sources           map[netip.Addr]int // of those

	replies replyCache
	talks   map[string]*talk // by State
}

// A Handler answers a request itself. The secrets of p are in clear; those of the answer are hidden on the wire. ErrDrop,
// as any error, sends nothing.
type Handler func(ctx context.Context, from netip.AddrPort, p *Packet) (*Packet, error)

var (
	ErrServerClosed = errors.New("radius: server closed")   // of Serve, after Shutdown or Close
	ErrDrop         = errors.New("radius: request dropped") // of a Handler: no answer
)

// Secrets are secrets of access servers by prefix; the longest counts.
type Secrets map[netip.Prefix]Secret

// Find returns the secret for an address. It fits Server.Clients and Dynamic.Clients.
func (s Secrets) Find(from netip.Addr) (secret Secret, ok bool) {
	bits := -1
	for p, x := range s {
		if p.Bits() > bits && p.Contains(from) {
			secret, ok, bits = x, true, p.Bits()
		}
	}
	return secret, ok
}

// Serve answers what comes by pc until Shutdown or Close, which close pc. It never returns nil. It may run for several
// sockets at once.
func (s *Server) Serve(pc net.PacketConn) error {
	defer pc.Close()
	if s.Clients == nil {
		return errors.New("radius: a Server without Clients")
	}
	e := &udpEnd{pc}
	if err := s.serving(e); err != nil {
		return err
	}
	defer s.served(e)
	err := receive(pc, s.isClosing, func(from netip.AddrPort, b []byte) { s.takeUDP(e, from, b) })
	if err == ErrServerClosed {
		<-s.drained // answers under way need pc
	}
	return err
}

// receive reads datagrams until closing.
func receive(pc net.PacketConn, closing func() bool, take func(from netip.AddrPort, b []byte)) error {
	b := make([]byte, maxPacket)
	var delay time.Duration
	for {
		n, addr, err := pc.ReadFrom(b)
		switch {
		case closing():
			return ErrServerClosed
		case err == nil:
			delay = 0
			if from, ok := addrPort(addr); ok {
				take(from, b[:n])
			}
		case errors.Is(err, net.ErrClosed):
			return err
		default:
			// ICMP errors of earlier answers come here on some systems; memory may be short for a while.
			delay = min(max(2*delay, time.Millisecond), time.Second)
			time.Sleep(delay)
		}
	}
}

// addrPort returns who sent a datagram.
func addrPort(a net.Addr) (netip.AddrPort, bool) {
	if u, ok := a.(*net.UDPAddr); ok {
		p := u.AddrPort()
		return netip.AddrPortFrom(p.Addr().Unmap(), p.Port()), true
	}
	p, err := netip.ParseAddrPort(a.String())
	return netip.AddrPortFrom(p.Addr().Unmap(), p.Port()), err == nil
}

// An endpoint is what a Server reads from.
type endpoint interface {
	interrupt()   // takes no more
	Close() error // at once
}

// A udpEnd is a socket. It is used by pointer: a PacketConn need not be comparable.
type udpEnd struct{ pc net.PacketConn }

func (e *udpEnd) interrupt()   { e.pc.SetReadDeadline(time.Unix(1, 0)) }
func (e *udpEnd) Close() error { return e.pc.Close() }

func (e *udpEnd) send(b []byte, to netip.AddrPort) { e.pc.WriteTo(b, net.UDPAddrFromAddrPort(to)) }

func (e *udpEnd) accounts() bool {
	local, _ := addrPort(e.pc.LocalAddr())
	return local.Port() == 1813
}

// serving notes an endpoint that is read from.
func (s *Server) serving(e endpoint) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return ErrServerClosed
	}
	if s.conns == nil {
		s.conns, s.talks = make(map[endpoint]struct{}), make(map[string]*talk)
		s.ctx, s.cancel = context.WithCancel(context.Background())
		s.drained = make(chan struct{})
	}
	s.conns[e] = struct{}{}
	return nil
}

func (s *Server) served(e endpoint) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closing { // then the map is read by who closes
		delete(s.conns, e)
	}
}

func (s *Server) isClosing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closing
}

// Shutdown takes no more requests and waits until those under way are answered, or ctx ends. EAP conversations, which
// would need more requests, end.
func (s *Server) Shutdown(ctx context.Context) error {
	conns := s.stop()
	for e := range conns {
		e.interrupt()
	}
	for _, t := range s.openTalks() {
		t.stop()
	}
	done := make(chan struct{})
	go func() {
		s.work.Wait()
		close(done)
	}()
	var err error
	select {
	case <-done:
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	s.closeConns(conns)
	<-done
	s.drain()
	return err
}

// Close ends at once. It waits for the Authenticator, whose ctx ends.
func (s *Server) Close() error {
	s.closeConns(s.stop())
	s.work.Wait()
	s.drain()
	return nil
}

// drain lets Serve return.
func (s *Server) drain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.drained == nil {
		return
	}
	select {
	case <-s.drained:
	default:
		close(s.drained)
	}
}

func (s *Server) stop() map[endpoint]struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closing = true
	return s.conns
}

func (s *Server) closeConns(conns map[endpoint]struct{}) {
	if s.cancel != nil {
		s.cancel()
	}
	for e := range conns {
		e.Close()
	}
}

func (s *Server) log() *slog.Logger {
	if s.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return s.Logger
}

func (s *Server) maxPending() int {
	if s.MaxPending > 0 {
		return s.MaxPending
	}
	return 1024
}
