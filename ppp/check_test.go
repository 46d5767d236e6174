package ppp

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/dialway/dialway/internal/mschap"
)

// attempts makes a request of every protocol that a password can check, as a client with said would send it.
func attempts(t testing.TB, user string, said Secret) map[AuthProtocol]*AuthRequest {
	t.Helper()
	challenge := bytes.Repeat([]byte{0x5b}, 16)
	list := map[AuthProtocol]*AuthRequest{
		PAP: {Protocol: PAP, User: user, Password: said},
	}
	v, err := chapMD5(9, said, challenge)
	if err != nil {
		t.Fatal(err)
	}
	list[CHAP] = &AuthRequest{Protocol: CHAP, User: user, Identifier: 9, Challenge: challenge, Response: v[:]}
	hash, err := mschap.NTPasswordHash(string(said))
	if err != nil {
		t.Fatal(err)
	}
	r := msResponse{peer: [16]byte{1, 2, 3}}
	r.nt = mschap.NTResponse([16]byte(challenge), r.peer, user, hash)
	list[MSCHAPv2] = &AuthRequest{Protocol: MSCHAPv2, User: user, Challenge: challenge, Response: r.append(nil)}
	return list
}

func TestCheckPassword(t *testing.T) {
	for _, c := range []struct {
		said, stored Secret
		ok           bool
	}{
		{"correct horse", "correct horse", true},
		{"🔑 päß", "🔑 päß", true},
		{"correct horse", "Correct horse", false},
		{"correct horse", "correct horse ", false},
		{"correct hors", "correct horse", false},
		{"x", "correct horse", false},
		{"correct horse", "", false},
		{"", "", false}, // an account without a password is not one that everybody may use
		{"", "correct horse", false},
	} {
		hash, err := mschap.NTPasswordHash(string(c.stored))
		if err != nil {
			t.Fatal(err)
		}
		for p, req := range attempts(t, `EXAMPLE\alice`, c.said) {
			g, err := req.CheckPassword(c.stored)
			wantCheck(t, p, c.ok, g, err)
			if p == CHAP {
				if g, err := req.CheckNTHash(hash); g != nil || err == nil {
					t.Errorf("CHAP by an NT hash: %v, %v", g, err)
				}
				continue
			}
			if c.stored == "" {
				continue // a hash does not tell that it is of nothing; but PAP does
			}
			h, err := req.CheckNTHash(hash)
			wantCheck(t, p, c.ok, h, err)
			if c.ok && (h.Proof != g.Proof || !bytes.Equal(h.SendKey, g.SendKey) || !bytes.Equal(h.RecvKey, g.RecvKey)) {
				t.Errorf("%v: hash and password grant otherwise", p)
			}
		}
	}
}

func wantCheck(t *testing.T, p AuthProtocol, ok bool, g *Grant, err error) {
	t.Helper()
	var e *AuthError
	switch {
	case ok && (err != nil || g == nil):
		t.Errorf("%v: %v", p, err)
	case ok && (p == MSCHAPv2) != (missingKeys(MSCHAPv2, g) == ""):
		t.Errorf("%v: %+v", p, g)
	case !ok && (g != nil || !errors.As(err, &e) || e.Code != CodeFailed || e.Retry || e.Message != ""):
		t.Errorf("%v: %v, %#v", p, g, err)
	}
}

// RFC 2759's sample, from the server's side.
func TestCheckVector(t *testing.T) {
	req := &AuthRequest{Protocol: MSCHAPv2, User: "User", Challenge: unhexed(t, "5B5D7C7D7B3F2F3E3C2C602132262628"), Response: unhexed(t, sampleResponse[14:len(sampleResponse)-9])}
	g, err := req.CheckPassword("clientPass")
	if err != nil {
		t.Fatal(err)
	}
	isBytes(t, "proof", g.Proof[:], "407a5589115fd0d6209f510fe9c04566932cda56")
	isBytes(t, "send key", g.SendKey, "8b7cdc149b993a1ba118cb153f56dccb")
	isBytes(t, "receive key", g.RecvKey, "d5f0e9521e3ea9589645e86051c82226")
}

func TestCheckOfWhatCannotBeChecked(t *testing.T) {
	good := attempts(t, "alice", "pw")[MSCHAPv2]
	short := *good
	short.Response = short.Response[:48]
	noChallenge := *good
	noChallenge.Challenge = nil
	for _, req := range []*AuthRequest{{Protocol: EAP}, {Protocol: NoProtocol}, {Protocol: 99}, {Protocol: CHAP}, {Protocol: MSCHAPv2}, &short, &noChallenge} {
		if g, err := req.CheckPassword("pw"); g != nil || err == nil {
			t.Errorf("%v: %v", req.Protocol, g)
		}
		if g, err := req.CheckNTHash([16]byte{}); g != nil || err == nil {
			t.Errorf("%v: %v", req.Protocol, g)
		}
		if s, err := req.NewPassword([16]byte{}); s != "" || err == nil {
			t.Errorf("%v: a new password", req.Protocol)
		}
	}
	if _, err := good.CheckPassword(Secret(strings.Repeat("x", 257))); !errors.Is(err, mschap.ErrPassword) {
		t.Error(err)
	}
	proved := &AuthRequest{Protocol: EAP, Proved: true}
	if g, err := proved.CheckPassword("any"); g == nil || err != nil {
		t.Errorf("proved: %v", err)
	}
	if g, err := proved.CheckNTHash([16]byte{}); g == nil || err != nil {
		t.Errorf("proved: %v", err)
	}
}

// change makes the request of a client that knows old and wants to have new.
func changeRequest(t testing.TB, user string, old, new Secret) *AuthRequest {
	t.Helper()
	challenge := bytes.Repeat([]byte{0x77}, 16)
	oldHash, err := mschap.NTPasswordHash(string(old))
	if err != nil {
		t.Fatal(err)
	}
	newHash, err := mschap.NTPasswordHash(string(new))
	if err != nil {
		t.Fatal(err)
	}
	c := msChange{hash: mschap.EncryptHash(oldHash, newHash), response: msResponse{peer: [16]byte{9}}}
	c.response.nt = mschap.NTResponse([16]byte(challenge), c.response.peer, user, newHash)
	if c.password, err = mschap.EncryptPassword(string(new), oldHash, [512]byte{1, 2, 3}); err != nil {
		t.Fatal(err)
	}
	return &AuthRequest{Protocol: MSCHAPv2, User: user, Challenge: challenge, Change: c.append(nil)}
}

func TestNewPassword(t *testing.T) {
	hash, err := mschap.NTPasswordHash("old")
	if err != nil {
		t.Fatal(err)
	}
	req := changeRequest(t, `EXAMPLE\alice`, "old", "new 🔑")
	if s, err := req.NewPassword(hash); s != "new 🔑" || err != nil {
		t.Fatalf("%q, %v", string(s), err)
	}
	g, err := req.CheckPassword("old")
	if err != nil || missingKeys(MSCHAPv2, g) != "" {
		t.Fatalf("%+v, %v", g, err)
	}
	if h, err := req.CheckNTHash(hash); err != nil || h.Proof != g.Proof {
		t.Errorf("%v, %v", h, err)
	}
	// Each part proves something: none may be another's.
	for name, spoil := range map[string]func(r *AuthRequest){
		"password":   func(r *AuthRequest) { r.Change[511] ^= 1 },
		"length":     func(r *AuthRequest) { r.Change[512] ^= 1 },
		"hash":       func(r *AuthRequest) { r.Change[516] ^= 1 },
		"response":   func(r *AuthRequest) { r.Change[560] ^= 1 },
		"peer":       func(r *AuthRequest) { r.Change[533] ^= 1 },
		"challenge":  func(r *AuthRequest) { r.Challenge[0] ^= 1 },
		"no more":    func(r *AuthRequest) { r.Challenge = nil },
		"user":       func(r *AuthRequest) { r.User = "bob" },
		"too short":  func(r *AuthRequest) { r.Change = r.Change[:581] },
		"other hash": func(r *AuthRequest) { *r = *changeRequest(t, `EXAMPLE\alice`, "older", "new 🔑") },
		"empty":      func(r *AuthRequest) { *r = *changeRequest(t, `EXAMPLE\alice`, "old", "") },
	} {
		bad := *req
		bad.Change, bad.Challenge = bytes.Clone(req.Change), bytes.Clone(req.Challenge)
		spoil(&bad)
		var e *AuthError
		if s, err := bad.NewPassword(hash); s != "" || !errors.As(err, &e) || e.Code != CodeChanging {
			t.Errorf("%s: %q, %v", name, string(s), err)
		}
		if g, err := bad.CheckPassword("old"); g != nil || err == nil {
			t.Errorf("%s: %v", name, g)
		}
	}
}

func TestPasswordFunc(t *testing.T) {
	down := errors.New("the database is down")
	f := PasswordFunc(func(ctx context.Context, user string) (Secret, error) {
		switch user {
		case "alice":
			return "pw", nil
		case "disabled":
			return "pw", &AuthError{Code: CodeDisabled}
		case "locked":
			return "", &AuthError{Code: CodeDisabled}
		case "down":
			return "pw", down
		}
		return "", errors.Join(errors.New("no row"), ErrNoUser)
	})
	for _, c := range []struct {
		user string
		said Secret
		code int // 0: granted; -1: not an AuthError
	}{
		{"alice", "pw", 0},
		{"alice", "guess", CodeFailed},
		{"nobody", "guess", CodeFailed},
		{"nobody", nobody, CodeFailed}, // the password that it is compared with is not one
		{"disabled", "pw", CodeDisabled},
		{"disabled", "guess", CodeFailed}, // only who knows the password is told
		{"locked", "pw", CodeFailed},
		{"locked", nobody, CodeFailed},
		{"down", "pw", -1},
	} {
		for p, req := range attempts(t, c.user, c.said) {
			g, err := f.Authenticate(t.Context(), req)
			var e *AuthError
			switch {
			case c.code == 0:
				if g == nil || err != nil {
					t.Errorf("%s by %v: %v", c.user, p, err)
				}
			case c.code == -1:
				if g != nil || errors.As(err, &e) || !errors.Is(err, down) {
					t.Errorf("%s by %v: %v", c.user, p, err)
				}
			case g != nil || !errors.As(err, &e) || e.Code != c.code || e.Message != "":
				t.Errorf("%s with %q by %v: %v, %#v", c.user, string(c.said), p, g, err)
			case c.code == CodeFailed && e.Retry != (p == MSCHAPv2):
				t.Errorf("%s by %v: unknown users and wrong passwords differ: %#v", c.user, p, e)
			}
		}
	}
	var e *AuthError
	if g, err := f.Authenticate(t.Context(), changeRequest(t, "alice", "pw", "new")); g != nil || !errors.As(err, &e) || e.Code != CodeChanging {
		t.Errorf("a change: %v, %v", g, err)
	}
	for user, ok := range map[string]bool{"alice": true, "nobody": false, "disabled": false, "locked": false, "down": false} {
		g, err := f.Authenticate(t.Context(), &AuthRequest{Protocol: EAP, User: user, Proved: true})
		if ok != (err == nil && g != nil) {
			t.Errorf("%s, proved: %v, %v", user, g, err)
		}
	}
}

// An unknown user takes the work of a known one: the same number of hashes, up to what a test can measure.
func TestUnknownUserTakesAsLong(t *testing.T) {
	known := func(user string) time.Duration {
		best := time.Hour
		req := attempts(t, user, "guess")[MSCHAPv2]
		for range 50 {
			begun := time.Now()
			for range 20 {
				passwords.Authenticate(t.Context(), req)
			}
			best = min(best, time.Since(begun))
		}
		return best
	}
	if a, b := known("alice"), known("nobody"); a > 3*b || b > 3*a {
		t.Errorf("a wrong password takes %v, an unknown user %v", a, b)
	}
}

// In FIPS 140-only mode nothing panics, and PAP and foreign Authenticators still work.
func TestAuthFIPSOnly(t *testing.T) {
	const child = "PPP_TEST_FIPS_CHILD"
	if os.Getenv(child) == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestAuthFIPSOnly$", "-test.v")
		cmd.Env = append(os.Environ(), child+"=1", "GODEBUG=fips140=only")
		out, err := cmd.CombinedOutput()
		if err != nil || !bytes.Contains(out, []byte("--- PASS: TestAuthFIPSOnly")) {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	challenge := make([]byte, 16)
	for _, req := range []*AuthRequest{
		{Protocol: CHAP, Challenge: challenge, Response: challenge},
		{Protocol: MSCHAPv2, Challenge: challenge, Response: make([]byte, msResponseLen)},
		{Protocol: MSCHAPv2, Challenge: challenge, Change: make([]byte, msChangeLen)},
	} {
		var e *AuthError
		if _, err := req.CheckPassword("pw"); err == nil || errors.As(err, &e) {
			t.Errorf("%v: %v", req.Protocol, err)
		}
		if _, err := req.CheckNTHash([16]byte{}); err == nil || errors.As(err, &e) {
			t.Errorf("%v: %v", req.Protocol, err)
		}
		if _, err := req.NewPassword([16]byte{}); err == nil || errors.As(err, &e) {
			t.Errorf("%v: %v", req.Protocol, err)
		}
	}
	if g, err := (&AuthRequest{Protocol: PAP, Password: "pw"}).CheckPassword("pw"); g == nil || err != nil {
		t.Error(err)
	}
	h := newRigHost(t, &rig{t: t}, "end", aliceClient(), 1)
	for _, p := range []AuthProtocol{CHAP, MSCHAPv2} {
		var e *NegotiationError
		if _, err := newProver(p, h); !errors.As(err, &e) || !errors.Is(err, mschap.ErrFIPS) {
			t.Errorf("%v: %v", p, err)
		}
		if _, err := newVerifier(p, h); err != nil {
			t.Errorf("%v: a RADIUS server may calculate: %v", p, err)
		}
	}
}
