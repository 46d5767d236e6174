package sstp

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dialway/dialway/ppp"
)

// readPacket reads one SSTP packet.
func readPacket(t testing.TB, r io.Reader) []byte {
	t.Helper()
	head := make([]byte, headerLen)
	if _, err := io.ReadFull(r, head); err != nil {
		t.Fatal(err)
	}
	p := make([]byte, int(head[2]&0xf)<<8|int(head[3]))
	copy(p, head)
	if _, err := io.ReadFull(r, p[headerLen:]); err != nil {
		t.Fatal(err)
	}
	return p
}

// A client that sends everything up to its first PPP frame in one write, with reserved bits set, as edgetunnel does.
func TestPipelinedPreface(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ts := startServer(&Server{})
		defer ts.stop()
		c := ts.rawTLS(t, nil)
		request := appendConnectRequest(nil)
		request[1] |= 0xfe
		request[2] |= 0x80
		lcp := dataPacket(0xff, 3, 0xc0, 0x21, 1, 7, 0, 8, 1, 4, 5, 220)
		lcp[2] |= 0x80
		c.Write(bytes.Join([][]byte{[]byte(plainRequest), request, lcp}, nil))
		if head, err := readHead(c, nil, nil); err != nil || !bytes.HasPrefix(head, []byte("HTTP/1.1 200 ")) {
			t.Fatalf("%q, %v", head, err)
		}
		if p := readPacket(t, c); !isControl(p) || parseControl(p).typ != msgConnectAck || len(p) != 48 {
			t.Fatalf("%x", p)
		}
		var acked bool
		for range 2 { // the server's own request, and the answer to ours
			p := readPacket(t, c)
			acked = acked || bytes.Equal(p[headerLen:], []byte{0xff, 3, 0xc0, 0x21, 2, 7, 0, 8, 1, 4, 5, 220})
			if p[1] != 0 || p[2]&0xf0 != 0 {
				t.Errorf("reserved bits in %x", p)
			}
		}
		if !acked {
			t.Error("the LCP request that came with the preface got no answer")
		}
		c.Close()
	})
}

// The answer is one record, with nothing behind it: sstp-client and others read it in one go.
func TestAnswerIsOneRecord(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ts := startServer(&Server{})
		defer ts.stop()
		c := ts.rawTLS(t, nil)
		io.WriteString(c, plainRequest)
		b := make([]byte, 4096)
		n, err := c.Read(b)
		if err != nil || !bytes.HasSuffix(b[:n], []byte("\r\n\r\n")) {
			t.Errorf("%q, %v", b[:n], err)
		}
		synctest.Wait()
		c.SetReadDeadline(time.Now())
		if n, err := c.Read(b); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%q, %v", b[:n], err)
		}
		c.Close()
	})
}

// Packets are a stream: several in a record, one over several records.
func TestPacketsIgnoreRecords(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ts := startServer(&Server{})
		defer ts.stop()
		r := ts.dialRaw(t)
		c, err := r.open(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		ended := serveLink(c)
		if !until(5*time.Second, func() bool { return ts.Stats().Sessions == 1 }) {
			t.Fatal("not open")
		}
		var b []byte
		for i := range 10 {
			b = append(b, ipData(byte(i))...)
		}
		r.fc.stream.WriteRaw(b)
		for i := range b {
			r.fc.stream.WriteRaw(b[i : i+1])
			if i%7 == 0 {
				synctest.Wait()
			}
		}
		synctest.Wait()
		got := ts.got()
		if len(got) != 20 {
			t.Fatalf("%d packets", len(got))
		}
		for i, p := range got {
			if p[20] != byte(i%10) {
				t.Errorf("packet %d is %d", i, p[20])
			}
		}
		c.Close()
		<-ended
	})
}

// A far side that makes the server answer and reads nothing is gone in time, before and after authentication.
func TestPeerThatDoesNotRead(t *testing.T) {
	for _, tt := range []struct {
		name string
		open bool
		junk []byte
	}{
		{"Echo Requests on an open call", true, appendPlain(nil, msgEchoRequest)},
		{"LCP echoes on an open call", true, dataPacket(0xff, 3, 0xc0, 0x21, 9, 1, 0, 8, 0, 0, 0, 0)},
		{"unknown LCP codes in LCP", false, dataPacket(append([]byte{0xff, 3, 0xc0, 0x21, 99, 1, 4, 0}, make([]byte, 1020)...)...)},
		{"Configure-Requests in LCP", false, dataPacket(append([]byte{0xff, 3, 0xc0, 0x21, 1, 1, 0, 104}, bytes.Repeat([]byte{0x55, 4, 0, 0}, 25)...)...)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				ts := startServer(&Server{})
				ts.l.Buffer = 16 << 10
				defer ts.stop()
				start := time.Now()
				var (
					write func(b []byte) error
					nc    net.Conn
				)
				if tt.open {
					r := ts.dialRaw(t)
					nc = r.nc
					if _, err := r.open(t.Context(), nil); err != nil { // which nobody serves from here on
						t.Fatal(err)
					}
					write = r.fc.stream.WriteRaw
				} else {
					c := ts.rawTLS(t, nil)
					nc = c.NetConn()
					io.WriteString(c, plainRequest)
					c.Write(appendConnectRequest(nil))
					write = func(b []byte) error { _, err := c.Write(b); return err }
				}
				junk := bytes.Repeat(tt.junk, 32)
				go func() {
					for write(junk) == nil {
						time.Sleep(50 * time.Millisecond)
					}
				}()
				if !until(5*time.Minute, func() bool { st := ts.Stats(); return st.Sessions+st.Pending == 0 }) {
					t.Fatalf("still there: %+v", ts.Stats())
				}
				if d := time.Since(start); d > 2*time.Minute {
					t.Errorf("gone after %v", d)
				}
				if ends := ts.ended(); tt.open && (len(ends) != 1 || !errors.Is(ends[0], ppp.ErrPeerStalled)) {
					t.Errorf("ended by %v", ends)
				}
				nc.Close()
				time.Sleep(5 * time.Minute) // for the writer, and for the link that nobody serves
			})
		})
	}
}

// A noDeadlines is a connection that has none, as an ssh channel.
type noDeadlines struct {
	net.Conn
}

var errNoDeadline = errors.New("no deadlines here")

func (noDeadlines) SetDeadline(time.Time) error      { return errNoDeadline }
func (noDeadlines) SetReadDeadline(time.Time) error  { return errNoDeadline }
func (noDeadlines) SetWriteDeadline(time.Time) error { return errNoDeadline }

// All timers run also where the connection has no deadlines.
func TestConnectionWithoutDeadlines(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ts := startServer(&Server{Hello: 20 * time.Second})
		d := ts.dialer()
		d.NetDial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := ts.l.Dial(ctx, network, addr)
			return noDeadlines{c}, err
		}
		d.Hello = 10 * time.Second
		c, ended := ts.session(t, d)
		time.Sleep(5 * time.Minute)
		c.Write([][]byte{ipPacket(clientIP, serverIP, 1)}, 0)
		synctest.Wait()
		if got := ts.got(); len(got) != 1 {
			t.Errorf("the Handler got %x", got)
		}
		c.Close()
		<-ended
		ts.stop()
	})
}

// Certificates replaced while the server runs: each connection binds to the one it was served.
func TestCertificateRotation(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, b := testCert(t, nil, "vpn"), testCert(t, nil, "vpn")
		var (
			mu      sync.Mutex
			current = a
		)
		ts := startServer(&Server{TLSConfig: &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			mu.Lock()
			defer mu.Unlock()
			c := current
			return &c, nil
		}}})
		d := ts.dialer()
		d.TLSConfig = &tls.Config{RootCAs: roots(a, b), ClientSessionCache: tls.NewLRUClientSessionCache(8)}
		_, first := ts.session(t, d)
		mu.Lock()
		current = b
		mu.Unlock()
		_, second := ts.session(t, d)
		ts.stop()
		<-first
		<-second
	})
}

// A client that names no server, at a server with two certificates.
func TestTwoCertificatesWithoutSNI(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a := testCert(t, nil, "192.0.2.1")
		ts := startServer(&Server{TLSConfig: &tls.Config{Certificates: []tls.Certificate{a, testCertificate()}}})
		d := ts.dialer()
		d.TLSConfig = &tls.Config{RootCAs: roots(a), ServerName: "192.0.2.1"} // an address is never sent as SNI
		c, ended := ts.session(t, d)
		if name := c.Info().Call.TLS.PeerCertificates[0].Subject.CommonName; name != "192.0.2.1" {
			t.Error(name)
		}
		ts.stop()
		<-ended
	})
}

var _ ppp.FrameConn = (*conn)(nil)
