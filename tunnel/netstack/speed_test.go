package netstack

import (
	"context"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/dialway/dialway/tunnel"
)

// A wire is one end of a link in memory that costs little: packets are copied once, wait for a time, and some get lost.
type wire struct {
	addr  netip.Addr
	far   *wire
	mtu   int
	delay time.Duration
	loss  float64
	limit int // bytes that wait, what comes then is lost

	mu      sync.Mutex
	arrived sync.Cond
	queue   []load
	free    [][]byte
	bytes   int
	lost    int
	closed  bool
}

// A load is what one Write brought.
type load struct {
	slab  []byte
	sizes []int
	due   time.Time
}

func newWires(mtu, limit int, delay time.Duration, loss float64) (a, b *wire) {
	a = &wire{addr: addrA, mtu: mtu, limit: limit, delay: delay, loss: loss}
	b = &wire{addr: addrB, mtu: mtu, limit: limit, delay: delay, loss: loss, far: a}
	a.far = b
	a.arrived.L, b.arrived.L = &a.mu, &b.mu
	return a, b
}

func (w *wire) Write(bufs [][]byte, offset int) (int, error) {
	f := w.far
	f.mu.Lock()
	defer f.mu.Unlock()
	var b load
	if n := len(f.free); n > 0 {
		b.slab, f.free = f.free[n-1][:0], f.free[:n-1]
	}
	if f.delay > 0 {
		b.due = time.Now().Add(f.delay)
	}
	for _, p := range bufs {
		if f.bytes > f.limit || f.loss > 0 && rand.Float64() < f.loss {
			f.lost++
			continue
		}
		f.bytes += len(p) - offset
		b.slab = append(b.slab, p[offset:]...)
		b.sizes = append(b.sizes, len(p)-offset)
	}
	f.queue = append(f.queue, b)
	f.arrived.Signal()
	return len(bufs), nil
}

func (w *wire) Serve(ctx context.Context, to func([][]byte, int) (int, error)) error {
	defer context.AfterFunc(ctx, func() { w.Close() })()
	var views [][]byte
	for {
		w.mu.Lock()
		for len(w.queue) == 0 && !w.closed {
			w.arrived.Wait()
		}
		if w.closed {
			w.mu.Unlock()
			return net.ErrClosed
		}
		b := w.queue[0]
		w.queue = w.queue[1:]
		w.bytes -= len(b.slab)
		w.mu.Unlock()
		if wait := time.Until(b.due); !b.due.IsZero() && wait > 0 {
			time.Sleep(wait)
		}
		views = views[:0]
		at := 0
		for _, n := range b.sizes {
			views = append(views, b.slab[at:at+n:at+n])
			at += n
		}
		to(views, 0)
		w.mu.Lock()
		w.free = append(w.free, b.slab)
		w.mu.Unlock()
	}
}

func (w *wire) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	w.arrived.Broadcast()
	return nil
}

func (w *wire) Addrs() []netip.Addr      { return []netip.Addr{w.addr} }
func (w *wire) Prefixes() []netip.Prefix { return nil }
func (w *wire) DNS() []netip.Addr        { return nil }
func (w *wire) MTU() int                 { return w.mtu }

var _ tunnel.Link = (*wire)(nil)

// BenchmarkTCP is bulk TCP from one stack to another in the same process: it pays for both ends.
func BenchmarkTCP(b *testing.B) {
	for _, c := range []struct {
		name    string
		mtu     int
		streams int
		delay   time.Duration
		loss    float64
		limit   int
	}{
		{"MTU1400", 1400, 1, 0, 0, 4 << 20},
		{"MTU1400,4streams", 1400, 4, 0, 0, 4 << 20},
		{"MTU4087", 4087, 1, 0, 0, 4 << 20},
		{"RTT100ms", 1400, 1, 50 * time.Millisecond, 0, 16 << 20},
		{"RTT100ms,queue1MiB", 1400, 1, 50 * time.Millisecond, 0, 1 << 20},
		{"RTT20ms,loss1in1000", 1400, 1, 10 * time.Millisecond, 0.001, 16 << 20},
	} {
		b.Run(c.name, func(b *testing.B) {
			x, y := newWires(c.mtu, c.limit, c.delay, c.loss)
			s, r := serve(b, new(Stack), x), serve(b, new(Stack), y)
			const size = 32 << 10
			b.SetBytes(size)
			var wg sync.WaitGroup
			var sends []net.Conn
			for range c.streams {
				from, to := connected(b, s, r)
				sends = append(sends, from)
				wg.Go(func() {
					io.Copy(struct{ io.Writer }{io.Discard}, to)
					to.Close()
				})
			}
			b.ReportAllocs()
			b.ResetTimer()
			for i, conn := range sends {
				wg.Go(func() {
					data := make([]byte, size)
					for range (b.N + i) / len(sends) {
						if _, err := conn.Write(data); err != nil {
							b.Error(err)
							break
						}
					}
					conn.Close()
				})
			}
			wg.Wait()
			b.StopTimer()
			if y.lost > 0 {
				b.ReportMetric(float64(y.lost), "lost")
			}
			s.Close()
			r.Close()
		})
	}
}
