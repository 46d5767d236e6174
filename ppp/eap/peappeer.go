package eap

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"

	"github.com/dialway/dialway/ppp"
)

// Respond verifies the server, runs InnerPeer in the tunnel, and binds both.
//
//	Start ─▶ handshake ─▶ InnerPeer ─▶ Result: success, crypto binding holds ─▶ io.EOF: MSK
//	                                └▶ Result: failure ─▶ refused
func (m *PEAP) Respond(ctx context.Context, request []byte, r *Round) (msk []byte, err error) {
	cfg, err := m.clientConfig()
	if err != nil {
		return nil, ours(err)
	}
	// Version 0 is the answer to whatever version the server begins with ([MS-PEAP] section 3.1.5.3).
	if s, ok := parseFragment(request); !ok || s.flags&flagStart == 0 {
		return nil, far(errors.New("eap: PEAP does not begin with a start"))
	}
	f := &flights{ctx: ctx, round: r, do: r.need, mask: versionMask}
	c := &peapClient{peapTunnel: peapTunnel{f: f, conn: tls.Client(f, cfg)}}
	if err := c.conn.Handshake(); err != nil {
		return nil, f.refusal(TypePEAP, err)
	}
	state := c.conn.ConnectionState()
	material, err := keyMaterial(&state, TypePEAP)
	if err != nil {
		return nil, err
	}
	c.id = r.nextID
	first, err := c.next()
	if err != nil {
		return nil, err
	}
	inner := &client{conversation: conversation{exchange: c.respond}, identity: cmp.Or(identityOf(m.InnerPeer), r.Identity)}
	msk, err = inner.run(ctx, first, []PeerMethod{m.InnerPeer})
	switch {
	case c.result == nil:
		return nil, cmp.Or(err, far(errors.New("eap: PEAP: the inner method is through, and there is no result")))
	case err != nil:
		c.finish(tlvs{result: resultFailure}, r)
		return nil, err
	}
	answer := tlvs{result: resultSuccess}
	b := newBinding(material, msk[:min(32, len(msk))])
	switch t := c.result.binding; {
	case t == nil:
		if !mayGoUnbound(m.NoBindingOkay, len(state.VerifiedChains) > 0) {
			err = &ppp.NegotiationError{Phase: "PEAP", Remote: true, Err: errUnbound}
		}
		msk = material[:64]
	case !b.holds(t, bindingRequest):
		err = &ppp.NegotiationError{Phase: "PEAP", Remote: true, Err: errBinding}
	default:
		var nonce [32]byte
		rand.Read(nonce[:])
		answer.binding, msk = b.newTLV(bindingResponse, nonce), b.msk()
	}
	if err != nil {
		c.finish(tlvs{result: resultFailure}, r)
		return nil, err
	}
	if err := c.finish(answer, r); err != io.EOF {
		return nil, cmp.Or(err, far(errors.New("eap: PEAP: another packet behind the result")))
	}
	return msk, nil
}

// A peapClient is a peer's end of the tunnel.
type peapClient struct {
	peapTunnel
	id     func() byte // of the last Request around
	last   byte        // of the Request with the result
	result *tlvs       // that ended the inner conversation
}

// respond is the inner method's Exchange: the result is its Success or Failure.
func (c *peapClient) respond(_ context.Context, pkt []byte) ([]byte, error) {
	if c.result != nil || pkt == nil {
		return nil, far(errors.New("eap: PEAP: the result comes before the inner method is through"))
	}
	if err := c.write(pkt); err != nil {
		return nil, c.broken(err)
	}
	b, err := c.next()
	if err != nil || !isWhole(b, codeRequest) {
		return b, err
	}
	p, _ := parsePacket(b)
	t, err := parseTLVs(p.data)
	switch {
	case err != nil:
		return nil, far(err)
	case t.result == resultSuccess:
		c.last, c.result = p.id, &t
		return nil, io.EOF
	case t.result == resultFailure:
		c.last, c.result = p.id, &t
		return nil, &ppp.AuthError{Remote: true}
	}
	return nil, far(fmt.Errorf("eap: PEAP: a result of %d", t.result))
}

// next returns the next packet inside.
func (c *peapClient) next() ([]byte, error) {
	b, err := c.read(codeRequest, 0)
	if err != nil {
		return nil, c.broken(err)
	}
	if !isWhole(b, codeRequest) {
		b[1] = c.id()
	}
	return b, nil
}

// finish answers the result. The answer to that is the Success or Failure around.
func (c *peapClient) finish(t tlvs, r *Round) error {
	c.f.do = r.Do
	if err := c.write(packet{codeResponse, c.last, typeTLV, t.append(nil)}.append(nil)); err != nil {
		return c.broken(err)
	}
	return c.f.turn()
}
