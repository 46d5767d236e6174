package sstp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dialway/dialway/ppp"
)

// phases brings a client to each point at which a server may be told to stop, and returns what ends the client.
var phases = []struct {
	name string
	do   func(t *testing.T, ts *testServer) (wait func())
}{
	{"connected", func(t *testing.T, ts *testServer) func() {
		nc, _ := ts.l.Dial(t.Context(), "tcp", "")
		return func() { nc.Close() }
	}},
	{"TLS", func(t *testing.T, ts *testServer) func() {
		c := ts.rawTLS(t, nil)
		return func() { c.Close() }
	}},
	{"half a request", func(t *testing.T, ts *testServer) func() {
		c := ts.rawTLS(t, nil)
		io.WriteString(c, plainRequest[:80])
		return func() { c.Close() }
	}},
	{"HTTP", func(t *testing.T, ts *testServer) func() {
		c := ts.rawTLS(t, nil)
		io.WriteString(c, plainRequest)
		return func() { c.Close() }
	}},
	{"Call Connect", func(t *testing.T, ts *testServer) func() {
		r := ts.dialRaw(t)
		return func() { r.nc.Close() }
	}},
	{"authentication", func(t *testing.T, ts *testServer) func() {
		done := make(chan error, 1)
		go func() {
			_, err := ts.dialer().DialContext(t.Context(), "vpn")
			done <- err
		}()
		return func() { <-done }
	}},
	{"open", func(t *testing.T, ts *testServer) func() {
		_, ended := ts.session(t, nil)
		return func() { <-ended }
	}},
}

// phaseServer decides slowly where the phase wants it.
func phaseServer(phase string) *testServer {
	cfg := byCall()
	if phase == "authentication" {
		cfg.Authenticator = slowAuthenticator(20*time.Second, true)
	}
	return startServer(&Server{PPP: cfg})
}

func TestShutdownInEveryPhase(t *testing.T) {
	for _, p := range phases {
		for _, how := range []string{"Shutdown", "Close"} {
			t.Run(p.name+"/"+how, func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					ts := phaseServer(p.name)
					wait := p.do(t, ts)
					time.Sleep(time.Second)
					start := time.Now()
					if how == "Close" {
						ts.Close()
					} else if err := ts.Shutdown(t.Context()); err != nil {
						t.Error(err)
					}
					<-ts.done
					if d := time.Since(start); d > 8*time.Second {
						t.Errorf("took %v", d)
					}
					if how == "Close" {
						synctest.Wait()
					}
					if st := ts.Stats(); st.Pending != 0 || st.Sessions != 0 {
						t.Errorf("%+v", st)
					}
					if err := ts.Serve(newListener()); err != ErrServerClosed {
						t.Errorf("Serve again: %v", err)
					}
					if err := ts.Shutdown(t.Context()); err != nil {
						t.Errorf("Shutdown again: %v", err)
					}
					ts.Close()
					wait()
				})
			})
		}
	}
}

// A Shutdown says goodbye on both layers: the client hears of it at once, as an end in good order.
func TestShutdownSaysGoodbye(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ts := startServer(&Server{})
		_, ended := ts.session(t, nil)
		start := time.Now()
		if err := ts.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		var te *ppp.TerminatedError
		if err := <-ended; !errors.As(err, &te) || !te.Remote || te.Cause != ppp.NASRequest {
			t.Errorf("client: %v", err)
		}
		if d := time.Since(start); d > time.Second {
			t.Errorf("took %v", d)
		}
		ends := ts.ended()
		if len(ends) != 1 || !errors.As(ends[0], &te) || te.Remote || te.Cause != ppp.AdminReboot {
			t.Errorf("server: %v", ends)
		}
		<-ts.done
	})
}

// A Handler that does not return is not waited for beyond ctx, and its client is cut.
func TestShutdownCutsWhenItsTimeIsOver(t *testing.T) {
	bubble(t, func(t *testing.T) {
		release := make(chan struct{})
		cause := make(chan error, 1)
		ts := startServer(&Server{Handler: func(ctx context.Context, c *ppp.Conn) error {
			<-ctx.Done()
			cause <- context.Cause(ctx)
			<-release
			return nil
		}})
		_, ended := ts.session(t, nil)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		start := time.Now()
		if err := ts.Shutdown(ctx); err != context.DeadlineExceeded {
			t.Errorf("Shutdown: %v", err)
		}
		if d := time.Since(start); d != 3*time.Second {
			t.Errorf("took %v", d)
		}
		if err := <-cause; !errors.Is(err, ErrServerClosed) {
			t.Errorf("the Handler's ctx: %v", err)
		}
		<-ended
		close(release)
		<-ts.done
	})
}

// The Handler's return ends the session, whether it served the link or not.
func TestHandlerReturns(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ts := startServer(&Server{Handler: func(ctx context.Context, c *ppp.Conn) error {
			time.Sleep(time.Second) // the client's end opens meanwhile
			return errors.New("not today")
		}})
		defer ts.stop()
		c, err := ts.dialer().DialContext(t.Context(), "vpn")
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		<-serveLink(c)
		synctest.Wait()
		if st := ts.Stats(); time.Since(start) > 2*time.Second || st.Sessions != 0 {
			t.Errorf("after %v: %+v", time.Since(start), st)
		}
	})
}

// While an Authenticator thinks, everything that ends a session still does, at once, and cancels its ctx.
func TestSlowAuthenticatorIsCancelled(t *testing.T) {
	for _, tt := range []struct {
		name string
		end  func(r *rawClient, ts *testServer)
		max  time.Duration
	}{
		{"Call Disconnect", func(r *rawClient, _ *testServer) {
			r.fc.stream.WriteRaw(appendEnd(nil, msgDisconnect, statusInfo{}))
		}, 0},
		{"Call Abort", func(r *rawClient, _ *testServer) {
			r.fc.stream.WriteRaw(appendEnd(nil, msgAbort, statusInfo{}))
		}, 0},
		{"closed socket", func(r *rawClient, _ *testServer) { r.nc.Close() }, 0},
		{"cut socket", func(r *rawClient, _ *testServer) { r.mem().Cut() }, 0},
		{"Shutdown", func(_ *rawClient, ts *testServer) { go ts.Shutdown(context.Background()) }, 0},
		{"Close", func(_ *rawClient, ts *testServer) { ts.Close() }, 0},
		{"negotiation timer", func(*rawClient, *testServer) {}, 8 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var (
					began, ended atomic.Int64
					calls        atomic.Int32
				)
				cfg := byCall()
				cfg.Authenticator = ppp.AuthenticatorFunc(func(ctx context.Context, _ *ppp.AuthRequest) (*ppp.Grant, error) {
					calls.Add(1)
					began.Store(time.Now().UnixNano())
					select {
					case <-time.After(20 * time.Second):
						t.Error("ctx was not cancelled")
					case <-ctx.Done():
					}
					ended.Store(time.Now().UnixNano())
					return nil, ctx.Err()
				})
				ts := startServer(&Server{PPP: cfg, NegotiationTimeout: 10 * time.Second})
				defer ts.stop()
				r := ts.dialRaw(t)
				opened := make(chan error, 1)
				go func() {
					c, err := r.open(context.Background(), hookedConn{r.fc, func(send, recv []byte) error { return nil }})
					if err == nil {
						err = <-serveLink(c)
					}
					opened <- err
				}()
				time.Sleep(3 * time.Second)
				if calls.Load() != 1 {
					t.Fatal("the Authenticator was not asked")
				}
				at := time.Now()
				tt.end(r, ts)
				time.Sleep(9 * time.Second)
				if ended.Load() == 0 {
					t.Fatal("still deciding")
				}
				if d := time.Unix(0, ended.Load()).Sub(at); d > tt.max {
					t.Errorf("cancelled after %v", d)
				}
				if calls.Load() != 1 {
					t.Errorf("asked %d times", calls.Load())
				}
				r.nc.Close()
				<-opened
				time.Sleep(10 * time.Second)
				if st := ts.Stats(); st.Pending != 0 {
					t.Errorf("%+v", st)
				}
			})
		})
	}
}

// Echoes are answered both ways on idle links: ten minutes of silence above them end nothing.
func TestIdleLinkLives(t *testing.T) {
	bubble(t, func(t *testing.T) {
		cfg := byCall()
		cfg.Echo = -1 // no LCP echo: SSTP's alone
		ts := startServer(&Server{PPP: cfg, Hello: 20 * time.Second})
		d := ts.dialer()
		d.Hello = 30 * time.Second
		d.PPP.Echo = -1
		c, ended := ts.session(t, d)
		time.Sleep(10 * time.Minute)
		select {
		case err := <-ended:
			t.Fatal(err)
		default:
		}
		c.Write([][]byte{ipPacket(clientIP, serverIP, 7)}, 0)
		synctest.Wait()
		if got := ts.got(); len(got) != 1 {
			t.Errorf("the Handler got %x", got)
		}
		ts.stop()
		<-ended
	})
}

// A far side that is gone without a word is noticed after two Hello intervals, at either end.
func TestSilentPeerIsNoticed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		cfg := byCall()
		cfg.Echo = -1
		ts := startServer(&Server{PPP: cfg, Hello: 20 * time.Second})
		r := ts.dialRaw(t)
		r.PPP.Echo = -1
		c, err := r.open(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now() // and nobody serves c
		if !until(time.Minute, func() bool { return len(ts.ended()) == 1 }) {
			t.Fatal("the server did not notice")
		}
		if d := time.Since(start).Round(time.Second); d != 40*time.Second {
			t.Errorf("after %v: %v", d, ts.ended()[0])
		}
		var te *ppp.TerminatedError
		if err := ts.ended()[0]; !errors.Is(err, errSilent) || !errors.As(err, &te) || te.Cause != ppp.LostCarrier {
			t.Error(err)
		}
		c.Close()
		<-c.Context().Done()
		ts.stop()
	})
}

// One connection that breaks the rules disturbs neither the listener nor the others.
func TestBadConnectionsDisturbNobody(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ts := startServer(&Server{})
		good, ended := ts.session(t, nil)
		for i, bad := range []func(c net.Conn){
			func(c net.Conn) { c.Close() },
			func(c net.Conn) { io.WriteString(c, "\x16\x03\x01") },
			func(c net.Conn) { io.WriteString(c, plainRequest) },
		} {
			nc, err := ts.l.Dial(t.Context(), "tcp", "")
			if err != nil {
				t.Fatal(i, err)
			}
			bad(nc)
		}
		for _, junk := range [][]byte{
			{0x47, 0, 0, 4}, {version, 0, 0, 3}, {version, 1, 0, 4}, appendPlain(nil, 99), appendPlain(nil, msgConnectNak),
			dataPacket(0xc0, 0x21), dataPacket(), appendConnectRequest(nil), ipData(1),
		} {
			r := ts.dialRaw(t)
			r.fc.stream.WriteRaw(junk)
			r.fc.stream.WriteRaw(dataPacket(lcpFrame...))
			synctest.Wait()
			defer r.nc.Close()
		}
		good.Write([][]byte{ipPacket(clientIP, serverIP, 9)}, 0)
		synctest.Wait()
		if got := ts.got(); len(got) != 1 || got[0][20] != 9 {
			t.Errorf("the Handler got %x", got)
		}
		ts.stop()
		<-ended
	})
}

// Every read and every write that can fail does, at either end, and every failure ends everything.
func TestEveryOperationFails(t *testing.T) {
	run := func(t *testing.T, end, op string, n int) (reached bool) {
		bubble(t, func(t *testing.T) {
			ts := startServer(&Server{})
			d := ts.dialer()
			d.NetDial = func(ctx context.Context, network, addr string) (net.Conn, error) {
				nc, err := ts.l.DialFrom(ctx, mustAddrPort("192.0.2.9:99"))
				if err != nil {
					return nil, err
				}
				if end == "client" {
					if op == "read" {
						nc.FailRead(n)
					} else {
						nc.FailWrite(n)
					}
				}
				return nc, nil
			}
			if end == "server" {
				ts.failNext(op, n)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
			defer cancel()
			c, err := d.DialContext(ctx, "vpn")
			if ctx.Err() != nil {
				t.Errorf("%s of %s %d: the dial hung: %v", op, end, n, err)
			}
			reached = err != nil
			if err == nil {
				ended := serveLink(c)
				for i := range 5 {
					c.Write([][]byte{ipPacket(clientIP, serverIP, byte(i))}, 0)
					time.Sleep(time.Millisecond)
				}
				time.AfterFunc(10*time.Second, func() { c.Close() })
				<-ended
			}
			if !until(3*time.Minute, func() bool { st := ts.Stats(); return st.Sessions+st.Pending == 0 }) {
				t.Errorf("%s of %s %d: %+v", op, end, n, ts.Stats())
			}
			ts.stop()
		})
		return reached
	}
	for _, end := range []string{"client", "server"} {
		for _, op := range []string{"read", "write"} {
			t.Run(fmt.Sprintf("%s/%s", end, op), func(t *testing.T) {
				failed, open := 0, 0
				for n := 1; open < 15; n++ { // some way into the open session
					if run(t, end, op, n) {
						failed++
					} else {
						open++
					}
				}
				if failed < 6 { // of writes the fewest, by a client: what answers one another goes as one
					t.Errorf("only %d made the dial fail", failed)
				}
				t.Logf("%d in the dial, %d later", failed, open)
			})
		}
	}
}
