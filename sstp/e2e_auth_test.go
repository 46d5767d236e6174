package sstp_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dialway/dialway/ppp"
	"github.com/dialway/dialway/sstp"
	"github.com/dialway/dialway/sstp/sstptest"
)

// passwords knows alice, by every method.
func passwords(auth ...ppp.AuthProtocol) *ppp.Config {
	return &ppp.Config{
		Auth: auth,
		Authenticator: ppp.AuthenticatorFunc(func(ctx context.Context, req *ppp.AuthRequest) (*ppp.Grant, error) {
			if req.User != "alice" {
				return nil, &ppp.AuthError{}
			}
			g, err := req.CheckPassword("secret")
			if err != nil {
				return nil, err
			}
			g.Addr = netip.MustParseAddr("10.8.0.2")
			return g, nil
		}),
		Addr: netip.MustParseAddr("10.8.0.1"),
	}
}

func TestEveryMethod(t *testing.T) {
	for _, p := range []ppp.AuthProtocol{ppp.PAP, ppp.CHAP, ppp.MSCHAPv2} {
		for _, sha1 := range []bool{false, true} {
			t.Run(fmt.Sprintf("%v/%v", p, sha1), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					srv := sstptest.NewServer(&sstp.Server{PPP: passwords(p), Logger: testLog()})
					defer srv.Close()
					d := srv.Dialer(&ppp.Config{User: "alice", Password: "secret", Auth: []ppp.AuthProtocol{p}})
					d.Logger, d.SHA1 = testLog(), sha1
					start := time.Now()
					c, err := d.DialContext(t.Context(), srv.Addr())
					if err != nil {
						t.Fatal(err)
					}
					if d := time.Since(start); d > time.Second {
						t.Errorf("open after %v", d)
					}
					_, ended := collect(t.Context(), c)
					if i := c.Info(); i.User != "alice" || i.Auth != p || i.Local != netip.MustParseAddr("10.8.0.2") {
						t.Errorf("%+v", i)
					}
					c.Close()
					<-ended
				})
			})
		}
	}
}

func TestWrongPassword(t *testing.T) {
	for _, p := range []ppp.AuthProtocol{ppp.PAP, ppp.CHAP, ppp.MSCHAPv2} {
		t.Run(p.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := sstptest.NewServer(&sstp.Server{PPP: passwords(p), Logger: testLog()})
				defer srv.Close()
				d := srv.Dialer(&ppp.Config{User: "alice", Password: "wrong", Auth: []ppp.AuthProtocol{p}})
				c, err := d.DialContext(t.Context(), srv.Addr())
				var ae *ppp.AuthError
				if c != nil || !errors.As(err, &ae) || !ae.Remote {
					t.Errorf("%v, %v", c, err)
				}
				time.Sleep(10 * time.Second)
				if st := srv.Config.Stats(); st.AuthFailed != 1 || st.Opened != 0 || st.Pending != 0 {
					t.Errorf("%+v", st)
				}
			})
		})
	}
}

// A server that is not verified gets no password; one whose certificate is pinned does.
func TestUnverifiedServerGetsNoPassword(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := sstptest.NewServer(&sstp.Server{PPP: passwords(ppp.PAP), Logger: testLog()})
		defer srv.Close()
		d := srv.Dialer(&ppp.Config{User: "alice", Password: "secret", Auth: []ppp.AuthProtocol{ppp.PAP}})
		d.TLSConfig.InsecureSkipVerify = true
		var ne *ppp.NegotiationError
		if _, err := d.DialContext(t.Context(), srv.Addr()); !errors.As(err, &ne) {
			t.Errorf("%v", err)
		}
	})
}

// Grant.RateOut reaches the stream below: it delays rather than drops.
func TestRateDelays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := passwords(ppp.MSCHAPv2)
		authenticate := cfg.Authenticator
		cfg.Authenticator = ppp.AuthenticatorFunc(func(ctx context.Context, req *ppp.AuthRequest) (*ppp.Grant, error) {
			g, err := authenticate.Authenticate(ctx, req)
			if g != nil {
				g.RateOut = ppp.Rate{Bits: 8 * 140_000, Burst: 1} // a hundred packets a second; the burst is six at least
			}
			return g, err
		})
		srv := sstptest.NewServer(&sstp.Server{PPP: cfg, Logger: testLog(), Handler: func(ctx context.Context, c *ppp.Conn) error {
			big := append(packet(c.Info().Local, c.Info().Peer, 1), make([]byte, 1379)...)
			big[2], big[3] = byte(len(big)>>8), byte(len(big))
			for range 15 {
				c.Write([][]byte{big}, 0)
			}
			return c.Serve(ctx, func(bufs [][]byte, _ int) (int, error) { return len(bufs), nil })
		}})
		defer srv.Close()
		c, err := srv.Dialer(&ppp.Config{User: "alice", Password: "secret"}).DialContext(t.Context(), srv.Addr())
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		packets, ended := collect(t.Context(), c)
		for range 15 {
			<-packets
		}
		if d := time.Since(start); d < 80*time.Millisecond || d > 120*time.Millisecond {
			t.Errorf("15 packets took %v", d)
		}
		c.Close()
		<-ended
	})
}
