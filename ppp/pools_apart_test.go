package ppp

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
)

// A Grant names a pool for each kind: each gives what it is named for, and all of it comes back.
func TestPoolsOfEachKind(t *testing.T) {
	pools := func() map[string]AddrPool {
		list := make(map[string]AddrPool)
		for i, name := range []string{"a", "b", "c"} {
			list[name] = &Pool{Prefixes: prefixes(fmt.Sprintf("10.%d.0.0/29", i), fmt.Sprintf("2001:db8:%d::/56", i)), Delegate: prefixes(fmt.Sprintf("2001:db8:f%d::/48", i))}
		}
		return list
	}
	for _, x := range []struct {
		grant Grant
		want  string
	}{
		{Grant{Pool: "a"}, "[10.0.0.1/32 2001:db8::/64 2001:db8:f0::/56]"},
		{Grant{Pool: "a", Pool6: "b"}, "[10.0.0.1/32 2001:db8:1::/64 2001:db8:f1::/56]"},
		{Grant{Pool: "a", Pool6: "b", PoolDelegated: "c"}, "[10.0.0.1/32 2001:db8:1::/64 2001:db8:f2::/56]"},
		{Grant{Pool: "a", PoolDelegated: "a", Pool6: "b"}, "[10.0.0.1/32 2001:db8:f0::/56 2001:db8:1::/64]"},
		{Grant{Pool: "a", PoolDelegated: "c"}, "[10.0.0.1/32 2001:db8::/64 2001:db8:f2::/56]"},
		{Grant{Pool6: "b"}, "[10.2.0.1/32 2001:db8:1::/64 2001:db8:f1::/56]"},
		{Grant{Pool: "a", Pool6: "b", Addr: netip.MustParseAddr("10.0.0.5")}, "[10.0.0.5/32 2001:db8:1::/64 2001:db8:f1::/56]"},
	} {
		synctest.Test(t, func(t *testing.T) {
			named := pools()
			p := &Pools{Named: named, Default: named["c"]}
			g := x.grant
			g.User = "u"
			c, s := ends(t, &Config{AllowNoAuth: true}, &Config{Authenticator: says(&g, nil), Auth: []AuthProtocol{}, Addr: serverAddr, Pool: p})
			if got := fmt.Sprint(s.Prefixes()); got != x.want {
				t.Errorf("%+v: %s, want %s", x.grant, got, x.want)
			}
			_, e1 := serve(c)
			_, e2 := serve(s)
			s.Close()
			<-e1
			<-e2
			for name, q := range named {
				if st := q.(*Pool).Stats(); st.IPv4.Used+st.IPv6.Used+st.Delegated.Used != 0 {
					t.Errorf("%+v: pool %s has not all back: %+v", x.grant, name, st)
				}
			}
		})
	}
	// One that is not there refuses, and what another gave comes back.
	named := pools()
	var a assignment
	p := &Pools{Named: named}
	err := a.ask(&Grant{Pool: "a", Pool6: "none"}, func(name string) ([]netip.Prefix, error) { return p.Get(t.Context(), name, "u") })
	if !errors.Is(err, ErrUnknownPool) || len(a.back) != 1 {
		t.Errorf("%v, %v", err, a.back)
	}
}
