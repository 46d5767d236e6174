package main

import (
	"context"
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/dialway/dialway/radius"
)

// What home servers ask of access servers: Disconnect and CoA go back through the proxy.

// homeSecrets are the secrets of home servers by the addresses that their requests to coa come from. A name that has none is
// told.
func (s *service) homeSecrets(c *config) radius.Secrets {
	found := make(radius.Secrets)
	if s.coa == "" {
		return found
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for name, h := range c.homes {
		host, _, err := net.SplitHostPort(h.addr)
		if err != nil {
			host = h.addr
		}
		if h.tls {
			continue // its requests come over the connection
		}
		list, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		if err != nil {
			s.log.Warn("a home server's name has no address: its requests to coa are dropped", "home", name, "why", err)
		}
		for _, a := range list {
			a = a.Unmap()
			found[netip.PrefixFrom(a, a.BitLen())] = h.Secret
		}
	}
	return found
}

// back says where a client takes Disconnect and CoA requests.
func (c *config) back(nas netip.Addr) (radius.Target, bool) {
	port, bits := 0, -1
	for p, n := range c.coaPorts { // the longest prefix counts, as of the secrets
		if p.Bits() > bits && p.Contains(nas) {
			port, bits = n, p.Bits()
		}
	}
	secret, ok := c.clients.Find(nas)
	return radius.Target{Addr: net.JoinHostPort(nas.String(), strconv.Itoa(port)), Secret: secret}, ok && port != 0
}
