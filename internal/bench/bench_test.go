package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"io"
	"math/big"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dialway/dialway/ppp"
	"github.com/dialway/dialway/sstp"
	"github.com/dialway/dialway/tunnel"
)

// certificate makes a certificate for 127.0.0.1 and the pool that trusts it.
func certificate(tb testing.TB) (tls.Certificate, *x509.CertPool) {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{{127, 0, 0, 1}}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		tb.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		tb.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

var (
	serverAddr = netip.MustParseAddr("10.8.0.1")
	pool       = netip.MustParsePrefix("10.8.0.0/16")
)

func password(context.Context, string) (ppp.Secret, error) { return "secret", nil }

// serverFor is a server with a pool, whose sessions go to rt.
func serverFor(cert tls.Certificate, rt *tunnel.Router) *sstp.Server {
	return &sstp.Server{
		TLSConfig:       &tls.Config{Certificates: []tls.Certificate{cert}},
		MaxPendingPerIP: 1000,
		PPP:             &ppp.Config{Authenticator: ppp.PasswordFunc(password), Addr: serverAddr, Pool: &ppp.Pool{Prefixes: []netip.Prefix{pool}}},
		Handler:         func(ctx context.Context, c *ppp.Conn) error { return rt.ServeLink(ctx, c) },
	}
}

// A flow is a device that gives packets of one flow, as a TUN does with a TCP stream, and takes what comes back. Like
// TCP, it has a window: no more than that many packets are on the way.
type flow struct {
	packet []byte
	on     atomic.Bool
	sent   atomic.Uint64
	got    *atomic.Uint64 // at the far device
	closed chan struct{}
	once   sync.Once
}

const (
	batch  = 46 // a TUN's read of a 64 KiB segment
	window = 20 * batch
)

func newFlow(src, dst netip.Addr, size int, got *atomic.Uint64) *flow {
	p := make([]byte, size)
	p[0], p[8], p[9] = 0x45, 64, 17
	binary.BigEndian.PutUint16(p[2:], uint16(size))
	copy(p[12:], src.AsSlice())
	copy(p[16:], dst.AsSlice())
	binary.BigEndian.PutUint16(p[20:], 7)
	binary.BigEndian.PutUint16(p[22:], 7)
	binary.BigEndian.PutUint16(p[24:], uint16(size-20))
	var sum uint32
	for i := 0; i < 20; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(p[i:]))
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	binary.BigEndian.PutUint16(p[10:], ^uint16(sum))
	return &flow{packet: p, got: got, closed: make(chan struct{})}
}

func (f *flow) Read(bufs [][]byte, sizes []int, offset int) (int, error) {
	for !f.on.Load() || f.sent.Load()-f.got.Load() > window {
		select {
		case <-f.closed:
			return 0, net.ErrClosed
		case <-time.After(20 * time.Microsecond):
		}
	}
	n := min(batch, len(bufs))
	for i := range n {
		sizes[i] = copy(bufs[i][offset:], f.packet)
	}
	f.sent.Add(uint64(n))
	return n, nil
}

func (f *flow) Write(bufs [][]byte, offset int) (int, error) { return len(bufs), nil }
func (f *flow) BatchSize() int                               { return 128 }
func (f *flow) MTU() int                                     { return 1400 }

// Close ends Read; it may be called again.
func (f *flow) Close() error {
	f.once.Do(func() { close(f.closed) })
	return nil
}

// A sink counts.
type sink struct{ packets atomic.Uint64 }

func (s *sink) Write(bufs [][]byte, offset int) (int, error) {
	s.packets.Add(uint64(len(bufs)))
	return len(bufs), nil
}

// BenchmarkTunnel carries packets of 1400 bytes from a client's device over TLS on loopback TCP to the server's device,
// and as many bytes by a plain copy of 16 KiB writes, in turns. "ratio" is the median of the turns.
func BenchmarkTunnel(b *testing.B) {
	cert, roots := certificate(b)
	far := new(sink)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	srv := serverFor(cert, &tunnel.Router{Uplink: far, Routes: new(tunnel.Table)})
	go srv.Serve(l)
	defer srv.Close()
	d := &sstp.Dialer{TLSConfig: &tls.Config{RootCAs: roots}, PPP: &ppp.Config{User: "alice", Password: "secret"}}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	c, err := d.DialContext(ctx, l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	near := newFlow(c.Info().Local, serverAddr, 1400, &far.packets)
	rt := &tunnel.Router{Uplink: near, Routes: new(tunnel.Table)}
	go rt.Serve(ctx, near)
	served := make(chan error, 1)
	go func() { served <- rt.ServeLink(ctx, c) }()

	copyBytes := plainCopy(b, cert, roots)
	const turn = 64 << 20
	var ratios, tunnels, copies []float64
	b.SetBytes(turn)
	for b.Loop() {
		start, from := time.Now(), far.packets.Load()
		near.on.Store(true)
		for far.packets.Load()-from < turn/1400 {
			time.Sleep(100 * time.Microsecond)
		}
		near.on.Store(false)
		took := time.Since(start)
		for near.sent.Load() > far.packets.Load() && time.Since(start) < took+50*time.Millisecond {
			time.Sleep(100 * time.Microsecond)
		}
		near.sent.Store(far.packets.Load()) // what was dropped is not awaited
		b.StopTimer()
		plain := copyBytes(turn)
		b.StartTimer()
		ratios = append(ratios, plain.Seconds()/took.Seconds())
		tunnels = append(tunnels, turn/took.Seconds()/1e6)
		copies = append(copies, turn/plain.Seconds()/1e6)
	}
	b.ReportMetric(median(ratios), "ratio")
	b.ReportMetric(median(tunnels), "tunnel-MB/s")
	b.ReportMetric(median(copies), "copy-MB/s")
	if dropped := c.Stats().TxDropped; dropped > 0 {
		b.ReportMetric(float64(dropped)/float64(c.Stats().TxPackets+dropped), "dropped")
	}
	cancel()
	<-served
}

// plainCopy returns a func that copies so many bytes by crypto/tls over loopback.
func plainCopy(b *testing.B, cert tls.Certificate, roots *x509.CertPool) func(bytes int) time.Duration {
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.Close() })
	conns := make(chan net.Conn, 1)
	go func() {
		if c, err := l.Accept(); err == nil {
			c.(*tls.Conn).Handshake()
			conns <- c
		}
	}()
	in, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{RootCAs: roots})
	if err != nil {
		b.Fatal(err)
	}
	out := <-conns
	b.Cleanup(func() { in.Close(); out.Close() })
	buf := make([]byte, 16<<10)
	return func(bytes int) time.Duration {
		start := time.Now()
		done := make(chan struct{})
		go func() {
			io.CopyN(io.Discard, out, int64(bytes))
			close(done)
		}()
		for sent := 0; sent < bytes; sent += len(buf) {
			if _, err := in.Write(buf); err != nil {
				b.Error(err)
				return time.Hour
			}
		}
		<-done
		return time.Since(start)
	}
}

func median(list []float64) float64 {
	list = slices.Clone(list)
	slices.Sort(list)
	return list[len(list)/2]
}
