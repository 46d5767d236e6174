package ppp

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// What an Authenticator asks by EAP is not answered in the link's other direction, whatever protocol it comes back by.
func TestReflectedEAPChallengeRefused(t *testing.T) {
	challenge := bytes.Repeat([]byte{0xc5}, 16)
	failure := (&msFailure{code: CodeFailed, retry: true, challenge: [16]byte(challenge), version: 3}).append(nil)
	value := appendCHAPValue(nil, challenge, "gate")
	ms := func(code byte, data []byte) []byte {
		return append([]byte{eapMSCHAPv2}, appendPacket(nil, code, 9, data)...)
	}
	for name, c := range map[string]struct {
		asked, back []byte
		refused     bool
	}{
		"MSCHAPv2":           {ms(chapChallenge, value), ms(chapChallenge, appendCHAPValue(nil, challenge, "mallory")), true},
		"MSCHAPv2's Failure": {ms(chapFailure, failure), ms(chapChallenge, value), true},
		"in a Failure":       {ms(chapChallenge, value), ms(chapFailure, failure), true},
		"MD5":                {append([]byte{eapMD5}, value...), append([]byte{eapMD5}, value...), true},
		"another":            {ms(chapChallenge, value), ms(chapChallenge, appendCHAPValue(nil, make([]byte, 16), "gate")), false},
		"another type":       {append([]byte{200}, value...), append([]byte{200}, value...), false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				answered := false
				r := newRig(t, EAP, &Config{Authenticator: AuthenticatorFunc(func(ctx context.Context, req *AuthRequest) (*Grant, error) {
					_, err := req.Exchange(ctx, appendPacket(nil, eapRequest, 77, c.asked))
					return nil, err
				})}, &Config{EAP: func(context.Context, []byte, Exchange) ([]byte, error) {
					answered = true
					return nil, errTest
				}})
				v, h := r.verifier, r.prover
				v.peer, h.peer = nil, nil
				v.method.begin(time.Now())
				v.give(appendPacket(nil, eapResponse, v.one()[1], []byte("\x01alice")))
				v.one()
				h.book = v.book
				h.method.begin(time.Now())
				h.give(appendPacket(nil, eapRequest, 3, c.back))
				h.take()
				var e *NegotiationError
				if !errors.As(h.err, &e) || e.Remote != c.refused || answered == c.refused {
					t.Errorf("answered %v, %v", answered, h.err)
				}
			})
		})
	}
	for _, b := range []string{"", "\x01\x01\x00\x05\x1a", "\x01\x01\x00\x09\x1a\x01\x01\x00\x05", "\x01\x01\x00\x06\x04\x10", "\x01\x01\x00\x06\x04\x00"} {
		if got := eapChallenge([]byte(b)); got != nil {
			t.Errorf("%x has the challenge %x", b, got)
		}
	}
}

func FuzzEAPChallenge(f *testing.F) {
	f.Add([]byte("\x01\x01\x00\x0b\x1a\x01\x01\x00\x06\x01x"))
	f.Add([]byte("\x01\x01\x00\x07\x04\x01x"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if c := eapChallenge(b); c != nil && (len(c) == 0 || len(c) > 255) {
			t.Errorf("%x has a challenge of %d bytes", b, len(c))
		}
	})
}
