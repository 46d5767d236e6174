package access_test

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"

	"github.com/dialway/dialway/ppp"
	"github.com/dialway/dialway/ppp/access"
	"github.com/dialway/dialway/sstp"
	"github.com/dialway/dialway/sstp/sstptest"
)

// An account's address and routes, and a policy's settings, in a session that is open.
func TestLiveSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := new(access.Memory)
		route := netip.MustParsePrefix("172.16.2.0/24")
		secret, err := access.NTSecret("secret")
		if err != nil {
			t.Fatal(err)
		}
		m.Put(&access.Account{User: "DD_NewYork", Secret: secret, Grant: ppp.Grant{Addr: netip.MustParseAddr("10.8.0.99"), Prefixes: []netip.Prefix{route}}})
		m.Put(&access.Account{User: "far", Secret: secret, CallerID: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}})
		m.Put(&access.Account{User: "modem", Secret: secret, Callback: "123"})
		dns := netip.MustParseAddr("10.8.0.53")
		sessions := make(chan *ppp.Conn, 1)
		srv := sstptest.NewServer(&sstp.Server{
			PPP: &ppp.Config{
				Addr: netip.MustParseAddr("10.8.0.1"),
				Authenticator: &access.Policies{
					List: []access.Policy{{Name: "sstp", Tunnel: "SSTP", Apply: func(g *ppp.Grant) { g.DNS = []netip.Addr{dns} }}},
					Next: &access.Accounts{Store: m},
				},
			},
			Handler: func(ctx context.Context, c *ppp.Conn) error {
				sessions <- c
				return c.Serve(ctx, func(bufs [][]byte, _ int) (int, error) { return len(bufs), nil })
			},
		})
		defer srv.Close()
		c, err := srv.Dialer(&ppp.Config{User: "dd_newyork", Password: "secret"}).DialContext(t.Context(), srv.Addr())
		if err != nil {
			t.Fatal(err)
		}
		go c.Serve(t.Context(), func(bufs [][]byte, _ int) (int, error) { return len(bufs), nil })
		s := <-sessions
		if i := s.Info(); i.User != "DD_NewYork" || i.Peer.String() != "10.8.0.99" || s.Prefixes()[1] != route || c.DNS()[0] != dns {
			t.Errorf("%+v, %v, DNS %v", i, s.Prefixes(), c.DNS())
		}
		c.Close()
		for user, why := range map[string]string{"far": "from the wrong place", "modem": "to be called back"} {
			_, err = srv.Dialer(&ppp.Config{User: user, Password: "secret"}).DialContext(t.Context(), srv.Addr())
			var refused *ppp.AuthError
			if !errors.As(err, &refused) || refused.Code != ppp.CodeNoDialin {
				t.Errorf("%s: %v", why, err)
			}
		}
		synctest.Wait()
	})
}
