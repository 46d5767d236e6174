package ppp

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"sync/atomic"
	"testing"
)

// tcpPair is a loopback connection.
func tcpPair(tb testing.TB) (a, b net.Conn) {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer l.Close()
	if a, err = net.Dial("tcp", l.Addr().String()); err != nil {
		tb.Fatal(err)
	}
	if b, err = l.Accept(); err != nil {
		tb.Fatal(err)
	}
	return a, b
}

// A window holds a sender back as the far end's acknowledgements do: so many packets may be on their way.
type window struct {
	size, sent int64
	received   atomic.Int64
	wake       chan struct{}
}

func newWindow(size int64) *window { return &window{size: size, wake: make(chan struct{}, 1)} }

func (w *window) send(n int64) {
	for w.sent+n-w.received.Load() > w.size {
		<-w.wake
	}
	w.sent += n
}

func (w *window) arrived(n int64) {
	w.received.Add(n)
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// BenchmarkStream carries packets of 1400 bytes, 46 at a time as a TUN device gives them, over TLS on loopback TCP,
// beside the same bytes copied by crypto/tls in writes of 16 KiB.
func BenchmarkStream(b *testing.B) {
	const batch = 46
	b.Run("packets", func(b *testing.B) {
		x, y := tcpPair(b)
		ca, cb := tlsPair(b, x, y, 0)
		benchmarkFrames(b, NewStream(ca, lengthFraming{}), NewStream(cb, lengthFraming{}), batch)
	})
	b.Run("packets singly", func(b *testing.B) {
		x, y := tcpPair(b)
		ca, cb := tlsPair(b, x, y, 0)
		benchmarkFrames(b, NewStream(ca, lengthFraming{}), NewStream(cb, lengthFraming{}), 1)
	})
	b.Run("packets without TLS", func(b *testing.B) {
		x, y := tcpPair(b)
		benchmarkFrames(b, NewStream(x, lengthFraming{}), NewStream(y, lengthFraming{}), batch)
	})
	b.Run("copy", func(b *testing.B) {
		x, y := tcpPair(b)
		client := tls.Client(x, &tls.Config{InsecureSkipVerify: true})
		server := tls.Server(y, &tls.Config{Certificates: []tls.Certificate{testCert(b)}})
		go server.HandshakeContext(context.Background())
		if err := client.HandshakeContext(context.Background()); err != nil {
			b.Fatal(err)
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			buf := make([]byte, 32<<10)
			for {
				if _, err := server.Read(buf); err != nil {
					return
				}
			}
		}()
		buf := make([]byte, 16<<10)
		b.SetBytes(int64(len(buf)))
		for b.Loop() {
			if _, err := client.Write(buf); err != nil {
				b.Fatal(err)
			}
		}
		client.Close()
		<-done
		server.Close()
	})
}

func benchmarkFrames(b *testing.B, from, to *Stream, batch int) {
	bufs := make([][]byte, batch)
	for i := range bufs {
		bufs[i] = udp(7, 0, 1400)
	}
	w := newWindow(512)
	done := make(chan error, 1)
	var batches int
	var lost uint64
	go func() {
		for {
			frames, err := to.ReadFrames()
			if err != nil {
				done <- err
				return
			}
			batches++
			w.arrived(int64(len(frames)))
		}
	}()
	b.SetBytes(int64(batch * 1400))
	b.ReportAllocs()
	for b.Loop() {
		w.send(int64(batch))
		if _, err := from.WriteFrames(ipv4Header[:], bufs, 0); err != nil {
			b.Fatal(err)
		}
		if n, _ := from.Dropped(); n > lost { // they will not arrive: the window must not wait for them
			w.arrived(int64(n - lost))
			lost = n
		}
	}
	from.Close()
	if err := <-done; err != io.EOF {
		b.Error(err)
	}
	to.Close()
	b.ReportMetric(float64(w.sent)/float64(batches), "frames/batch")
	b.ReportMetric(float64(lost), "dropped")
}
