package ppp_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/dialway/dialway/ppp"
)

// What a session gets of a pool with everything: an address, a network for its link, one to delegate to a router.
func ExamplePool_kinds() {
	some, _ := ppp.ParseRange("10.9.0.10-10.9.0.99")
	pool := &ppp.Pool{
		Prefixes: []netip.Prefix{netip.MustParsePrefix("10.8.0.0/24"), netip.MustParsePrefix("2001:db8:0:100::/56")},
		Ranges:   []ppp.Range{some},
		Exclude:  []netip.Prefix{netip.MustParsePrefix("10.8.0.1/32")},
		Delegate: []netip.Prefix{netip.MustParsePrefix("2001:db8:8000::/40")},
		Fixed:    map[string][]netip.Prefix{"alice": {netip.MustParsePrefix("10.8.0.77/32")}},
		Rest:     time.Minute,
	}
	ctx := context.Background()
	for _, user := range []string{"alice", "bob"} {
		got, err := pool.Get(ctx, "", user) // a Conn does this, and Put in the end
		fmt.Println(got, err)
	}
	fmt.Println(pool.Stats().IPv4.Used, "of", pool.Stats().IPv4.Total)
	// Output:
	// [10.8.0.77/32 2001:db8:0:100::/64 2001:db8:8000::/56] <nil>
	// [10.8.0.2/32 2001:db8:0:101::/64 2001:db8:8000:100::/56] <nil>
	// 1 of 342
}

// Groups of users are apart: Framed-Pool of RADIUS, or an account, says which pool.
func ExamplePools() {
	pools := &ppp.Pools{
		Default: &ppp.Pool{Prefixes: []netip.Prefix{netip.MustParsePrefix("10.8.0.0/24")}},
		Named: map[string]ppp.AddrPool{
			"staff": &ppp.Pool{Name: "staff", Prefixes: []netip.Prefix{netip.MustParsePrefix("10.9.0.0/24")}},
		},
	}
	config := ppp.Config{Pool: pools}
	got, err := config.Pool.Get(context.Background(), "staff", "alice")
	fmt.Println(got, err)
	_, err = config.Pool.Get(context.Background(), "bosses", "bob")
	fmt.Println(errors.Is(err, ppp.ErrUnknownPool), err)
	// Output:
	// [10.9.0.1/32] <nil>
	// true ppp: no such address pool: pool "bosses", user "bob" (RADIUS says it as Framed-Pool, an account as its pool)
}

// IPv4 addresses of one pool, such as one that leases them, and IPv6 of another.
func ExamplePoolGroup() {
	var leased ppp.AddrPool = &ppp.Pool{Prefixes: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}
	group := ppp.PoolGroup{leased, &ppp.Pool{Prefixes: []netip.Prefix{netip.MustParsePrefix("2001:db8::/56")}}}
	fmt.Println(group.Get(context.Background(), "", "alice"))
	// Output: [192.0.2.1/32 2001:db8::/64] <nil>
}
