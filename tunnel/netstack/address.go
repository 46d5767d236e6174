package netstack

import (
	"context"
	"net"
	"net/netip"
	"strings"
)

// A kind is a network that package net knows and the stack has.
type kind struct {
	name   string // as it was given
	proto  string // "tcp", "udp" or "icmp"
	family string // "", "4" or "6"
}

func parseNetwork(network string) (kind, error) {
	switch network {
	case "tcp", "tcp4", "tcp6", "udp", "udp4", "udp6":
		return kind{network, network[:3], network[3:]}, nil
	case "ip:icmp", "ip4:icmp", "ip4:1":
		return kind{network, "icmp", "4"}, nil
	case "ip6:ipv6-icmp", "ip6:58":
		return kind{network, "icmp", "6"}, nil
	}
	return kind{}, net.UnknownNetworkError(network)
}

// takes reports whether an address is of the kind's family.
func (k kind) takes(a netip.Addr) bool {
	return k.family == "" || a.Is4() == (k.family == "4")
}

// split returns host and port of an address; echo has no port.
func (k kind) split(ctx context.Context, address string) (host string, port uint16, err error) {
	if k.proto == "icmp" {
		return strings.Trim(address, "[]"), 0, nil
	}
	host, service, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0, err
	}
	n, err := net.DefaultResolver.LookupPort(ctx, k.name, service) // numbers, and names that every system knows
	return host, uint16(n), err
}

// literal returns the address that host is, if it is one. Zones say nothing here: there is one link.
func literal(host string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(host)
	return a.Unmap().WithZone(""), err == nil
}
