package eap

import (
	"context"

	"github.com/dialway/dialway/ppp"
)

// MSCHAPv2 is EAP-MSCHAPv2 ([MS-CHAP], draft-kamath-pppext-eap-mschapv2), both sides: MS-CHAPv2 (RFC 2759) in EAP's
// packets. The password is as well protected as there: one DES key's work for who sees or asks it. It belongs into a
// tunnel whose server is verified: that of SSTP, or PEAP.
//
// An authenticator asks Round.Next with Protocol MSCHAPv2; its Grant has proof and keys, as CheckPassword makes them. The
// User of the Grant is the name in the Response, which is proved, unless Next gives another.
type MSCHAPv2 struct {
	User     string // peer; DOMAIN\user is sent whole, and hashed without its domain
	Password ppp.Secret

	// Retry is a peer's: it is asked for another password after E=691 with R=1, and for a new one after E=648 (RFC 2759
	// section 6). It may take long. nil, an error or an empty Secret gives up.
	Retry func(ctx context.Context, e *ppp.AuthError) (ppp.Secret, error)

	Retries int // authenticator: further tries of a peer in one conversation; 0 means 2, negative none
}

// Type returns TypeMSCHAPv2.
func (m *MSCHAPv2) Type() Type { return TypeMSCHAPv2 }

func (m *MSCHAPv2) identity() string { return m.User }
