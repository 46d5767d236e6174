package main

import (
	"context"
	"net/netip"
	"slices"

	"github.com/dialway/dialway/ppp"
	"github.com/dialway/dialway/tunnel/ipv6conf"
)

// A client6 gives the device what the server tells of IPv6 while the session lives.
type client6 struct {
	ipv6conf.Client
	config *config
	host   *host
	routes []netip.Prefix // that are set
	came   chan struct{}  // of capacity 1: addresses have
	server netip.Addr     // its outer address
}

// newClient6 wraps a session's link.
func (c *config) newClient6(h *host, link *ppp.Conn) *client6 {
	x := &client6{config: c, host: h, came: make(chan struct{}, 1), server: link.Info().Call.Remote.Addr()}
	x.Link, x.Delegate, x.Length = link, c.delegate > 0, c.delegate
	if c.client.Verbose {
		x.Logger = c.log
	}
	x.Changed = x.configure
	return x
}

// configure gives the device its addresses, and with -default-route and -accept-routes the routes of IPv6 as long as they
// are told.
func (x *client6) configure(ctx context.Context, now ipv6conf.Config) {
	log := x.config.log
	if err := x.host.dev.Configure(ctx, &x.Client); err != nil {
		log.Warn("IPv6: the device takes no address", "addrs", now.Addrs, "why", err)
	}
	var want []netip.Prefix
	if x.config.defaultRoute && now.Router.IsValid() && len(now.Addrs) > 0 {
		want = halves(now.Addrs[0])
	}
	for _, p := range now.Routes {
		if x.config.names.accept && len(now.Addrs) > 0 && acceptable(p, x.server) {
			want = append(want, p)
		}
	}
	x.route(want)
	log.Info("IPv6", "addrs", now.Addrs, "delegated", now.Delegated, "dns", now.DNS, "search", now.Search, "told routes", now.Routes, "routes", want)
	select {
	case x.came <- struct{}{}:
	default:
	}
}

// route sets these routes, in the place of those before.
func (x *client6) route(want []netip.Prefix) {
	for _, p := range want {
		if !slices.Contains(x.routes, p) {
			x.host.sys.Insert(p, x.Link, 0)
		}
	}
	for _, p := range x.routes {
		if !slices.Contains(want, p) {
			x.host.sys.Delete(p, x.Link)
		}
	}
	x.routes = want
}
