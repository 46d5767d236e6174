package sstp

import (
	"context"
	"crypto/tls"
	"net/netip"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dialway/dialway/internal/tlsconn"
)

func TestTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ts turns
		n := runtime.GOMAXPROCS(0)
		for range n {
			if !ts.take(t.Context()) {
				t.Fatal("no turn, and nobody has one")
			}
		}
		order := make(chan int, 4)
		gone, leave := context.WithCancel(t.Context())
		for i := range 4 {
			go func() {
				ctx := t.Context()
				switch i {
				case 1: // gives up by time
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, 2*time.Second)
					defer cancel()
				case 2: // by being told
					ctx = gone
				}
				if ts.take(ctx) {
					order <- i
				}
			}()
			synctest.Wait()
		}
		time.Sleep(3 * time.Second)
		leave()
		synctest.Wait()
		if w := ts.waited(time.Now()); w != 3*time.Second {
			t.Errorf("the first has waited %v", w)
		}
		for _, want := range []int{0, 3} {
			ts.give()
			if i := <-order; i != want {
				t.Errorf("the turn was %d's instead of %d's", i, want)
			}
		}
		for range n {
			ts.give()
		}
		if ts.busy != 0 || ts.wait != nil || ts.waited(time.Now()) != 0 {
			t.Errorf("%+v", &ts)
		}
	})
}

// While somebody comes out of the making, those for whom there is no room wait, and all are served; when nobody does, they
// are refused after a second, and at once from then on.
func TestFullServerAcceptsLater(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ts := startServer(&Server{MaxPending: 2, MaxPendingPerIP: 100})
		defer ts.stop()
		hold := func() func() {
			c, err := ts.l.DialFrom(t.Context(), netip.MustParseAddrPort("192.0.2.9:1"))
			if err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			return func() { c.Close() }
		}
		leave := []func(){hold(), hold()}
		dialled := make(chan error, 5)
		for range 5 {
			go func() {
				c, err := ts.dialer().DialContext(t.Context(), "vpn")
				if err == nil {
					ended := serveLink(c)
					c.Close()
					<-ended
				}
				dialled <- err
			}()
		}
		time.Sleep(stuckTime / 2)
		for _, f := range leave {
			f()
		}
		for range 5 {
			if err := <-dialled; err != nil {
				t.Error(err)
			}
		}
		if st := ts.Stats(); st.Refused != 0 || st.Opened != 5 {
			t.Errorf("%+v", st)
		}

		hold()
		hold()
		for i, want := range []time.Duration{stuckTime, 0} {
			began := time.Now()
			if _, err := ts.dialer().DialContext(t.Context(), "vpn"); err == nil || time.Since(began) != want {
				t.Errorf("%d: %v after %v", i, err, time.Since(began))
			}
		}
	})
}

// A handshake that waits for its turn ends with its time, and with the server; who comes while that lasts is not accepted.
func TestHandshakesWaitForTheirTurn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ts := startServer(&Server{})
		defer ts.stop()
		for range runtime.GOMAXPROCS(0) {
			ts.turns.take(t.Context()) // and never gives it
		}
		began := time.Now()
		if _, err := ts.dialer().DialContext(t.Context(), "vpn"); err == nil || time.Since(began) != defaultHandshake {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		dialled := make(chan error, 2)
		dial := func() {
			_, err := ts.dialer().DialContext(t.Context(), "vpn")
			dialled <- err
		}
		go dial()
		time.Sleep(defaultHandshake/turnPatience + stuckTime/2)
		go dial()
		synctest.Wait()
		if st := ts.Stats(); st.Pending != 1 {
			t.Errorf("%+v", st)
		}
		time.Sleep(stuckTime)
		synctest.Wait()
		if st := ts.Stats(); st.Pending != 1 || st.Refused != 1 || <-dialled == nil {
			t.Errorf("%+v", st)
		}
		ts.Close()
		synctest.Wait()
		if <-dialled == nil || len(ts.turns.wait) != 0 {
			t.Error("still waits")
		}
	})
}

// The turn lasts from the ClientHello to the answer, and is nobody's while the user's code looks for a certificate.
func TestTurnIsShort(t *testing.T) {
	cert := testCert(t, nil, "vpn")
	x := new(session)
	var during, before bool
	user := &tls.Config{
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { before = x.turn; return nil, nil },
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			during = x.turn
			return &cert, nil
		},
	}
	config := serverTLS(user)
	inner := config.GetConfigForClient
	had := false
	config.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		c, err := inner(hello)
		had = x.turn && tlsconn.NotesOf(hello.Conn) == any(x)
		return c, err
	}
	if _, _, err := handshakeOf(t, x, &tls.Config{InsecureSkipVerify: true}, config); err != nil {
		t.Fatal(err)
	}
	if before || during || !had || x.turn || x.server.turns.busy != 0 {
		t.Errorf("before %v, while the user is asked %v, had one %v, still %v, busy %d", before, during, had, x.turn, x.server.turns.busy)
	}
}
