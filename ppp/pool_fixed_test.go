package ppp

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestPoolFixed(t *testing.T) {
	fixed := map[string][]netip.Prefix{
		"Alice": prefixes("10.0.0.2/32", "2001:db8:0:9::/64"),
		"bob":   prefixes("192.0.2.7/32", "2001:db8:8::/56"), // elsewhere
	}
	p := &Pool{Prefixes: prefixes("10.0.0.0/29", "2001:db8::/62"), Fixed: fixed}
	alice := get(t, p, "alice")
	if !slices.Equal(alice, fixed["Alice"]) {
		t.Errorf("alice: %v", alice)
	}
	if got := get(t, p, "BOB"); !slices.Equal(got, prefixes("192.0.2.7/32", "2001:db8::/64", "2001:db8:8::/56")) {
		t.Errorf("bob: %v", got)
	}
	second := get(t, p, "alice")
	if !slices.Equal(second, prefixes("10.0.0.1/32", "2001:db8:0:1::/64")) {
		t.Errorf("alice's second: %v", second)
	}
	p.Put(alice)
	for range 3 {
		if got, err := p.Get(context.Background(), "", "eve"); err == nil && (got[0] == alice[0] || got[1] == alice[1]) {
			t.Errorf("eve gets alice's: %v", got)
		}
	}
	if got := get(t, p, "alice"); !slices.Equal(got, alice) {
		t.Errorf("alice again: %v", got)
	}
	if s := p.Stats(); s.IPv4.Total != 5 || s.IPv6.Total != 4 {
		t.Errorf("%+v", s)
	}

	for name, bad := range map[string]map[string][]netip.Prefix{
		"two users":       {"a": prefixes("10.0.0.3/32"), "b": prefixes("10.0.0.3/32")},
		"a network":       {"a": prefixes("10.0.0.0/30")},
		"a single one":    {"a": prefixes("2001:db8::1/128")},
		"nobody":          {"": prefixes("10.0.0.3/32")},
		"what is none":    {"a": {netip.Prefix{}}},
		"other delegated": {"a": prefixes("2001:db8::/48")},
	} {
		if err := p.SetFixed(bad); err == nil {
			t.Errorf("%s: taken", name)
		}
		if err := (&Pool{Prefixes: prefixes("10.0.0.0/29"), Fixed: bad}).SetFixed(nil); err == nil {
			t.Errorf("%s: taken as Fixed", name)
		}
	}
	if s := p.Stats(); s.IPv4.Total != 5 {
		t.Errorf("what failed changed something: %+v", s)
	}
}

// What becomes somebody else's, or everybody's, while it is in use does so when it comes back.
func TestPoolSetFixed(t *testing.T) {
	p := &Pool{Prefixes: prefixes("10.0.0.0/30")}
	bob := get(t, p, "bob")
	if err := p.SetFixed(map[string][]netip.Prefix{"alice": bob}); err != nil {
		t.Fatal(err)
	}
	other := get(t, p, "alice")
	if slices.Equal(other, bob) {
		t.Fatal("given twice")
	}
	if s := p.Stats(); s.IPv4 != (PoolCount{1, 1}) {
		t.Errorf("%+v", s)
	}
	p.Put(bob)
	if _, err := p.Get(context.Background(), "", "bob"); !errors.Is(err, ErrPoolExhausted) {
		t.Errorf("bob: %v", err)
	}
	if got := get(t, p, "alice"); !slices.Equal(got, bob) {
		t.Errorf("alice: %v", got)
	}
	if err := p.SetFixed(nil); err != nil {
		t.Fatal(err)
	}
	if s := p.Stats(); s.IPv4 != (PoolCount{2, 2}) {
		t.Errorf("%+v", s)
	}
	p.Put(bob)
	if got := get(t, p, "carol"); !slices.Equal(got, bob) {
		t.Errorf("carol: %v", got)
	}
	p.Put(bob)
	p.Put(other)
	if s := p.Stats(); s.IPv4 != (PoolCount{2, 0}) {
		t.Errorf("%+v", s)
	}
}

// What was fixed elsewhere, and no longer is, is not the pool's when it comes back.
func TestPoolFixedElsewhere(t *testing.T) {
	addr := netip.MustParseAddr("192.0.2.7")
	p := &Pool{Prefixes: prefixes("10.0.0.0/30"), Fixed: map[string][]netip.Prefix{"alice": prefixes("192.0.2.7/32")}}
	one, err := p.Claim(context.Background(), "", "alice", addr)
	if err != nil || len(one) != 1 {
		t.Fatalf("%v, %v", one, err)
	}
	two, err := p.Claim(context.Background(), "", "alice", addr)
	if err != nil || len(two) != 1 {
		t.Fatalf("%v, %v", two, err)
	}
	if err := p.SetFixed(nil); err != nil {
		t.Fatal(err)
	}
	p.Put(one)
	if got, err := p.Claim(context.Background(), "", "bob", addr); !errors.Is(err, ErrAddressInUse) {
		t.Errorf("bob, while alice has it: %v, %v", got, err)
	}
	p.Put(two)
	if s := p.Stats(); s.IPv4 != (PoolCount{2, 0}) {
		t.Errorf("%+v", s)
	}
	for range 2 {
		if got := get(t, p, ""); got[0].Addr() == addr {
			t.Error("given to anybody")
		}
	}
	if _, err := p.Get(context.Background(), "", ""); !errors.Is(err, ErrPoolExhausted) {
		t.Errorf("%v", err)
	}
}

// What a Grant names is given to nobody else while it is in use, and afterwards last of all.
func TestPoolClaim(t *testing.T) {
	ctx := context.Background()
	addr := netip.MustParseAddr("10.0.0.1")
	p := &Pool{Prefixes: prefixes("10.0.0.0/29", "2001:db8::/60")}
	alice, err := p.Claim(ctx, "", "alice", addr)
	if err != nil || !slices.Equal(alice, prefixes("10.0.0.1/32", "2001:db8::/64")) {
		t.Fatalf("%v, %v", alice, err)
	}
	again, err := p.Claim(ctx, "", "ALICE", addr)
	if err != nil || again[0] != alice[0] || again[1] == alice[1] {
		t.Fatalf("a second session: %v, %v", again, err)
	}
	var pe *PoolError
	if got, err := p.Claim(ctx, "", "bob", addr); !errors.As(err, &pe) || pe.Addr != addr || !errors.Is(err, ErrAddressInUse) {
		t.Errorf("bob: %v, %v", got, err)
	}
	p.Put(alice)
	if got, err := p.Claim(ctx, "", "bob", addr); !errors.Is(err, ErrAddressInUse) {
		t.Errorf("bob, while one is left: %v, %v", got, err)
	}
	p.Put(again)
	if s := p.Stats(); s.IPv4.Used != 0 || s.IPv6.Used != 0 {
		t.Errorf("%+v", s)
	}
	for range 5 {
		if got := get(t, p, ""); got[0] == alice[0] {
			t.Errorf("%v while there are others", got)
		}
	}
	if got := get(t, p, ""); got[0] != alice[0] {
		t.Errorf("%v is not used when nothing else is left", got)
	}
	if got, err := p.Claim(ctx, "", "carol", netip.MustParseAddr("192.0.2.1")); err != nil || len(got) != 1 || got[0].Bits() != 64 {
		t.Errorf("elsewhere: %v, %v", got, err)
	}
	only := &Pool{Prefixes: prefixes("10.0.0.0/29")}
	if got, err := only.Claim(ctx, "", "carol", netip.MustParseAddr("192.0.2.1")); err != nil || len(got) != 0 {
		t.Errorf("elsewhere: %v, %v", got, err)
	}
	fixed := &Pool{Prefixes: prefixes("10.0.0.0/29"), Fixed: map[string][]netip.Prefix{"alice": prefixes("10.0.0.1/32")}}
	if _, err := fixed.Claim(ctx, "", "bob", addr); !errors.Is(err, ErrAddressInUse) {
		t.Errorf("what is fixed for alice: %v", err)
	}
	if got, err := fixed.Claim(ctx, "", "alice", addr); err != nil || len(got) != 1 {
		t.Errorf("alice's: %v, %v", got, err)
	}
}

// A session whose Grant names an address has it of the pool, with the pool's IPv6, and nobody else gets it.
func TestGrantedAddressIsClaimed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := &Pool{Prefixes: prefixes("10.1.0.0/30", "2001:db8::/60")}
		grant := &Grant{User: "u", Addr: netip.MustParseAddr("10.1.0.2")}
		server := func(g *Grant) *Config {
			return &Config{Authenticator: says(g, nil), Auth: []AuthProtocol{}, Addr: netip.MustParseAddr("10.1.0.1"), Pool: pool}
		}
		c, s := ends(t, new(Config), server(grant))
		if p := s.Prefixes(); len(p) != 2 || p[0].Addr() != grant.Addr || p[1].String() != "2001:db8::/64" {
			t.Errorf("%v", p)
		}
		a, b := newPipe()
		o := Server(b, Call{Tunnel: "test"}, server(&Grant{User: "v"}))
		go Client(a, Call{Tunnel: "test", Verified: true}, new(Config)).Open(t.Context())
		var pe *PoolError
		if err := o.Open(t.Context()); !errors.Is(err, ErrPoolExhausted) || !errors.As(err, &pe) && !errors.Is(err, ErrPoolExhausted) {
			t.Errorf("somebody else: %v", err)
		}
		c.Close()
		s.Close()
		time.Sleep(time.Minute)
		if n := pool.Stats().IPv4.Used; n != 0 {
			t.Errorf("%d in use", n)
		}
	})
}
