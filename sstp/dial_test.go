package sstp

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/dialway/dialway/ppp"
)

func TestDialErrorsAreTyped(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ts := startServer(&Server{})
		defer ts.stop()
		d := ts.dialer()

		var host x509.HostnameError
		if _, err := d.DialContext(t.Context(), "elsewhere"); !errors.As(err, &host) {
			t.Errorf("wrong name: %v", err)
		}
		d.TLSConfig = nil
		var unknown x509.UnknownAuthorityError
		if _, err := d.DialContext(t.Context(), "vpn"); !errors.As(err, &unknown) {
			t.Errorf("unknown root: %v", err)
		}
		if _, err := d.DialContext(t.Context(), ":443"); err == nil {
			t.Error("no host")
		}
		d = ts.dialer()
		boom := errors.New("boom")
		d.NetDial = func(context.Context, string, string) (net.Conn, error) { return nil, boom }
		if _, err := d.DialContext(t.Context(), "vpn"); !errors.Is(err, boom) {
			t.Errorf("network: %v", err)
		}
	})
}

// scripted runs script as the server behind TLS and HTTP, and returns what DialContext says.
func scripted(t *testing.T, answer string, script func(c net.Conn)) error {
	l := newListener()
	done := make(chan struct{})
	go func() {
		defer close(done)
		nc, err := l.Accept()
		if err != nil {
			return
		}
		c := tls.Server(nc, testTLS())
		defer c.Close()
		if _, err := readHead(c, nil, nil); err != nil {
			return
		}
		io.WriteString(c, answer)
		if script != nil {
			io.ReadFull(c, make([]byte, 14))
			script(c)
			io.Copy(io.Discard, c)
		}
	}()
	d := &Dialer{NetDial: l.Dial, TLSConfig: &tls.Config{RootCAs: roots(testCertificate())}, Logger: testLog()}
	_, err := d.DialContext(t.Context(), "vpn")
	l.Close()
	<-done
	return err
}

func TestClientTakesServersAsTheyAre(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\n"
	ackSHA1 := string(appendConnectAck(nil, hashSHA1, &testNonce))
	for _, tt := range []struct {
		name, answer, send string
		check              func(err error) bool
	}{
		{"404", "HTTP/1.1 404 Not Found\r\n\r\n", "", func(err error) bool {
			var he *HTTPError
			return errors.As(err, &he) && he.Code == 404 && !he.Proxy
		}},
		{"not HTTP", "SSH-2.0-OpenSSH_9.9\r\n\r\n", "", func(err error) bool { return errors.Is(err, errHead) }},
		{"endless head", "HTTP/1.1 200 OK\r\n" + strings.Repeat("a: b\r\n", 3000), "", func(err error) bool { return errors.Is(err, errHeadTooLong) }},
		{"hangs up", "HTTP/1.1 200", "", func(err error) bool { return errors.Is(err, io.ErrUnexpectedEOF) }},
		{"Abort in pieces", ok, "\x10\x01\x00\x14\x00\x05\x00\x01\x00\x02\x00\x0c\x00\x00\x00\x03\x00\x00\x00\x04", func(err error) bool {
			se := statusOf(err)
			return se.Remote && se.Status == StatusValueNotSupported && se.Attribute == attrBinding && strings.Contains(se.Error(), "certificate")
		}},
		{"empty reason, LF, Abort without attributes", "HTTP/1.1 200 \nContent-Length:18446744073709551615\n\n", string(appendPlain(nil, msgAbort)),
			func(err error) bool { se := statusOf(err); return se.Remote && se.Message == "Call Abort" }},
		{"Nak four times", "HTTP/1.1 200\r\n\r\n", strings.Repeat("\x10\x01\x00\x16\x00\x03\x00\x01\x00\x02\x00\x0c\x00\x00\x00\x01\x00\x00\x00\x04\x00\x02", 4),
			func(err error) bool {
				se := statusOf(err)
				return se.Message == "Call Connect Nak" && se.Status == StatusValueNotSupported
			}},
		{"SHA-1 only", ok, ackSHA1, func(err error) bool {
			var be *BindingError
			return errors.As(err, &be) && be.Part == "hash protocol"
		}},
		{"lost in the stream", ok, "HTTP/1.1 400 Bad Request\r\n\r\n", func(err error) bool { return errors.Is(err, errDelineation) }},
		{"length 0", ok, "\x10\x01\x00\x00\x00\x00\x00\x00", func(err error) bool { return errors.Is(err, errDelineation) }},
		{"Disconnect", ok, string(appendEnd(nil, msgDisconnect, statusInfo{})), func(err error) bool {
			se := statusOf(err)
			return se.Remote && se.Status == StatusNoError && errors.Is(err, net.ErrClosed)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var script func(net.Conn)
				if tt.send != "" {
					script = func(c net.Conn) { io.WriteString(c, tt.send) }
				}
				if err := scripted(t, tt.answer, script); err == nil || !tt.check(err) {
					t.Errorf("%v", err)
				}
			})
		})
	}
}

// A server that falls silent in any phase is waited for as [MS-SSTP] says, and no longer.
func TestSilentServer(t *testing.T) {
	for _, tt := range []struct {
		name, answer string
		script       func(net.Conn)
		max          time.Duration
	}{
		{"no HTTP answer", "", func(net.Conn) {}, time.Minute},
		{"no Ack", "HTTP/1.1 200 OK\r\n\r\n", func(net.Conn) {}, 64 * time.Second},
		{"no PPP", "HTTP/1.1 200 OK\r\n\r\n", func(c net.Conn) { c.Write(appendConnectAck(nil, 3, &testNonce)) }, 64 * time.Second},
	} {
		bubble(t, func(t *testing.T) {
			start := time.Now()
			err := scripted(t, tt.answer, tt.script)
			if d := time.Since(start); err == nil || d > tt.max {
				t.Errorf("%s: %v after %v", tt.name, err, d)
			}
		})
	}
}

// ctx ends a dial in every phase at once, and the error says so.
func TestDialObeysContext(t *testing.T) {
	why := errors.New("changed my mind")
	for _, tt := range []struct {
		name  string
		serve func(c net.Conn)
	}{
		{"TLS", func(c net.Conn) {}},
		{"HTTP", func(c net.Conn) { tls.Server(c, testTLS()).Handshake() }},
		{"Call Connect", func(c net.Conn) {
			t := tls.Server(c, testTLS())
			readHead(t, nil, nil)
			io.WriteString(t, "HTTP/1.1 200 OK\r\n\r\n")
		}},
		{"PPP", func(c net.Conn) {
			t := tls.Server(c, testTLS())
			readHead(t, nil, nil)
			io.WriteString(t, "HTTP/1.1 200 OK\r\n\r\n")
			t.Write(appendConnectAck(nil, 3, &testNonce))
			go io.Copy(io.Discard, t)
		}},
	} {
		for _, before := range []bool{false, true} {
			bubble(t, func(t *testing.T) {
				l := newListener()
				defer l.Close()
				go func() {
					c, err := l.Accept()
					if err == nil {
						tt.serve(c)
						time.Sleep(time.Hour)
						c.Close()
					}
				}()
				ctx, cancel := context.WithCancelCause(context.Background())
				defer cancel(nil)
				wait := 2 * time.Second
				if before {
					wait = 0
					cancel(why)
				}
				start := time.Now()
				time.AfterFunc(2*time.Second, func() { cancel(why) })
				d := &Dialer{NetDial: l.Dial, TLSConfig: &tls.Config{RootCAs: roots(testCertificate())}}
				c, err := d.DialContext(ctx, "vpn")
				if took := time.Since(start); c != nil || took > wait+goodbyeTime {
					t.Errorf("%s: %v after %v", tt.name, c, took)
				}
				if !before && !errors.Is(err, why) {
					t.Errorf("%s: %v", tt.name, err)
				}
				time.Sleep(2 * time.Hour)
			})
		}
	}
}

// The ctx of a dial has no effect on the session after it.
func TestContextBoundsOnlyTheDial(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ts := startServer(&Server{})
		ctx, cancel := context.WithCancel(t.Context())
		c, err := ts.dialer().DialContext(ctx, "vpn")
		if err != nil {
			t.Fatal(err)
		}
		ended := serveLink(c)
		cancel()
		time.Sleep(5 * time.Minute)
		select {
		case err := <-ended:
			t.Error(err)
		default:
		}
		c.Close()
		<-ended
		ts.stop()
	})
}

// Both ends know the call by one name; what the client said is in the tags.
func TestCallIsFilledIn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		calls := make(chan ppp.Call, 1)
		cfg := byCall()
		cfg.ForCall = func(call *ppp.Call) (*ppp.Config, error) {
			calls <- *call
			return nil, nil
		}
		ts := startServer(&Server{PPP: cfg})
		c, ended := ts.session(t, nil)
		call := <-calls
		if call.ID != c.Info().Call.ID || len(call.ID) != 64 {
			t.Errorf("IDs %q and %q", call.ID, c.Info().Call.ID)
		}
		if call.Tunnel != "SSTP" || call.Called != "vpn" || call.Remote.Addr().String() != "192.0.2.1" ||
			call.Local.String() != "198.51.100.1:443" || call.TLS == nil || call.Verified {
			t.Errorf("%+v", call)
		}
		if len(call.Tags["correlation"]) != 38 || call.Tags["path"] != duplexPath {
			t.Errorf("%v", call.Tags)
		}
		if mine := c.Info().Call; !mine.Verified || mine.Called != "vpn" || mine.Remote != call.Local {
			t.Errorf("%+v", mine)
		}
		c.Close()
		<-ended
		ts.stop()
	})
}
