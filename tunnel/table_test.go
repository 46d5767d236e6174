package tunnel

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/gaissmai/bart"
)

// sink is a PacketWriter that only has an identity.
type sink struct{ id int }

func (s *sink) Write(bufs [][]byte, offset int) (int, error) { return len(bufs), nil }

func (s *sink) String() string { return fmt.Sprint("sink ", s.id) }

func pfx(s string) netip.Prefix { return netip.MustParsePrefix(s) }
func adr(s string) netip.Addr   { return netip.MustParseAddr(s) }

func TestTableLongestPrefixLowestMetricNewest(t *testing.T) {
	a, b, c := &sink{1}, &sink{2}, &sink{3}
	var tb Table
	if tb.Lookup(adr("10.0.0.1")) != nil || tb.Delete(pfx("10.0.0.0/8"), a) {
		t.Fatal("the zero Table is not empty")
	}
	tb.Insert(pfx("0.0.0.0/0"), a, 0)
	tb.Insert(pfx("10.1.2.3/8"), b, 5) // host bits do not count
	tb.Insert(pfx("10.8.0.7/32"), c, 9)
	for dst, want := range map[string]PacketWriter{
		"192.0.2.1": a, "10.255.0.1": b, "10.8.0.7": c, "10.8.0.8": b, "::ffff:10.8.0.7": c, "2001:db8::1": nil,
	} {
		if got := tb.Lookup(adr(dst)); got != want {
			t.Errorf("Lookup(%s) = %v, want %v", dst, got, want)
		}
	}
	for _, p := range []netip.Prefix{pfx("10.0.0.0/8"), pfx("10.8.0.7/32"), pfx("2001:db8::/32"), pfx("2001:db8::9/128")} {
		var tb Table
		dst := p.Addr()
		check := func(step string, want PacketWriter) {
			t.Helper()
			if got := tb.Lookup(dst); got != want {
				t.Errorf("%v, %s: Lookup = %v, want %v", p, step, got, want)
			}
		}
		tb.Insert(p, a, 10)
		tb.Insert(p, b, 20)
		check("a higher metric does not win", a)
		tb.Insert(p, c, 10)
		check("among equals the newest wins", c)
		if tb.Delete(p, &sink{}) {
			t.Error("deleted a route that was never there")
		}
		check("a stranger's Delete changes nothing", c)
		if !tb.Delete(p, c) || tb.Delete(p, c) {
			t.Error("Delete does not say what it did")
		}
		check("the older one comes back", a)
		tb.Insert(p, b, 1)
		check("a route inserted again has its new metric", b)
		tb.Insert(p, b, 30)
		check("and its old one no more", a)
		if got := slices.Collect(tb.All()); len(got) != 2 || got[0] != (Route{p, a, 10}) || got[1] != (Route{p, b, 30}) {
			t.Errorf("All = %v", got)
		}
		tb.Delete(p, a)
		tb.Delete(p, b)
		check("empty again", nil)
	}
}

func TestTableRefusesLinkLocalAndMulticastPrefixes(t *testing.T) {
	a := &sink{1}
	var tb Table
	for _, p := range []string{
		"169.254.0.0/16", "169.254.1.2/32", "224.0.0.0/4", "239.1.2.0/24", "fe80::/10", "fe80::1/128", "fe80::/64", "ff00::/8", "ff02::1:0/112",
	} {
		tb.Insert(pfx(p), a, 0)
	}
	tb.Insert(netip.Prefix{}, a, 0)
	tb.Insert(pfx("10.0.0.0/8"), nil, 0)
	if got := slices.Collect(tb.All()); len(got) != 0 {
		t.Fatalf("the Table took %v", got)
	}
	tb.Insert(pfx("0.0.0.0/0"), a, 0)
	tb.Insert(pfx("::/0"), a, 0)
	tb.Insert(pfx("ff02::2/128"), a, 0) // for Router.Local
	tb.Insert(pfx("239.1.2.3/32"), a, 0)
	for _, d := range []string{"169.254.1.2", "224.0.0.251", "239.1.2.3", "fe80::1", "fe80::1%eth0", "ff02::1", "ff02::2"} {
		if got := tb.Lookup(adr(d)); got != nil {
			t.Errorf("a default route leads to %s", d)
		}
	}
	tb.Insert(pfx("::/128"), a, 0) // as a number, an invalid address is the same
	if tb.Lookup(adr("255.255.255.255")) != a || tb.Lookup(netip.Addr{}) != nil || tb.exact(netip.Addr{}) != nil {
		t.Error("broadcast is routed by prefix, an invalid address not at all")
	}
}

// slowTable is the obvious implementation.
type slowTable []Route

func (s *slowTable) Insert(p netip.Prefix, via PacketWriter, metric int) {
	s.Delete(p, via)
	*s = append(*s, Route{p, via, metric})
}

func (s *slowTable) Delete(p netip.Prefix, via PacketWriter) bool {
	n := len(*s)
	*s = slices.DeleteFunc(*s, func(r Route) bool { return r.Prefix == p && r.Via == via })
	return len(*s) != n
}

func (s *slowTable) Lookup(a netip.Addr) PacketWriter {
	var best Route
	best.Prefix = netip.Prefix{}
	for _, r := range *s {
		if r.Prefix.Contains(a) && (best.Via == nil || r.Prefix.Bits() > best.Prefix.Bits() ||
			r.Prefix.Bits() == best.Prefix.Bits() && r.Metric <= best.Metric) {
			best = r
		}
	}
	return best.Via
}

func TestTableAgreesWithTheSlowOne(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	vias := make([]PacketWriter, 5)
	for i := range vias {
		vias[i] = &sink{i}
	}
	addr := func() netip.Addr { // few enough that prefixes nest and repeat
		if rng.IntN(3) == 0 {
			return netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, byte(rng.IntN(3)), 15: byte(rng.IntN(4))})
		}
		return netip.AddrFrom4([4]byte{10, byte(rng.IntN(3)), byte(rng.IntN(2) * 255), byte(rng.IntN(8))})
	}
	for round := range 30 {
		var fast Table
		var slow slowTable
		for step := range 300 {
			a := addr()
			p, _ := a.Prefix(rng.IntN(a.BitLen() + 1))
			if rng.IntN(2) == 0 {
				p = netip.PrefixFrom(a, a.BitLen())
			}
			via := vias[rng.IntN(len(vias))]
			if rng.IntN(3) > 0 {
				m := rng.IntN(3)
				fast.Insert(p, via, m)
				slow.Insert(p, via, m)
			} else if got, want := fast.Delete(p, via), slow.Delete(p, via); got != want {
				t.Fatalf("round %d step %d: Delete(%v, %v) = %v, want %v", round, step, p, via, got, want)
			}
			for range 3 {
				a := addr()
				if got, want := fast.Lookup(a), slow.Lookup(a); got != want {
					t.Fatalf("round %d step %d: Lookup(%v) = %v, want %v of %v", round, step, a, got, want, slow)
				}
			}
		}
		if n := len(slices.Collect(fast.All())); n != len(slow) {
			t.Fatalf("round %d: %d routes, want %d", round, n, len(slow))
		}
	}
}

// TestTableReadersSeeWholeChanges has routes that are replaced while readers look: a reader finds one of the two that
// were ever there, and never none.
func TestTableReadersSeeWholeChanges(t *testing.T) {
	a, b := &sink{1}, &sink{2}
	host, net := pfx("10.0.0.1/32"), pfx("10.1.0.0/16")
	var tb Table
	tb.Insert(host, a, 1)
	tb.Insert(net, a, 1)
	var done atomic.Bool
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for !done.Load() {
				for _, d := range []netip.Addr{host.Addr(), adr("10.1.2.3")} {
					if via := tb.Lookup(d); via != a && via != b {
						t.Errorf("Lookup(%v) = %v", d, via)
						done.Store(true)
					}
				}
			}
		})
	}
	for i := range 2000 {
		tb.Insert(host, b, 0)
		tb.Insert(net, b, 0)
		// Others come and go, so that the trie is rebuilt under the readers.
		p := netip.PrefixFrom(netip.AddrFrom4([4]byte{172, 16, byte(i >> 8), byte(i)}), 32)
		tb.Insert(p, a, 0)
		if i%3 > 0 {
			tb.Delete(p, a)
		}
		tb.Delete(host, b)
		tb.Delete(net, b)
		for range tb.All() {
			break
		}
	}
	done.Store(true)
	wg.Wait()
}

// TestTableForgetsHosts has a server's sessions of a day: the table does not grow with those that are gone.
func TestTableForgetsHosts(t *testing.T) {
	var tb Table
	a := &sink{1}
	for i := range 5000 {
		p := netip.PrefixFrom(hostAddr(i), 32)
		tb.Insert(p, a, 0)
		if i >= 100 {
			if !tb.Delete(netip.PrefixFrom(hostAddr(i-100), 32), a) {
				t.Fatal("a session's route was gone")
			}
		}
	}
	if n := len(tb.hosts.slots.Load().list); n > 1024 {
		t.Errorf("%d slots for 100 addresses", n)
	}
	if n := len(slices.Collect(tb.All())); n != 100 {
		t.Errorf("%d routes, want 100", n)
	}
}

func hostAddr(i int) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], 10<<24|uint32(i)*7)
	return netip.AddrFrom4(b)
}

// bigTable has n random prefixes of 8 to 32 bits, and returns addresses within them. It fills the trie in place: by
// Insert, which copies its path each time for readers, 100,000 take seconds.
func bigTable(n int) (*Table, []netip.Addr) {
	rng := rand.New(rand.NewPCG(3, 4))
	tb, via := new(Table), &sink{1}
	root := new(bart.Table[hop])
	dsts := make([]netip.Addr, 0, 1<<16)
	for i := range n {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], rng.Uint32()&0x7fffffff)
		a := netip.AddrFrom4(b)
		p, _ := a.Prefix(8 + rng.IntN(24))
		root.Insert(p, hop{via: via})
		if i < cap(dsts) {
			dsts = append(dsts, a)
		}
	}
	tb.root.Store(root)
	return tb, dsts
}

func TestTableLookupDoesNotAllocate(t *testing.T) {
	tb, dsts := bigTable(100_000)
	for i := range 1000 {
		tb.Insert(netip.PrefixFrom(hostAddr(i), 32), &sink{i}, 0)
		dsts[i] = hostAddr(i)
	}
	i := 0
	if n := testing.AllocsPerRun(2000, func() {
		if tb.Lookup(dsts[i]) == nil {
			t.Fatalf("no route to %v", dsts[i])
		}
		i++
	}); n != 0 {
		t.Errorf("Lookup allocates %v times", n)
	}
}

// BenchmarkTable shows what a lookup costs, of prefixes and of sessions' own addresses among 100,000 of the former, and
// what a change costs there.
func BenchmarkTable(b *testing.B) {
	tb, dsts := bigTable(100_000)
	hosts := make([]netip.Addr, 10_000)
	for i := range hosts {
		hosts[i] = hostAddr(i)
		tb.Insert(netip.PrefixFrom(hosts[i], 32), &sink{i}, 0)
	}
	rand.New(rand.NewPCG(5, 6)).Shuffle(len(hosts), func(i, j int) { hosts[i], hosts[j] = hosts[j], hosts[i] })
	lookup := func(dsts []netip.Addr) func(*testing.B) {
		return func(b *testing.B) {
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				if tb.Lookup(dsts[i]) == nil {
					b.Fatal("no route")
				}
				if i++; i == len(dsts) {
					i = 0
				}
			}
		}
	}
	change := func(p netip.Prefix) func(*testing.B) {
		return func(b *testing.B) {
			b.ReportAllocs()
			via := &sink{}
			for b.Loop() {
				tb.Insert(p, via, 0)
				tb.Delete(p, via)
			}
		}
	}
	b.Run("Lookup/prefixes=100000", lookup(dsts))
	b.Run("Lookup/hosts=10000", lookup(hosts))
	b.Run("InsertDelete/prefix", change(pfx("192.168.0.0/16")))
	b.Run("InsertDelete/host", change(pfx("192.168.1.1/32")))
	for i := range 255 { // as a pool gives them
		tb.Insert(netip.PrefixFrom(netip.AddrFrom4([4]byte{172, 16, 0, byte(i)}), 32), &sink{i}, 0)
	}
	b.Run("InsertDelete/neighbours=255", change(pfx("172.16.0.255/32")))
}

// TestHostsAgreeWithAMap has single addresses come and go, many more than one layout of the slots holds.
func TestHostsAgreeWithAMap(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	var h hosts
	want := make(map[netip.Addr]PacketWriter)
	addrs := make([]netip.Addr, 4000)
	for i := range addrs {
		if i%3 == 0 {
			addrs[i] = netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 8: byte(rng.Uint32()), 14: byte(i >> 8), 15: byte(i)})
		} else {
			addrs[i] = hostAddr(i)
		}
	}
	for step := range 60_000 {
		among := addrs[:1+step/15] // first few, then all
		a := among[rng.IntN(len(among))]
		if rng.IntN(5) < 2 {
			h.set(a, hop{})
			delete(want, a)
		} else {
			via := &sink{step}
			h.set(a, hop{via: via})
			want[a] = via
		}
		a = among[rng.IntN(len(among))]
		if got := h.get(a).via; got != want[a] {
			t.Fatalf("step %d: %v leads to %v, want %v", step, a, got, want[a])
		}
	}
	if h.live != len(want) || len(h.all()) != len(want) {
		t.Errorf("%d live, %d in all, want %d", h.live, len(h.all()), len(want))
	}
	for _, x := range h.all() {
		if a := x.addr.addr(); want[a] == nil || want[a] != x.hop.via {
			t.Errorf("%v leads to %v, want %v", a, x.hop.via, want[a])
		}
	}
	if n := len(h.slots.Load().list); h.used > n/4 || n > 16*len(addrs) {
		t.Errorf("%d of %d slots are used", h.used, n)
	}
}
