package eap

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/dialway/dialway/ppp"
)

// A Round is one method's conversation. It is the method's until that returns.
type Round struct {
	Request  *ppp.AuthRequest  // authenticator: the attempt
	Identity string            // as the peer gave it, or gives it
	Next     ppp.Authenticator // authenticator: knows the accounts
	MaxData  int               // bytes of method data that fit one packet

	do     func(ctx context.Context, data []byte) ([]byte, error)
	nextID func() byte // the identifier of the next packet
}

// Do sends this method's data and returns the answer's, which is the method's to keep: EAP header, identifiers,
// repetition and Nak are the package's. One call at a time.
//
// An authenticator gets the data of the Response. Where the peer wants another method the error ends this one; the
// Authenticator goes on with what the peer named.
//
// A peer gets the data of the next Request; io.EOF is the far side's Success, an *ppp.AuthError its Failure. A Success
// that comes before the method is through counts for nothing (RFC 3748 section 4.2): nil data then waits on, without
// another Response.
func (r *Round) Do(ctx context.Context, data []byte) (answer []byte, err error) {
	switch {
	case r.do == nil:
		return nil, errors.New("eap: a Round without a conversation")
	case len(data) > r.MaxData:
		return nil, fmt.Errorf("eap: %d bytes of method data, %d fit", len(data), r.MaxData)
	}
	return r.do(ctx, data)
}

// need is Do for a peer's method that is not through: a Success counts for nothing.
func (r *Round) need(ctx context.Context, data []byte) (answer []byte, err error) {
	answer, err = r.Do(ctx, data)
	if err != io.EOF {
		return answer, err
	}
	for err == io.EOF {
		answer, err = r.Do(ctx, nil)
	}
	if err != nil {
		return nil, fmt.Errorf("%w, and before the method was through it said Success", err)
	}
	return answer, nil
}

// inside is Round.Next of a method: it says by which method it is asked. A tunnel's says so last, so the outermost counts.
type inside struct {
	next ppp.Authenticator
	typ  Type
}

func (n inside) Authenticate(ctx context.Context, req *ppp.AuthRequest) (*ppp.Grant, error) {
	r := *req
	r.EAPType = uint8(n.typ)
	return n.next.Authenticate(ctx, &r)
}

// askNext asks who knows the accounts.
func askNext(ctx context.Context, next ppp.Authenticator, req *ppp.AuthRequest) (*ppp.Grant, error) {
	if next == nil {
		return nil, &ppp.AuthError{Err: errors.New("eap: no Authenticator.Next, which would know the accounts")}
	}
	g, err := next.Authenticate(ctx, req)
	if err == nil && g == nil {
		err = &ppp.AuthError{}
	}
	if err != nil {
		return nil, err
	}
	return g, nil
}
