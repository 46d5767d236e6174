package tunneltest_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dialway/dialway/tunnel"
	"github.com/dialway/dialway/tunnel/tunneltest"
)

var (
	_ tunnel.PacketIO = (*tunneltest.Device)(nil)

	endA = netip.MustParsePrefix("10.8.0.1/32")
	endB = netip.MustParsePrefix("10.1.2.3/16")
)

func TestPipeJoinsTwoLinks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := tunneltest.Pipe(endA, endB)
		if a.Addrs()[0] != endA.Addr() || a.Prefixes()[0] != endB.Masked() || b.Addrs()[0] != endB.Addr() || b.Prefixes()[0] != endA {
			t.Errorf("addresses: %v %v, %v %v", a.Addrs(), a.Prefixes(), b.Addrs(), b.Prefixes())
		}
		var got []string
		var kept []byte
		done := make(chan error, 2)
		go func() {
			done <- b.Serve(t.Context(), func(bufs [][]byte, offset int) (int, error) {
				for _, p := range bufs {
					got = append(got, string(p[offset:]))
					kept = p[offset:]
				}
				return len(bufs), nil
			})
		}()
		for i := range 20 {
			if n, err := a.Write([][]byte{fmt.Appendf(nil, "head%d", i)}, 4); n != 1 || err != nil {
				t.Errorf("Write: %d %v", n, err)
			}
		}
		synctest.Wait()
		if len(got) != 20 || got[0] != "0" || got[19] != "19" {
			t.Errorf("served %q", got)
		}
		if kept[0] != 0xDB {
			t.Error("what was lent is not overwritten")
		}
		if err := b.Serve(t.Context(), nil); err == nil || errors.Is(err, net.ErrClosed) {
			t.Errorf("a second Serve at a time: %v", err)
		}
		a.Close()
		if err := <-done; !errors.Is(err, net.ErrClosed) {
			t.Errorf("Serve: %v", err)
		}
		if _, err := b.Write([][]byte{{1}}, 0); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Write after Close: %v", err)
		}
	})
}

func TestPipeDropsWhatNobodyServes(t *testing.T) {
	a, _ := tunneltest.Pipe(endA, endB)
	sent := 0
	for range 3000 {
		n, err := a.Write([][]byte{{1}}, 0)
		if err != nil {
			t.Fatal(err)
		}
		sent += n
	}
	if sent != 1024 {
		t.Errorf("%d packets taken, want 1024", sent)
	}
	if n, _ := a.Write([][]byte{make([]byte, 1401)}, 0); n != 0 {
		t.Error("took a packet beyond the MTU")
	}
}

func TestPipeServeEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := tunneltest.Pipe(endA, endB)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		far := make(chan error, 1)
		go func() { far <- b.Serve(t.Context(), nil) }()
		if err := a.Serve(ctx, nil); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, net.ErrClosed) {
			t.Errorf("Serve: %v", err)
		}
		if err := <-far; !errors.Is(err, net.ErrClosed) {
			t.Errorf("the other end: %v", err)
		}
		bad := errors.New("no more")
		a, b = tunneltest.Pipe(endA, endB)
		a.Write([][]byte{{1}}, 0)
		if err := b.Serve(t.Context(), func([][]byte, int) (int, error) { return 0, bad }); !errors.Is(err, bad) {
			t.Errorf("what serves fails: %v", err)
		}
	})
}

func TestDeviceReadsWhatIsInjectedAndShowsWhatIsSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d tunneltest.Device
		go func() {
			time.Sleep(time.Second)
			for i := range 10 {
				d.Inject([]byte{byte(i)})
			}
		}()
		bufs, sizes := make([][]byte, d.BatchSize()), make([]int, d.BatchSize())
		for i := range bufs {
			bufs[i] = make([]byte, 4+d.MTU())
		}
		for next := byte(0); next < 10; {
			n, err := d.Read(bufs, sizes, 4)
			if err != nil || n == 0 {
				t.Fatal(n, err)
			}
			for i := range n {
				if sizes[i] != 1 || bufs[i][4] != next {
					t.Fatalf("packet %d is %x", next, bufs[i][4:4+sizes[i]])
				}
				next++
			}
		}
		p := []byte("..packet")
		if n, err := d.Write([][]byte{p}, 2); n != 1 || err != nil || string(<-d.Sent()) != "packet" {
			t.Errorf("Write: %d %v", n, err)
		}
		if p[2] != 0xDB {
			t.Error("the buffer was left to its caller")
		}
		go func() { time.Sleep(time.Second); d.Close() }()
		if _, err := d.Read(bufs, sizes, 4); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Read: %v", err)
		}
		if _, ok := <-d.Sent(); ok {
			t.Error("Sent is still open")
		}
		if _, err := d.Write([][]byte{{1}}, 0); !errors.Is(err, net.ErrClosed) {
			t.Errorf("Write: %v", err)
		}
	})
}

func Example() {
	var host tunneltest.Device
	a, b := tunneltest.Pipe(endA, netip.MustParsePrefix("10.8.0.2/32"))
	rt := &tunnel.Router{Routes: new(tunnel.Table), Uplink: &host}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go rt.ServeLink(ctx, a)
	for rt.Routes.Lookup(netip.MustParseAddr("10.8.0.2")) == nil {
		time.Sleep(time.Millisecond)
	}

	packet := []byte{0x45, 0, 0, 20, 0, 0, 0, 0, 64, 17, 0, 0, 10, 8, 0, 2, 192, 0, 2, 1} // 10.8.0.2 > 192.0.2.1
	b.Write([][]byte{packet}, 0)
	fmt.Printf("%d bytes at the host\n", len(<-host.Sent()))
	// Output: 20 bytes at the host
}
