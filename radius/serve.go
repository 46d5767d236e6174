package radius

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
)

// A way is how a request came, and its reply goes.
type way interface {
	send(b []byte, to netip.AddrPort)
	accounts() bool // it is for accounting alone
}

// A request is one that is verified, and has no answer yet.
type request struct {
	server *Server
	ctx    context.Context
	way    way
	sealed bool // by TLS
	from   netip.AddrPort
	secret Secret
	packet *Packet // secrets in clear
	key    replyKey
}

// takeUDP takes a datagram from who is known.
func (s *Server) takeUDP(e *udpEnd, from netip.AddrPort, b []byte) {
	secret, ok := s.Clients(from.Addr())
	if !ok || secret == "" {
		s.drop(from, errors.New("not an access server"))
		return
	}
	r := &request{server: s, ctx: s.ctx, way: e, from: from, secret: secret}
	if err := r.take(b); err != nil {
		s.drop(from, err)
	}
}

// take verifies a request and has it answered.
//
//	known client ─▶ parsed ─▶ code ─▶ verified ─▶ signed ─▶ new ────▶ answered, the reply kept
//	                                                         │ seen
//	                                                         └─▶ the same reply; nothing while it is worked at
func (r *request) take(b []byte) error {
	s := r.server
	p, err := Parse(b)
	if err != nil {
		return err
	}
	b = trim(b)
	switch p.Code {
	case AccessRequest, AccountingRequest, StatusServer:
	case DisconnectRequest, CoARequest:
		if !r.sealed { // there they go to another port
			return fmt.Errorf("%v", p.Code)
		}
	default:
		return unwantedError{p.Code}
	}
	signed, err := verifyRequest(b, r.secret)
	if err != nil {
		return err
	}
	_, eap := p.Get(EAPMessage)
	_, proxied := p.Get(ProxyState)
	if !mayTakeRequest(p.Code, signed, eap, proxied, s.Unsigned, r.sealed) {
		return fmt.Errorf("%v without Message-Authenticator (CVE-2024-3596): Server.Unsigned accepts it", p.Code)
	}
	if err := reveal(p, p.Authenticator, r.secret); err != nil {
		return err
	}
	r.packet, r.key = p, replyKey{r.way, r.from, p.Identifier}
	fresh, reply := s.begin(r)
	if fresh {
		go r.answer()
	} else if reply != nil {
		r.way.send(reply, r.from)
	}
	return nil
}

// An unwantedError is a packet that no server takes.
type unwantedError struct{ code Code }

func (e unwantedError) Error() string { return e.code.String() }

// drop says why a request gets no answer. Who sent it learns nothing: RFC 2865 section 3 has it discarded silently.
func (s *Server) drop(from netip.AddrPort, why error) {
	s.log().LogAttrs(context.Background(), slog.LevelWarn, "radius: request dropped", slog.Any("from", from), slog.Any("err", why))
}

// begin reports whether a request is to be worked at. One that has been answered has its reply.
func (s *Server) begin(r *request) (fresh bool, reply []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return false, nil
	}
	if reply, known := s.replies.find(r.key, r.packet.Authenticator); known {
		return false, reply // nil while its Authenticator is at work: RFC 5080 section 2.2.2
	}
	if s.pending >= s.maxPending() {
		s.log().Warn("radius: too many requests, one is dropped", "from", r.from)
		return false, nil
	}
	s.pending++
	s.replies.begin(r.key, r.packet.Authenticator)
	s.work.Add(1)
	return true, nil
}

// answer works at a request, on a goroutine of its own: an Authenticator that takes long holds up nobody else's request. What
// gets no reply is forgotten, so that it is worked at when it comes again.
func (r *request) answer() {
	s := r.server
	defer s.work.Done()
	reply, err := s.respond(r)
	var b []byte
	if err == nil && reply != nil {
		b, err = r.encode(reply)
	}
	s.mu.Lock()
	s.replies.end(r.key, r.packet.Authenticator, b)
	s.mu.Unlock()
	if err != nil && !errors.Is(err, ErrDrop) {
		s.log().Warn("radius: request not answered", "from", r.from, "code", r.packet.Code.String(), "err", err)
	}
	if b != nil {
		r.way.send(b, r.from)
	}
	s.mu.Lock()
	s.pending-- // only now: who takes no replies is not to have room for more requests
	s.mu.Unlock()
}

// encode signs a reply. Proxy-States come back as they came, RFC 2865 section 5.33.
func (r *request) encode(p *Packet) ([]byte, error) {
	if _, ok := p.Get(ProxyState); !ok {
		for a, v := range r.packet.All() {
			if a == ProxyState {
				p.Add(a, v)
			}
		}
	}
	return encode(p, r.packet.Identifier, r.packet.Authenticator, r.secret, r.packet.Code.isAccess())
}

// respond finds who answers: the Handler, if it likes, else by the kind of the request.
func (s *Server) respond(r *request) (*Packet, error) {
	if s.Handler != nil {
		if reply, err := s.Handler(r.ctx, r.from, r.packet.clone()); reply != nil || err != nil {
			return reply, err
		}
	}
	switch r.packet.Code {
	case StatusServer:
		return s.status(r), nil
	case AccountingRequest:
		if s.Account == nil {
			if r.sealed {
				return unsupported(r.packet), nil
			}
			return nil, ErrDrop
		}
		if err := s.Account(r.ctx, newRecord(r.packet, r.from)); err != nil {
			return nil, err
		}
		return &Packet{Code: AccountingResponse}, nil
	case DisconnectRequest, CoARequest:
		return unsupported(r.packet), nil
	}
	if s.Authenticator == nil {
		return nil, ErrDrop
	}
	return s.access(r)
}

// status answers a Status-Server: an authentication port accepts, as does RadSec; an accounting port responds (RFC 5997
// section 3).
func (s *Server) status(r *request) *Packet {
	if r.way.accounts() || !r.sealed && s.Authenticator == nil && s.Handler == nil {
		return &Packet{Code: AccountingResponse}
	}
	return &Packet{Code: AccessAccept}
}
