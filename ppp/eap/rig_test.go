package eap

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"

	"github.com/dialway/dialway/ppp"
)

// A talk is one conversation of an Authenticator with a Peer, in memory: the link between them without its timers.
type talk struct {
	auth ppp.Authenticator
	peer func(ctx context.Context, request []byte, x ppp.Exchange) ([]byte, error)

	// touch changes the nth packet of a direction, from 1; nil ends the conversation.
	touch func(toServer bool, n int, pkt []byte) []byte
	// early is a Success in front of the nth Request.
	early int

	call  *ppp.Call
	trace [][]byte // every packet

	grant   *ppp.Grant
	authErr error
	msk     []byte
	peerErr error
}

var errCut = errors.New("cut")

// run runs both sides to their end.
func (k *talk) run(t *testing.T) *talk {
	t.Helper()
	ctx, cut := context.WithCancelCause(t.Context())
	defer cut(nil)
	if k.call == nil {
		k.call = &ppp.Call{Tunnel: "test"}
	}
	toServer, toPeer := make(chan []byte), make(chan []byte)
	decided, left := make(chan struct{}), make(chan struct{})
	count := map[bool]int{}
	pass := func(server bool, pkt []byte) []byte {
		count[server]++
		k.trace = append(k.trace, bytes.Clone(pkt))
		if k.touch != nil {
			if pkt = k.touch(server, count[server], bytes.Clone(pkt)); pkt == nil {
				cut(errCut)
			}
		}
		return pkt
	}
	server := func(identity []byte) {
		defer close(decided)
		req := &ppp.AuthRequest{Call: k.call, Protocol: ppp.EAP, User: string(identity[min(5, len(identity)):]), Attempt: 1, EAP: identity}
		req.Exchange = func(ctx context.Context, pkt []byte) ([]byte, error) {
			select {
			case toPeer <- pass(false, pkt):
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			case <-left:
				return nil, &ppp.NegotiationError{Phase: "EAP", Err: net.ErrClosed}
			}
			select {
			case b := <-toServer:
				return b, nil
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			case <-left:
				return nil, &ppp.NegotiationError{Phase: "EAP", Err: net.ErrClosed}
			}
		}
		k.grant, k.authErr = k.auth.Authenticate(ctx, req)
	}
	began, said := false, false
	requests := 1
	exchange := func(ctx context.Context, pkt []byte) ([]byte, error) {
		if pkt != nil {
			pkt = pass(true, pkt)
		}
		switch {
		case pkt == nil:
		case !began:
			began = true
			go server(pkt)
		default:
			select {
			case toServer <- pkt:
			case <-decided:
				return nil, fmt.Errorf("a Response that nobody asked for: %x", pkt)
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			}
		}
		if requests++; requests == k.early {
			return nil, io.EOF
		}
		if said {
			return nil, errCut // a link would wait until it is tired
		}
		select {
		case b := <-toPeer:
			return b, nil
		case <-decided:
			said = true
			if k.authErr == nil {
				return nil, io.EOF
			}
			return nil, &ppp.AuthError{Remote: true}
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	k.msk, k.peerErr = k.peer(ctx, packet{code: codeRequest, typ: typeIdentity}.append(nil), exchange)
	close(left)
	if began {
		<-decided
	}
	return k
}

// agreed checks that both sides are content, with the same keys.
func (k *talk) agreed(t *testing.T, user string) {
	t.Helper()
	if k.authErr != nil || k.peerErr != nil {
		t.Fatalf("server: %v\npeer: %v", k.authErr, k.peerErr)
	}
	if k.grant.User != user {
		t.Errorf("user %q, want %q", k.grant.User, user)
	}
	if len(k.msk) != 64 || !isKey(k.msk[:32]) || !bytes.Equal(k.msk[:32], k.grant.RecvKey) || !bytes.Equal(k.msk[32:], k.grant.SendKey) {
		t.Errorf("MSK %x, server %x %x", k.msk, k.grant.RecvKey, k.grant.SendKey)
	}
}

// refused checks that neither side is content.
func (k *talk) refused(t *testing.T) {
	t.Helper()
	if k.authErr == nil || k.peerErr == nil || k.grant != nil || k.msk != nil {
		t.Errorf("server: %v, %v\npeer: %x, %v", k.grant, k.authErr, k.msk, k.peerErr)
	}
}

// users are accounts by password.
func users(passwords map[string]ppp.Secret) ppp.Authenticator {
	return ppp.PasswordFunc(func(_ context.Context, user string) (ppp.Secret, error) {
		if p, ok := passwords[user]; ok {
			return p, nil
		}
		return "", ppp.ErrNoUser
	})
}

var alice = users(map[string]ppp.Secret{"alice": "secret", `EXAMPLE\alice`: "secret"})

// A token is a method of one round and no worth: the answer is the request and an exclamation mark.
type token struct {
	typ    Type
	before func(ctx context.Context, r *Round) (*ppp.Grant, error) // instead of Authenticate
}

func (m token) Type() Type { return m.typ }

func (m token) Authenticate(ctx context.Context, r *Round) (*ppp.Grant, error) {
	if m.before != nil {
		return m.before(ctx, r)
	}
	answer, err := r.Do(ctx, []byte("hello"))
	if err != nil {
		return nil, err
	}
	if string(answer) != "hello!" {
		return nil, &ppp.AuthError{}
	}
	key := bytes.Repeat([]byte{byte(m.typ)}, 32)
	return &ppp.Grant{User: r.Identity, RecvKey: key, SendKey: key}, nil
}

func (m token) Respond(ctx context.Context, request []byte, r *Round) ([]byte, error) {
	if _, err := r.Do(ctx, append(request, '!')); err != io.EOF {
		return nil, err
	}
	return bytes.Repeat([]byte{byte(m.typ)}, 64), nil
}
