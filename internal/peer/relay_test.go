package peer_test

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dialway/dialway/internal/memnet"
	"github.com/dialway/dialway/internal/peer"
	"github.com/dialway/dialway/ppp"
	"github.com/dialway/dialway/sstp"
	"github.com/dialway/dialway/sstp/sstptest"
)

// A joined session is this library's Dialer and Server with a Relay between.
type joined struct {
	link     *ppp.Conn // the client's
	err      error
	atServer chan []byte
	ended    chan error
}

// join opens a session through pass, and serves both ends of it.
func join(t *testing.T, auth ppp.AuthProtocol, pass func(bool, peer.Packet) [][]byte) *joined {
	t.Helper()
	j := &joined{atServer: make(chan []byte, 1000), ended: make(chan error, 2)}
	srv := sstptest.NewServer(&sstp.Server{
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{peer.Certificate()}},
		PPP: &ppp.Config{
			Authenticator: ppp.PasswordFunc(func(context.Context, string) (ppp.Secret, error) { return "secret", nil }),
			Auth:          []ppp.AuthProtocol{auth},
			Addr:          netip.MustParseAddr("10.8.0.1"),
			Pool:          &ppp.Pool{Prefixes: []netip.Prefix{netip.MustParsePrefix("10.8.0.0/24")}},
		},
		Handler: func(ctx context.Context, c *ppp.Conn) error {
			err := c.Serve(ctx, func(bufs [][]byte, offset int) (int, error) {
				for _, b := range bufs {
					j.atServer <- append([]byte(nil), b[offset:]...)
				}
				return len(bufs), nil
			})
			j.ended <- err
			return err
		},
	})
	l := memnet.Listen(netip.MustParseAddrPort("203.0.113.1:443"))
	r := &peer.Relay{
		Certificate: peer.Certificate(),
		Dial:        func(ctx context.Context) (net.Conn, error) { return srv.Dialer(nil).NetDial(ctx, "tcp", "") },
		Pass:        pass,
	}
	done := make(chan struct{})
	go func() { defer close(done); r.Serve(l) }()
	t.Cleanup(func() {
		if j.link != nil {
			j.link.Close()
			<-j.ended
		}
		l.Cut()
		l.Close()
		srv.Close()
		<-done
	})
	d := &sstp.Dialer{
		TLSConfig: &tls.Config{RootCAs: peer.Roots(peer.Certificate())},
		PPP:       &ppp.Config{User: "alice", Password: "secret", Auth: []ppp.AuthProtocol{auth}},
		NetDial:   l.Dial,
	}
	j.link, j.err = d.DialContext(t.Context(), peer.Host)
	if j.err == nil {
		go func() {
			j.ended <- j.link.Serve(context.Background(), func(bufs [][]byte, _ int) (int, error) { return len(bufs), nil })
		}()
	}
	return j
}

// numbered is an IPv4 packet with a number in it.
func numbered(c *ppp.Conn, n uint32) []byte {
	b := make([]byte, 32)
	b[0], b[3], b[8], b[9] = 0x45, 32, 64, 17
	copy(b[12:], c.Info().Local.AsSlice())
	copy(b[16:], c.Info().Peer.AsSlice())
	binary.BigEndian.PutUint32(b[28:], n)
	return b
}

// carries sends packets and holds that they come, whole and in order.
func (j *joined) carries(t *testing.T, n uint32) {
	t.Helper()
	for i := range n {
		j.link.Write([][]byte{numbered(j.link, i)}, 0)
		select {
		case b := <-j.atServer:
			if got := binary.BigEndian.Uint32(b[28:]); got != i {
				t.Fatalf("packet %d came for %d", got, i)
			}
		case <-time.After(time.Minute):
			t.Fatalf("packet %d did not come", i)
		}
	}
}

// noise is what a peer may send at any time, or sends though it may not, and what must not disturb a session: RFC 1661 and
// RFC 1570 say of each that it is dropped, or rejected, and no more.
var noise = map[string][]byte{
	"Discard-Request":              peer.PPP(peer.LCP, peer.Discard, 77, make([]byte, 8)),
	"Identification":               peer.PPP(peer.LCP, peer.Identification, 77, make([]byte, 4), []byte("noise")),
	"Time-Remaining":               peer.PPP(peer.LCP, peer.TimeRemaining, 77, make([]byte, 8)),
	"unknown LCP code":             peer.PPP(peer.LCP, 200, 77, []byte("noise")),
	"Echo-Reply nobody asked for":  peer.PPP(peer.LCP, peer.EchoRep, 77, make([]byte, 4)),
	"Configure-Ack of another":     peer.PPP(peer.LCP, peer.ConfAck, 99, peer.Opt(1, "05dc")),
	"Configure-Nak of another":     peer.PPP(peer.LCP, peer.ConfNak, 99, peer.Opt(1, "05dc")),
	"Configure-Reject of another":  peer.PPP(peer.IPCP, peer.ConfRej, 99, peer.Opt(3, "00000000")),
	"CCP":                          peer.PPP(peer.CCP, peer.ConfReq, 77),
	"unknown control protocol":     peer.PPP(0x80f1, peer.ConfReq, 77),
	"unknown network protocol":     peer.Frame(0x002b, []byte("IPX")),
	"runt frame":                   peer.Data([]byte{0xff}),
	"empty frame":                  peer.Data(nil),
	"LCP shorter than its header":  peer.Frame(peer.LCP, []byte{9, 1}),
	"LCP shorter than its length":  peer.Frame(peer.LCP, []byte{9, 1, 0, 40}),
	"PAP code nobody knows":        peer.PPP(peer.PAP, 9, 77),
	"CHAP Success nobody earned":   peer.PPP(peer.CHAP, 3, 99, []byte("S=0")),
	"CHAP response to nothing":     peer.PPP(peer.CHAP, 2, 99, []byte{0}),
	"IPv4 that is none":            peer.Frame(peer.IPv4, []byte("noise")),
	"IPv4 from somewhere else":     peer.Frame(peer.IPv4, append(peer.Hex("450000200000000040110000 01010101 0a080001"), make([]byte, 12)...)),
	"frame with a short header":    peer.Data(peer.Hex("c021 09 4d 0008 00000000")),
	"protocol of one byte, unused": peer.Data(peer.Hex("ff03 2b 00")),
}

// TestSessionSurvivesNoise puts each kind of noise in front of every packet of a session, both ways, from the first PPP
// frame on.
func TestSessionSurvivesNoise(t *testing.T) {
	for name, extra := range noise {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				j := join(t, ppp.MSCHAPv2, func(toServer bool, p peer.Packet) [][]byte {
					if p.IsControl() {
						return [][]byte{p}
					}
					return [][]byte{extra, p}
				})
				if j.err != nil {
					t.Fatal(j.err)
				}
				j.carries(t, 20)
			})
		})
	}
}

// TestSessionSurvivesEchoes is the same for SSTP's echoes, which may come once a call is connected.
func TestSessionSurvivesEchoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		connected := false
		j := join(t, ppp.PAP, func(toServer bool, p peer.Packet) [][]byte {
			mu.Lock()
			defer mu.Unlock()
			if toServer && p.Type() == peer.Connected {
				connected = true
				return [][]byte{p}
			}
			if !connected || !toServer {
				return [][]byte{p}
			}
			return [][]byte{peer.Control(peer.EchoRequest), p, peer.Control(peer.EchoResponse)}
		})
		if j.err != nil {
			t.Fatal(j.err)
		}
		j.carries(t, 50)
	})
}

// TestSessionSurvivesRepetition: every PPP control frame comes twice, as a retransmission does. Bound sessions take no new
// Configure-Request of LCP, which is why LCP's requests come once.
func TestSessionSurvivesRepetition(t *testing.T) {
	for _, auth := range []ppp.AuthProtocol{ppp.PAP, ppp.CHAP, ppp.MSCHAPv2} {
		t.Run(auth.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				j := join(t, auth, func(toServer bool, p peer.Packet) [][]byte {
					if p.IsControl() || p.Proto() < 0x8000 || p.Proto() == peer.LCP && p.Code() == peer.ConfReq {
						return [][]byte{p}
					}
					return [][]byte{p, p}
				})
				if j.err != nil {
					t.Fatal(j.err)
				}
				j.carries(t, 20)
			})
		})
	}
}

// TestSessionOpensThoughFramesAreLost: TLS loses nothing, but a peer may be slow to listen: each control frame of PPP that
// is repeated is lost the first time.
func TestSessionOpensThoughFramesAreLost(t *testing.T) {
	for _, auth := range []ppp.AuthProtocol{ppp.PAP, ppp.CHAP, ppp.MSCHAPv2} {
		t.Run(auth.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex
				lost := map[string]bool{}
				j := join(t, auth, func(toServer bool, p peer.Packet) [][]byte {
					mu.Lock()
					defer mu.Unlock()
					kind := [4]byte{byte(p.Proto() >> 8), byte(p.Proto()), p.Code()}
					if toServer {
						kind[3] = 1
					}
					if p.IsControl() || p.Proto() < 0x8000 || lost[string(kind[:])] {
						return [][]byte{p}
					}
					lost[string(kind[:])] = true
					return nil
				})
				if j.err != nil {
					t.Fatal(j.err)
				}
				j.carries(t, 20)
				if len(lost) < 8 {
					t.Errorf("only %d frames were lost", len(lost))
				}
			})
		})
	}
}

// TestRelayWithAnotherCertificate: this is what the crypto binding is for. The relay's certificate is trusted by the client,
// and yet no session opens.
func TestRelayWithAnotherCertificate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := sstptest.NewServer(&sstp.Server{PPP: &ppp.Config{
			Authenticator: ppp.PasswordFunc(func(context.Context, string) (ppp.Secret, error) { return "secret", nil }),
			Addr:          netip.MustParseAddr("10.8.0.1"),
			Pool:          &ppp.Pool{Prefixes: []netip.Prefix{netip.MustParsePrefix("10.8.0.0/24")}},
		}})
		defer srv.Close()
		l := memnet.Listen(netip.MustParseAddrPort("203.0.113.1:443"))
		r := &peer.Relay{
			Certificate: peer.RSACertificate(),
			Dial:        func(ctx context.Context) (net.Conn, error) { return srv.Dialer(nil).NetDial(ctx, "tcp", "") },
		}
		done := make(chan struct{})
		go func() { defer close(done); r.Serve(l) }()
		defer func() { l.Cut(); l.Close(); <-done }()
		d := &sstp.Dialer{
			TLSConfig: &tls.Config{RootCAs: peer.Roots(peer.RSACertificate())},
			PPP:       &ppp.Config{User: "alice", Password: "secret"}, NetDial: l.Dial,
		}
		_, err := d.DialContext(t.Context(), peer.Host)
		if e := new(sstp.StatusError); !errors.As(err, &e) || e.Status != sstp.StatusValueNotSupported {
			t.Errorf("%v", err)
		}
		if st := srv.Config.Stats(); st.Opened != 0 {
			t.Errorf("%+v", st)
		}
	})
}
