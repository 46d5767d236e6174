package sstp

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dialway/dialway/ppp"
)

// The gates, seen from outside: a server with a Handler, a client that cheats.

func TestIPBeforeItsTimeIsDropped(t *testing.T) {
	for _, when := range []string{"before authentication", "before Call Connected"} {
		t.Run(when, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				ts := startServer(&Server{})
				defer ts.stop()
				r := ts.dialRaw(t)
				if when == "before authentication" {
					r.fc.stream.WriteRaw(ipData(1))
				}
				c, err := r.open(t.Context(), hookedConn{r.fc, func(send, recv []byte) error {
					if when == "before Call Connected" {
						r.fc.stream.WriteRaw(ipData(1))
						time.Sleep(time.Second) // for the server to have it by itself
					}
					return r.fc.Bind(send, recv)
				}})
				if err != nil {
					t.Fatal(err)
				}
				ended := serveLink(c)
				c.Write([][]byte{ipPacket(clientIP, serverIP, 2)}, 0)
				synctest.Wait()
				if got := ts.got(); len(got) != 1 || got[0][20] != 2 {
					t.Errorf("the Handler got %x", got)
				}
				c.Close()
				<-ended
			})
		})
	}
}

// A client whose binding does not hold never becomes a session, whatever part is wrong.
func TestServerRefusesCheatingClient(t *testing.T) {
	other := testCert(t, nil, "vpn")
	for _, tt := range []struct {
		name  string
		cheat func(c *conn)
		keys  []byte
	}{
		{"certificate", func(c *conn) { c.leaf = other.Certificate[0] }, nil},
		{"nonce", func(c *conn) { c.offer.nonce[31] ^= 1 }, nil},
		{"MAC", func(*conn) {}, keySend},
		{"no Call Connected", nil, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				ts := startServer(&Server{})
				defer ts.stop()
				r := ts.dialRaw(t)
				c, err := r.open(t.Context(), hookedConn{r.fc, func(send, recv []byte) error {
					if tt.cheat == nil {
						r.fc.setState(open) // as if it had been sent
						return nil
					}
					tt.cheat(r.fc)
					return r.fc.Bind(tt.keys, tt.keys)
				}})
				if err == nil {
					ended := serveLink(c) // the client believes it is up
					c.Write([][]byte{ipPacket(clientIP, serverIP, 1)}, 0)
					err = <-ended
				}
				want := StatusValueNotSupported
				if tt.cheat == nil {
					want = StatusNegotiationTimeout
				}
				if se := statusOf(err); se.Status != want || !se.Remote {
					t.Errorf("client: %v", err)
				}
				time.Sleep(10 * time.Second)
				if st := ts.Stats(); len(ts.got()) != 0 || st.Opened != 0 || st.HandshakeFailed != 1 || st.Pending != 0 {
					t.Errorf("the Handler got %x, %+v", ts.got(), st)
				}
			})
		})
	}
}

// A Call Connected that was good on one connection is none on another.
func TestReplayOnAnotherConnection(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ts := startServer(&Server{})
		defer ts.stop()
		var seen []byte
		first := ts.dialRaw(t)
		c, err := first.open(t.Context(), hookedConn{first.fc, func(send, recv []byte) error {
			err := first.fc.Bind(send, recv)
			seen = append([]byte(nil), first.fc.out...)
			return err
		}})
		if err != nil || len(seen) != connectedLen {
			t.Fatal(err, seen)
		}
		ended := serveLink(c)
		second := ts.dialRaw(t)
		_, err = second.open(t.Context(), hookedConn{second.fc, func(send, recv []byte) error {
			second.fc.send(seen)
			second.fc.opened(time.Now())
			return nil
		}})
		if se := statusOf(err); se.Status != StatusValueNotSupported {
			t.Errorf("replay: %v", err)
		}
		if !until(10*time.Second, func() bool { st := ts.Stats(); return st.Opened == 1 && st.Sessions == 1 && st.Pending == 0 }) {
			t.Errorf("%+v", ts.Stats())
		}
		c.Close()
		<-ended
	})
}

// A Call Connected twice ends an open session.
func TestSecondCallConnectedEndsSession(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ts := startServer(&Server{})
		defer ts.stop()
		r := ts.dialRaw(t)
		var seen []byte
		c, err := r.open(t.Context(), hookedConn{r.fc, func(send, recv []byte) error {
			err := r.fc.Bind(send, recv)
			seen = append([]byte(nil), r.fc.out...)
			return err
		}})
		if err != nil {
			t.Fatal(err)
		}
		ended := serveLink(c)
		r.fc.stream.WriteRaw(seen)
		if se := statusOf(<-ended); se.Status != StatusUnacceptedFrameReceived || !se.Remote {
			t.Errorf("client: %v", se)
		}
		time.Sleep(5 * time.Second)
		if ends := ts.ended(); len(ends) != 1 || statusOf(ends[0]).Status != StatusUnacceptedFrameReceived {
			t.Errorf("server: %v", ends)
		}
	})
}

// A client that authenticates, and whose Call Connected comes before the Authenticator has decided.
func TestEarlyCallConnectedWaitsForTheResult(t *testing.T) {
	for _, accept := range []bool{true, false} {
		bubble(t, func(t *testing.T) {
			cfg := byCall()
			cfg.Authenticator = slowAuthenticator(20*time.Second, accept)
			ts := startServer(&Server{PPP: cfg})
			defer ts.stop()
			r := ts.dialRaw(t)
			start := time.Now()
			c, err := r.open(t.Context(), hookedConn{r.fc, func(send, recv []byte) error {
				err := r.fc.Bind(send, recv) // the client asks for no authentication: it binds when LCP is open
				r.fc.stream.WriteRaw(ipData(1))
				return err
			}})
			if accept && err != nil || !accept && err == nil {
				t.Fatalf("accept %v: %v", accept, err)
			}
			if d := time.Since(start); d < 20*time.Second {
				t.Errorf("open after %v", d)
			}
			if accept {
				ended := serveLink(c)
				c.Write([][]byte{ipPacket(clientIP, serverIP, 2)}, 0)
				synctest.Wait()
				if got := ts.got(); len(got) != 1 || got[0][20] != 2 {
					t.Errorf("the Handler got %x", got)
				}
				c.Close()
				<-ended
			}
			time.Sleep(10 * time.Second)
			if st := ts.Stats(); (st.Opened == 1) != accept || (st.AuthFailed == 1) == accept {
				t.Errorf("accept %v: %+v", accept, st)
			}
		})
	}
}

func TestServeRefusesOpenServer(t *testing.T) {
	handler := ppp.Handler(new(testServer).collect)
	for name, s := range map[string]*Server{
		"no Config":        {Handler: handler},
		"no Authenticator": {Handler: handler, PPP: &ppp.Config{Auth: []ppp.AuthProtocol{ppp.MSCHAPv2}}},
		"no Handler":       {PPP: byCall()},
		"no certificate":   {Handler: handler, PPP: byCall()},
	} {
		if name != "no certificate" {
			s.TLSConfig = testTLS()
		}
		l := newListener()
		started := time.AfterFunc(time.Second, func() { s.Close() }) // one that does start ends, and fails
		if err := s.Serve(l); err == nil || errors.Is(err, ErrServerClosed) {
			t.Errorf("%s: %v", name, err)
		}
		started.Stop()
		if _, err := l.Accept(); err == nil {
			t.Errorf("%s: the listener is open", name)
		}
	}
	empty := testTLS()
	empty.Certificates = nil
	s := &Server{Handler: handler, PPP: byCall(), TLSConfig: empty}
	if err := s.Serve(newListener()); err == nil {
		t.Error("started with an empty TLSConfig")
	}
}
