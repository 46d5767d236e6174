package eap

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/dialway/dialway/internal/mschap"
	"github.com/dialway/dialway/ppp"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// mschapTalk is alice with a password, and who knows the accounts.
func mschapTalk(next ppp.Authenticator, m *MSCHAPv2) *talk {
	return &talk{auth: &Authenticator{Methods: []Method{&MSCHAPv2{}}, Next: next}, peer: (&Peer{Methods: []PeerMethod{m}}).Respond}
}

func TestMSCHAPv2(t *testing.T) {
	for _, user := range []string{"alice", `EXAMPLE\alice`} {
		k := mschapTalk(alice, &MSCHAPv2{User: user, Password: "secret"}).run(t)
		k.agreed(t, user)
		if len(k.trace) != 5 || !bytes.Equal(k.msk[32:], make([]byte, 32)) {
			t.Errorf("%d packets, MSK %x", len(k.trace), k.msk)
		}
		// The layout of [MS-CHAP] section 2.2: a length of five less than EAP's, and one MS-CHAPv2-ID: pppd
		// finds by that of the Success what it must compare.
		for i, code := range []byte{1, 2, 3} {
			pkt := k.trace[i+1]
			if pkt[5] != code || pkt[6] != k.trace[1][1] || int(pkt[7])<<8|int(pkt[8]) != len(pkt)-5 {
				t.Errorf("%x", pkt)
			}
		}
		if s := k.trace[4]; len(s) != 6 || s[5] != 3 {
			t.Errorf("Success-Response %x", s)
		}
	}
}

// RFC 2759 section 9.2, and the MSK that [MS-CHAP] section 3.1.5.1 makes of RFC 3079's keys.
func TestMSCHAPv2Vectors(t *testing.T) {
	hash, err := mschap.NTPasswordHash("clientPass")
	if err != nil {
		t.Fatal(err)
	}
	c := &msClient{user: "User"}
	value := c.answer(hash, [16]byte(unhex(t, "5B5D7C7D7B3F2F3E3C2C602132262628")), [16]byte(unhex(t, "21402324255E262A28295F2B3A337C7E")))
	if got := fmt.Sprintf("%X", value); got != "21402324255E262A28295F2B3A337C7E"+"0000000000000000"+"82309ECD8D708B5EA08FAA3981CD83544233114A3D85D6DF"+"00" {
		t.Error(got)
	}
	if got := string(successText(c.want, "")); got != "S=407A5589115FD0D6209F510FE9C04566932CDA56 M=" {
		t.Error(got)
	}
	if got := fmt.Sprintf("%X", c.msk()); got != "D5F0E9521E3EA9589645E86051C822268B7CDC149B993A1BA118CB153F56DCCB"+strings.Repeat("00", 32) {
		t.Error(got)
	}
}

// The packets of the same user, whole: the server's name is "srv", the Identifier 7.
func TestMSCHAPv2Packets(t *testing.T) {
	challenge, peer := unhex(t, "5b5d7c7d7b3f2f3e3c2c602132262628"), [challengeLen]byte(unhex(t, "21402324255e262a28295f2b3a337c7e"))
	nt := [24]byte(unhex(t, "82309ecd8d708b5ea08faa3981cd83544233114a3d85d6df"))
	proof := [20]byte(unhex(t, "407a5589115fd0d6209f510fe9c04566932cda56"))
	for _, x := range []struct {
		eap  code
		id   byte
		code msCode
		body []byte
		want string
	}{
		{codeRequest, 7, msChallenge, appendValue(nil, challenge, "srv"), "0107001d1a01070018105b5d7c7d7b3f2f3e3c2c602132262628737276"},
		{codeResponse, 7, msResponse, appendValue(nil, appendResponse(nil, peer, nt), "User"), "0207003f1a0207003a31" +
			"21402324255e262a28295f2b3a337c7e000000000000000082309ecd8d708b5ea08faa3981cd83544233114a3d85d6df0055736572"},
		{codeRequest, 8, msSuccess, successText(proof, "OK"), "010800381a0307003353" +
			"3d34303741353538393131354644304436323039463531304645394330343536363933324344413536204d3d4f4b"},
		{codeResponse, 8, msSuccess, nil, "020800061a03"},
	} {
		got := packet{x.eap, x.id, TypeMSCHAPv2, msPacket{x.code, 7, x.body}.append(nil)}
		if x.body == nil {
			got.data = []byte{byte(x.code)}
		}
		if b := got.append(nil); !bytes.Equal(b, unhex(t, x.want)) {
			t.Errorf("%x, want %s", b, x.want)
		}
		in, ok := parsePacket(unhex(t, x.want))
		if !ok || in.code != x.eap || in.id != x.id || in.typ != TypeMSCHAPv2 {
			t.Errorf("%s reads as %+v", x.want, in)
		}
		if m, ok := parseMS(in.data); !ok || m.code != x.code || !bytes.Equal(m.body, x.body) || x.body != nil && m.id != 7 {
			t.Errorf("%s reads as %+v", x.want, m)
		}
	}
}

func TestMSCHAPv2WrongPassword(t *testing.T) {
	for _, m := range []*MSCHAPv2{{User: "alice", Password: "wrong"}, {User: "nobody", Password: "secret"}} {
		k := mschapTalk(alice, m).run(t)
		k.refused(t)
		var e *ppp.AuthError
		if !errors.As(k.peerErr, &e) || e.Code != ppp.CodeFailed || !e.Remote || !errors.As(k.authErr, &e) || e.Remote {
			t.Errorf("%v, %v", k.peerErr, k.authErr)
		}
		if f := k.trace[3]; f[5] != 4 || !bytes.HasPrefix(f[9:], []byte("E=691 R=1 C=")) {
			t.Errorf("Failure %q", f)
		}
	}
}

func TestMSCHAPv2Retry(t *testing.T) {
	var asked []*ppp.AuthError
	m := &MSCHAPv2{User: "alice", Password: "wrong", Retry: func(_ context.Context, e *ppp.AuthError) (ppp.Secret, error) {
		asked = append(asked, e)
		return map[int]ppp.Secret{1: "still wrong", 2: "secret"}[len(asked)], nil
	}}
	mschapTalk(alice, m).run(t).agreed(t, "alice")
	if len(asked) != 2 || !asked[0].Retry || len(asked[0].Challenge) != 16 || bytes.Equal(asked[0].Challenge, asked[1].Challenge) {
		t.Errorf("asked %+v", asked)
	}
	asked = nil
	no := errors.New("no terminal")
	m.Retry = func(context.Context, *ppp.AuthError) (ppp.Secret, error) { return "", no }
	k := mschapTalk(alice, m).run(t)
	k.refused(t)
	if !errors.Is(k.peerErr, no) {
		t.Error(k.peerErr)
	}
}

func TestRetriesLimited(t *testing.T) {
	for retries, want := range map[int]int{0: 3, -1: 1, 1: 2, 5: 6} {
		n := 0
		m := &MSCHAPv2{User: "alice", Password: "wrong", Retry: func(context.Context, *ppp.AuthError) (ppp.Secret, error) {
			return ppp.Secret(fmt.Sprint(n)), nil
		}}
		k := mschapTalk(ppp.AuthenticatorFunc(func(ctx context.Context, req *ppp.AuthRequest) (*ppp.Grant, error) {
			if n++; req.Attempt != n {
				t.Errorf("attempt %d is %d", n, req.Attempt)
			}
			return alice.Authenticate(ctx, req)
		}), m)
		k.auth.(*Authenticator).Methods[0].(*MSCHAPv2).Retries = retries
		k.run(t).refused(t)
		if n != want {
			t.Errorf("Retries %d: %d attempts", retries, n)
		}
	}
}

// changing knows alice, whose password has expired.
func changing(t *testing.T, stored *ppp.Secret) ppp.Authenticator {
	return ppp.AuthenticatorFunc(func(ctx context.Context, req *ppp.AuthRequest) (*ppp.Grant, error) {
		g, err := req.CheckPassword(*stored)
		if err != nil {
			return nil, err
		}
		if len(req.Change) == 0 {
			return nil, &ppp.AuthError{Code: ppp.CodeExpired, Message: "too old"}
		}
		hash, err := mschap.NTPasswordHash(string(*stored))
		if err != nil {
			return nil, err
		}
		p, err := req.NewPassword(hash)
		if err != nil {
			return nil, err
		}
		if p == "short" {
			return nil, &ppp.AuthError{Message: "too short"}
		}
		*stored = p
		return g, nil
	})
}

func TestMSCHAPv2ChangePassword(t *testing.T) {
	stored := ppp.Secret("secret")
	m := &MSCHAPv2{User: "alice", Password: "secret", Retry: func(_ context.Context, e *ppp.AuthError) (ppp.Secret, error) {
		if e.Code != ppp.CodeExpired || e.Retry || e.Message != "too old" {
			t.Errorf("%+v", e)
		}
		return "new secret", nil
	}}
	k := mschapTalk(changing(t, &stored), m).run(t)
	k.agreed(t, "alice")
	if stored != "new secret" || len(k.trace[4]) != 586+5 {
		t.Errorf("%q, Change-Password of %d bytes", string(stored), len(k.trace[4]))
	}
	m.Password = stored
	m.Retry = func(context.Context, *ppp.AuthError) (ppp.Secret, error) { return "short", nil }
	k = mschapTalk(changing(t, &stored), m).run(t)
	k.refused(t)
	var e *ppp.AuthError
	if !errors.As(k.peerErr, &e) || e.Code != ppp.CodeChanging || e.Message != "too short" || stored != "new secret" {
		t.Errorf("%v, %q", k.peerErr, string(stored))
	}
}

func TestChangeUnasked(t *testing.T) {
	change := &msClient{user: "alice", password: "secret"}
	p, err := change.change(1, [16]byte{}, "mine")
	if err != nil {
		t.Fatal(err)
	}
	asked := false
	k := mschapTalk(ppp.AuthenticatorFunc(func(context.Context, *ppp.AuthRequest) (*ppp.Grant, error) {
		asked = true
		return nil, nil
	}), &MSCHAPv2{User: "alice", Password: "secret"})
	k.touch = func(toServer bool, n int, b []byte) []byte {
		if toServer && n == 2 {
			return packet{codeResponse, b[1], TypeMSCHAPv2, p.append(nil)}.append(nil)
		}
		return b
	}
	k.run(t).refused(t)
	if asked {
		t.Error("a change that nobody asked for is decided")
	}
}

// Behind E=648 another Response, even with the right password, is no answer.
func TestExpiredPasswordNotTriedAgain(t *testing.T) {
	n := 0
	k := mschapTalk(ppp.AuthenticatorFunc(func(ctx context.Context, req *ppp.AuthRequest) (*ppp.Grant, error) {
		if n++; n == 1 {
			return nil, &ppp.AuthError{Code: ppp.CodeExpired}
		}
		return alice.Authenticate(ctx, req)
	}), nil)
	k.peer = (&Peer{Methods: []PeerMethod{insistent{}}}).Respond
	k.run(t).refused(t)
	if n != 1 {
		t.Errorf("%d attempts", n)
	}
}

// An insistent peer answers every Failure with its password.
type insistent struct{}

func (insistent) Type() Type { return TypeMSCHAPv2 }
func (insistent) Respond(ctx context.Context, request []byte, r *Round) ([]byte, error) {
	c := &msClient{user: "alice", password: "secret"}
	for {
		p, _ := parseMS(request)
		challenge, _, ok := parseValue(p.body, challengeLen)
		if !ok {
			e, _ := parseFailure(p.body)
			challenge = e.Challenge
		}
		answer, err := c.respond(p.id, [16]byte(challenge))
		if err != nil {
			return nil, err
		}
		if request, err = r.Do(ctx, answer.append(nil)); err != nil {
			return nil, err
		}
	}
}

// What the peer says to a proof that is missing or wrong: nothing more.
func TestPeerVerifiesProof(t *testing.T) {
	for name, touch := range map[string]func(b []byte) []byte{
		"wrong": func(b []byte) []byte { return bytes.Replace(b, []byte("S="), []byte("S=0"), 1)[:len(b)] },
		"other": func(b []byte) []byte { // a digit still
			if b[11]++; b[11] == '9'+1 || b[11] == 'F'+1 {
				b[11] = '0'
			}
			return b
		},
		"missing":   func(b []byte) []byte { return bytes.Replace(b, []byte("S="), []byte("Z="), 1) },
		"truncated": func(b []byte) []byte { b = b[:20]; b[3], b[8] = 20, 15; return b },
	} {
		t.Run(name, func(t *testing.T) {
			k := mschapTalk(alice, &MSCHAPv2{User: "alice", Password: "secret"})
			k.touch = func(toServer bool, n int, b []byte) []byte {
				if !toServer && n == 2 {
					return touch(b)
				}
				return b
			}
			k.run(t).refused(t)
			if !errors.Is(k.peerErr, errNoProof) || len(k.trace) != 4 {
				t.Errorf("%d packets, %v", len(k.trace), k.peerErr)
			}
		})
	}
}

// A peer that does not accept the proof has not authenticated.
func TestProofRefused(t *testing.T) {
	for _, code := range []byte{2, 4, 7} {
		k := mschapTalk(alice, &MSCHAPv2{User: "alice", Password: "secret"})
		k.touch = func(toServer bool, n int, b []byte) []byte {
			if toServer && n == 3 {
				b[5] = code
			}
			return b
		}
		if k.run(t).refused(t); code == 4 {
			var e *ppp.AuthError
			if !errors.As(k.authErr, &e) {
				t.Error(k.authErr)
			}
		}
	}
}

// Without the keys of who knows the accounts nothing is bound.
func TestGrantWithoutKeysRefused(t *testing.T) {
	for _, lacks := range []string{"Proof", "RecvKey", "SendKey"} {
		k := mschapTalk(ppp.AuthenticatorFunc(func(ctx context.Context, req *ppp.AuthRequest) (*ppp.Grant, error) {
			g, err := alice.Authenticate(ctx, req)
			if err != nil {
				return nil, err
			}
			switch lacks {
			case "Proof":
				g.Proof = [20]byte{}
			case "RecvKey":
				g.RecvKey = make([]byte, 16)
			case "SendKey":
				g.SendKey = nil
			}
			return g, nil
		}), &MSCHAPv2{User: "alice", Password: "secret"}).run(t)
		k.refused(t)
		if !strings.Contains(k.authErr.Error(), lacks) {
			t.Error(k.authErr)
		}
	}
}

// A Success before the server has proved anything counts for nothing, at every place.
func TestEarlySuccess(t *testing.T) {
	for n := 2; n <= 5; n++ {
		k := mschapTalk(alice, &MSCHAPv2{User: "alice", Password: "secret"})
		k.early = n
		k.run(t)
		if n < 5 && (k.authErr != nil || k.peerErr != nil) {
			t.Errorf("early Success %d: %v, %v", n, k.authErr, k.peerErr)
		}
	}
}

// Every packet of either side, cut anywhere or with any byte changed: no panic, and nobody is content who should not be.
func TestMSCHAPv2Mangled(t *testing.T) {
	for _, toServer := range []bool{false, true} {
		for n := 1; n <= 3; n++ {
			for at := range 70 {
				for _, cut := range []bool{false, true} {
					k := mschapTalk(alice, &MSCHAPv2{User: "alice", Password: "secret"})
					changed := false
					k.touch = func(s bool, i int, b []byte) []byte {
						if s != toServer || i != n || at >= len(b) {
							return b
						}
						changed = true
						if cut {
							return b[:at]
						}
						b[at] ^= 0x55
						return b
					}
					k.run(t)
					if changed && cut && at > 0 && (k.authErr == nil && k.peerErr == nil) {
						t.Errorf("to server %v, packet %d cut at %d: both content", toServer, n, at)
					}
					if k.authErr == nil && k.peerErr == nil && !bytes.Equal(k.msk[:32], k.grant.RecvKey) {
						t.Errorf("to server %v, packet %d, byte %d: keys differ", toServer, n, at)
					}
				}
			}
		}
	}
}

func FuzzMSCHAPv2(f *testing.F) {
	c := &msClient{user: "alice", password: "secret"}
	r, _ := c.respond(1, [16]byte{1, 2, 3})
	ch, _ := c.change(2, [16]byte{}, "new")
	for _, p := range []msPacket{r, ch, {msChallenge, 3, appendValue(nil, make([]byte, 16), ownName)}, {msSuccess, 4, successText(c.want, "hi")}, {msFailure, 5, failureText(691, true, make([]byte, 16), "no")}} {
		f.Add(p.append(nil))
	}
	f.Add([]byte{3})
	f.Fuzz(func(t *testing.T, b []byte) {
		p, ok := parseMS(b)
		if !ok {
			return
		}
		if len(b) > 1 {
			if again := p.append(nil); string(again) != string(b[:len(again)]) {
				t.Errorf("%x came back as %x", b, again)
			}
		}
		if v, name, ok := parseValue(p.body, responseLen); ok && string(appendValue(nil, v, name)) != string(p.body) {
			t.Errorf("%x came back as another value", p.body)
		}
		parseProof(p.body)
		if e, _ := parseFailure(p.body); e.Challenge != nil && len(e.Challenge) != challengeLen {
			t.Errorf("a challenge of %d bytes", len(e.Challenge))
		}
	})
}
