package demanddial

import (
	"context"
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/dialway/dialway/tunnel"
)

// scale is a router of many interfaces with many routes, which is served.
func scale(tb testing.TB, interfaces, routes int, dial func(ctx context.Context, to string) (tunnel.Link, error)) *Set {
	tb.Helper()
	s := &Set{Router: &tunnel.Router{Routes: new(tunnel.Table), Uplink: new(sink)}}
	per := routes / interfaces
	var list []*Interface
	for n := range interfaces {
		i := &Interface{Name: fmt.Sprintf("DD_%d", n), User: "DD_Hub", To: []string{"192.0.2.1"}, Dial: dial}
		for k := range per {
			i.Routes = append(i.Routes, Route{Prefix: prefix(n*per + k)})
		}
		list = append(list, i)
	}
	if err := s.Add(list...); err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Serve(ctx)
	}()
	tb.Cleanup(func() { cancel(); <-done })
	for _, i := range list {
		for i.Status().Since.IsZero() { // its routes are there when it tells of itself
			time.Sleep(time.Millisecond)
		}
	}
	return s
}

// prefix is the nth network, and addr an address in it.
func prefix(n int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10 + byte(n>>16), byte(n >> 8), byte(n), 0}), 24)
}

func addr(n int) netip.Addr { return prefix(n).Addr().Next() }

const (
	manyInterfaces = 1000
	manyRoutes     = 100_000
)

func never(ctx context.Context, _ string) (tunnel.Link, error) {
	<-ctx.Done()
	return nil, context.Cause(ctx)
}

// TestAThousandInterfaces measures what an idle interface costs in memory, and that finding one allocates nothing.
func TestAThousandInterfaces(t *testing.T) {
	if testing.Short() {
		t.Skip("100,000 routes")
	}
	var s *Set
	for _, c := range []struct{ routes, most int }{{manyInterfaces, 16 << 10}, {manyRoutes, 64 << 10}} {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		s = scale(t, manyInterfaces, c.routes, never)
		runtime.GC()
		runtime.ReadMemStats(&after)
		heap := (int(after.HeapAlloc) - int(before.HeapAlloc)) / manyInterfaces
		stack := (int(after.StackInuse) - int(before.StackInuse)) / manyInterfaces
		t.Logf("%d bytes of heap and %d of stack an interface with %d routes, the table included", heap, stack, c.routes/manyInterfaces)
		if heap+stack > c.most {
			t.Errorf("an idle interface costs %d bytes", heap+stack)
		}
	}
	n, missed := 0, 0
	if allocs := testing.AllocsPerRun(1000, func() {
		if s.Router.Routes.Lookup(addr(n%manyRoutes)) == nil {
			missed++
		}
		n += 7919
	}); allocs != 0 || missed > 0 {
		t.Errorf("a lookup allocates %v times; %d found nothing", allocs, missed)
	}
	if d := s.Explain(datagram(here, addr(99_999), 53, 1), time.Now()); !d.Dials || d.Interface.Name != "DD_999" {
		t.Errorf("%+v", d)
	}
}

// BenchmarkTrigger measures the packet that makes an interface dial: the Write of a Router whose route leads to an interface
// that is down, beside the same for a route that leads to a link. Each is timed by itself, and their medians are compared:
// the engines that are woken, and whatever else runs here, take their time from the same processors.
func BenchmarkTrigger(b *testing.B) {
	s := scale(b, manyInterfaces, manyRoutes, never)
	rt := s.Router
	per := manyRoutes / manyInterfaces
	var list []*Interface
	for i := range s.All() {
		list = append(list, i)
	}
	plain, dials := make([][]byte, len(list)), make([][]byte, len(list))
	for n := range list {
		dials[n] = datagram(here, addr(n*per), 53, 1)
		to := netip.AddrFrom4([4]byte{192, 168, byte(n >> 8), byte(n)})
		plain[n] = datagram(here, to, 53, 1)
		rt.Routes.Insert(netip.PrefixFrom(to, 32), new(sink), 0)
	}
	b.ReportAllocs()
	bufs := [][]byte{nil}
	var took, tookPlain []time.Duration
	write := func(p []byte) time.Duration {
		bufs[0] = p
		began := time.Now()
		rt.Write(bufs, 0)
		return time.Since(began)
	}
	for n := 0; b.Loop(); n++ {
		k := n % len(list)
		if k == 0 && n > 0 {
			b.StopTimer()
			for _, i := range list {
				i.Disconnect()
			}
			for _, i := range list {
				for i.Status().State != Down {
					time.Sleep(100 * time.Microsecond)
				}
			}
			b.StartTimer()
		}
		tookPlain = append(tookPlain, write(plain[k]))
		took = append(took, write(dials[k]))
	}
	slices.Sort(took)
	slices.Sort(tookPlain)
	mid := len(took) / 2
	b.ReportMetric(float64(tookPlain[mid]), "ns/plain")
	b.ReportMetric(float64(took[mid]), "ns/trigger")
	b.ReportMetric(float64(took[mid]-tookPlain[mid]), "ns/over")
	b.ReportMetric(float64(took[len(took)*9/10]-tookPlain[len(took)*9/10]), "p90ns/over")
}
