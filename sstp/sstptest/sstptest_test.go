package sstptest

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dialway/dialway/ppp"
	"github.com/dialway/dialway/sstp"
)

func config() *ppp.Config {
	return &ppp.Config{
		Authenticator: ppp.AuthenticatorFunc(func(_ context.Context, req *ppp.AuthRequest) (*ppp.Grant, error) {
			g, err := req.CheckPassword("secret")
			if g != nil {
				g.Addr = netip.MustParseAddr("10.8.0.2")
			}
			return g, err
		}),
		Addr: netip.MustParseAddr("10.8.0.1"),
	}
}

func use(t *testing.T) {
	srv := NewServer(&sstp.Server{PPP: config()})
	c, err := srv.Dialer(&ppp.Config{User: "alice", Password: "secret"}).DialContext(t.Context(), srv.Addr())
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() {
		ended <- c.Serve(context.Background(), func(b [][]byte, _ int) (int, error) { return len(b), nil })
	}()
	srv.Cut()
	var te *ppp.TerminatedError
	if err := <-ended; !errors.As(err, &te) || te.Cause != ppp.LostCarrier {
		t.Errorf("after the cut: %v", err)
	}
	if c, err = srv.Dialer(&ppp.Config{User: "alice", Password: "secret"}).DialContext(t.Context(), srv.Addr()); err != nil {
		t.Fatal(err)
	}
	c.Close()
	<-c.Context().Done()
	srv.Close()
	if _, err := srv.Dialer(nil).DialContext(t.Context(), srv.Addr()); err == nil {
		t.Error("dialled a closed server")
	}
}

// In real time and in a bubble's year 2000 alike.
func TestServer(t *testing.T) { use(t) }

func TestServerInBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		if time.Now().Year() != 2000 {
			t.Error("a bubble begins in", time.Now().Year())
		}
		use(t)
	})
}

func TestServerThatCannotStart(t *testing.T) {
	srv := NewServer(&sstp.Server{PPP: new(ppp.Config)})
	defer srv.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, err := srv.Dialer(nil).DialContext(ctx, srv.Addr())
	if err == nil || !strings.Contains(err.Error(), "Authenticator") {
		t.Error(err)
	}
}

func TestCertificateIsTheSameAlways(t *testing.T) {
	if !bytes.Equal(certificate().Certificate[0], certificate().Certificate[0]) {
		t.Error("two certificates")
	}
}
