package tun

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/dialway/dialway/internal/offload/offloadtest"
	"github.com/dialway/dialway/tunnel"
	wtun "golang.zx2c4.com/wireguard/tun"
)

// A fake is the library's device without a system: what is sent is read from in, and what is written comes out of out as
// copies. Like the library it writes in front of packets before it looks at the first, and behind them up to capacity.
type fake struct {
	in     chan []byte
	out    chan []byte
	closed chan struct{}
	once   sync.Once
	batch  int
}

func newFake() *fake {
	return &fake{in: make(chan []byte, 10), out: make(chan []byte, 1000), closed: make(chan struct{}), batch: 128}
}

func (f *fake) Read(bufs [][]byte, sizes []int, offset int) (int, error) {
	select {
	case p := <-f.in:
		if p == nil {
			return 0, errors.New("invalid header")
		}
		sizes[0] = copy(bufs[0][offset:][:len(p)], p) // panics, as the library does
		return 1, nil
	case <-f.closed:
		return 0, os.ErrClosed
	}
}

func (f *fake) Write(bufs [][]byte, offset int) (int, error) {
	select {
	case <-f.closed:
		return 0, os.ErrClosed
	default:
	}
	if offset < 10 {
		return 0, errors.New("invalid offset")
	}
	for _, b := range bufs {
		clear(b[offset-10 : offset])
	}
	for _, b := range bufs {
		f.out <- bytes.Clone(b[offset:])
		clear(b[:cap(b)])
	}
	return len(bufs), nil
}

func (f *fake) Close() error {
	f.once.Do(func() { close(f.closed) })
	return nil
}

func (f *fake) File() *os.File            { return nil }
func (f *fake) MTU() (int, error)         { return 1400, nil }
func (f *fake) Name() (string, error)     { return "fake", nil }
func (f *fake) Events() <-chan wtun.Event { return nil }
func (f *fake) BatchSize() int            { return f.batch }

// deviceOn returns a Device on a fake.
func deviceOn(t *testing.T, f *fake) *Device {
	t.Helper()
	d, err := FromFile(nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	d.queue.batch = 128
	if f != nil {
		d.queue.swap(&library{Device: f}, false)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func TestWriteLeavesNeighboursAlone(t *testing.T) {
	f := newFake()
	d := deviceOn(t, f)
	for _, offset := range []int{0, 1, 8, 40} {
		// Two packets as a link lends them: next to each other in one buffer, with less room between them than the library
		// writes in front of a packet.
		slab := bytes.Repeat([]byte{0xee}, 300)
		a := slab[10 : 10+offset+100 : 10+offset+100]
		b := slab[len(a)+10 : len(a)+10+offset+100 : len(a)+10+offset+100]
		for i := range 100 {
			a[offset+i], b[offset+i] = 'a'+byte(i%26), 'A'+byte(i%26)
		}
		want := bytes.Clone(slab)
		if n, err := d.Write([][]byte{a, b}, offset); n != 2 || err != nil {
			t.Fatal(n, err)
		}
		if x, y := <-f.out, <-f.out; !bytes.Equal(x, want[10+offset:][:100]) || !bytes.Equal(y, want[10+2*offset+100:][:100]) {
			t.Errorf("offset %d: %q %q", offset, x, y)
		}
		if !bytes.Equal(slab, want) {
			t.Errorf("offset %d: the lender's buffer has changed", offset)
		}
	}
	if n, err := d.Write([][]byte{make([]byte, 8), {}, make([]byte, 70000)}, 8); n != 0 || err != nil || len(f.out) > 0 {
		t.Error("nothing, and too much:", n, err, len(f.out))
	}
	many := make([][]byte, 300)
	for i := range many {
		many[i] = []byte{0, 0, byte(i)}
	}
	if n, err := d.Write(many, 2); n != 300 || err != nil {
		t.Error(n, err)
	}
	for i := range many {
		if p := <-f.out; p[0] != byte(i) {
			t.Fatal(i, p)
		}
	}
	if n := testing.AllocsPerRun(100, func() {
		d.Write(many[:20], 2)
		for range 20 {
			<-f.out
		}
	}); n > 20 { // the fake's copies
		t.Errorf("%v allocations", n)
	}
}

func TestSwap(t *testing.T) {
	d := deviceOn(t, nil)
	if n, err := d.Write([][]byte{{1}}, 0); n != 0 || err != nil {
		t.Error("without a descriptor:", n, err)
	}
	read := make(chan string, 10)
	ended := make(chan error, 1)
	go func() {
		bufs, sizes := [][]byte{make([]byte, 4+d.MTU())}, make([]int, 1)
		for {
			n, err := d.Read(bufs, sizes, 4)
			if err != nil {
				ended <- err
				return
			}
			for range n {
				read <- string(bufs[0][4 : 4+sizes[0]])
			}
		}
	}()
	for _, name := range []string{"first", "second"} {
		f := newFake()
		d.queue.swap(&library{Device: f}, false)
		f.in <- nil                // what cannot be read is lost,
		f.in <- make([]byte, 2000) // as is what does not fit
		f.in <- []byte(name)
		if got := <-read; got != name {
			t.Error(got)
		}
		if name == "second" {
			if err := d.Swap(nil, 1200); err != nil || d.MTU() != 1200 {
				t.Error(err, d.MTU())
			}
			<-f.closed
		}
	}
	select {
	case err := <-ended:
		t.Fatal("Read does not wait for the next:", err)
	case <-time.After(10 * time.Millisecond):
	}
	f := newFake()
	d.queue.swap(&library{Device: f}, false)
	d.Close()
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
	<-f.closed
	if _, err := d.Write([][]byte{{1}}, 0); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
	late := newFake()
	d.queue.swap(&library{Device: late}, false)
	<-late.closed // nobody else would
}

func TestHandedInIsConfiguredByItsSystem(t *testing.T) {
	d := deviceOn(t, nil)
	for name, err := range map[string]error{
		"SetAddrs": d.SetAddrs(netip.MustParsePrefix("10.0.0.1/32")), "Exclude": d.Exclude(netip.MustParseAddr("192.0.2.1")),
	} {
		if !errors.Is(err, errors.ErrUnsupported) {
			t.Error(name, err)
		}
	}
	table := d.Routes(new(tunnel.Table))
	table.Insert(netip.MustParsePrefix("10.0.0.0/8"), d, 0)
	if table.Lookup(netip.MustParseAddr("10.1.1.1")) != tunnel.PacketWriter(d) || !table.Delete(netip.MustParsePrefix("10.0.0.0/8"), d) {
		t.Error("the table")
	}
	if d.Name() != "" || len(d.Queues()) != 1 || !d.Forwards() {
		t.Error(d.Name(), d.Queues())
	}
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Swap(f, 0); err == nil {
		t.Error("no TUN device, and taken")
	}
	if err := f.Close(); err != nil {
		t.Error("closed although refused:", err)
	}
}

func TestQueuesShareOutSources(t *testing.T) {
	first, second := newFake(), newFake()
	d := deviceOn(t, first)
	d.more = append(d.more, new(queue).init(&library{Device: second}, 128, d.queue.mtu, &d.sys))
	for _, k := range offloadtest.Kinds {
		var counts [2]int
		for host := range 100 {
			p := offloadtest.Packet(k.IPv6, k.UDP, 1, 0x10, []byte("data"))
			if k.IPv6 {
				p[23] = byte(host)
			} else {
				p[15] = byte(host)
			}
			for range 2 { // twice the same way
				before := [2]int{len(first.out), len(second.out)}
				if n, err := d.Write([][]byte{append([]byte("offs"), p...), p}, 4); n != 2 || err != nil {
					t.Fatal(n, err)
				}
				switch {
				case len(first.out) == before[0]+2 && len(second.out) == before[1]:
					counts[0]++
				case len(second.out) == before[1]+2 && len(first.out) == before[0]:
					counts[1]++
				default:
					t.Fatal("a batch was torn")
				}
			}
		}
		if counts[0]%2 != 0 || counts[0] < 60 || counts[1] < 60 {
			t.Errorf("%+v: %v", k, counts)
		}
	}
	if n, err := d.Write([][]byte{{1}, {}}, 0); n != 1 || err != nil {
		t.Error(n, err)
	}
	if n, err := d.Write(nil, 0); n != 0 || err != nil {
		t.Error(n, err)
	}
}

func TestIsCut(t *testing.T) {
	for want, list := range map[bool][][]byte{
		false: {nil, {0x45}, append([]byte{0x45, 0, 0, 20}, make([]byte, 16)...), append([]byte{0x60, 0, 0, 0, 0, 0}, make([]byte, 34)...), make([]byte, 60)},
		true:  {append([]byte{0x45, 0, 0, 21}, make([]byte, 16)...), append([]byte{0x60, 0, 0, 0, 0, 1}, make([]byte, 34)...)},
	} {
		for _, p := range list {
			if isCut(p) != want {
				t.Errorf("%x", p)
			}
		}
	}
}
