package sstp_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dialway/dialway/ppp"
	"github.com/dialway/dialway/sstp"
	"github.com/dialway/dialway/sstp/sstptest"
)

// byCall lets everybody in who gets through TLS, with an address.
func byCall(addr string) *ppp.Config {
	return &ppp.Config{
		Auth: []ppp.AuthProtocol{ppp.NoProtocol},
		Authenticator: ppp.AuthenticatorFunc(func(context.Context, *ppp.AuthRequest) (*ppp.Grant, error) {
			return &ppp.Grant{User: "by call", Addr: netip.MustParseAddr(addr)}, nil
		}),
		Addr: netip.MustParseAddr("10.8.0.1"),
	}
}

// testLog shows a server's or client's log when a test is run with SSTP_LOG set.
func testLog() *slog.Logger {
	if os.Getenv("SSTP_LOG") == "" {
		return nil
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// packet makes an IPv4 packet without payload but the marker.
func packet(src, dst netip.Addr, marker byte) []byte {
	p := make([]byte, 21)
	p[0], p[3], p[8], p[9] = 0x45, 21, 64, 17
	copy(p[12:], src.AsSlice())
	copy(p[16:], dst.AsSlice())
	p[20] = marker
	return p
}

// collect serves a link in the background and counts what it brings.
func collect(ctx context.Context, c *ppp.Conn) (packets chan []byte, ended chan error) {
	packets, ended = make(chan []byte, 100), make(chan error, 1)
	go func() {
		ended <- c.Serve(ctx, func(bufs [][]byte, offset int) (int, error) {
			for _, b := range bufs {
				packets <- append([]byte(nil), b[offset:]...)
			}
			return len(bufs), nil
		})
	}()
	return packets, ended
}

func TestPacketsBothWays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		atServer := make(chan []byte, 10)
		srv := sstptest.NewServer(&sstp.Server{
			PPP: byCall("10.8.0.2"),
			Handler: func(ctx context.Context, c *ppp.Conn) error {
				return c.Serve(ctx, func(bufs [][]byte, offset int) (int, error) {
					for _, b := range bufs {
						p := append([]byte(nil), b[offset:]...)
						atServer <- p
						c.Write([][]byte{packet(c.Info().Local, c.Info().Peer, p[20]+1)}, 0)
					}
					return len(bufs), nil
				})
			},
			Logger: testLog(),
		})
		defer srv.Close()
		d := srv.Dialer(nil)
		d.Logger = testLog()
		c, err := d.DialContext(t.Context(), srv.Addr())
		if err != nil {
			t.Fatal(err)
		}
		atClient, ended := collect(t.Context(), c)
		i := c.Info()
		if i.Local != netip.MustParseAddr("10.8.0.2") || i.Peer != netip.MustParseAddr("10.8.0.1") {
			t.Errorf("addresses %v and %v", i.Local, i.Peer)
		}
		if i.Call.Tunnel != "SSTP" || !i.Call.Verified || i.Call.TLS == nil || len(i.Call.ID) != 64 {
			t.Errorf("%+v", i.Call)
		}
		c.Write([][]byte{packet(i.Local, i.Peer, 1)}, 0)
		if p := <-atServer; p[20] != 1 {
			t.Errorf("server got %x", p)
		}
		if p := <-atClient; p[20] != 2 {
			t.Errorf("client got %x", p)
		}
		if st := srv.Config.Stats(); st.Accepted != 1 || st.Opened != 1 || st.Sessions != 1 || st.Pending != 0 {
			t.Errorf("%+v", st)
		}
		start := time.Now()
		c.Close()
		err = <-ended
		var te *ppp.TerminatedError
		if !errors.As(err, &te) || te.Cause != ppp.UserRequest || te.Remote || !errors.Is(err, net.ErrClosed) {
			t.Errorf("%v", err)
		}
		synctest.Wait()
		if d := time.Since(start); d > time.Second {
			t.Errorf("the goodbye took %v", d)
		}
		time.Sleep(2 * time.Second)
		if st := srv.Config.Stats(); st.Sessions != 0 || st.Pending != 0 {
			t.Errorf("%+v", st)
		}
	})
}
