package radius

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/rand"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dialway/dialway/internal/mschap"
	"github.com/dialway/dialway/ppp"
)

const (
	serverA = "10.0.0.5:1812"
	serverB = "10.0.0.6:1812"
)

// passwords has one user.
var passwords = ppp.PasswordFunc(func(ctx context.Context, user string) (ppp.Secret, error) {
	if user != "alice" {
		return "", ppp.ErrNoUser
	}
	return "secret", nil
})

// accounts gives alice much.
var accounts = ppp.AuthenticatorFunc(func(ctx context.Context, req *ppp.AuthRequest) (*ppp.Grant, error) {
	g, err := passwords.Authenticate(ctx, req)
	if err != nil {
		return nil, err
	}
	g.User = "alice"
	g.Addr = netip.MustParseAddr("10.8.0.5")
	g.Prefixes = []netip.Prefix{netip.MustParsePrefix("172.16.2.0/24"), netip.MustParsePrefix("2001:db8:1::/64"), netip.MustParsePrefix("2001:db8:2::/56")}
	g.DNS = []netip.Addr{netip.MustParseAddr("10.8.0.1"), netip.MustParseAddr("2001:db8::53"), netip.MustParseAddr("10.8.0.2")}
	g.NBNS = []netip.Addr{netip.MustParseAddr("10.8.0.3")}
	g.SessionTimeout, g.IdleTimeout, g.Interim = time.Hour, time.Minute, 10*time.Minute
	g.MaxSessions = 2
	g.Class = [][]byte{[]byte("one"), {0, 1, 2}}
	g.Message = "welcome"
	return g, nil
})

// pair is a Server and a Client of it.
func pair(t *testing.T, s *Server) (*mesh, *Client) {
	t.Helper()
	m := newMesh()
	if s.Clients == nil {
		s.Clients = anybody.Find
	}
	serve(t, s, m.listen(serverA))
	c := &Client{Targets: []Target{{Addr: serverA, Secret: testSecret}}, NAS: "nas", Dial: m.dial("10.0.0.1")}
	t.Cleanup(func() { c.Close() })
	return m, c
}

var testCall = &ppp.Call{
	ID: "call-1", Tunnel: "SSTP", Called: "vpn.example.com",
	Local: netip.MustParseAddrPort("192.0.2.1:443"), Remote: netip.MustParseAddrPort("198.51.100.7:50000"),
	Tags: map[string]string{"correlation": "{12345678-1234-1234-1234-123456789abc}"},
}

// ask makes the request that a far side with a password would.
func ask(t testing.TB, p ppp.AuthProtocol, user, password string) *ppp.AuthRequest {
	t.Helper()
	req := &ppp.AuthRequest{Call: testCall, Protocol: p, User: user, Attempt: 1, Client: "MSRASV5.20 MSRAS-0-PC7", Identifier: 7}
	switch p {
	case ppp.PAP:
		req.Password = ppp.Secret(password)
	case ppp.CHAP:
		req.Challenge = make([]byte, 16)
		rand.Read(req.Challenge)
		req.Response = chapResponse(req.Identifier, password, req.Challenge)
	case ppp.MSCHAPv2:
		hash, err := mschap.NTPasswordHash(password)
		if err != nil {
			t.Fatal(err)
		}
		var challenge, peer [16]byte
		rand.Read(challenge[:])
		rand.Read(peer[:])
		nt := mschap.NTResponse(challenge, peer, user, hash)
		req.Challenge = challenge[:]
		req.Response = append(append(append(clone(peer[:]), make([]byte, 8)...), nt[:]...), 0)
	}
	return req
}

func TestAuthenticateThroughServer(t *testing.T) {
	for _, p := range []ppp.AuthProtocol{ppp.PAP, ppp.CHAP, ppp.MSCHAPv2} {
		t.Run(p.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var asked *ppp.AuthRequest
				_, c := pair(t, &Server{Authenticator: ppp.AuthenticatorFunc(func(ctx context.Context, req *ppp.AuthRequest) (*ppp.Grant, error) {
					asked = req
					return accounts.Authenticate(ctx, req)
				})})
				req := ask(t, p, "alice", "secret")
				want, err := accounts.Authenticate(t.Context(), req)
				if err != nil {
					t.Fatal(err)
				}
				g, err := c.Authenticate(t.Context(), req)
				if err != nil {
					t.Fatal(err)
				}
				if g.User != want.User || g.Addr != want.Addr || len(g.Prefixes) != 3 || len(g.DNS) != 3 || len(g.NBNS) != 1 ||
					g.SessionTimeout != want.SessionTimeout || g.IdleTimeout != want.IdleTimeout || g.Interim != want.Interim ||
					g.MaxSessions != 2 || len(g.Class) != 2 || !bytes.Equal(g.Class[1], want.Class[1]) || g.Message != "welcome" {
					t.Errorf("granted %+v\nwant %+v", g, want)
				}
				for i, x := range want.Prefixes {
					if !strings.Contains(prefixList(g), x.String()) {
						t.Errorf("prefix %d, %v, is not in %v", i, x, g.Prefixes)
					}
				}
				if g.Proof != want.Proof || !bytes.Equal(g.SendKey, want.SendKey) || !bytes.Equal(g.RecvKey, want.RecvKey) {
					t.Errorf("proof and keys: %x %x %x", g.Proof, g.SendKey, g.RecvKey)
				}
				if asked.Call.NAS != "nas" || asked.Call.ID != "call-1" || asked.Call.Tunnel != "SSTP" || asked.Call.Called != "vpn.example.com" ||
					asked.Call.Calling != "198.51.100.7" || asked.Client != "MSRASV5.20 MSRAS-0-PC7" || asked.User != "alice" {
					t.Errorf("asked %+v, %+v", asked, asked.Call)
				}

				for _, bad := range []*ppp.AuthRequest{ask(t, p, "alice", "wrong"), ask(t, p, "mallory", "secret")} {
					g, err := c.Authenticate(t.Context(), bad)
					var e *ppp.AuthError
					if g != nil || !errors.As(err, &e) || e.Code != ppp.CodeFailed || e.Retry != (p == ppp.MSCHAPv2) {
						t.Errorf("wrong: %v, %v", g, err)
					}
				}
			})
		})
	}
}

func prefixList(g *ppp.Grant) string {
	var b strings.Builder
	for _, p := range g.Prefixes {
		b.WriteString(p.String() + " ")
	}
	return b.String()
}

func TestPasswordChangePassesThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		oldHash, _ := mschap.NTPasswordHash("secret")
		var stored ppp.Secret
		_, c := pair(t, &Server{Authenticator: ppp.AuthenticatorFunc(func(ctx context.Context, req *ppp.AuthRequest) (*ppp.Grant, error) {
			if len(req.Change) == 0 {
				return nil, &ppp.AuthError{Code: ppp.CodeExpired, Message: "change it", Challenge: bytes.Repeat([]byte{0xab}, 16)}
			}
			var err error
			if stored, err = req.NewPassword(oldHash); err != nil {
				return nil, err
			}
			return req.CheckPassword("secret")
		})})
		_, err := c.Authenticate(t.Context(), ask(t, ppp.MSCHAPv2, "alice", "secret"))
		var e *ppp.AuthError
		if !errors.As(err, &e) || e.Code != ppp.CodeExpired || e.Message != "change it" || !bytes.Equal(e.Challenge, bytes.Repeat([]byte{0xab}, 16)) {
			t.Fatalf("expired: %v", err)
		}
		newHash, _ := mschap.NTPasswordHash("new secret")
		block, err := mschap.EncryptPassword("new secret", oldHash, [512]byte{1, 2, 3})
		if err != nil {
			t.Fatal(err)
		}
		hash := mschap.EncryptHash(oldHash, newHash)
		peer := [16]byte{5}
		nt := mschap.NTResponse([16]byte(e.Challenge), peer, "alice", newHash)
		req := &ppp.AuthRequest{Call: testCall, Protocol: ppp.MSCHAPv2, User: "alice", Identifier: 8, Attempt: 2, Challenge: e.Challenge}
		for _, part := range [][]byte{block[:], hash[:], peer[:], make([]byte, 8), nt[:], {0, 0}} {
			req.Change = append(req.Change, part...)
		}
		g, err := c.Authenticate(t.Context(), req)
		if err != nil || stored != "new secret" || g.Proof == [20]byte{} || len(g.SendKey) != 16 {
			t.Errorf("changed to %q: %+v, %v", string(stored), g, err)
		}
	})
}

// An EAP method of two rounds, which makes keys.
func TestEAPPassesThrough(t *testing.T) {
	for _, trust := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			long := bytes.Repeat([]byte("x"), 600)
			_, c := pair(t, &Server{Authenticator: ppp.AuthenticatorFunc(func(ctx context.Context, req *ppp.AuthRequest) (*ppp.Grant, error) {
				if string(req.EAP) != string(eap(eapResponse, 1, 1, "alice")) || req.User != "alice" {
					t.Errorf("identity %x", req.EAP)
				}
				for id := byte(2); id < 4; id++ {
					answer, err := req.Exchange(ctx, eap(eapRequest, id, 99, string(long)))
					if err != nil {
						return nil, err
					}
					if !bytes.Equal(answer, eap(eapResponse, id, 99, "answer")) {
						return nil, &ppp.AuthError{}
					}
				}
				return &ppp.Grant{User: "alice@inner", SendKey: bytes.Repeat([]byte{1}, 32), RecvKey: bytes.Repeat([]byte{2}, 32)}, nil
			})})
			c.Targets[0].TrustUserName = trust
			rounds := 0
			req := &ppp.AuthRequest{Call: testCall, Protocol: ppp.EAP, User: "alice", EAP: eap(eapResponse, 1, 1, "alice"), Attempt: 1,
				Exchange: func(ctx context.Context, packet []byte) ([]byte, error) {
					rounds++
					if len(packet) != 605 {
						t.Errorf("a packet of %d bytes", len(packet))
					}
					return eap(eapResponse, packet[1], 99, "answer"), nil
				}}
			g, err := c.Authenticate(t.Context(), req)
			if err != nil || rounds != 2 || g.SendKey[0] != 1 || g.RecvKey[0] != 2 || (g.User == "alice@inner") != trust || !trust && g.User != "" {
				t.Errorf("%d rounds: %+v, %v", rounds, g, err)
			}
			req.Exchange = func(ctx context.Context, packet []byte) ([]byte, error) {
				return eap(eapResponse, packet[1], 99, "wrong"), nil
			}
			if _, err = c.Authenticate(t.Context(), req); !errors.As(err, new(*ppp.AuthError)) {
				t.Errorf("wrong answer: %v", err)
			}
			left := errors.New("left")
			req.Exchange = func(ctx context.Context, packet []byte) ([]byte, error) { return nil, left }
			if _, err = c.Authenticate(t.Context(), req); !errors.Is(err, left) {
				t.Errorf("left: %v", err)
			}
		})
	}
}

func TestEAPUserNameNeedsTrust(t *testing.T) {
	c := &Client{}
	p := &Packet{Code: AccessAccept}
	p.Add(UserName, []byte("DD_NewYork"))
	p.AddVendor(Microsoft, msMPPESendKey, make([]byte, 32))
	p.AddVendor(Microsoft, msMPPERecvKey, make([]byte, 32))
	for _, x := range []struct {
		trust bool
		want  string
	}{{false, ""}, {true, "DD_NewYork"}} {
		g, err := c.grant(&ppp.AuthRequest{Protocol: ppp.EAP, User: "DD_NewYork"}, p, &server{target: &Target{TrustUserName: x.trust}})
		if err != nil || g.User != x.want {
			t.Errorf("trust %v: %q, %v", x.trust, g.User, err)
		}
	}
}

// eap makes an EAP packet.
func eap(code, id, typ byte, data string) []byte {
	return append([]byte{code, id, byte((5 + len(data)) >> 8), byte(5 + len(data)), typ}, data...)
}

func chapResponse(id byte, password string, challenge []byte) []byte {
	sum := md5.Sum(append(append([]byte{id}, password...), challenge...))
	return sum[:]
}

// A number to call back at is told, as another service than PPP on this call: which a Client of this package refuses, as
// it does a number beside the right service.
func TestCallbackIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c := pair(t, &Server{Authenticator: byHand(&ppp.Grant{User: "alice", Callback: "123"})})
		p := &Packet{Code: AccessRequest}
		p.addText(UserName, "alice")
		p.addText(UserPassword, "secret")
		q, err := c.Exchange(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		if n, _ := q.uint32(ServiceType); n != serviceCallback || q.text(CallbackNumber) != "123" {
			t.Errorf("service %d, number %q", n, q.text(CallbackNumber))
		}
		if _, err := c.Authenticate(t.Context(), ask(t, ppp.PAP, "alice", "secret")); !errors.As(err, new(*ppp.AuthError)) {
			t.Errorf("%v", err)
		}
	})
	p := &Packet{Code: AccessAccept}
	p.addUint32(ServiceType, serviceFramed)
	p.addText(CallbackNumber, "123")
	g, err := new(Client).grant(&ppp.AuthRequest{Protocol: ppp.PAP}, p, &server{target: new(Target)})
	if g != nil || !errors.As(err, new(*ppp.AuthError)) {
		t.Errorf("%+v, %v", g, err)
	}
}
