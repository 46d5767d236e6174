package ppp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// bubble runs a test in fake time.
func bubble(t *testing.T, name string, f func(t *testing.T)) {
	t.Run(name, func(t *testing.T) { synctest.Test(t, f) })
}

// slowly is an Authenticator that takes its time.
func slowly(d time.Duration, a Authenticator) Authenticator {
	return AuthenticatorFunc(func(ctx context.Context, req *AuthRequest) (*Grant, error) {
		select {
		case <-time.After(d):
			return a.Authenticate(ctx, req)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	})
}

var errTest = errors.New("out of order")

func aliceClient() *Config { return &Config{User: "alice", Password: "correct horse"} }

// eapMSK is what the method of these tests derives.
func eapMSK() []byte {
	b := make([]byte, 64)
	for i := range b {
		b[i] = byte(i + 1)
	}
	return b
}

// tokenServer is an EAP method of two rounds: type 255 asks "who" and "what".
func tokenServer(ctx context.Context, req *AuthRequest) (*Grant, error) {
	id := req.EAP[1]
	for _, ask := range []string{"who", "what"} {
		id++
		answer, err := req.Exchange(ctx, appendPacket(nil, eapRequest, id, append([]byte{255}, ask...)))
		if err != nil {
			return nil, err
		}
		if answer[0] != eapResponse || answer[1] != id || string(answer[5:]) != "my "+ask {
			return nil, &AuthError{Err: fmt.Errorf("answer %x", answer)}
		}
	}
	msk := eapMSK()
	return &Grant{User: "proven " + req.User, RecvKey: msk[:32], SendKey: msk[32:]}, nil
}

// tokenPeer is the other side of it.
func tokenPeer(ctx context.Context, request []byte, x Exchange) ([]byte, error) {
	for {
		answer := []byte{eapIdentity}
		if request[4] == eapIdentity {
			answer = append(answer, "alice"...)
		} else {
			answer = append([]byte{255}, "my "+string(request[5:])...)
		}
		next, err := x(ctx, appendPacket(nil, eapResponse, request[1], answer))
		if err == io.EOF {
			return eapMSK(), nil
		}
		if err != nil {
			return nil, err
		}
		request = next
	}
}

func configs(p AuthProtocol) (server, client *Config) {
	if p == EAP {
		return &Config{Authenticator: AuthenticatorFunc(tokenServer)}, &Config{EAP: tokenPeer}
	}
	return &Config{Authenticator: passwords}, aliceClient()
}

func userOf(p AuthProtocol) string {
	if p == EAP {
		return "proven alice"
	}
	return "alice"
}

var everyMethod = []AuthProtocol{PAP, CHAP, MSCHAPv2, EAP}

func TestMethodsAgree(t *testing.T) {
	for _, p := range everyMethod {
		bubble(t, p.String(), func(t *testing.T) {
			server, client := configs(p)
			r := newRig(t, p, server, client)
			r.run()
			if err := r.accepted(userOf(p), p == MSCHAPv2 || p == EAP); err != nil {
				t.Error(err)
			}
			if p == EAP && r.prover.eapType != 255 {
				t.Errorf("EAP type %d", r.prover.eapType)
			}
			if n := len(r.verifier.asked); n != 1 {
				t.Errorf("asked %d times", n)
			}
		})
	}
}

// Every packet is lost once, at every place, and every two that follow each other.
func TestMethodsSurviveLoss(t *testing.T) {
	for _, p := range everyMethod {
		for _, burst := range []int{1, 2} {
			for first := 0; ; first++ {
				var lost, last bool
				bubble(t, fmt.Sprintf("%v/%d from %d", p, burst, first), func(t *testing.T) {
					server, client := configs(p)
					r := newRig(t, p, server, client)
					r.lose = func(n int) bool {
						hit := n >= first && n < first+burst
						lost = lost || hit
						return hit
					}
					r.run()
					err := r.accepted(userOf(p), p == MSCHAPv2 || p == EAP)
					// RFC 3748 section 4.2: a Success is not repeated. The server opens, the client does not.
					if last = p == EAP && r.verifier.grant != nil && r.prover.isProved == 0; last {
						if _, ok := r.prover.err.(*NegotiationError); r.prover.err != nil && !ok {
							t.Error(r.prover.err)
						}
						err = nil
					}
					if err != nil {
						t.Error(err)
					}
					if n := len(r.verifier.asked); n != 1 {
						t.Errorf("asked %d times", n)
					}
				})
				if !lost || t.Failed() {
					break
				}
			}
		}
	}
}

// A far side that is not there is given up in time, and said to have been silent.
func TestMethodsGiveUp(t *testing.T) {
	for _, p := range everyMethod {
		bubble(t, p.String(), func(t *testing.T) {
			server, client := configs(p)
			for _, r := range []*rig{newRig(t, p, server, nil), newRig(t, p, nil, client)} {
				begun := time.Now()
				r.run()
				h := r.hosts()[0]
				if r.prover != nil && p != PAP {
					if h.err != nil || len(h.out) > 0 {
						t.Errorf("%s moved first: %v", h.name, h.err)
					}
					continue // it waits for a challenge; the link has a time limit
				}
				var e *NegotiationError
				if !errors.As(h.err, &e) || !e.Remote || e.Phase != p.String() {
					t.Errorf("%s: %v", h.name, h.err)
				}
				if d := time.Since(begun); d > 3*time.Minute || d < 20*time.Second {
					t.Errorf("%s gave up after %v", h.name, d)
				}
			}
		})
	}
}

// An Authenticator that takes 20 s is asked once, whatever is repeated meanwhile, and its answer arrives.
func TestSlowAuthenticatorIsAskedOnce(t *testing.T) {
	for _, p := range everyMethod {
		bubble(t, p.String(), func(t *testing.T) {
			server, client := configs(p)
			server.Authenticator = slowly(20*time.Second, server.Authenticator)
			r := newRig(t, p, server, client)
			r.run()
			if err := r.accepted(userOf(p), p == MSCHAPv2 || p == EAP); err != nil {
				t.Error(err)
			}
			if n := len(r.verifier.asked); n != 1 {
				t.Errorf("asked %d times", n)
			}
		})
	}
}

// A no is a no at both ends, with what the Authenticator wanted said and nothing else.
func TestRefusals(t *testing.T) {
	for _, p := range everyMethod {
		for _, c := range []struct {
			name    string
			g       *Grant
			err     error
			code    int
			message string
		}{
			{"nothing at all", nil, nil, CodeFailed, ""},
			{"an AuthError", nil, &AuthError{Code: CodeDisabled, Message: "ask the office"}, CodeDisabled, "ask the office"},
			{"wrapped", nil, fmt.Errorf("sql: %w", &AuthError{Message: "no"}), 0, "no"},
			{"another error", nil, errTest, CodeFailed, ""},
			{"a Grant and an error", &Grant{User: "alice"}, errTest, CodeFailed, ""},
		} {
			bubble(t, p.String()+"/"+c.name, func(t *testing.T) {
				server, client := configs(p)
				server.Authenticator = AuthenticatorFunc(func(context.Context, *AuthRequest) (*Grant, error) { return c.g, c.err })
				r := newRig(t, p, server, client)
				r.run()
				if err := r.denied(); err != nil {
					t.Fatal(err)
				}
				var here, there *AuthError
				if !errors.As(r.verifier.err, &here) || here.Remote || here.Code != c.code {
					t.Errorf("verifier: %#v", r.verifier.err)
				}
				if !errors.As(r.prover.err, &there) || !there.Remote {
					t.Fatalf("prover: %#v", r.prover.err)
				}
				if p != EAP && there.Message != c.message {
					t.Errorf("told %q", there.Message)
				}
				if p == MSCHAPv2 && there.Code != cmp.Or(c.code, CodeFailed) {
					t.Errorf("told %d", there.Code)
				}
				if strings.Contains(r.prover.err.Error(), errTest.Error()) {
					t.Errorf("the cause is told: %v", r.prover.err)
				}
			})
		}
	}
}

// Grant.Message reaches the far side where the protocol has a place for it; the Grant itself is not modified.
func TestGrantMessageAndCopy(t *testing.T) {
	for _, p := range everyMethod {
		bubble(t, p.String(), func(t *testing.T) {
			server, client := configs(p)
			var given *Grant
			inner := server.Authenticator
			server.Authenticator = AuthenticatorFunc(func(ctx context.Context, req *AuthRequest) (*Grant, error) {
				g, err := inner.Authenticate(ctx, req)
				if g != nil {
					g.Message = strings.Repeat("wörd ", 100) // bounded on the wire, not cut in a character
					given = g
				}
				return g, err
			})
			r := newRig(t, p, server, client)
			r.run()
			if err := r.accepted(userOf(p), p == MSCHAPv2 || p == EAP); err != nil {
				t.Error(err)
			}
			if p != EAP && given.User != "" {
				t.Errorf("the Authenticator's Grant was modified: %q", given.User)
			}
		})
	}
}

// What a method is told before or after its time, by whoever, does nothing and panics never.
func TestMethodsIgnoreStrays(t *testing.T) {
	for _, p := range everyMethod {
		bubble(t, p.String(), func(t *testing.T) {
			server, client := configs(p)
			r := newRig(t, p, server, client)
			for _, h := range r.hosts() {
				h.method.(interface{ deadline() time.Time }).deadline()
			}
			r.verifier.method.(verifier).verdict(time.Now(), &Grant{User: "mallory"}, nil)
			r.prover.method.(prover).secret(time.Now(), "early", nil)
			r.run()
			r.verifier.method.(verifier).verdict(time.Now(), nil, errTest)
			r.prover.method.(prover).secret(time.Now(), "late", nil)
			r.settle(time.Hour)
			if err := r.accepted(userOf(p), p == MSCHAPv2 || p == EAP); err != nil {
				t.Error(err)
			}
		})
	}
}
