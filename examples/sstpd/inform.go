package main

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/dialway/dialway/dhcpinform"
	"github.com/dialway/dialway/tunnel"
)

// An informConfig is -inform: what clients are told that ask by DHCPInform, as Windows does, and what of it is of IPv6, by
// router advertisement.
type informConfig struct {
	on      bool
	options dhcpinform.Options
	routes6 []netip.Prefix
	text    []string
}

const informUsage = "`KEY=VALUE,...` that clients are told which ask by DHCPInform: domain, search, dns, ntp, wins, node (b, p, m, h), scope, wpad, " +
	"route (PREFIX, by way of the server, or PREFIX@ADDR); search, dns, ntp, wins and route may come several times"

// String returns what Set has read.
func (c *informConfig) String() string { return strings.Join(c.text, ",") }

// Set adds.
func (c *informConfig) Set(s string) error {
	for _, f := range strings.Split(s, ",") {
		key, value, ok := strings.Cut(f, "=")
		if !ok || value == "" {
			return fmt.Errorf("%q is not KEY=VALUE", f)
		}
		if err := c.set(key, value); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		c.text = append(c.text, f)
	}
	c.on = true
	return nil
}

func (c *informConfig) set(key, value string) error {
	o := &c.options
	switch key {
	case "domain":
		o.Domain = value
		return checkName(value)
	case "search":
		o.Search = append(o.Search, value)
		return checkName(value)
	case "scope":
		o.Scope = value
	case "wpad":
		o.WPAD = value
	case "node":
		n, ok := map[string]uint8{"b": 1, "p": 2, "m": 4, "h": 8}[strings.ToLower(value)]
		if !ok {
			return fmt.Errorf("%q is not b, p, m or h", value)
		}
		o.NodeType = n
	case "dns":
		return addAddr4(&o.DNS, value)
	case "ntp":
		return addAddr4(&o.NTP, value)
	case "wins":
		return addAddr4(&o.WINS, value)
	case "route":
		return c.addRoute(value)
	default:
		return errors.New("no such key: there are domain, search, dns, ntp, wins, node, scope, wpad, route")
	}
	return nil
}

func (c *informConfig) addRoute(value string) error {
	prefix, via, has := strings.Cut(value, "@")
	p, err := netip.ParsePrefix(prefix)
	if err != nil {
		return err
	}
	if p != p.Masked() {
		return fmt.Errorf("%v has bits beyond its length: is %v meant?", p, p.Masked())
	}
	r := dhcpinform.Route{Prefix: p}
	if has {
		if r.Via, err = netip.ParseAddr(via); err != nil {
			return err
		}
	}
	switch {
	case p.Addr().Is6() && has:
		return errors.New("an IPv6 route leads to the server, by router advertisement: without @ADDR")
	case p.Addr().Is6():
		c.routes6 = append(c.routes6, p)
	case has && !r.Via.Is4():
		return fmt.Errorf("%v is no IPv4 address", r.Via)
	default:
		c.options.Routes = append(c.options.Routes, r)
	}
	return nil
}

func addAddr4(list *[]netip.Addr, s string) error {
	for _, f := range strings.Split(s, "+") {
		a, err := netip.ParseAddr(f)
		if err == nil && !a.Is4() {
			err = fmt.Errorf("%v is no IPv4 address", a)
		}
		if err != nil {
			return err
		}
		*list = append(*list, a)
	}
	return nil
}

// checkName refuses what is no domain, and would be left out of the answer.
func checkName(s string) error {
	for label := range strings.SplitSeq(strings.TrimSuffix(s, "."), ".") {
		if label == "" || len(label) > 63 || strings.ContainsAny(label, " \t") {
			return fmt.Errorf("%q is no domain", s)
		}
	}
	return nil
}

// search6 is what is searched by IPv6's ways of telling, which know no domain of the host's.
func (c *informConfig) search6() []string {
	if len(c.options.Search) == 0 && c.options.Domain != "" {
		return []string{c.options.Domain}
	}
	return c.options.Search
}

// responder answers informs: with what -inform says, and name servers of -dns where it says none.
func (s *server) responder(next tunnel.PacketWriter) *dhcpinform.Responder {
	o := s.inform.options
	if len(o.DNS) == 0 {
		for _, a := range s.dns {
			if a.Is4() {
				o.DNS = append(o.DNS, a)
			}
		}
	}
	o.Routes = append([]dhcpinform.Route(nil), o.Routes...)
	for i := range o.Routes {
		if !o.Routes[i].Via.IsValid() {
			o.Routes[i].Via = s.addr
		}
	}
	return &dhcpinform.Responder{Server: s.addr, Next: next, Logger: s.log, Options: func(client netip.Addr, via tunnel.PacketWriter) *dhcpinform.Options {
		s.log.Info("inform", "client", client, "user", userOf(via), "domain", o.Domain, "search", o.Search, "dns", o.DNS, "routes", strconv.Itoa(len(o.Routes)))
		return &o
	}}
}
