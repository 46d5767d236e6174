package demanddial

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dialway/dialway/tunnel"
	"github.com/dialway/dialway/tunnel/tunneltest"
)

var (
	seattle = netip.MustParsePrefix("172.16.1.0/24")
	newYork = netip.MustParsePrefix("172.16.2.0/24")
	here    = netip.MustParseAddr("172.16.1.7")
	there   = netip.MustParseAddr("172.16.2.7")
)

// datagram makes a UDP packet; n tells it from others.
func datagram(src, dst netip.Addr, port uint16, n byte) []byte {
	p := make([]byte, 29)
	p[0], p[8], p[9] = 0x45, 64, 17
	binary.BigEndian.PutUint16(p[2:], uint16(len(p)))
	copy(p[12:], src.AsSlice())
	copy(p[16:], dst.AsSlice())
	binary.BigEndian.PutUint16(p[20:], port)
	binary.BigEndian.PutUint16(p[22:], port)
	binary.BigEndian.PutUint16(p[24:], 9)
	p[28] = n
	return p
}

// A far side of links that are dialled: it counts, and can refuse.
type far struct {
	t *testing.T

	mu    sync.Mutex
	dials []time.Time
	to    []string
	ends  []*end // of the links that were made
	fail  func(n int, to string) error
	delay time.Duration
}

// An end is the far end of a link.
type end struct {
	tunnel.Link
	near *near
	mu   sync.Mutex
	got  [][]byte
	over chan struct{}
}

// A near is the end that the Interface has: a link of package tunneltest with an identity, and records of what is done to
// it.
type near struct {
	tunnel.Link
	id      string
	mu      sync.Mutex
	expect  []netip.Prefix
	silence time.Duration // -1: not told
	closes  int
	peer    []netip.Addr
	outer   netip.Addr
}

func (n *near) ID() string { return n.id }

func (n *near) Expect(p []netip.Prefix) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.expect = p
}

func (n *near) Outer() netip.Addr { return n.outer }

func (n *near) SetSilence(d time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.silence = d
}

func (n *near) PeerAddrs() []netip.Addr { return n.peer }

func (n *near) Close() error {
	n.mu.Lock()
	n.closes++
	n.mu.Unlock()
	return n.Link.Close()
}

func (n *near) closed() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.closes > 0
}

// newLink makes a link whose far end records what it is sent.
func newLink(id string) (*near, *end) {
	a, b := tunneltest.Pipe(netip.MustParsePrefix("10.1.0.2/32"), netip.MustParsePrefix("10.2.0.3/32"))
	n := &near{Link: a, id: id, silence: -1, peer: []netip.Addr{netip.MustParseAddr("10.2.0.3")}}
	e := &end{Link: b, near: n, over: make(chan struct{})}
	go func() {
		defer close(e.over)
		b.Serve(context.Background(), func(bufs [][]byte, offset int) (int, error) {
			e.mu.Lock()
			defer e.mu.Unlock()
			for _, x := range bufs {
				e.got = append(e.got, bytes.Clone(x[offset:]))
			}
			return len(bufs), nil
		})
	}()
	return n, e
}

// numbers returns the last bytes of what came.
func (e *end) numbers() (list []byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, p := range e.got {
		list = append(list, p[len(p)-1])
	}
	return list
}

// send sends packets to the Interface.
func (e *end) send(packets ...[]byte) {
	for _, p := range packets {
		e.Link.Write([][]byte{bytes.Clone(p)}, 0)
	}
}

func (f *far) dial(ctx context.Context, to string) (tunnel.Link, error) {
	f.mu.Lock()
	n := len(f.dials)
	f.dials, f.to = append(f.dials, time.Now()), append(f.to, to)
	fail, delay := f.fail, f.delay
	f.mu.Unlock()
	if delay > 0 {
		select {
		case <-time.After(delay):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	if fail != nil {
		if err := fail(n, to); err != nil {
			return nil, err
		}
	}
	l, e := newLink(fmt.Sprintf("%08d", n))
	f.mu.Lock()
	f.ends = append(f.ends, e)
	f.mu.Unlock()
	return l, nil
}

func (f *far) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.dials)
}

func (f *far) last() *end {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.ends) == 0 {
		f.t.Fatal("nothing was dialled")
	}
	return f.ends[len(f.ends)-1]
}

// set changes how dials go.
func (f *far) set(fail func(n int, to string) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail = fail
}

var (
	errBusy = errors.New("busy")
	busy    = func(int, string) error { return errBusy }
)

type refusedForGood struct{ error }

func (refusedForGood) Permanent() bool { return true }

// A bench is an Interface that is served, in a bubble.
type bench struct {
	t *testing.T
	*Interface
	far      *far
	table    *tunnel.Table
	cancel   context.CancelFunc
	ended    chan error
	mu       sync.Mutex
	received [][]byte
	rejected [][]byte
}

// serve starts an Interface with a route to New York. The test ends with it.
func serve(t *testing.T, change func(i *Interface)) *bench {
	t.Helper()
	b := newBench(t, change)
	b.start()
	return b
}

func newBench(t *testing.T, change func(i *Interface)) *bench {
	b := &bench{t: t, far: &far{t: t}, table: new(tunnel.Table), ended: make(chan error, 1)}
	b.Interface = &Interface{
		Name: "DD_NewYork", User: "DD_Seattle", Dial: b.far.dial,
		Table: b.table, Routes: []Route{{Prefix: newYork}},
	}
	if os.Getenv("DEMANDDIAL_LOG") != "" {
		b.Interface.Logger = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	b.Interface.Reject = func(_ tunnel.PacketWriter, bufs [][]byte, offset int) {
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, x := range bufs {
			b.rejected = append(b.rejected, bytes.Clone(x[offset:]))
		}
	}
	if change != nil {
		change(b.Interface)
	}
	return b
}

func (b *bench) start() {
	ctx, cancel := context.WithCancel(context.Background())
	b.cancel = cancel
	go func() {
		b.ended <- b.Interface.Serve(ctx, func(bufs [][]byte, offset int) (int, error) {
			b.mu.Lock()
			defer b.mu.Unlock()
			for _, x := range bufs {
				b.received = append(b.received, bytes.Clone(x[offset:]))
			}
			return len(bufs), nil
		})
	}()
	b.t.Cleanup(b.stop)
	synctest.Wait()
}

// stop ends Serve and waits.
func (b *bench) stop() {
	if b.cancel != nil {
		b.cancel()
		<-b.ended
		b.cancel = nil
	}
}

// write sends packets to New York, each of a number.
func (b *bench) write(numbers ...byte) {
	b.t.Helper()
	for _, n := range numbers {
		if _, err := b.Interface.Write([][]byte{append(make([]byte, 8), datagram(here, there, 53, n)...)}, 8); err != nil {
			b.t.Errorf("write: %v", err)
		}
	}
	synctest.Wait()
}

func (b *bench) counts() (received, rejected int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.received), len(b.rejected)
}

// want checks state, reasons, and that routes are there as they should be.
func (b *bench) want(s State, r Reason) {
	b.t.Helper()
	synctest.Wait()
	st := b.Status()
	if st.State != s || st.Reasons != r {
		b.t.Errorf("state %v (%v), want %v (%v); last error %v", st.State, st.Reasons, s, r, st.Err)
	}
	if have, should := b.routed(), s != Unreachable; have != should {
		b.t.Errorf("in state %v (%v) the route is there: %v", st.State, st.Reasons, have)
	}
}

func (b *bench) routed() bool {
	return b.table.Lookup(b.Routes[0].Prefix.Addr().Next()) == tunnel.PacketWriter(b.Interface)
}

// sleep lets the bubble's time pass.
func sleep(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// bubble runs a test in a bubble.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}
