package ppp

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"testing/synctest"
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
