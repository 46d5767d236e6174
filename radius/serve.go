package radius

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
)

// A request is one that is verified, and has no answer yet.
type request struct {
	server *Server
	pc     *net.PacketConn
	from   netip.AddrPort
	secret Secret
	packet *Packet // secrets in clear
	key    replyKey
}

// take verifies a datagram and has it answered.
//
//	known client ─▶ parsed ─▶ code ─▶ verified ─▶ signed ─▶ new ────▶ answered, the reply kept
//	                                                         │ seen
//	                                                         └─▶ the same reply; nothing while it is worked at
func (s *Server) take(pc *net.PacketConn, from netip.AddrPort, b []byte) {
	secret, ok := s.Clients(from.Addr())
	if !ok || secret == "" {
		s.drop(from, errors.New("not an access server"))
		return
	}
	p, err := Parse(b)
	if err != nil {
		s.drop(from, err)
		return
	}
	b = trim(b)
	if p.Code != AccessRequest && p.Code != AccountingRequest && p.Code != StatusServer {
		s.drop(from, fmt.Errorf("%v", p.Code))
		return
	}
	signed, err := verifyRequest(b, secret)
	if err != nil {
		s.drop(from, err)
		return
	}
	_, eap := p.Get(EAPMessage)
	_, proxied := p.Get(ProxyState)
	if !mayTakeRequest(p.Code, signed, eap, proxied, s.Unsigned) {
		s.drop(from, fmt.Errorf("%v without Message-Authenticator (CVE-2024-3596): Server.Unsigned accepts it", p.Code))
		return
	}
	if err := reveal(p, p.Authenticator, secret); err != nil {
		s.drop(from, err)
		return
	}
	r := &request{server: s, pc: pc, from: from, secret: secret, packet: p, key: replyKey{pc, from, p.Identifier}}
	fresh, reply := s.begin(r)
	if fresh {
		go r.answer()
	} else if reply != nil {
		(*pc).WriteTo(reply, net.UDPAddrFromAddrPort(from))
	}
}

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

// answer works at a request.
func (r *request) answer() {
	s := r.server
	defer s.work.Done()
	reply, err := s.respond(r)
	var b []byte
	if err == nil && reply != nil {
		b, err = r.encode(reply)
	}
	s.mu.Lock()
	s.pending--
	s.replies.end(r.key, r.packet.Authenticator, b)
	s.mu.Unlock()
	if err != nil && !errors.Is(err, ErrDrop) {
		s.log().Warn("radius: request not answered", "from", r.from, "code", r.packet.Code.String(), "err", err)
	}
	if b != nil {
		(*r.pc).WriteTo(b, net.UDPAddrFromAddrPort(r.from))
	}
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

func (s *Server) respond(r *request) (*Packet, error) {
	if s.Handler != nil {
		if reply, err := s.Handler(s.ctx, r.from, r.packet.clone()); reply != nil || err != nil {
			return reply, err
		}
	}
	switch r.packet.Code {
	case StatusServer:
		return s.status(r), nil
	case AccountingRequest:
		if s.Account == nil {
			return nil, ErrDrop
		}
		if err := s.Account(s.ctx, newRecord(r.packet, r.from)); err != nil {
			return nil, err
		}
		return &Packet{Code: AccountingResponse}, nil
	}
	if s.Authenticator == nil {
		return nil, ErrDrop
	}
	return s.access(r)
}

// status answers a Status-Server: an authentication port accepts, an accounting port responds (RFC 5997 section 3).
func (s *Server) status(r *request) *Packet {
	local, _ := addrPort((*r.pc).LocalAddr())
	if s.Authenticator == nil || local.Port() == 1813 {
		return &Packet{Code: AccountingResponse}
	}
	return &Packet{Code: AccessAccept}
}
