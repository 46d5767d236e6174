package ppp

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func TestPoolsByName(t *testing.T) {
	ctx := context.Background()
	staff, guests := &Pool{Prefixes: prefixes("10.1.0.0/30")}, &Pool{Prefixes: prefixes("10.2.0.0/30")}
	p := &Pools{Default: guests, Named: map[string]AddrPool{"staff": staff}}
	a, err := p.Get(ctx, "staff", "alice")
	if err != nil || a[0].String() != "10.1.0.1/32" {
		t.Fatalf("%v, %v", a, err)
	}
	b, err := p.Get(ctx, "", "bob")
	if err != nil || b[0].String() != "10.2.0.1/32" {
		t.Fatalf("%v, %v", b, err)
	}
	_, err = p.Get(ctx, "bosses", "carol")
	var pe *PoolError
	if !errors.As(err, &pe) || pe.Pool != "bosses" || !errors.Is(err, ErrUnknownPool) || !strings.Contains(err.Error(), `"bosses"`) {
		t.Errorf("%v", err)
	}
	if _, err := (&Pools{}).Get(ctx, "", "dave"); !errors.Is(err, ErrUnknownPool) {
		t.Errorf("no default: %v", err)
	}
	p.Put(a)
	p.Put(a)
	p.Put(b)
	p.Put(prefixes("192.0.2.1/32"))
	if staff.Free() != 2 || guests.Free() != 2 || len(p.given) != 0 {
		t.Errorf("%d, %d free, %v", staff.Free(), guests.Free(), p.given)
	}
	c, err := p.Claim(ctx, "staff", "alice", netip.MustParseAddr("10.1.0.2"))
	if err != nil || len(c) != 1 {
		t.Errorf("%v, %v", c, err)
	}
	again, err := p.Claim(ctx, "staff", "alice", netip.MustParseAddr("10.1.0.2"))
	if err != nil {
		t.Error(err)
	}
	p.Put(c)
	if staff.Free() != 1 {
		t.Error("one of two sessions gave it back for both")
	}
	p.Put(again)
	if staff.Free() != 2 || len(p.given) != 0 {
		t.Errorf("%d free, %v", staff.Free(), p.given)
	}
}

// What two pools have is given once, and the pools that overlap are told apart by whom it came from.
func TestPoolsThatOverlap(t *testing.T) {
	ctx := context.Background()
	one, two := &Pool{Prefixes: prefixes("10.1.0.0/30")}, &Pool{Prefixes: prefixes("10.1.0.0/31")}
	p := &Pools{Named: map[string]AddrPool{"one": one, "two": two}}
	a, err := p.Get(ctx, "one", "alice")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Get(ctx, "two", ""); err != nil {
		t.Fatal(err) // 10.1.0.0, which is only in the second
	}
	if got, err := p.Get(ctx, "two", ""); !errors.Is(err, ErrAddressInUse) {
		t.Errorf("%v, %v", got, err)
	}
	p.Put(a)
	if got, err := p.Get(ctx, "two", ""); err != nil || got[0] != a[0] {
		t.Errorf("%v, %v", got, err)
	}
}

func TestPoolGroup(t *testing.T) {
	ctx := context.Background()
	four, six := &Pool{Prefixes: prefixes("10.1.0.0/29")}, &Pool{Prefixes: prefixes("2001:db8::/64"), Delegate: prefixes("2001:db8:8::/48")}
	g := PoolGroup{four, six}
	a, err := g.Get(ctx, "", "alice")
	if err != nil || !slices.Equal(a, prefixes("10.1.0.1/32", "2001:db8::/64", "2001:db8:8::/56")) {
		t.Fatalf("%v, %v", a, err)
	}
	if _, err := g.Get(ctx, "", "bob"); !errors.Is(err, ErrPoolExhausted) || four.Free() != 5 {
		t.Errorf("%v, %d free", err, four.Free())
	}
	g.Put(a)
	a, err = g.Claim(ctx, "", "alice", netip.MustParseAddr("10.1.0.4"))
	if err != nil || len(a) != 3 || a[0].String() != "10.1.0.4/32" {
		t.Errorf("%v, %v", a, err)
	}
	g.Put(a)
	// Two groups with one pool in common, by name.
	p := &Pools{Default: g, Named: map[string]AddrPool{"other": PoolGroup{&Pool{Prefixes: prefixes("10.2.0.0/29")}, six}}}
	for _, name := range []string{"", "other"} {
		if a, err = p.Get(ctx, name, "alice"); err != nil || len(a) != 3 {
			t.Errorf("%q: %v, %v", name, a, err)
		}
		p.Put(a)
	}
	if four.Free() != 6 || six.Stats().IPv6.Used != 0 {
		t.Errorf("%d free, %+v", four.Free(), six.Stats())
	}
	if _, err := (PoolGroup{}).Get(ctx, "", ""); err == nil {
		t.Error("nothing is given without an error")
	}
}
