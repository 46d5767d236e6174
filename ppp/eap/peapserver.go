package eap

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"

	"github.com/dialway/dialway/ppp"
)

// Authenticate opens the tunnel, runs Inner inside of it, and binds both.
//
//	Start ─▶ handshake ─▶ Identity ─▶ Inner ─▶ Result, crypto binding ─▶ Result, crypto binding: granted
//	                                  └─ no ─▶ Result: failure ────────▶ refused
func (m *PEAP) Authenticate(ctx context.Context, r *Round) (*ppp.Grant, error) {
	cfg, err := m.serverConfig()
	if err != nil {
		return nil, err
	}
	f := &flights{ctx: ctx, round: r, do: r.Do, mask: versionMask}
	if err := f.begin(); err != nil {
		return nil, err
	}
	p := &peapTunnel{f: f, conn: tls.Server(f, cfg)}
	if err := p.conn.Handshake(); err != nil {
		return nil, f.refusal(TypePEAP, err)
	}
	if len(f.out) > 0 {
		// The end of the handshake has a packet of its own.
		if err := f.turn(); err != nil {
			return nil, err
		}
		if len(f.in) > 0 {
			return nil, &ppp.AuthError{Err: errors.New("eap: PEAP: the peer does not accept the end of the handshake")}
		}
	}
	state := p.conn.ConnectionState()
	material, err := keyMaterial(&state, TypePEAP)
	if err != nil {
		return nil, err
	}
	s := &server{conversation: conversation{exchange: p.ask}, id: r.nextID(), next: r.Next}
	g, err := m.inner(ctx, s, r)
	if err != nil {
		s.request(ctx, typeTLV, tlvs{result: resultFailure}.append(nil))
		return nil, err
	}
	msk, err := m.bind(ctx, s, g, material)
	if err != nil {
		return nil, err
	}
	return keyed(g, "", msk), nil
}

// inner is the conversation inside: Identity, and the method.
func (m *PEAP) inner(ctx context.Context, s *server, r *Round) (*ppp.Grant, error) {
	answer, err := s.request(ctx, typeIdentity, nil)
	if err != nil {
		return nil, err
	}
	if answer.typ != typeIdentity || len(answer.data) > maxIdentity {
		return nil, far(fmt.Errorf("eap: PEAP: the answer to Identity is %v of %d bytes", answer.typ, len(answer.data)))
	}
	s.identity = string(answer.data)
	req := *r.Request
	req.User, req.EAP, req.Exchange = s.identity, answer.append(nil), s.exchange
	s.req = &req
	return s.run(ctx, []Method{m.Inner})
}

// bind exchanges results and proofs, and returns the MSK.
func (m *PEAP) bind(ctx context.Context, s *server, g *ppp.Grant, material []byte) ([]byte, error) {
	b := newBinding(material, g.RecvKey)
	var nonce [32]byte
	rand.Read(nonce[:])
	answer, err := s.request(ctx, typeTLV, tlvs{resultSuccess, b.newTLV(bindingRequest, nonce)}.append(nil))
	if err != nil {
		return nil, err
	}
	if answer.typ != typeTLV {
		return nil, far(fmt.Errorf("eap: PEAP: the answer to the result is %v", answer.typ))
	}
	t, err := parseTLVs(answer.data)
	switch {
	case err != nil:
		return nil, far(err)
	case t.result != resultSuccess:
		return nil, &ppp.AuthError{Err: errors.New("eap: PEAP: the peer does not accept the result")}
	case t.binding == nil:
		// The peer has shown no certificate that could be verified; its word is what the inner method proves.
		if !mayGoUnbound(m.NoBindingOkay, true) {
			return nil, &ppp.AuthError{Err: errUnbound}
		}
		return material[:64], nil
	case !b.holds(t.binding, bindingResponse):
		return nil, &ppp.AuthError{Err: errBinding}
	}
	return b.msk(), nil
}

var (
	errUnbound = errors.New("eap: PEAP without a crypto binding: somebody may stand between the ends of the tunnel (NoBindingOkay accepts it)")
	errBinding = errors.New("eap: PEAP's crypto binding does not hold: somebody stands between the ends of the tunnel")
)
