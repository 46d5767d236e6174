package ppp

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// passwords is an Authenticator of one user.
var passwords = PasswordFunc(func(ctx context.Context, user string) (Secret, error) {
	if user != "alice" {
		return "", ErrNoUser
	}
	return "correct horse", nil
})

func TestConnAuthenticates(t *testing.T) {
	for _, p := range []AuthProtocol{PAP, CHAP, MSCHAPv2} {
		t.Run(p.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				pool := &onePool{addr: clientAddr}
				client := &Config{User: "alice", Password: "correct horse", Auth: []AuthProtocol{p}}
				server := &Config{Authenticator: passwords, Auth: []AuthProtocol{p}, Addr: serverAddr, Pool: pool}
				c, s := ends(t, client, server)
				for _, e := range []*Conn{c, s} {
					if i := e.Info(); i.User != "alice" || i.Auth != p {
						t.Errorf("user %q by %v", i.User, i.Auth)
					}
				}
				a, b := c.fc.(*pipeEnd), s.fc.(*pipeEnd)
				if !bytes.Equal(a.send, b.recv) || !bytes.Equal(a.recv, b.send) || (p == MSCHAPv2) != isKey(a.send) {
					t.Errorf("keys: client %x %x, server %x %x", a.send, a.recv, b.send, b.recv)
				}
				if g := s.Grant(); g == nil || g.SendKey != nil || g.Proof != [20]byte{} {
					t.Errorf("Grant: %+v", g)
				}
				c.Close()
				s.Close()
			})
		})
	}
}

func TestConnRefusesWrongPassword(t *testing.T) {
	for _, p := range []AuthProtocol{PAP, CHAP, MSCHAPv2} {
		t.Run(p.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := newPipe()
				c := Client(a, Call{Verified: true}, &Config{User: "alice", Password: "guess", Auth: []AuthProtocol{p}})
				s := Server(b, Call{}, &Config{Authenticator: passwords, Auth: []AuthProtocol{p}})
				done := make(chan error)
				go func() { done <- s.Open(t.Context()) }()
				var e *AuthError
				if err := c.Open(t.Context()); !errors.As(err, &e) || !e.Remote {
					t.Errorf("client: %v", err)
				}
				if err := <-done; !errors.As(err, &e) || e.Remote {
					t.Errorf("server: %v", err)
				}
			})
		})
	}
}

// Both ends demand and prove; the keys are those of the direction in which the server is the authenticator.
func TestConnBothDirections(t *testing.T) {
	for _, p := range []AuthProtocol{PAP, CHAP, MSCHAPv2} {
		t.Run(p.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hq := PasswordFunc(func(ctx context.Context, user string) (Secret, error) {
					if user != "hq" {
						return "", ErrNoUser
					}
					return "battery", nil
				})
				client := &Config{User: "alice", Password: "correct horse", Authenticator: hq, Auth: []AuthProtocol{p}}
				server := &Config{User: "hq", Password: "battery", Authenticator: passwords, Auth: []AuthProtocol{p}, Addr: serverAddr, Pool: &onePool{addr: clientAddr}}
				a, b := newPipe()
				c, s := Client(a, Call{Verified: true}, client), Server(b, Call{Verified: true}, server)
				openBoth(t, c, s)
				if !bytes.Equal(a.send, b.recv) || !bytes.Equal(a.recv, b.send) || (p == MSCHAPv2) != isKey(a.send) {
					t.Errorf("keys: client %x %x, server %x %x", a.send, a.recv, b.send, b.recv)
				}
				if g := c.Grant(); g == nil || g.User != "hq" {
					t.Errorf("the client granted %+v", g)
				}
				if g := s.Grant(); g == nil || g.User != "alice" {
					t.Errorf("the server granted %+v", g)
				}
				c.Close()
				s.Close()
			})
		})
	}
}

// A wrong password, the right one, and a new one, all on one link, by functions that take their time.
func TestConnRetryAndChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		account := &changing{"correct horse", true}
		server := &Config{Authenticator: slowly(20*time.Second, retrying{account}), Addr: serverAddr, Pool: &onePool{addr: clientAddr}}
		client := &Config{User: "alice", Password: "wrong", Retry: guesses(t, "correct horse", "staple")}
		c, s := ends(t, client, server)
		if account.password != "staple" || c.Info().User != "alice" || s.Info().User != "alice" {
			t.Errorf("stored %q; %+v", string(account.password), s.Info())
		}
		a, b := c.fc.(*pipeEnd), s.fc.(*pipeEnd)
		if !isKey(a.send) || !bytes.Equal(a.send, b.recv) || !bytes.Equal(a.recv, b.send) {
			t.Errorf("keys: client %x %x, server %x %x", a.send, a.recv, b.send, b.recv)
		}
		c.Close()
		s.Close()
	})
}

// The far side's words about itself reach the Authenticator, and the session's Call.
func TestConnTellsWhoAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := &Config{Addr: serverAddr, Pool: &onePool{addr: clientAddr}}
		server.Authenticator = AuthenticatorFunc(func(ctx context.Context, req *AuthRequest) (*Grant, error) {
			if req.Client != "MSRASV5.20" || req.Call == nil || req.Call.Called != "vpn.example.com" {
				t.Errorf("%q, %+v", req.Client, req.Call)
			}
			return req.CheckPassword("correct horse")
		})
		client := aliceClient()
		client.Identification = "MSRASV5.20"
		a, b := newPipe()
		c, s := Client(a, Call{Verified: true}, client), Server(b, Call{Called: "vpn.example.com"}, server)
		openBoth(t, c, s)
		c.Close()
		s.Close()
	})
}

// Who is to be called back does not stay on the call that he made, whatever he proved himself by.
func TestCallbackRefused(t *testing.T) {
	for _, p := range append([]AuthProtocol{NoProtocol}, everyMethod...) {
		t.Run(p.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server, client := &Config{}, &Config{}
				if p != NoProtocol {
					server, client = configs(p)
					client.Auth = []AuthProtocol{p}
				}
				right := server.Authenticator
				server.Authenticator = AuthenticatorFunc(func(ctx context.Context, req *AuthRequest) (*Grant, error) {
					g := new(Grant)
					if right != nil {
						var err error
						if g, err = right.Authenticate(ctx, req); err != nil {
							return nil, err
						}
					}
					g.Callback = "+49 30 123456"
					return g, nil
				})
				server.Auth, server.Addr, server.Pool = []AuthProtocol{p}, serverAddr, &onePool{addr: clientAddr}
				a, b := newPipe()
				c, s := Client(a, Call{Verified: true}, client), Server(b, Call{}, server)
				done := make(chan error)
				go func() { done <- s.Open(t.Context()) }()
				if err := c.Open(t.Context()); err == nil {
					t.Error("the client is open")
				}
				var e *AuthError
				if err := <-done; !errors.As(err, &e) || e.Code != CodeNoDialin || !errors.Is(err, errCallback) {
					t.Errorf("server: %v", err)
				}
			})
		})
	}
}
