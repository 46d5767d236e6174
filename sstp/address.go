package sstp

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// splitAddr splits what is dialled into host and port, which is 443 where there is none. An IPv6 address may stand
// without brackets then.
func splitAddr(addr string) (host, port string, err error) {
	host, port = addr, "443"
	if _, e := netip.ParseAddr(addr); e == nil {
		return host, port, nil
	}
	switch {
	case strings.HasPrefix(addr, "[") && strings.HasSuffix(addr, "]"):
		host = addr[1 : len(addr)-1]
	case strings.Contains(addr, ":"):
		if host, port, err = net.SplitHostPort(addr); err != nil {
			return "", "", fmt.Errorf("sstp: address %q: %w", addr, err)
		}
	}
	if host == "" || port == "" {
		return "", "", fmt.Errorf("sstp: address %q: no host or no port", addr)
	}
	return host, port, nil
}

// addrPort returns a connection's address, as far as it has one.
func addrPort(a net.Addr) netip.AddrPort {
	if a == nil {
		return netip.AddrPort{}
	}
	if t, ok := a.(interface{ AddrPort() netip.AddrPort }); ok {
		ap := t.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	}
	ap, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// source returns what counts as one source of connections: an IPv4 address or an IPv6 /64, which one customer has.
// Connections without an address are one source together.
func source(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits)
	return p
}

// socketPeer returns the address of the other end of the socket, which a PROXY protocol header in front of the
// connection does not change. Listeners that read such headers wrap the connection and show what they wrap.
func socketPeer(c net.Conn) netip.Addr {
	for range 8 {
		switch w := c.(type) {
		case interface{ NetConn() net.Conn }: // as tls.Conn
			c = w.NetConn()
		case interface{ Raw() net.Conn }: // as github.com/pires/go-proxyproto
			c = w.Raw()
		default:
			return addrPort(c.RemoteAddr()).Addr()
		}
	}
	return netip.Addr{}
}
