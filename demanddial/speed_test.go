package demanddial

import (
	"context"
	"net/netip"
	"testing"

	"github.com/dialway/dialway/tunnel"
)

// A sink is a link that takes everything and keeps nothing.
type sink struct{ tunnel.Link }

func (s *sink) Write(bufs [][]byte, _ int) (int, error) { return len(bufs), nil }
func (s *sink) Addrs() []netip.Addr                     { return nil }
func (s *sink) MTU() int                                { return 1400 }
func (s *sink) Close() error                            { return nil }
func (s *sink) Serve(ctx context.Context, _ func([][]byte, int) (int, error)) error {
	<-ctx.Done()
	return context.Cause(ctx)
}

// connected returns an Interface that is up.
func connected(tb testing.TB, change func(i *Interface)) *Interface {
	tb.Helper()
	i := &Interface{Name: "x", Persistent: true, Dial: func(context.Context, string) (tunnel.Link, error) { return new(sink), nil }}
	if change != nil {
		change(i)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		i.Serve(ctx, func(bufs [][]byte, _ int) (int, error) { return len(bufs), nil })
	}()
	tb.Cleanup(func() { cancel(); <-done })
	if err := i.Connect(ctx); err != nil {
		tb.Fatal(err)
	}
	return i
}

func TestWriteDoesNotAllocate(t *testing.T) {
	rule, err := tunnel.ParseRule("udp any > any:53")
	if err != nil {
		t.Fatal(err)
	}
	filter := tunnel.Filter{Rules: []tunnel.Rule{rule}}
	for name, change := range map[string]func(i *Interface){
		"plain":   nil,
		"demand":  func(i *Interface) { i.Persistent = false },
		"filters": func(i *Interface) { i.Persistent, i.Demand, i.Out = false, filter.Match, filter.Match },
	} {
		i := connected(t, change)
		bufs := [][]byte{datagram(here, there, 53, 1), datagram(here, there, 54, 2), datagram(here, there, 53, 3)}
		if n := testing.AllocsPerRun(1000, func() { i.Write(bufs, 0) }); n != 0 {
			t.Errorf("%s: Write allocates %v times", name, n)
		}
		e := &engine{Interface: i, to: func(bufs [][]byte, _ int) (int, error) { return len(bufs), nil }}
		if n := testing.AllocsPerRun(1000, func() { e.inward(bufs, 0) }); n != 0 {
			t.Errorf("%s: what comes in allocates %v times", name, n)
		}
	}
}

func BenchmarkWrite(b *testing.B) {
	i := connected(b, func(i *Interface) { i.Persistent = false })
	bufs := [][]byte{datagram(here, there, 53, 1)}
	b.ReportAllocs()
	for b.Loop() {
		i.Write(bufs, 0)
	}
}
