package access

import (
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dialway/dialway/internal/mschap"
	"github.com/dialway/dialway/ppp"
)

var caller = &ppp.Call{Tunnel: "SSTP", Called: "vpn.example.com", Remote: netip.MustParseAddrPort("192.0.2.9:1024")}

// request makes an attempt with a password.
func request(t testing.TB, p ppp.AuthProtocol, user, password string) *ppp.AuthRequest {
	t.Helper()
	r := &ppp.AuthRequest{Call: caller, Protocol: p, User: user, Identifier: 7, Challenge: []byte("0123456789abcdef")}
	switch p {
	case ppp.PAP:
		r.Password = ppp.Secret(password)
	case ppp.CHAP:
		sum := md5.Sum(append(append([]byte{7}, password...), r.Challenge...))
		r.Response = sum[:]
	case ppp.MSCHAPv2:
		hash, err := mschap.NTPasswordHash(password)
		if err != nil {
			t.Fatal(err)
		}
		r.Response = response(r, hash)
	}
	return r
}

// response is MS-CHAPv2's, for the hash of a password.
func response(r *ppp.AuthRequest, hash [16]byte) []byte {
	peer := [16]byte{1, 2, 3}
	nt := mschap.NTResponse([16]byte(r.Challenge), peer, r.User, hash)
	return slices.Concat(peer[:], make([]byte, 8), nt[:], []byte{0})
}

// change makes a Change-Password.
func change(t testing.TB, user, old, new string) *ppp.AuthRequest {
	t.Helper()
	r := &ppp.AuthRequest{Call: caller, Protocol: ppp.MSCHAPv2, User: user, Challenge: []byte("0123456789abcdef")}
	oldHash, err := mschap.NTPasswordHash(old)
	if err != nil {
		t.Fatal(err)
	}
	newHash, err := mschap.NTPasswordHash(new)
	if err != nil {
		t.Fatal(err)
	}
	block, err := mschap.EncryptPassword(new, oldHash, [512]byte{})
	if err != nil {
		t.Fatal(err)
	}
	hash := mschap.EncryptHash(oldHash, newHash)
	resp := response(r, newHash)
	r.Change = slices.Concat(block[:], hash[:], resp[:48], []byte{0, 0})
	return r
}

func ntSecret(t testing.TB, password string) ppp.Secret {
	t.Helper()
	s, err := NTSecret(ppp.Secret(password))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func code(err error) int {
	var a *ppp.AuthError
	if errors.As(err, &a) {
		if a.Code == 0 {
			return ppp.CodeFailed
		}
		return a.Code
	}
	return -1
}

func TestEachFormServesItsMethods(t *testing.T) {
	const bcrypted = "$2a$04$Xx0qRp6HkQKxkUo1oJgG4.2LSQMHcA0Pv3zGzZ7nYk8dDXFvXjvXi" // of another password
	forms := map[string]ppp.Secret{
		"clear":  ClearSecret("secret"),
		"nt":     ntSecret(t, "secret"),
		"argon":  HashSecret("secret"),
		"none":   "",
		"bcrypt": bcrypted,
	}
	for name, secret := range forms {
		a := &Accounts{Store: &Memory{}}
		a.Store.(*Memory).Put(&Account{User: "alice", Secret: secret})
		for _, p := range []ppp.AuthProtocol{ppp.PAP, ppp.CHAP, ppp.MSCHAPv2} {
			want := slices.Contains(Serves(secret), p) && name != "bcrypt"
			g, err := a.Authenticate(t.Context(), request(t, p, "alice", "secret"))
			if (err == nil) != want {
				t.Errorf("%s by %v: %v", name, p, err)
			}
			if err == nil && p == ppp.MSCHAPv2 && (len(g.SendKey) != 16 || g.Proof == [20]byte{}) {
				t.Errorf("%s: no keys", name)
			}
			if _, err := a.Authenticate(t.Context(), request(t, p, "alice", "Secret")); code(err) != ppp.CodeFailed {
				t.Errorf("%s by %v with a wrong password: %v", name, p, err)
			}
		}
	}
}

func TestSecretForms(t *testing.T) {
	for _, s := range []ppp.Secret{"plain", "nt:123", "nt:" + "zz000000000000000000000000000000", "$argon2id$v=19$m=99999999,t=1,p=1$c2FsdHNhbHQ$a2V5a2V5a2V5a2V5a2V5", "$argon2id$", "$2b$99$x"} {
		if err := CheckForm(s); err == nil {
			t.Errorf("%q passes", string(s))
		}
	}
	for _, s := range []ppp.Secret{"", ClearSecret("x"), ntSecret(t, "x"), HashSecret("x")} {
		if err := CheckForm(s); err != nil {
			t.Errorf("%q: %v", string(s), err)
		}
	}
}

// What is the matter with an account is told only to who knows the password.
func TestVerdictsStandBehindThePassword(t *testing.T) {
	past, future := time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	never := func(time.Time) bool { return false }
	for _, c := range []struct {
		name string
		acc  Account
		want int // 0: granted
	}{
		{"plain", Account{}, 0},
		{"disabled", Account{Disabled: true}, ppp.CodeDisabled},
		{"expired", Account{Expires: past}, ppp.CodeDisabled},
		{"not expired yet", Account{Expires: future}, 0},
		{"outside hours", Account{Hours: never}, ppp.CodeRestrictedHours},
		{"denied", Account{Dialin: Deny}, ppp.CodeNoDialin},
		{"allowed", Account{Dialin: Allow}, 0},
		{"wrong caller", Account{CallerID: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}}, ppp.CodeNoDialin},
		{"right caller", Account{CallerID: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}, 0},
		{"password expired", Account{PasswordExpires: past}, ppp.CodeExpired},
		{"password not expired yet", Account{PasswordExpires: future}, 0},
		{"must change", Account{MustChange: true}, ppp.CodeExpired},
	} {
		acc := c.acc
		acc.User, acc.Secret, acc.Groups = "Alice", ClearSecret("secret"), []string{"staff"}
		m := new(Memory)
		m.Put(&acc)
		a := &Accounts{Store: m}
		g, err := a.Authenticate(t.Context(), request(t, ppp.MSCHAPv2, "alice", "secret"))
		switch {
		case c.want == 0 && (err != nil || g.User != "Alice" || g.Groups[0] != "staff"):
			t.Errorf("%s: %+v, %v", c.name, g, err)
		case c.want != 0 && code(err) != c.want:
			t.Errorf("%s: %v, want %d", c.name, err, c.want)
		}
		if _, err := a.Authenticate(t.Context(), request(t, ppp.MSCHAPv2, "alice", "wrong")); code(err) != ppp.CodeFailed {
			t.Errorf("%s with a wrong password: %v", c.name, err)
		}
	}
}

func TestUnknownUserLooksLikeWrongPassword(t *testing.T) {
	m := new(Memory)
	m.Put(&Account{User: "alice", Secret: ClearSecret("secret")})
	a := &Accounts{Store: m}
	for _, p := range []ppp.AuthProtocol{ppp.PAP, ppp.CHAP, ppp.MSCHAPv2} {
		var seen []ppp.AuthError
		for _, user := range []string{"alice", "nobody"} {
			_, err := a.Authenticate(t.Context(), request(t, p, user, "wrong"))
			var e *ppp.AuthError
			if !errors.As(err, &e) {
				t.Fatal(err)
			}
			told := *e
			told.Err = nil
			seen = append(seen, told)
		}
		if fmt.Sprint(seen[0]) != fmt.Sprint(seen[1]) || seen[0].Retry != seen[1].Retry {
			t.Errorf("%v: %+v and %+v", p, seen[0], seen[1])
		}
	}
	if _, err := a.Authenticate(t.Context(), request(t, ppp.MSCHAPv2, `EXAMPLE\alice`, "secret")); err != nil {
		t.Errorf("with a domain: %v", err)
	}
}

func TestLockoutTimeline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := new(Memory)
		m.Put(&Account{User: "alice", Secret: ClearSecret("secret")})
		a := &Accounts{Store: m, Lockout: Lockout{After: 3, For: time.Minute}}
		try := func(from, password string) bool {
			r := request(t, ppp.PAP, "alice", password)
			r.Call = &ppp.Call{Remote: netip.MustParseAddrPort(from)}
			_, err := a.Authenticate(t.Context(), r)
			return err == nil
		}
		const here, there = "192.0.2.1:1", "192.0.2.2:1"
		for range 3 {
			try(here, "guess")
		}
		if try(here, "secret") {
			t.Error("not locked out")
		}
		if !try(there, "secret") {
			t.Error("locked out at another source")
		}
		time.Sleep(59 * time.Second)
		if try(here, "secret") {
			t.Error("not locked out for the whole time")
		}
		time.Sleep(2 * time.Second)
		if !try(here, "secret") {
			t.Error("still locked out")
		}
		// A success forgets: two more failures do not lock.
		try(here, "guess")
		try(here, "guess")
		if !try(here, "secret") {
			t.Error("locked out too early")
		}
		// One source that tries many names.
		for i := range 30 {
			r := request(t, ppp.PAP, fmt.Sprint("user", i), "guess")
			r.Call = &ppp.Call{Remote: netip.MustParseAddrPort(here)}
			a.Authenticate(t.Context(), r)
		}
		if try(here, "secret") {
			t.Error("a source that guesses names is not locked out")
		}
		if !try(there, "secret") {
			t.Error("and others are")
		}
		if a.Lockout.After = -1; !try(here, "secret") {
			t.Error("locked out though never is asked for")
		}
	})
}

func TestLockoutRemembersABoundedNumber(t *testing.T) {
	var l lockout
	now := time.Now()
	for i := range maxCounts {
		l.failed(Lockout{}, fmt.Sprint(i), netip.MustParsePrefix("192.0.2.1/32"), now)
	}
	if len(l.counts) > maxCounts {
		t.Errorf("%d counts", len(l.counts))
	}
}

func TestChangeOfPassword(t *testing.T) {
	for _, secret := range []ppp.Secret{ClearSecret("old"), ntSecret(t, "old")} {
		m := new(Memory)
		m.Put(&Account{User: "alice", Secret: secret, MustChange: true})
		a := &Accounts{Store: m}
		if _, err := a.Authenticate(t.Context(), change(t, "alice", "guess", "new")); code(err) != ppp.CodeChanging {
			t.Errorf("with a wrong old password: %v", err)
		}
		g, err := a.Authenticate(t.Context(), change(t, "alice", "old", "new"))
		if err != nil || len(g.SendKey) == 0 {
			t.Fatal(g, err)
		}
		if _, err := a.Authenticate(t.Context(), request(t, ppp.MSCHAPv2, "alice", "new")); err != nil {
			t.Errorf("with the new password: %v", err)
		}
		if _, err := a.Authenticate(t.Context(), request(t, ppp.MSCHAPv2, "alice", "old")); err == nil {
			t.Error("with the old password")
		}
		now, _ := m.Account(t.Context(), "alice")
		if formOf(now.Secret) != formOf(secret) {
			t.Errorf("the form has changed to %d", formOf(now.Secret))
		}
	}
}

// Slow checks are bounded, or a flood of logins would take all memory.
func TestSlowChecksAreBounded(t *testing.T) {
	m := new(Memory)
	m.Put(&Account{User: "alice", Secret: HashSecret("secret")})
	a := &Accounts{Store: m}
	a.once.Do(a.start)
	for range cap(a.places) {
		a.places <- struct{}{}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := a.Authenticate(ctx, request(t, ppp.PAP, "alice", "secret")); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestStoreThatFails(t *testing.T) {
	boom := errors.New("boom")
	a := &Accounts{Store: broken{boom}}
	if g, err := a.Authenticate(t.Context(), request(t, ppp.PAP, "alice", "secret")); g != nil || !errors.Is(err, boom) {
		t.Errorf("%v, %v", g, err)
	}
	if _, err := a.Authenticate(t.Context(), &ppp.AuthRequest{Protocol: ppp.EAP, User: "alice"}); err == nil {
		t.Error("EAP without proof")
	}
}

type broken struct{ err error }

func (b broken) Account(context.Context, string) (*Account, error)           { return nil, b.err }
func (b broken) SetSecret(ctx context.Context, u string, s ppp.Secret) error { return b.err }
