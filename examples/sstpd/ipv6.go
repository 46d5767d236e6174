package main

import (
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/dialway/dialway/examples/internal/cli"
	"github.com/dialway/dialway/ppp"
	"github.com/dialway/dialway/tunnel"
	"github.com/dialway/dialway/tunnel/ipv6conf"
)

// An ipv6Config is what the flags about IPv6 say.
type ipv6Config struct {
	prefix   netip.Prefix // of the sessions' /64s, or a /64 that they share; invalid: the pool has no IPv6
	addr     netip.Addr   // the server's own, in the first /64
	delegate netip.Prefix // what is cut into prefixes that are delegated; invalid: nothing
	bits     int          // of those

	ipv6, delegated string
}

func (c *ipv6Config) register(fs *flag.FlagSet) {
	fs.StringVar(&c.ipv6, "ipv6", "", "`PREFIX` of which each session gets a /64, advertised to it; a /64 is shared; the first address is the server's own")
	fs.StringVar(&c.delegated, "delegate", "", "`PREFIX[,BITS]` of which a session gets one of so many bits (56) for its own networks, by DHCPv6")
}

// check completes c.
func (c *ipv6Config) check(p *cli.Problems, mtu int) {
	var err error
	if c.ipv6 != "" {
		if c.prefix, err = parsePrefix6(c.ipv6); err == nil {
			c.addr = c.prefix.Addr().Next()
			if mtu < 1280 {
				err = fmt.Errorf("IPv6 needs an -mtu of 1280 at least, not %d", mtu)
			}
		}
		p.Add("-ipv6", err)
	}
	if c.delegated == "" {
		return
	}
	prefix, bits, cut := strings.Cut(c.delegated, ",")
	c.delegate, err = parsePrefix6(prefix)
	p.Add("-delegate", err)
	if c.bits = ppp.DefaultDelegateBits; cut {
		c.bits, err = strconv.Atoi(bits)
		p.Add("-delegate", err)
	}
	switch {
	case err != nil:
	case c.bits < c.delegate.Bits() || c.bits > 63:
		p.Add("-delegate", fmt.Errorf("%d bits are not between the %d of the prefix and 63", c.bits, c.delegate.Bits()))
	case c.delegate.Overlaps(c.prefix):
		p.Add("-delegate", fmt.Errorf("%v is part of -ipv6, or the other way round", c.delegate))
	}
}

func parsePrefix6(s string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(s)
	if err == nil && (!p.Addr().Is6() || p.Addr().Is4In6() || p.Bits() > 64 || p != p.Masked()) {
		err = fmt.Errorf("%v is no IPv6 prefix of 64 bits at most, such as 2001:db8:8::/48", p)
	}
	return p, err
}

// has reports whether there is IPv6 to give.
func (c *ipv6Config) has() bool { return c.prefix.IsValid() || c.delegate.IsValid() }

// extend adds to a pool what sessions get of IPv6.
func (c *ipv6Config) extend(pool *ppp.Pool) *ppp.Pool {
	if c.prefix.IsValid() {
		pool.Prefixes = append(pool.Prefixes, c.prefix)
		if pool.Share = c.prefix.Bits() == 64; pool.Share {
			pool.Exclude = append(pool.Exclude, netip.PrefixFrom(c.addr, 128))
		} else {
			pool.Exclude = append(pool.Exclude, netip.PrefixFrom(c.addr, 64).Masked())
		}
	}
	if c.delegate.IsValid() {
		pool.Delegate, pool.DelegateBits = []netip.Prefix{c.delegate}, c.bits
	}
	return pool
}

// errDNS6: a name server that no one could be told.
var errDNS6 = errors.New("PPP tells IPv4 name servers only; IPv6 ones need -ipv6, or accounts with IPv6 prefixes, and go by router advertisement")

// advertiser tells sessions what they have of IPv6, from -ipv6 or from their account or RADIUS.
func (s *server) advertiser(rt tunnel.RouteTable) *ipv6conf.Server {
	var dns []netip.Addr
	for _, a := range s.dns {
		if a.Is6() {
			dns = append(dns, a)
		}
	}
	return &ipv6conf.Server{Routes: rt, Logger: s.log, Session: func(l tunnel.Link) ipv6conf.Session {
		x := ipv6conf.FromLink(l)
		x.DNS, x.Search, x.Routes = dns, s.inform.search6(), s.inform.routes6
		x.NoDefault = len(x.Routes) > 0
		if c, ok := tunnel.As[*ppp.Conn](l); ok {
			s.log.Info("advertised", "user", c.Info().User, "prefixes", x.Prefixes, "delegates", x.Delegated, "dns", x.DNS, "search", x.Search, "routes", x.Routes)
		}
		return x
	}}
}
