package ipv6conf

import (
	"context"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dialway/dialway/demanddial"
)

// TestDelegatedToAnInterface: a branch that calls is an interface here, and what it is delegated is routed there.
func TestDelegatedToAnInterface(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newSite(t, &Server{Session: fullSession})
		branch := &demanddial.Interface{Name: "branch", Routes: []demanddial.Route{{Prefix: pfx("172.16.2.0/24")}}, Table: x.table}
		ctx, stop := context.WithCancel(t.Context())
		served := make(chan error, 1)
		go func() { served <- x.router.ServeLink(ctx, branch) }()
		synctest.Wait()
		answered := make(chan error, 1)
		go func() { answered <- branch.Answer(ctx, x.routed) }()
		c := &Client{Delegate: true, Length: 56, NoAddrs: true}
		_, _, _, end := x.client(c)
		time.Sleep(20 * time.Second)
		if got := c.Config(); len(got.Delegated) != 1 || got.Delegated[0] != pfx("2001:db8:a00::/56") {
			t.Errorf("%+v; %+v", got, x.server.Stats())
		}
		lan := netip.MustParseAddr("2001:db8:a00:1::9")
		if x.table.Lookup(lan) != branch {
			t.Errorf("what was delegated leads to %v", x.table.Lookup(lan))
		}
		end()
		<-answered
		synctest.Wait()
		if via := x.table.Lookup(lan); via != nil {
			t.Errorf("left: %v", via)
		}
		stop()
		<-served
	})
}
