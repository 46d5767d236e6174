package eap

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/dialway/dialway/ppp"
)

// An Authenticator is a ppp.Authenticator that speaks EAP itself, and passes what is not EAP to Next. It keeps nothing
// between calls and may serve many at once.
type Authenticator struct {
	Methods []Method          // offered in this order
	Next    ppp.Authenticator // knows the accounts
	MTU     int               // largest EAP packet to send; 0 means 1020, which every layer below carries
}

// A Method is the authenticator's side of an EAP method. It serves many conversations at once.
type Method interface {
	Type() Type

	// Authenticate runs the method as a straight list of rounds. The Grant carries the keys, RecvKey the first half of
	// the MSK and SendKey the second, and the User that was proved; an empty User is nobody.
	Authenticate(ctx context.Context, r *Round) (*ppp.Grant, error)
}

// Authenticate negotiates a method and runs it, or asks Next when the attempt is not EAP. A peer that has none of the
// methods is refused.
func (a *Authenticator) Authenticate(ctx context.Context, req *ppp.AuthRequest) (*ppp.Grant, error) {
	if req.Protocol != ppp.EAP {
		return askNext(ctx, a.Next, req)
	}
	if req.Exchange == nil {
		return nil, errors.New("eap: an EAP attempt without an Exchange")
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	p, ok := parsePacket(req.EAP)
	if !ok || p.code != codeResponse || p.typ != typeIdentity || len(p.data) > maxIdentity {
		return nil, far(fmt.Errorf("eap: %d bytes that are no Response/Identity", len(req.EAP)))
	}
	s := &server{
		conversation: conversation{exchange: req.Exchange, mtu: a.MTU},
		id:           p.id, req: req, identity: string(p.data), next: a.Next,
	}
	return s.run(ctx, a.Methods)
}

// A server is an authenticator's conversation.
//
//	            Nak: its first type that is offered, and was not before
//	           ┌────────┐
//	Identity ──┴▶ method ┴──▶ Grant, or refused
type server struct {
	conversation
	id       byte // of the last Request
	req      *ppp.AuthRequest
	identity string
	next     ppp.Authenticator
	wanted   []Type // by the Nak
	naked    bool   // the method that runs was refused
}

func (s *server) run(ctx context.Context, methods []Method) (*ppp.Grant, error) {
	if len(methods) == 0 {
		return nil, errors.New("eap: an Authenticator without Methods")
	}
	left := slices.Clone(methods)
	for i := 0; i >= 0; i = s.choose(left) {
		m := left[i]
		left = slices.Delete(left, i, i+1)
		s.naked = false
		g, err := m.Authenticate(ctx, s.round(m.Type()))
		if mayDecide(s.naked) {
			return granted(ctx, g, err)
		}
	}
	var offered []Type
	for _, m := range methods {
		offered = append(offered, m.Type())
	}
	return nil, &ppp.AuthError{Err: fmt.Errorf("eap: the peer wants %v, offered were %v", s.wanted, offered)}
}

// choose returns the place in left of what the peer asked for first, or -1. Everything in left is good enough for this
// end: its order is no gate.
func (s *server) choose(left []Method) int {
	for _, t := range s.wanted {
		if i := slices.IndexFunc(left, func(m Method) bool { return m.Type() == t }); i >= 0 {
			return i
		}
	}
	return -1
}

// granted is a method's answer, with the reason where ctx has ended.
func granted(ctx context.Context, g *ppp.Grant, err error) (*ppp.Grant, error) {
	switch {
	case err != nil && ctx.Err() != nil && context.Cause(ctx) == errTooOld:
		return nil, far(errTooOld)
	case err != nil:
		return nil, err
	case g == nil:
		return nil, &ppp.AuthError{}
	}
	return g, nil
}

// round is the conversation of one method.
func (s *server) round(t Type) *Round {
	began := false
	next := s.next
	if next != nil {
		next = inside{next, t}
	}
	return &Round{
		Request: s.req, Identity: s.identity, Next: next, MaxData: s.maxData(),
		nextID: func() byte { return s.id + 1 },
		do: func(ctx context.Context, data []byte) ([]byte, error) {
			if s.naked {
				return nil, errNaked
			}
			p, err := s.request(ctx, t, data)
			if err != nil {
				return nil, err
			}
			// An expanded Nak is of the type that an expanded method has.
			types, isNak := parseNak(p)
			if p.typ == t && !isNak {
				began = true
				return p.data, nil
			}
			// RFC 3748 section 5.3.1: a Nak is the answer to the first Request of a method alone.
			if !isNak || began {
				return nil, far(fmt.Errorf("eap: the answer to %v is %v", t, p.typ))
			}
			s.naked, s.wanted = true, types
			return nil, errNaked
		},
	}
}

var errNaked = errors.New("eap: the peer wants another method")

// request sends one Request and returns the Response to it.
func (s *server) request(ctx context.Context, t Type, data []byte) (packet, error) {
	s.id++
	answer, err := s.send(ctx, packet{code: codeRequest, id: s.id, typ: t, data: data}.append(nil))
	if err != nil {
		return packet{}, err
	}
	p, ok := parsePacket(answer)
	if !ok || p.code != codeResponse || p.id != s.id {
		return packet{}, far(fmt.Errorf("eap: %d bytes that are no Response to Request %d", len(answer), s.id))
	}
	return p, nil
}
