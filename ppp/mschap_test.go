package ppp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dialway/dialway/internal/mschap"
)

// RFC 2759 section 9.2's conversation, byte by byte, at the client.
const (
	sampleChallenge = "01 01 0018 10 5B5D7C7D7B3F2F3E3C2C602132262628 737276"
	sampleResponse  = "02 01 003a 31 21402324255e262a28295f2b3a337c7e 0000000000000000 82309ecd8d708b5ea08faa3981cd83544233114a3d85d6df 00 55736572"
	sampleProof     = "S=407A5589115FD0D6209F510FE9C04566932CDA56"
)

func sampleClient(t *testing.T, user string) *rigHost {
	t.Helper()
	h := newRig(t, MSCHAPv2, nil, &Config{User: user, Password: "clientPass"}).prover
	h.feed = [][]byte{unhexed(t, "21402324255E262A28295F2B3A337C7E")}
	h.method.begin(time.Now())
	h.give(unhexed(t, sampleChallenge))
	return h
}

func success(id byte, text string) []byte { return appendPacket(nil, chapSuccess, id, []byte(text)) }
func failure(id byte, text string) []byte { return appendPacket(nil, chapFailure, id, []byte(text)) }

func TestMSCHAPClientVector(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := sampleClient(t, "User")
		isBytes(t, "response", h.one(), sampleResponse)
		h.give(success(1, sampleProof+" M=Access granted"))
		if h.isProved != 1 {
			t.Fatal(h.err)
		}
		isBytes(t, "send key", h.send, "d5f0e9521e3ea9589645e86051c82226")
		isBytes(t, "receive key", h.recv, "8b7cdc149b993a1ba118cb153f56dccb")
	})
}

// The domain in front of a name is sent and not hashed; one behind it is hashed.
func TestMSCHAPClientNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := sampleClient(t, `EXAMPLE\User`)
		response := h.one()
		isBytes(t, "NT-Response", response[29:53], "82309ecd8d708b5ea08faa3981cd83544233114a3d85d6df")
		if string(response[54:]) != `EXAMPLE\User` {
			t.Errorf("name %q", response[54:])
		}
		h = sampleClient(t, "User@example.com")
		want := mschap.NTResponse([16]byte(unhexed(t, "5B5D7C7D7B3F2F3E3C2C602132262628")), [16]byte(unhexed(t, "21402324255E262A28295F2B3A337C7E")),
			"User@example.com", [16]byte(unhexed(t, "44EBBA8D5312B8D611474411F56989AE")))
		if response := h.one(); !bytes.Equal(response[29:53], want[:]) {
			t.Errorf("%x", response)
		}
	})
}

// Servers write S= in other ways, and all that proves is taken; what does not prove ends the link.
func TestMSCHAPClientVerifiesServer(t *testing.T) {
	for _, c := range []struct {
		text string
		ok   bool
	}{
		{sampleProof, true},
		{sampleProof + " M=", true},
		{sampleProof + " M=S=0000000000000000000000000000000000000000", true}, // a message is a message
		{"M=Welcome home " + sampleProof, true},
		{strings.ToLower(sampleProof[2:]), false},
		{"S=" + strings.ToLower(sampleProof[2:]), true},
		{"", false},
		{"M=Welcome", false},
		{"S=", false},
		{"S=407A", false},
		{sampleProof + "00", false},
		{"S=507A5589115FD0D6209F510FE9C04566932CDA56", false},
		{"S=407A5589115FD0D6209F510FE9C04566932CDA57", false},
		{"S=0000000000000000000000000000000000000000", false},
		{"S=507A5589115FD0D6209F510FE9C04566932CDA56 " + sampleProof, false}, // the first counts
	} {
		bubble(t, c.text, func(t *testing.T) {
			h := sampleClient(t, "User")
			h.one()
			h.give(success(1, c.text))
			var e *AuthError
			if c.ok != (h.isProved == 1) || c.ok == (h.err != nil) || !c.ok && (!errors.As(h.err, &e) || e.Remote) {
				t.Errorf("proved %d times, %v", h.isProved, h.err)
			}
		})
	}
}

// A Failure in every server's dialect.
func TestMSCHAPClientReadsFailures(t *testing.T) {
	const digits = "0123456789ABCDEF0123456789abcdef"
	for _, c := range []struct {
		name, text string
		want       AuthError
		challenge  bool
	}{
		{"RFC", "E=691 R=0 C=" + digits + " V=3 M=Authentication failed", AuthError{Code: 691, Message: "Authentication failed"}, true},
		{"pppd", "E=691 R=1 C=" + digits + " V=0 M=Access denied", AuthError{Code: 691, Retry: true, Message: "Access denied"}, true},
		{"accel-ppp", "E=691 R=0 V=3", AuthError{Code: 691}, false},
		{"SoftEther", "E=691 R=0 C=00000000000000000000000000000000 V=3 M=Authentication Failed.", AuthError{Code: 691, Message: "Authentication Failed."}, true},
		{"another order", "M=call 555 R=1 now V=3 C=" + digits + " R=0 E=649", AuthError{Code: 649, Retry: true, Message: "call 555"}, true},
		{"short challenge", "E=691 R=0 C=0123 V=3", AuthError{Code: 691}, false},
		{"no blanks", "E=691", AuthError{Code: 691}, false},
		{"nothing", "", AuthError{}, false},
		{"nonsense", "go away", AuthError{}, false},
		{"terminated as a C string", "E=647 R=0 M=off\x00", AuthError{Code: 647, Message: "off"}, false},
		{"not UTF-8", "E=691 R=0 M=\xe9t\xe9", AuthError{Code: 691, Message: "\ufffdt\ufffd"}, false},
		{"huge numbers", "E=99999999999999999999 R=2 V=-1", AuthError{}, false},
	} {
		bubble(t, c.name, func(t *testing.T) {
			h := sampleClient(t, "User")
			h.one()
			h.give(failure(1, c.text))
			var e *AuthError
			if !errors.As(h.err, &e) {
				t.Fatal(h.err)
			}
			if e.Code != c.want.Code || e.Retry != c.want.Retry || e.Message != c.want.Message || !e.Remote || (e.Challenge != nil) != c.challenge {
				t.Errorf("%+v", e)
			}
			if strings.ContainsAny(e.Error(), "\x00\n") {
				t.Errorf("%q", e.Error())
			}
		})
	}
}

// guesses is a Config.Retry with these answers.
func guesses(t *testing.T, list ...Secret) func(context.Context, *AuthError) (Secret, error) {
	return func(ctx context.Context, e *AuthError) (Secret, error) {
		if !e.Remote {
			t.Errorf("asked about %v", e)
		}
		time.Sleep(30 * time.Second) // somebody types
		if len(list) == 0 {
			return "", errTest
		}
		s := list[0]
		list = list[1:]
		return s, nil
	}
}

func TestMSCHAPRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, client := configs(MSCHAPv2)
		client.Password = "wrong"
		client.Retry = guesses(t, "wrong, too", "correct horse")
		r := newRig(t, MSCHAPv2, server, client)
		r.run()
		if err := r.accepted("alice", true); err != nil {
			t.Fatal(err)
		}
		seen := make(map[string]bool)
		for i, q := range r.verifier.asked {
			if q.Attempt != i+1 || q.Identifier != r.verifier.asked[0].Identifier+byte(i) || seen[string(q.Challenge)] {
				t.Errorf("attempt %d: %d, identifier %d, challenge %x", i+1, q.Attempt, q.Identifier, q.Challenge)
			}
			seen[string(q.Challenge)] = true
		}
		if len(r.verifier.asked) != 3 {
			t.Errorf("asked %d times", len(r.verifier.asked))
		}
	})
}

func TestAuthRetriesLimited(t *testing.T) {
	for retries, want := range map[int]int{0: 3, -1: 1, 1: 2, 5: 6} {
		bubble(t, fmt.Sprint(retries), func(t *testing.T) {
			server, client := configs(MSCHAPv2)
			server.AuthRetries = retries
			// The Authenticator would let it try for ever.
			server.Authenticator = AuthenticatorFunc(func(context.Context, *AuthRequest) (*Grant, error) {
				return nil, &AuthError{Retry: true}
			})
			client.Retry = func(context.Context, *AuthError) (Secret, error) { return "again", nil }
			r := newRig(t, MSCHAPv2, server, client)
			r.run()
			if err := r.denied(); err != nil {
				t.Fatal(err)
			}
			var e *AuthError
			if len(r.verifier.asked) != want || !errors.As(r.prover.err, &e) || e.Retry || e.Code != CodeFailed {
				t.Errorf("asked %d times, want %d; the client has %+v", len(r.verifier.asked), want, r.prover.err)
			}
		})
	}
}

// Retry gives up, with its reason; a server that never stops asking is left.
func TestMSCHAPRetryEnds(t *testing.T) {
	bubble(t, "error", func(t *testing.T) {
		server, client := configs(MSCHAPv2)
		client.Password, client.Retry = "wrong", guesses(t)
		r := newRig(t, MSCHAPv2, server, client)
		r.run()
		var e *AuthError
		if !errors.As(r.prover.err, &e) || !e.Remote || !errors.Is(e, errTest) {
			t.Errorf("client: %+v", r.prover.err)
		}
		// The far side said nothing more: the link, in which it says goodbye, is not part of this test.
		if d := r.verifier.method.(verifier).refused(); r.verifier.err == nil && d == nil {
			t.Error("the server does not know why")
		}
	})
	bubble(t, "for ever", func(t *testing.T) {
		server, client := configs(MSCHAPv2)
		server.AuthRetries = 1000
		asked := 0
		client.Password = "wrong"
		client.Retry = func(context.Context, *AuthError) (Secret, error) { asked++; return "wrong again", nil }
		r := newRig(t, MSCHAPv2, server, client)
		r.run()
		if asked != maxRetries || r.prover.err == nil {
			t.Errorf("asked %d times, %v", asked, r.prover.err)
		}
	})
}

// The Authenticator's own challenge is the one that is answered.
func TestAuthErrorChallenge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, client := configs(MSCHAPv2)
		radius := bytes.Repeat([]byte{7}, 16)
		server.Authenticator = AuthenticatorFunc(func(ctx context.Context, req *AuthRequest) (*Grant, error) {
			if req.Attempt == 1 {
				return nil, &AuthError{Retry: true, Challenge: radius, Message: "once more"}
			}
			return req.CheckPassword("correct horse")
		})
		client.Retry = func(_ context.Context, e *AuthError) (Secret, error) {
			if e.Message != "once more" || !bytes.Equal(e.Challenge, radius) {
				t.Errorf("%+v", e)
			}
			clear(e.Challenge) // it is the function's
			return "correct horse", nil
		}
		r := newRig(t, MSCHAPv2, server, client)
		r.run()
		if err := r.accepted("alice", true); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(r.verifier.asked[1].Challenge, radius) {
			t.Errorf("%x", r.verifier.asked[1].Challenge)
		}
	})
}

// changing is an Authenticator whose one account's password has expired until it is changed.
type changing struct {
	password Secret
	expired  bool
}

func (c *changing) Authenticate(ctx context.Context, req *AuthRequest) (*Grant, error) {
	g, err := req.CheckPassword(c.password)
	if err != nil {
		return nil, err
	}
	if len(req.Change) > 0 {
		hash, err := mschap.NTPasswordHash(string(c.password))
		if err != nil {
			return nil, err
		}
		if c.password, err = req.NewPassword(hash); err != nil {
			return nil, err
		}
		c.expired = false
	}
	if c.expired {
		return nil, &AuthError{Code: CodeExpired}
	}
	return g, nil
}

func TestMSCHAPChangePassword(t *testing.T) {
	for _, password := range []Secret{"staple 🔑", Secret(strings.Repeat("x", 256))} {
		bubble(t, "", func(t *testing.T) {
			_, client := configs(MSCHAPv2)
			client.Retry = guesses(t, password)
			account := &changing{"correct horse", true}
			r := newRig(t, MSCHAPv2, &Config{Authenticator: account}, client)
			r.run()
			if err := r.accepted("alice", true); err != nil {
				t.Fatal(err)
			}
			if account.password != password || account.expired {
				t.Errorf("stored %q", string(account.password))
			}
		})
	}
}

// Every packet of a change is lost once.
func TestMSCHAPChangeSurvivesLoss(t *testing.T) {
	for first := 0; ; first++ {
		lost := false
		bubble(t, fmt.Sprint(first), func(t *testing.T) {
			_, client := configs(MSCHAPv2)
			client.Password = "wrong"
			client.Retry = guesses(t, "correct horse", "staple")
			account := &changing{"correct horse", true}
			r := newRig(t, MSCHAPv2, &Config{Authenticator: retrying{account}}, client)
			r.lose = func(n int) bool { lost = lost || n == first; return n == first }
			r.run()
			if err := r.accepted("alice", true); err != nil {
				t.Fatal(err)
			}
			if len(r.verifier.asked) != 3 || account.password != "staple" {
				t.Errorf("asked %d times, stored %q", len(r.verifier.asked), string(account.password))
			}
		})
		if !lost || t.Failed() {
			return
		}
	}
}

// retrying sets Retry.
type retrying struct{ a Authenticator }

func (a retrying) Authenticate(ctx context.Context, req *AuthRequest) (*Grant, error) {
	g, err := a.a.Authenticate(ctx, req)
	var e *AuthError
	if errors.As(err, &e) && len(req.Change) == 0 {
		e.Retry = true
	}
	return g, err
}

func TestMSCHAPChangeFails(t *testing.T) {
	for _, c := range []struct {
		name string
		err  error
		code int
	}{
		{"a plain error", errTest, CodeChanging},
		{"an AuthError without code", &AuthError{Retry: true, Message: "too short"}, CodeChanging},
		{"expired still", &AuthError{Code: CodeExpired}, CodeChanging},
		{"disabled meanwhile", &AuthError{Code: CodeDisabled}, CodeDisabled},
	} {
		bubble(t, c.name, func(t *testing.T) {
			_, client := configs(MSCHAPv2)
			asked := 0
			client.Retry = func(context.Context, *AuthError) (Secret, error) { asked++; return "staple", nil }
			r := newRig(t, MSCHAPv2, &Config{Authenticator: AuthenticatorFunc(func(ctx context.Context, req *AuthRequest) (*Grant, error) {
				if len(req.Change) > 0 {
					return nil, c.err
				}
				return nil, &AuthError{Code: CodeExpired}
			})}, client)
			r.run()
			if err := r.denied(); err != nil {
				t.Fatal(err)
			}
			var e *AuthError
			if !errors.As(r.prover.err, &e) || e.Code != c.code || e.Retry || asked != 1 {
				t.Errorf("%+v, asked %d times", e, asked)
			}
		})
	}
}

// A Change is taken where it was asked for, and nowhere else.
func TestChangeUnasked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		change := make([]byte, msChangeLen)
		respond := func(h *rigHost, id byte) {
			r := msResponse{}
			h.give(appendPacket(nil, chapResponse, id, appendCHAPValue(nil, r.append(nil), "alice")))
		}
		h := newRig(t, MSCHAPv2, &Config{}, nil).verifier
		v := h.method.(verifier)
		h.method.begin(time.Now())
		id := h.one()[1]
		give := func(id byte) { h.give(appendPacket(nil, chapChange, id, change)) }
		give(id)
		give(id + 1)
		respond(h, id)
		give(id)
		give(id + 1)
		v.verdict(time.Now(), nil, &AuthError{Retry: true})
		h.one()
		give(id + 1)
		if len(h.asked) != 1 {
			t.Fatalf("asked for a change after E=691: %+v", h.asked)
		}
		respond(h, id+1)
		v.verdict(time.Now(), nil, &AuthError{Code: CodeExpired})
		if f := parseMSFailure(h.one()[4:]); f.code != CodeExpired || f.retry || f.version != 3 || !f.hasChallenge {
			t.Errorf("%+v", f)
		}
		respond(h, id+2) // not a retry
		h.give(appendPacket(nil, chapChange, id+2, change[:581]))
		h.give(appendPacket(nil, chapChange, id+4, change))
		h.none("what was not asked for")
		give(id + 2)
		give(id + 2)
		if len(h.asked) != 3 || h.asked[2].Change == nil || h.asked[2].Response != nil || h.asked[2].User != "alice" {
			t.Fatalf("asked %d times: %+v", len(h.asked), h.asked)
		}
		v.verdict(time.Now(), nil, errTest)
		result := h.one()
		if f := parseMSFailure(result[4:]); f.code != CodeChanging || f.retry {
			t.Errorf("%+v", f)
		}
		give(id + 2)
		if again := h.one(); !bytes.Equal(again, result) {
			t.Errorf("again %x", again)
		}
		give(id + 3)
		h.none("a second change")
	})
}

// A client changes a password only as RFC 2759 section 6 says: E=648 R=0 V=3, with a challenge.
func TestMSCHAPClientChangesOnlyWhenAsked(t *testing.T) {
	const c = " C=0123456789ABCDEF0123456789ABCDEF"
	for text, want := range map[string]bool{
		"E=648 R=0" + c + " V=3": true,
		"E=648 R=0" + c + " V=2": false,
		"E=648 R=0" + c:          false,
		"E=648 R=0 V=3":          false,
		"E=691 R=0" + c + " V=3": false,
	} {
		bubble(t, text, func(t *testing.T) {
			h := sampleClient(t, "User")
			asked := 0
			h.cfg.Retry = func(context.Context, *AuthError) (Secret, error) { asked++; return "newPass1", nil }
			h.one()
			h.give(failure(1, text))
			pkts := h.take()
			if (asked == 1) != want || want != (len(pkts) == 1) || want == (h.err != nil) {
				t.Fatalf("asked %d times, sent %x, %v", asked, pkts, h.err)
			}
			if !want {
				return
			}
			if p := pkts[0]; p[0] != chapChange || p[1] != 2 || len(p) != 586 {
				t.Errorf("%x", p)
			}
			// RFC 2759 section 8.12, by values computed elsewhere.
			isBytes(t, "encrypted hash", pkts[0][4+516:4+532], "c9c405739aac0406ce510476da1b67e6")
			h.give(success(2, sampleProof)) // the old password's proof is no proof
			if h.isProved > 0 || h.err == nil {
				t.Errorf("proved by %v", h.err)
			}
		})
	}
}

// The retry's identifier is one more; what is not is a retry only with new contents.
func TestMSCHAPServerRetryIdentifiers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newRig(t, MSCHAPv2, &Config{AuthRetries: 5}, nil).verifier
		v := h.method.(verifier)
		h.method.begin(time.Now())
		id := h.one()[1]
		give := func(id, fill byte) {
			r := msResponse{peer: [16]byte{fill}}
			h.give(appendPacket(nil, chapResponse, id, appendCHAPValue(nil, r.append(nil), "alice")))
		}
		no := func(want int) []byte {
			t.Helper()
			if len(h.asked) != want {
				t.Fatalf("asked %d times, want %d", len(h.asked), want)
			}
			v.verdict(time.Now(), nil, &AuthError{Retry: true})
			return h.one()
		}
		give(id, 1)
		first := no(1)
		give(id, 1)
		if again := h.one(); !bytes.Equal(again, first) {
			t.Errorf("again %x", again)
		}
		give(id+2, 2)
		give(id-1, 2)
		h.none("strange identifiers")
		give(id+1, 2)
		no(2)
		give(id, 2) // two back
		h.none("an old identifier")
		give(id+1, 3) // a peer that does not count
		no(3)
		if d := h.method.deadline(); d.Before(time.Now().Add(time.Minute)) {
			t.Errorf("only %v to type", time.Until(d))
		}
		time.Sleep(time.Until(h.method.deadline()))
		h.method.expire(time.Now())
		var e *AuthError
		if !errors.As(h.err, &e) {
			t.Error(h.err)
		}
	})
}

// A link never binds with zeros where there could be keys.
func TestGrantWithoutKeysRefused(t *testing.T) {
	key, proof := bytes.Repeat([]byte{1}, 16), [20]byte{1}
	for _, c := range []struct {
		p    AuthProtocol
		g    Grant
		want []string
	}{
		{MSCHAPv2, Grant{}, []string{"MS-CHAP2-Success", "MS-MPPE-Send-Key", "MS-MPPE-Recv-Key"}},
		{MSCHAPv2, Grant{Proof: proof, SendKey: key}, []string{"MS-MPPE-Recv-Key"}},
		{MSCHAPv2, Grant{Proof: proof, RecvKey: key, SendKey: make([]byte, 16)}, []string{"MS-MPPE-Send-Key"}},
		{MSCHAPv2, Grant{Proof: proof, RecvKey: key, SendKey: key[:8]}, []string{"MS-MPPE-Send-Key"}},
		{MSCHAPv2, Grant{RecvKey: key, SendKey: key}, []string{"MS-CHAP2-Success"}},
		{MSCHAPv2, Grant{Proof: proof, RecvKey: key, SendKey: key}, nil},
		{EAP, Grant{}, []string{"MS-MPPE-Recv-Key", "MS-MPPE-Send-Key"}},
		{EAP, Grant{RecvKey: make([]byte, 32), SendKey: make([]byte, 32)}, []string{"MS-MPPE-Recv-Key"}},
		{EAP, Grant{RecvKey: key}, []string{"MS-MPPE-Send-Key"}},
		{EAP, Grant{RecvKey: key, SendKey: key}, nil},
		{EAP, Grant{RecvKey: append(bytes.Clone(key), key...), SendKey: make([]byte, 32)}, nil}, // EAP-MSCHAPv2's MSK
		{PAP, Grant{}, nil},
		{CHAP, Grant{}, nil},
	} {
		bubble(t, fmt.Sprint(c.p, c.want), func(t *testing.T) {
			server, client := configs(c.p)
			server.Authenticator = AuthenticatorFunc(func(context.Context, *AuthRequest) (*Grant, error) { return &c.g, nil })
			r := newRig(t, c.p, server, client)
			r.run()
			if c.want == nil {
				if r.verifier.grant == nil {
					t.Error(r.verifier.err)
				}
				return
			}
			if err := r.denied(); err != nil {
				t.Fatal(err)
			}
			for _, w := range c.want {
				if !strings.Contains(r.verifier.err.Error(), w) {
					t.Errorf("%v does not name %s", r.verifier.err, w)
				}
			}
		})
	}
}
