package eap

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/dialway/dialway/ppp"
)

// A Peer answers EAP for a client: Config.EAP = peer.Respond. It keeps nothing between calls and may serve many at once.
type Peer struct {
	// Identity is the outer one, which anybody on the way reads: "@example.com" tells no more than the realm. Empty means
	// the User of the first method.
	Identity string
	Methods  []PeerMethod // the first is asked for first, where the server's offer is none of them
	MTU      int          // largest EAP packet to send; 0 means 1020, which every layer below carries
}

// A PeerMethod is the peer's side. It serves many conversations at once.
type PeerMethod interface {
	Type() Type

	// Respond answers requests until Do returns io.EOF, the far side's Success, and returns the MSK, 64 bytes, or nil of
	// a method without keys.
	Respond(ctx context.Context, request []byte, r *Round) (msk []byte, err error)
}

// Respond answers Identity, Notification and Nak, and has the server's method answered by that of Methods. It fits
// ppp.Config.EAP.
func (p *Peer) Respond(ctx context.Context, request []byte, x ppp.Exchange) (msk []byte, err error) {
	if len(p.Methods) == 0 {
		return nil, errors.New("eap: a Peer without Methods")
	}
	ctx, cancel := bounded(ctx)
	defer cancel()
	c := &client{conversation: conversation{exchange: x, mtu: p.MTU}, identity: p.identity()}
	msk, err = c.run(ctx, request, p.Methods)
	if err != nil && ctx.Err() != nil && context.Cause(ctx) == errTooOld {
		err = far(errTooOld)
	}
	return msk, err
}

// A named method has a name of its own to give.
type named interface{ identity() string }

func (p *Peer) identity() string {
	if p.Identity != "" {
		return p.Identity
	}
	return identityOf(p.Methods[0])
}

func identityOf(m PeerMethod) string {
	if n, ok := m.(named); ok {
		return n.identity()
	}
	return ""
}

// A client is a peer's conversation.
//
//	      Identity, Notification, a type that this end has not: Nak
//	      ┌───┐
//	──────┴───┴──▶ method ──▶ MSK
type client struct {
	conversation
	identity string
	request  packet // the last one
}

func (c *client) run(ctx context.Context, request []byte, methods []PeerMethod) ([]byte, error) {
	if err := c.take(request); err != nil {
		return nil, err
	}
	for {
		t := c.request.typ
		var err error
		switch i := slices.IndexFunc(methods, func(m PeerMethod) bool { return m.Type() == t }); {
		case t == typeIdentity:
			err = c.respond(ctx, typeIdentity, []byte(c.identity))
		case t == typeNotification:
			err = c.respond(ctx, typeNotification, nil)
		case t == typeNak:
			err = far(errors.New("eap: a Request/Nak"))
		case i >= 0:
			return methods[i].Respond(ctx, c.request.data, c.round(t))
		default:
			err = c.nak(ctx, t, methods)
		}
		if err != nil {
			return nil, err
		}
	}
}

// take reads a Request.
func (c *client) take(b []byte) error {
	p, ok := parsePacket(b)
	if !ok || p.code != codeRequest {
		return far(fmt.Errorf("eap: %d bytes that are no Request", len(b)))
	}
	c.request = p
	return nil
}

// respond answers the last Request, outside of a method: a Success counts for nothing here, since nothing was proved.
func (c *client) respond(ctx context.Context, t Type, data []byte) error {
	err := c.answer(ctx, t, data)
	for err == io.EOF {
		err = c.wait(ctx)
	}
	return err
}

// answer answers the last Request and takes the next.
func (c *client) answer(ctx context.Context, t Type, data []byte) error {
	b, err := c.send(ctx, packet{code: codeResponse, id: c.request.id, typ: t, data: data}.append(nil))
	if err != nil {
		return err
	}
	return c.take(b)
}

// wait takes the next Request, without an answer.
func (c *client) wait(ctx context.Context) error {
	b, err := c.send(ctx, nil)
	if err != nil {
		return err
	}
	return c.take(b)
}

// nak asks for another method, in the form of the type that was offered (RFC 3748 section 5.3).
func (c *client) nak(ctx context.Context, offered Type, methods []PeerMethod) error {
	var types []Type
	for _, m := range methods {
		types = append(types, m.Type())
	}
	if offered == typeExpanded {
		return c.respond(ctx, typeExpanded, appendExpandedNak(nil, types))
	}
	return c.respond(ctx, typeNak, appendNak(nil, types))
}

// round is the conversation of one method.
func (c *client) round(t Type) *Round {
	return &Round{
		Identity: c.identity, MaxData: c.maxData(), nextID: func() byte { return c.request.id },
		do: func(ctx context.Context, data []byte) ([]byte, error) {
			var err error
			if data == nil {
				err = c.wait(ctx)
			} else {
				err = c.answer(ctx, t, data)
			}
			for err == nil && c.request.typ == typeNotification {
				err = c.answer(ctx, typeNotification, nil) // RFC 3748 section 5.2: at any time
			}
			if err != nil {
				return nil, err
			}
			if c.request.typ != t {
				// Section 2.1: a method is not left for another.
				return nil, far(fmt.Errorf("eap: a Request of %v in the middle of %v", c.request.typ, t))
			}
			return c.request.data, nil
		},
	}
}
