package netstack

import (
	"context"
	"net/netip"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// TestSetDNS: servers that are set are asked instead of the link's, domains are tried, and both go again.
func TestSetDNS(t *testing.T) {
	x, y := pipe([]netip.Addr{addrA}, []netip.Addr{addrB, dns1, dns2})
	x.dns = []netip.Addr{dns1}
	a, b := serve(t, new(Stack), x), serve(t, new(Stack), y)
	if _, err := b.await(t.Context()); err != nil {
		t.Fatal(err)
	}
	server := func(at string, names ...string) {
		nameServer(t, b, at+":53", func(name string) (dnsmessage.RCode, netip.Addr) {
			for _, n := range names {
				if n == name {
					return dnsmessage.RCodeSuccess, addrB
				}
			}
			return dnsmessage.RCodeNameError, netip.Addr{}
		})
	}
	server(dns1.String(), "old.example")
	server(dns2.String(), "pc.eng.vpn.test", "new.example")
	dial := func(name string) bool {
		c, err := a.DialContext(t.Context(), "udp", name+":9")
		if err == nil {
			c.Close()
		}
		return err == nil
	}
	if !dial("old.example") || dial("new.example") || dial("pc") {
		t.Error("at first")
	}
	r := HostResolver{a.Stack}
	if err := r.Set(context.Background(), []netip.Addr{dns2}, []string{"vpn.test", "eng.vpn.test."}); err != nil {
		t.Fatal(err)
	}
	if dial("old.example") || !dial("new.example") || !dial("pc") || dial("other") {
		t.Error("when it is set")
	}
	if err := r.Restore(context.Background()); err != nil || !dial("old.example") || dial("new.example") || dial("pc") {
		t.Errorf("when it is taken back: %v", err)
	}
	for _, bad := range []netip.Addr{{}, netip.MustParseAddr("0.0.0.0"), netip.MustParseAddr("224.0.0.1")} {
		if a.SetDNS([]netip.Addr{bad}, nil) == nil {
			t.Errorf("%v is a name server", bad)
		}
	}
	if a.SetDNS([]netip.Addr{dns2}, []string{"a b"}) == nil || r.Set(context.Background(), nil, nil) == nil {
		t.Error("what is no domain, and no server")
	}
}
