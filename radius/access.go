package radius

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/dialway/dialway/ppp"
)

// access answers an Access-Request. One whose credentials make no sense is refused and not dropped: whoever sent it knows the
// secret, and silence would only have it send the same again.
func (s *Server) access(r *request) (*Packet, error) {
	if eap, ok := r.packet.concat(EAPMessage); ok {
		return s.converse(r, eap)
	}
	req, err := newAuthRequest(r.packet, r.from)
	if err != nil {
		s.log().Info("radius: Access-Request refused", "from", r.from, "err", err)
		return &Packet{Code: AccessReject}, nil
	}
	g, err := s.Authenticator.Authenticate(r.ctx, req)
	// What an Authenticator says because it was cut off is no verdict.
	if s.ctx.Err() != nil {
		return nil, ErrDrop
	}
	return s.verdict(req, g, err), nil
}

// verdict makes Access-Accept or Access-Reject of what an Authenticator said. An error that is no *ppp.AuthError, as of a
// database that is away, refuses, too, and says nothing of itself to the far side.
func (s *Server) verdict(req *ppp.AuthRequest, g *ppp.Grant, err error) *Packet {
	if g != nil && err == nil {
		p, refused := s.accept(req, g)
		if refused == nil {
			return p
		}
		err = refused
	}
	s.log().Info("radius: refused", "user", req.User, "nas", req.Call.NAS, "err", err)
	e := new(ppp.AuthError)
	if !errors.As(err, &e) {
		e = new(ppp.AuthError)
	}
	p := &Packet{Code: AccessReject}
	if e.Message != "" {
		p.addLong(ReplyMessage, []byte(e.Message))
	}
	if req.Protocol == ppp.MSCHAPv2 {
		text := formatMSError(e)
		p.AddVendor(Microsoft, msCHAPError, append([]byte{req.Identifier}, text[:min(len(text), maxVendor-1)]...))
	}
	return p
}

// newAuthRequest is the question in an Access-Request without EAP. Of several credentials the first in this order counts; RFC
// 2865 section 4.1 forbids that there are several.
func newAuthRequest(p *Packet, from netip.AddrPort) (*ppp.AuthRequest, error) {
	req := &ppp.AuthRequest{Call: newCall(p, from), User: p.text(UserName), Client: clientTexts(p), Attempt: 1}
	if v, ok := p.Get(UserPassword); ok {
		req.Protocol, req.Password = ppp.PAP, ppp.Secret(v)
		return req, nil
	}
	if v, ok := p.Get(CHAPPassword); ok {
		if len(v) != 17 {
			return nil, fmt.Errorf("radius: a CHAP-Password of %d bytes", len(v))
		}
		req.Protocol, req.Identifier, req.Response = ppp.CHAP, v[0], clone(v[1:])
		if c, ok := p.Get(CHAPChallenge); ok {
			req.Challenge = clone(c)
		} else {
			req.Challenge = clone(p.Authenticator[:]) // RFC 2865 section 5.3
		}
		return req, nil
	}
	if c, ok := p.getVendor(Microsoft, msCHAPChallenge); ok {
		if len(c) != 16 {
			return nil, fmt.Errorf("radius: an MS-CHAP-Challenge of %d bytes: MS-CHAP version 1 is not spoken", len(c))
		}
		id, response, change, err := msCredentials(p)
		req.Protocol, req.Challenge, req.Identifier, req.Response, req.Change = ppp.MSCHAPv2, clone(c), id, response, change
		return req, err
	}
	return nil, errors.New("radius: an Access-Request without credentials")
}

func clone(b []byte) []byte { return append([]byte(nil), b...) }

// newCall says how the far side reached the access server, as that has it.
func newCall(p *Packet, from netip.AddrPort) *ppp.Call {
	c := &ppp.Call{
		ID:     cmp.Or(p.text(AcctSessionID), p.text(NASPortID)),
		Called: p.text(CalledStationID), Calling: p.text(CallingStationID),
		NAS: nasName(p, from),
	}
	switch n, _ := p.uint32(TunnelType); n & 0xffffff {
	case tunnelSSTP:
		c.Tunnel = "SSTP"
	case tunnelL2TP:
		c.Tunnel = "L2TP"
	}
	if a, err := netip.ParseAddr(c.Calling); err == nil {
		c.Remote = netip.AddrPortFrom(a, 0)
	}
	return c
}

// nasName is by what an access server calls itself, or where it is.
func nasName(p *Packet, from netip.AddrPort) string {
	if s := p.text(NASIdentifier); s != "" {
		return s
	}
	for _, t := range [...]Attr{NASIPAddress, NASIPv6Address} {
		v, _ := p.Get(t)
		if a, ok := netip.AddrFromSlice(v); ok {
			return a.String()
		}
	}
	return from.Addr().String()
}

// clientTexts is LCP's Identification, as addRAS took it apart.
func clientTexts(p *Packet) string {
	var words []string
	for _, t := range [...]byte{msRASClientVersion, msRASClientName} {
		if v, ok := p.getVendor(Microsoft, t); ok {
			words = append(words, strings.TrimRight(string(v), "\x00"))
		}
	}
	return strings.Join(words, " ")
}
