package radius

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dialway/dialway/ppp"
	"github.com/dialway/dialway/sstp"
	"github.com/dialway/dialway/sstp/sstptest"
)

// The record of an EAP session has the name that was claimed where none is trusted, and which method it was.
func TestAccountingOfEAP(t *testing.T) {
	for _, trust := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			key := bytes.Repeat([]byte{1}, 32)
			_, l, c := accounted(t, ppp.AuthenticatorFunc(func(ctx context.Context, req *ppp.AuthRequest) (*ppp.Grant, error) {
				if _, err := req.Exchange(ctx, eap(eapRequest, req.EAP[1]+1, 99, "x")); err != nil {
					return nil, err
				}
				return &ppp.Grant{User: "alice@inner", Addr: netip.MustParseAddr("10.8.0.5"), SendKey: key, RecvKey: key}, nil
			}))
			c.Targets[0].TrustUserName = trust
			a := &Accounting{Client: c}
			stop := report(t, a)
			srv := sstptest.NewServer(&sstp.Server{
				PPP: &ppp.Config{Authenticator: c, Addr: netip.MustParseAddr("10.8.0.1"), Auth: []ppp.AuthProtocol{ppp.EAP}},
				Handler: func(ctx context.Context, conn *ppp.Conn) error {
					a.Start(conn)
					return conn.Serve(ctx, func(bufs [][]byte, offset int) (int, error) { return len(bufs), nil })
				},
			})
			defer srv.Close()
			link, err := srv.Dialer(&ppp.Config{User: "alice", EAP: func(ctx context.Context, request []byte, x ppp.Exchange) ([]byte, error) {
				request, err := x(ctx, eap(eapResponse, request[1], eapIdentity, "outer"))
				if err == nil {
					_, err = x(ctx, eap(eapResponse, request[1], 99, "y"))
				}
				if err == io.EOF {
					err = nil
				}
				return append(key, key...), err
			}}).DialContext(t.Context(), srv.Addr())
			if err != nil {
				t.Fatal(err)
			}
			go link.Serve(context.WithoutCancel(t.Context()), func(bufs [][]byte, offset int) (int, error) { return len(bufs), nil })
			time.Sleep(time.Second)
			want := "outer"
			if trust {
				want = "alice@inner"
			}
			r := l.last()
			typ, _ := r.Packet.getVendor(Microsoft, msAcctEAPType)
			if r.Status != "Start" || r.User != want || !bytes.Equal(typ, []byte{0, 0, 0, 99}) {
				t.Errorf("%s of %q, EAP type %x", r.Status, r.User, typ)
			}
			link.Close()
			srv.Close()
			stop()
		})
	}
}

// RADIUS that takes 20 s for one user costs nobody else anything: not who logs in meanwhile, and not who is there.
func TestSlowRADIUSHurtsOnlyItsOwnSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked sync.Map
		_, c := pair(t, &Server{Authenticator: ppp.AuthenticatorFunc(func(ctx context.Context, req *ppp.AuthRequest) (*ppp.Grant, error) {
			n, _ := asked.LoadOrStore(req.User, new(int))
			*n.(*int)++ // one session a user: nobody else writes
			if req.User == "slow" {
				time.Sleep(20 * time.Second)
			}
			g, err := req.CheckPassword("secret")
			if g != nil {
				g.Addr = netip.AddrFrom4([4]byte{10, 8, 0, byte(len(req.User))})
			}
			return g, err
		})})
		srv := vpn(t, c, nil, nil)
		start := time.Now()
		dial := func(user string) (*ppp.Conn, time.Duration) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			link, err := srv.Dialer(&ppp.Config{User: user, Password: "secret"}).DialContext(ctx, srv.Addr())
			if err != nil {
				t.Fatalf("%s: %v", user, err)
			}
			go link.Serve(context.WithoutCancel(t.Context()), func(bufs [][]byte, offset int) (int, error) { return len(bufs), nil })
			return link, time.Since(start)
		}
		there, _ := dial("long before")
		slow := make(chan time.Duration, 1)
		go func() {
			_, d := dial("slow")
			slow <- d
		}()
		for i := range 19 {
			time.Sleep(time.Second)
			before := time.Since(start)
			link, after := dial(fmt.Sprintf("user %d", i))
			if after-before > 3*time.Second/2 {
				t.Errorf("a login beside the slow one took %v", after-before)
			}
			link.Close()
			if n, _ := there.Write([][]byte{append([]byte{0x45, 0, 0, 21, 0, 0, 0, 0, 64, 17, 0, 0, 10, 8, 0, 11, 10, 8, 0, 1}, 1)}, 0); n != 1 {
				t.Error("the session that was there takes no packet")
			}
		}
		if d := <-slow; d < 20*time.Second || d > 22*time.Second {
			t.Errorf("the slow one is there after %v", d)
		}
		asked.Range(func(user, n any) bool {
			if *n.(*int) != 1 {
				t.Errorf("%v was asked for %d times", user, *n.(*int))
			}
			return true
		})
		if st := c.Stats()[0]; st.Dead || st.Lost != 0 || st.Resent == 0 {
			t.Errorf("%+v", st)
		}
	})
}

// A server that is marked old is said so aloud.
func TestUnsignedIsSaidAloud(t *testing.T) {
	for _, unsigned := range []bool{false, true} {
		var b strings.Builder
		c := &Client{Targets: []Target{{Addr: "10.0.0.5", Unsigned: unsigned}}, Logger: slog.New(slog.NewTextHandler(&b, nil))}
		c.Stats()
		if strings.Contains(b.String(), "CVE-2024-3596") != unsigned {
			t.Errorf("unsigned %v: %s", unsigned, b.String())
		}
	}
}
