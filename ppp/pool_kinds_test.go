package ppp

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
)

func ranges(list ...string) (out []Range) {
	for _, s := range list {
		r, err := ParseRange(s)
		if err != nil {
			panic(err)
		}
		out = append(out, r)
	}
	return out
}

func TestRange(t *testing.T) {
	for s, want := range map[string][]string{
		"10.8.0.10-10.8.0.21":                         {"10.8.0.10/31", "10.8.0.12/30", "10.8.0.16/30", "10.8.0.20/31"},
		"10.8.0.7":                                    {"10.8.0.7/32"},
		"0.0.0.0-255.255.255.255":                     {"0.0.0.0/0"},
		"255.255.255.254-255.255.255.255":             {"255.255.255.254/31"},
		"2001:db8::fffe-2001:db8::1:1":                {"2001:db8::fffe/127", "2001:db8::1:0/127"},
		"::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff":  {"::/0"},
		"2001:db8::1-2001:db8::1":                     {"2001:db8::1/128"},
		"2001:db8:0:1::-2001:db8:0:1:0:0:0:ffff:ffff": nil,
	} {
		r, err := ParseRange(s)
		if (err == nil) != (want != nil) {
			t.Errorf("%s: %v", s, err)
			continue
		}
		var got []string
		for _, p := range r.Prefixes() {
			got = append(got, p.String())
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s is %v, want %v", s, got, want)
		}
	}
	for _, s := range []string{"", "-", "10.0.0.2-10.0.0.1", "10.0.0.1-::2", "10.0.0.1-", "fe80::1%a-fe80::2%a", "10.0.0.0/24"} {
		if r, err := ParseRange(s); err == nil || r != (Range{}) {
			t.Errorf("%q is read as %v", s, r)
		}
	}
}

// Of all kinds a session gets one, in this order; ranges have no edges.
func TestPoolKinds(t *testing.T) {
	p := &Pool{
		Prefixes: prefixes("10.0.0.0/30", "2001:db8::/63"), Ranges: ranges("10.0.0.8-10.0.0.9"),
		Delegate: prefixes("2001:db8:8::/52"), Exclude: prefixes("2001:db8:8:100::/64", "10.0.0.9/32"),
	}
	want := [][]string{
		{"10.0.0.1/32", "2001:db8::/64", "2001:db8:8::/56"},
		{"10.0.0.2/32", "2001:db8:0:1::/64", "2001:db8:8:200::/56"}, // of ...:100::/56 a part is excluded
	}
	for i, w := range want {
		got := get(t, p, "alice")
		if s := fmt.Sprint(got); s != "["+strings.Join(w, " ")+"]" {
			t.Errorf("%d: %v, want %v", i, got, w)
		}
	}
	s := p.Stats()
	if s.IPv4 != (PoolCount{3, 2}) || s.IPv6 != (PoolCount{2, 2}) || s.Delegated != (PoolCount{15, 2}) || s.Exhausted != 0 {
		t.Errorf("%+v", s)
	}
	_, err := p.Get(context.Background(), "", "bob")
	var pe *PoolError
	if !errors.As(err, &pe) || pe.Kind != "IPv6" || pe.Total != 2 || pe.User != "bob" || !errors.Is(err, ErrPoolExhausted) {
		t.Errorf("%v", err)
	}
	if s := p.Stats(); s.Exhausted != 1 || s.IPv4.Used != 2 {
		t.Errorf("%+v", s)
	}
}

// Who is no router does not miss a delegated prefix; a pool of nothing else says that it is out of them.
func TestPoolDelegates(t *testing.T) {
	p := &Pool{Prefixes: prefixes("10.0.0.0/29"), Delegate: prefixes("2001:db8::/47"), DelegateBits: 48}
	for i, n := range []int{2, 2, 1} {
		if got := get(t, p, ""); len(got) != n {
			t.Errorf("%d: %v", i, got)
		}
	}
	if s := p.Stats(); s.Exhausted != 1 || s.Delegated.Free() != 0 {
		t.Errorf("%+v", s)
	}
	p = &Pool{Delegate: prefixes("2001:db8::/56")}
	if got := get(t, p, "alice"); !slices.Equal(got, prefixes("2001:db8::/56")) {
		t.Error(got)
	}
	if _, err := p.Get(context.Background(), "", "bob"); !errors.Is(err, ErrPoolExhausted) || !strings.Contains(err.Error(), "delegated") {
		t.Errorf("%v", err)
	}
}

func TestPoolShares(t *testing.T) {
	p := &Pool{Prefixes: prefixes("2001:db8:7::/126"), Ranges: ranges("2001:db8:7::9-2001:db8:7::a"), Exclude: prefixes("2001:db8:7::2/128"), Share: true}
	for _, want := range []string{"::1", "::3", "::9", "::a"} {
		if got := get(t, p, ""); len(got) != 1 || got[0].String() != "2001:db8:7"+want+"/128" {
			t.Errorf("%v, want %s", got, want)
		}
	}
	if _, err := p.Get(context.Background(), "", ""); !errors.Is(err, ErrPoolExhausted) {
		t.Errorf("%v", err)
	}
	whole := &Pool{Prefixes: prefixes("2001:db8:7::/64"), Share: true}
	if got := get(t, whole, ""); got[0].String() != "2001:db8:7::1/128" {
		t.Error(got)
	}
	if n := whole.Stats().IPv6.Total; n != 1<<64-1-1-128+1 && n != 1<<64-1-128 {
		t.Errorf("%d addresses", n)
	}
	last := &Pool{Ranges: ranges("2001:db8:7:0:fdff:ffff:ffff:ff7f-2001:db8:7:0:fe00::"), Share: true}
	if got := []netip.Prefix{get(t, last, "")[0], get(t, last, "")[0]}; fmt.Sprint(got) != "[2001:db8:7:0:fdff:ffff:ffff:ff7f/128 2001:db8:7:0:fe00::/128]" {
		t.Error(got)
	}
}

func TestPoolKindsThatCannotWork(t *testing.T) {
	for name, p := range map[string]*Pool{
		"two shared":      {Prefixes: prefixes("2001:db8::/64", "2001:db8:0:1::/64"), Share: true},
		"shared /63":      {Prefixes: prefixes("2001:db8::/63"), Share: true},
		"range of IPv6":   {Ranges: ranges("2001:db8::1-2001:db8::2")},
		"no range":        {Ranges: []Range{{}}},
		"turned":          {Ranges: []Range{{netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("10.0.0.1")}}},
		"delegate /64":    {Delegate: prefixes("2001:db8::/48"), DelegateBits: 64},
		"delegate /-1":    {Delegate: prefixes("2001:db8::/48"), DelegateBits: -1},
		"delegate IPv4":   {Delegate: prefixes("10.0.0.0/8")},
		"smaller":         {Delegate: prefixes("2001:db8::/60")},
		"all is excluded": {Prefixes: prefixes("2001:db8::/64"), Share: true, Exclude: prefixes("2001:db8::/63")},
	} {
		if got, err := p.Get(context.Background(), "", "alice"); err == nil || errors.Is(err, ErrPoolExhausted) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

// A far side gets the interface identifier that makes the address which its session has of a shared /64, also where the
// pool takes its time; one that insists on another goes without IPv6.
func TestSharedAddressIsToldByIPV6CP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := &Pool{Prefixes: prefixes("10.1.0.0/24"), Exclude: prefixes("10.1.0.1/32"), Ranges: ranges("2001:db8:7::5-2001:db8:7::9"), Share: true}
		c, s := ends(t, new(Config), &Config{NoAuth: true, Addr: netip.MustParseAddr("10.1.0.1"), Pool: pool})
		if a := c.Addrs(); !slices.Contains(a, netip.MustParseAddr("fe80::5")) {
			t.Errorf("the client has %v", a)
		}
		if p := s.Prefixes(); !slices.Contains(p, netip.MustParsePrefix("2001:db8:7::5/128")) {
			t.Errorf("the session has %v", p)
		}
		c.Close()
		s.Close()
		synctest.Wait()
	})
	synctest.Test(t, func(t *testing.T) {
		pool := &Pool{Prefixes: prefixes("10.1.0.0/24"), Exclude: prefixes("10.1.0.1/32"), Ranges: ranges("2001:db8:7::5-2001:db8:7::9"), Share: true}
		f, c, done := network(t, true, &Config{Addr: netip.MustParseAddr("10.1.0.1"), Pool: pool})
		f.want(protoIPCP, codeConfigureRequest)
		p := f.want(protoIPV6CP, codeConfigureRequest)
		f.answer(protoIPV6CP, codeConfigureAck, p.id, p.data...)
		own := []byte{1, 10, 1, 2, 3, 4, 5, 6, 7, 8}
		for range maxFailure {
			f.send(protoIPV6CP, codeConfigureRequest, own...)
			if n := f.want(protoIPV6CP, codeConfigureNak); !slices.Equal(n.data, []byte{1, 10, 0, 0, 0, 0, 0, 0, 0, 5}) {
				t.Fatalf("%v", n)
			}
		}
		f.send(protoIPV6CP, codeConfigureRequest, own...)
		f.want(protoLCP, codeProtocolReject)
		c.Close()
		f.bye()
		<-done
	})
}

// Addresses of 100,000 sessions: what one costs does not grow with how many there are.
func BenchmarkPool(b *testing.B) {
	for _, c := range []struct {
		n    int
		file bool
	}{{1000, false}, {100_000, false}, {100_000, true}} {
		n := c.n
		b.Run(fmt.Sprintf("%d,file=%v", n, c.file), func(b *testing.B) {
			users := make([]string, n)
			for i := range users {
				users[i] = fmt.Sprint("user", i)
			}
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			p := &Pool{Prefixes: prefixes("10.0.0.0/14")}
			if c.file {
				p.File = filepath.Join(b.TempDir(), "pool")
			}
			given := make([][]netip.Prefix, n)
			for i := range given {
				given[i], _ = p.Get(context.Background(), "", users[i])
			}
			runtime.GC()
			runtime.ReadMemStats(&after)
			for b.Loop() {
				i := rand.IntN(n)
				p.Put(given[i])
				got, err := p.Get(context.Background(), "", users[i])
				if err != nil || got[0] != given[i][0] {
					b.Fatal(got, err)
				}
			}
			b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(n), "B/address")
		})
	}
}
