package ppp

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"io"
	"math/big"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dialway/dialway/internal/memnet"
	"github.com/dialway/dialway/internal/tlsconn"
)

// lengthFraming is two bytes of length and the frame.
type lengthFraming struct{}

func (lengthFraming) AppendFrame(b, header, body []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(len(header)+len(body)))
	return append(append(b, header...), body...)
}

func (lengthFraming) NextFrame(b []byte) ([]byte, int, error) {
	if len(b) < 2 {
		return nil, 0, nil
	}
	n := 2 + int(binary.BigEndian.Uint16(b))
	if n > 4097 {
		return nil, 0, errors.New("test: frame too long")
	}
	if len(b) < n {
		return nil, 0, nil
	}
	return b[2:n:n], n, nil
}

func (lengthFraming) MaxFrame() int { return 4095 }

// testCert makes a certificate that is valid in a bubble's year 2000 and now.
func testCert(tb testing.TB) tls.Certificate {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"test"},
		NotBefore: time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		tb.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// tlsPair shakes hands over two ends of a connection.
func tlsPair(tb testing.TB, a, b net.Conn, version uint16) (client, server *tlsconn.Conn) {
	tb.Helper()
	client = tlsconn.Client(a, &tls.Config{InsecureSkipVerify: true, MaxVersion: version})
	server = tlsconn.Server(b, &tls.Config{Certificates: []tls.Certificate{testCert(tb)}}, nil)
	done := make(chan error, 1)
	go func() { done <- server.HandshakeContext(context.Background()) }()
	if err := client.HandshakeContext(context.Background()); err != nil {
		tb.Fatal(err)
	}
	if err := <-done; err != nil {
		tb.Fatal(err)
	}
	return client, server
}

func memPair(buffer int) (a, b *memnet.Conn) {
	return memnet.Pipe(netip.MustParseAddrPort("192.0.2.1:1024"), netip.MustParseAddrPort("192.0.2.2:443"), buffer)
}

// udp makes an IPv4 UDP packet of a flow, numbered.
func udp(port uint16, number uint32, size int) []byte {
	p := ipv4(clientAddr, serverAddr, size)
	binary.BigEndian.PutUint16(p[20:], port)
	binary.BigEndian.PutUint32(p[28:], number)
	return p
}

func TestStreamKeepsOrderAndLosesNothingWithoutBacklog(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		synctest.Test(t, func(t *testing.T) {
			a, b := memPair(1 << 20)
			ca, cb := tlsPair(t, a, b, version)
			sa, sb := NewStream(ca, lengthFraming{}), NewStream(cb, lengthFraming{})
			const packets = 5000
			written := make(chan struct{})
			go func() {
				defer close(written)
				for i := 0; i < packets; i += 50 {
					bufs := make([][]byte, 50)
					for j := range bufs {
						bufs[j] = udp(7, uint32(i+j), 1400)
					}
					if n, err := sa.WriteFrames(ipv4Header[:], bufs, 0); n != 50 || err != nil {
						t.Error(n, err)
						return
					}
					time.Sleep(time.Millisecond)
				}
			}()
			for want := uint32(0); want < packets; {
				frames, err := sb.ReadFrames()
				if err != nil {
					t.Fatal(err)
				}
				for _, f := range frames {
					if !bytes.Equal(f, append(ipv4Header[:len(ipv4Header):len(ipv4Header)], udp(7, want, 1400)...)) {
						t.Fatalf("packet %d differs", want)
					}
					want++
				}
			}
			<-written
			sa.Close()
			if _, err := sb.ReadFrames(); err != io.EOF {
				t.Errorf("after the far side's close: %v", err)
			}
			over(sb)
		})
	}
}

func TestStreamBacklogDropsSinglePacketsInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := memPair(16 << 10)
		ca, cb := tlsPair(t, a, b, 0)
		sa, sb := NewStream(ca, lengthFraming{}), NewStream(cb, lengthFraming{})
		taken := 0
		for i := range 2000 {
			n, err := sa.WriteFrames(ipv4Header[:], [][]byte{udp(7, uint32(i), 1400)}, 0)
			if err != nil {
				t.Fatal(err)
			}
			taken += n
		}
		if err := sa.WriteControl(append([]byte{0xff, 3, 0xc0, 0x21}, "end"...)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		last, got := -1, 0
		for {
			sb.SetReadDeadline(time.Now().Add(time.Second))
			frames, err := sb.ReadFrames()
			if isTimeout(err) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range frames {
				if f[2] == 0xc0 {
					continue
				}
				n := int(binary.BigEndian.Uint32(f[headerLen+28:]))
				if n <= last {
					t.Fatalf("%d after %d", n, last)
				}
				last = n
				got++
			}
		}
		if got == 0 || got >= 2000 || last != 1999 {
			t.Errorf("got %d, the last %d", got, last)
		}
		over(sa)
		over(sb)
	})
}

func TestPeerThatNeverReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := memPair(4 << 10)
		ca, cb := tlsPair(t, a, b, 0)
		sa := NewStream(ca, lengthFraming{})
		_ = cb
		var err error
		for err == nil {
			err = sa.WriteControl(append([]byte{0xff, 3, 0xc0, 0x21}, make([]byte, 1000)...))
		}
		if !errors.Is(err, ErrPeerStalled) {
			t.Error(err)
		}
		if _, err := sa.ReadFrames(); !errors.Is(err, ErrPeerStalled) {
			t.Error(err)
		}
		over(sa)
	})
}

func TestWriteDeadlineEndsTheSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := memPair(4 << 10)
		ca, cb := tlsPair(t, a, b, 0)
		_ = cb
		sa := NewStream(ca, lengthFraming{})
		start := time.Now()
		sa.WriteFrames(ipv4Header[:], [][]byte{udp(1, 1, 1400), udp(1, 2, 1400), udp(1, 3, 1400), udp(1, 4, 1400)}, 0)
		if _, err := sa.ReadFrames(); !errors.Is(err, ErrPeerStalled) {
			t.Error(err)
		}
		if d := time.Since(start); d != strangerPatience {
			t.Errorf("after %v", d)
		}
		over(sa)
	})
}

func TestStreamPoke(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := memPair(0)
		ca, cb := tlsPair(t, a, b, 0)
		sa, sb := NewStream(ca, lengthFraming{}), NewStream(cb, lengthFraming{})
		go func() {
			time.Sleep(time.Second)
			sb.SetReadDeadline(longAgo)
		}()
		if _, err := sb.ReadFrames(); !isTimeout(err) {
			t.Error(err)
		}
		sb.SetReadDeadline(time.Time{})
		sa.WriteFrames(ipv4Header[:], [][]byte{udp(1, 1, 100)}, 0)
		if f, err := sb.ReadFrames(); len(f) != 1 || err != nil {
			t.Error(f, err)
		}
		over(sa)
		over(sb)
	})
}

// wantBuffersBack checks that every buffer has come back.
func wantBuffersBack(t *testing.T) {
	t.Helper()
	n := tlsconn.Lent() + readBuffers.Lent() + tailBuffers.Lent() + stageBuffers.Lent() + drainBuffers.Lent()
	for i := range packetBuffers {
		n += packetBuffers[i].Lent()
	}
	if n != 0 {
		t.Errorf("%d buffers have not come back", n)
	}
}

// over closes a Stream, and has R notice, who gives back what it has.
func over(s *Stream) {
	s.Close()
	s.ReadFrames()
}
