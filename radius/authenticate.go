package radius

import (
	"context"
	"errors"
	"fmt"

	"github.com/dialway/dialway/ppp"
)

// mostRounds ends a server that never comes to an end: it is more than any EAP method takes.
const mostRounds = 100

// Authenticate asks; every round of EAP goes through req.Exchange, and to the server that began the conversation. A
// refusal is an *ppp.AuthError; ErrNoAnswer says that nobody answered.
func (c *Client) Authenticate(ctx context.Context, req *ppp.AuthRequest) (*ppp.Grant, error) {
	if req.Proved {
		return nil, errors.New("radius: a server cannot be asked about an identity that is proved already")
	}
	base := &Packet{Code: AccessRequest}
	base.addText(UserName, req.User)
	call := req.Call
	if call == nil {
		call = new(ppp.Call)
	}
	c.addNAS(base, call)
	addCall(base, call)
	addRAS(base, call, req.Client, true)
	if req.Protocol == ppp.EAP {
		base.addUint32(FramedMTU, 1400) // bounds the server's fragments, RFC 3579 section 2.4
	}
	if c.Request != nil {
		c.Request(base, req)
	}
	p := base.clone()
	if err := addCredentials(p, req); err != nil {
		return nil, err
	}
	var s *server
	for range mostRounds {
		var reply *Packet
		var err error
		if reply, s, err = c.exchange(ctx, p, s); err != nil {
			return nil, err
		}
		switch reply.Code {
		case AccessAccept:
			return c.grant(req, reply, s)
		case AccessReject:
			return nil, rejected(req, reply)
		}
		if req.Protocol != ppp.EAP {
			// RFC 2865 section 4.4: who cannot challenge the user treats it as an Access-Reject.
			return nil, &ppp.AuthError{Message: replyMessage(reply), Err: fmt.Errorf("radius: %v is challenged, which it cannot be", req.Protocol)}
		}
		if p, err = c.round(ctx, req, base, reply); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("radius: EAP with more than %d rounds", mostRounds)
}

// round passes an EAP packet to the far side and makes a request of its answer.
func (c *Client) round(ctx context.Context, req *ppp.AuthRequest, base, challenge *Packet) (*Packet, error) {
	packet, ok := challenge.concat(EAPMessage)
	if !ok {
		return nil, errors.New("radius: an Access-Challenge without EAP-Message")
	}
	answer, err := req.Exchange(ctx, packet)
	if err != nil {
		return nil, err
	}
	p := base.clone()
	p.addLong(EAPMessage, answer)
	for a, v := range challenge.All() {
		if a == State {
			p.Add(State, v) // RFC 2865 section 5.24: unmodified
		}
	}
	return p, nil
}

// rejected is what an Access-Reject means: what the far side is told, and of MS-CHAPv2 the code, whether it may try again, and
// with which challenge.
func rejected(req *ppp.AuthRequest, p *Packet) error {
	e := &ppp.AuthError{Code: ppp.CodeFailed, Message: replyMessage(p)}
	if req.Protocol != ppp.MSCHAPv2 {
		return e
	}
	if v, ok := p.getVendor(Microsoft, msCHAPError); ok && len(v) > 1 {
		parseMSError(string(v[1:]), e) // behind the identifier
	}
	return e
}

// replyMessage joins what is to be told to the far side.
func replyMessage(p *Packet) string {
	v, _ := p.concat(ReplyMessage)
	return string(v)
}
