package ppp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// The value that RFC 1994 section 4.1 describes, computed by another implementation.
func TestCHAPMD5Vector(t *testing.T) {
	v, err := chapMD5(1, "clientPass", unhexed(t, "5B5D7C7D7B3F2F3E3C2C602132262628"))
	if err != nil {
		t.Fatal(err)
	}
	isBytes(t, "value", v[:], "5f09d7e952d4b481108861304e6de873")
}

func TestCHAPClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newRig(t, CHAP, nil, &Config{User: "alice", Password: "clientPass"}).prover
		h.method.begin(time.Now())
		h.none("begin")
		challenge := unhexed(t, "01 01 0018 10 5B5D7C7D7B3F2F3E3C2C602132262628 737276")
		response := "02 01 001a 10 5f09d7e952d4b481108861304e6de873 616c696365"
		h.give(challenge)
		isBytes(t, "response", h.one(), response)
		h.give(challenge) // the server did not hear
		isBytes(t, "response again", h.one(), response)
		h.give(unhexed(t, "03 02 0004"))
		h.give(unhexed(t, "04 00 0004"))
		if h.isProved > 0 || h.err != nil {
			t.Fatal("a result of something else was taken")
		}
		h.give(unhexed(t, "03 01 000b 57656c636f6d65"))
		if h.isProved != 1 || h.send != nil || h.recv != nil || !h.method.deadline().IsZero() {
			t.Errorf("proved %d times, keys %x %x, timer %v", h.isProved, h.send, h.recv, h.method.deadline())
		}
		h.give(unhexed(t, "03 01 0004"))
		h.give(unhexed(t, "04 01 0004"))
		h.none("late results")
		if h.err != nil || h.isProved != 1 {
			t.Errorf("late results count: %v", h.err)
		}
	})
}

// A challenge that comes later is answered under the same name, and changes nothing but yes or no.
func TestRechallenge(t *testing.T) {
	for _, p := range []AuthProtocol{CHAP, MSCHAPv2} {
		for _, yes := range []bool{true, false} {
			bubble(t, p.String(), func(t *testing.T) {
				server, client := configs(p)
				client.Retry = func(context.Context, *AuthError) (Secret, error) {
					t.Error("a password is asked for on an open link")
					return "", nil
				}
				r := newRig(t, p, server, client)
				r.run()
				if err := r.accepted("alice", p == MSCHAPv2); err != nil {
					t.Fatal(err)
				}
				h := r.prover
				h.peer = nil
				send := bytes.Clone(h.send)
				v := newRig(t, p, server, nil) // the same server asks again
				v.verifier.id, v.verifier.rnd = 98, rand.New(rand.NewPCG(9, 9))
				v.verifier.method.begin(time.Now())
				h.give(v.verifier.one())
				answer := h.one()
				if !bytes.HasSuffix(answer, []byte("alice")) {
					t.Errorf("answered %x", answer)
				}
				if !yes {
					server.Authenticator = nil
					v.verifier.auth = AuthenticatorFunc(func(context.Context, *AuthRequest) (*Grant, error) {
						return nil, &AuthError{Retry: true}
					})
				}
				v.verifier.give(answer)
				h.give(v.verifier.one())
				var e *AuthError
				if h.isProved != 1 || !bytes.Equal(h.send, send) || yes != (h.err == nil) || !yes && (!errors.As(h.err, &e) || !e.Remote) {
					t.Errorf("yes %v: proved %d times, %v", yes, h.isProved, h.err)
				}
			})
		}
	}
}

func TestCHAPClientIgnoresMalformed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, p := range []AuthProtocol{CHAP, MSCHAPv2} {
			h := newRig(t, p, nil, aliceClient()).prover
			h.method.begin(time.Now())
			for _, s := range []string{"01 01 0004", "01 01 0005 00", "01 01 0006 02 41", "01 01 0003 00", "01", "07 01 0004", "00 00 0004"} {
				h.give(unhexed(t, s))
			}
			h.give(append(unhexed(t, "01 01 0116 10"), make([]byte, 16+257)...)) // a name of 257
			if p == MSCHAPv2 {
				h.give(unhexed(t, "01 01 000d 08 0102030405060708")) // MS-CHAPv1's
			}
			h.none("malformed")
			if h.err != nil {
				t.Error(h.err)
			}
		}
	})
}

func TestCHAPClientNeedsASecret(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []*Config{{User: "alice"}, {User: strings.Repeat("u", 257), Password: "x"}} {
			h := newRig(t, CHAP, nil, c).prover
			h.method.begin(time.Now())
			h.give(unhexed(t, "01 01 0006 01 41"))
			var e *NegotiationError
			if !errors.As(h.err, &e) || e.Remote {
				t.Errorf("%v", h.err)
			}
			h.none("no secret")
		}
	})
}

// No method takes a result for an answer that it has not given.
func TestEarlySuccessDiscarded(t *testing.T) {
	for _, p := range []AuthProtocol{CHAP, MSCHAPv2} {
		bubble(t, p.String(), func(t *testing.T) {
			h := newRig(t, p, nil, aliceClient()).prover
			h.method.begin(time.Now())
			for id := range 256 {
				h.give([]byte{chapSuccess, byte(id), 0, 4})
				h.give([]byte{chapFailure, byte(id), 0, 4})
			}
			if h.isProved > 0 || h.err != nil {
				t.Errorf("proved %d times, %v", h.isProved, h.err)
			}
		})
	}
	bubble(t, "PAP", func(t *testing.T) {
		h := newRig(t, PAP, nil, aliceClient()).prover
		for id := range 256 {
			h.give([]byte{papAck, byte(id), 0, 4})
		}
		if h.isProved > 0 {
			t.Error("proved before the request")
		}
	})
	bubble(t, "EAP", func(t *testing.T) {
		leave := make(chan bool)
		h := newRig(t, EAP, nil, &Config{EAP: func(ctx context.Context, request []byte, x Exchange) ([]byte, error) {
			<-leave
			return eapMSK(), nil
		}}).prover
		early := func() {
			for id := range 256 {
				h.give([]byte{eapSuccess, byte(id), 0, 4})
			}
			h.none("Success")
			if h.isProved > 0 || h.err != nil {
				t.Errorf("proved %d times, %v", h.isProved, h.err)
			}
		}
		h.method.begin(time.Now())
		early() // before anything
		h.give(unhexed(t, "01 05 0005 01"))
		early() // while the method thinks
		close(leave)
		h.take()
		early() // it is content, but has never answered
	})
}

// A server that cannot answer its own question asks us: the same challenge, in either direction.
func TestReflectedChallengeRefused(t *testing.T) {
	for _, p := range []AuthProtocol{CHAP, MSCHAPv2} {
		bubble(t, p.String(), func(t *testing.T) {
			r := newRig(t, p, &Config{}, aliceClient())
			// One link with both directions.
			v, h := r.verifier, r.prover
			v.peer, h.peer = nil, nil
			v.method.begin(time.Now())
			asked := v.one()
			h.book = v.book
			asked[1] ^= 0x55
			h.method.begin(time.Now())
			h.give(asked)
			h.none("its own challenge")
			var e *NegotiationError
			if !errors.As(h.err, &e) || !e.Remote {
				t.Errorf("%v", h.err)
			}
		})
	}
}

// Only what can be the answer is one; the first decides, and its repetition gets the stored result.
func TestCHAPServerRepeats(t *testing.T) {
	for _, yes := range []bool{true, false} {
		bubble(t, "", func(t *testing.T) {
			h := newRig(t, CHAP, &Config{User: "gate"}, nil).verifier
			h.method.begin(time.Now())
			challenge := h.one()
			if challenge[0] != chapChallenge || challenge[4] != 16 || string(challenge[21:]) != "gate" {
				t.Fatalf("%x", challenge)
			}
			id := challenge[1]
			reply := func(id byte, size int, name string) []byte {
				return appendPacket(nil, chapResponse, id, appendCHAPValue(nil, make([]byte, size), name))
			}
			h.give(reply(id+1, 16, "alice"))
			h.give(reply(id, 15, "alice"))
			h.give(reply(id, 49, "alice"))
			h.give(reply(id, 16, strings.Repeat("n", 257)))
			h.give(appendPacket(nil, chapResponse, id, nil))
			h.give(appendPacket(nil, chapChange, id, make([]byte, msChangeLen)))
			if len(h.asked) > 0 {
				t.Fatalf("asked for %+v", h.asked[0])
			}
			h.give(reply(id, 16, "alice"))
			h.give(reply(id, 16, "alice"))
			h.give(reply(id, 16, "mallory"))
			h.none("while it decides")
			if !h.method.deadline().IsZero() {
				t.Error("a timer runs while somebody decides")
			}
			if q := h.asked[0]; len(h.asked) != 1 || q.User != "alice" || q.Identifier != id || !bytes.Equal(q.Challenge, challenge[5:21]) || len(q.Response) != 16 {
				t.Errorf("asked %d times: %+v", len(h.asked), q)
			}
			v := h.method.(verifier)
			want := byte(chapSuccess)
			if yes {
				v.verdict(time.Now(), &Grant{Message: "hello"}, nil)
			} else {
				want = chapFailure
				v.verdict(time.Now(), nil, &AuthError{Message: "hello", Retry: true}) // CHAP knows no retry
			}
			result := h.one()
			if result[0] != want || result[1] != id || string(result[4:]) != "hello" {
				t.Errorf("%x", result)
			}
			h.give(reply(id, 16, "mallory"))
			if again := h.one(); !bytes.Equal(again, result) {
				t.Errorf("again: %x", again)
			}
			h.give(reply(id+1, 16, "alice"))
			h.none("another identifier")
			if len(h.asked) != 1 {
				t.Error("asked again")
			}
			if yes != (h.grant != nil) || yes == (h.err != nil) || yes && h.grant.User != "alice" {
				t.Errorf("%+v, %v", h.grant, h.err)
			}
		})
	}
}

// Challenges are 16 random bytes, never the same, and repeated as they are.
func TestChallengesAreFresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen := make(map[string]bool)
		r := newRig(t, MSCHAPv2, &Config{}, nil)
		for range 10 {
			h := r.verifier
			h.method, _ = newVerifier(MSCHAPv2, h)
			h.method.begin(time.Now())
			c := h.one()
			if seen[string(c[5:21])] || c[4] != 16 || string(c[21:]) != ownName {
				t.Errorf("%x", c)
			}
			seen[string(c[5:21])] = true
			time.Sleep(methodRestart)
			h.method.expire(time.Now())
			if again := h.one(); !bytes.Equal(again, c) {
				t.Errorf("repeated as %x", again)
			}
			if !h.book.has(c[5:21]) {
				t.Error("not in the book")
			}
		}
	})
}

// AuthRequest's bytes are the Authenticator's own.
func TestAuthRequestIsACopy(t *testing.T) {
	for _, p := range everyMethod {
		bubble(t, p.String(), func(t *testing.T) {
			server, client := configs(p)
			inner := server.Authenticator
			server.Authenticator = AuthenticatorFunc(func(ctx context.Context, req *AuthRequest) (*Grant, error) {
				time.Sleep(time.Second) // the packet's buffer is overwritten by now
				g, err := inner.Authenticate(ctx, req)
				for _, b := range [][]byte{req.Challenge, req.Response, req.EAP} {
					clear(b)
				}
				return g, err
			})
			r := newRig(t, p, server, client)
			r.run()
			if err := r.accepted(userOf(p), p == MSCHAPv2 || p == EAP); err != nil {
				t.Error(err)
			}
			if p == CHAP || p == MSCHAPv2 {
				r.verifier.peer = nil
				r.prover.out, r.prover.peer = nil, nil
				id := r.verifier.asked[0].Identifier
				r.verifier.give(appendPacket(nil, chapResponse, id, appendCHAPValue(nil, make([]byte, 16), "x")))
				if got := r.verifier.one(); got[0] != chapSuccess {
					t.Errorf("the stored result: %x", got)
				}
			}
		})
	}
}

// An answer is repeated slowly and three times: TCP loses nothing, and a server may make a login of each.
func TestCHAPClientRepeatsSlowly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newRig(t, CHAP, nil, aliceClient()).prover
		h.method.begin(time.Now())
		h.give(unhexed(t, "01 01 0006 01 41"))
		first, begun := h.one(), time.Now()
		var waits []time.Duration
		for !h.method.deadline().IsZero() {
			time.Sleep(time.Until(h.method.deadline()))
			h.method.expire(time.Now())
			if pkts := h.take(); len(pkts) == 1 && bytes.Equal(pkts[0], first) {
				waits = append(waits, time.Since(begun))
			} else if !h.method.deadline().IsZero() {
				t.Errorf("%x", pkts)
			}
		}
		if got := fmt.Sprint(waits); got != "[10s 30s 1m10s]" {
			t.Errorf("repeated after %v", got)
		}
		h.give(unhexed(t, "03 01 0004")) // MFA takes its time
		if h.isProved != 1 {
			t.Error(h.err)
		}
	})
}
