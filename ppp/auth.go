package ppp

import (
	"context"
	"errors"
)

// An Authenticator decides whether a far side may connect, and with what.
//
// Authenticate has a goroutine of its own for as long as it takes: meanwhile the session answers echoes, drops
// repeated responses, and cancels ctx when the far side leaves or the handshake's time is over. It must return when
// ctx ends. A nil Grant with a nil error refuses.
type Authenticator interface {
	Authenticate(ctx context.Context, req *AuthRequest) (*Grant, error)
}

// An AuthenticatorFunc is a function that is an Authenticator.
type AuthenticatorFunc func(ctx context.Context, req *AuthRequest) (*Grant, error)

// Authenticate calls f.
func (f AuthenticatorFunc) Authenticate(ctx context.Context, req *AuthRequest) (*Grant, error) {
	return f(ctx, req)
}

// A PasswordFunc is an Authenticator that knows passwords. An error that is ErrNoUser refuses like a wrong password
// does, in the same time.
type PasswordFunc func(ctx context.Context, user string) (Secret, error)

// ErrNoUser says that there is no such account.
var ErrNoUser = errors.New("ppp: no such user")

// An AuthProtocol is a way to authenticate.
type AuthProtocol uint8

const (
	NoProtocol AuthProtocol = iota // none in PPP: the Authenticator decides by the Call (a TLS client certificate)
	PAP                            // RFC 1334; the password in clear
	CHAP                           // RFC 1994 with MD5
	MSCHAPv2                       // RFC 2759
	EAP                            // RFC 3748
)

// String returns the protocol's name.
func (p AuthProtocol) String() string {
	switch p {
	case NoProtocol:
		return "none"
	case PAP:
		return "PAP"
	case CHAP:
		return "CHAP-MD5"
	case MSCHAPv2:
		return "MS-CHAPv2"
	case EAP:
		return "EAP"
	}
	return "unknown"
}

// An AuthRequest is a far side's attempt. Its byte slices are the Authenticator's to keep.
type AuthRequest struct {
	Call       *Call
	Protocol   AuthProtocol
	User       string   // as claimed
	Client     string   // what the far side says it is (LCP Identification): "MSRASV5.20 MSRAS-0-PC7"
	Attempt    int      // 1, 2, ...: MSCHAPv2 may be tried again on one link
	Proved     bool     // the identity is proved already (EAP-TLS): only say whether it may connect
	EAPType    uint8    // the EAP method inside of which this is asked, the outermost; 0: none
	Password   Secret   // PAP
	Identifier byte     // CHAP, MSCHAPv2
	Challenge  []byte   // CHAP, MSCHAPv2: as this end sent it
	Response   []byte   // CHAP, MSCHAPv2: the value field
	Change     []byte   // MSCHAPv2: the value of a Change-Password packet, RFC 2759 section 7
	EAP        []byte   // EAP: the Response/Identity
	Exchange   Exchange // EAP: the rounds that follow
}
