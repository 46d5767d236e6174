package main

import (
	"net"
	"net/netip"

	"github.com/dialway/dialway/examples/internal/cli"
	"github.com/pires/go-proxyproto"
)

// A proxyListener takes what comes from proxies for what their PROXY header says. The header is read by whoever asks for
// the connection's address first, which is the session's goroutine: a proxy that sends none holds up nobody else. A header
// from anywhere else is no TLS, and ends there.
type proxyListener struct {
	net.Listener
	from cli.Prefixes
}

// Accept returns the next connection.
func (l proxyListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	remote, err := netip.ParseAddrPort(c.RemoteAddr().String())
	if err != nil {
		return c, nil
	}
	for _, p := range l.from {
		if p.Contains(remote.Addr().Unmap()) {
			return proxyproto.NewConn(c, proxyproto.WithPolicy(proxyproto.REQUIRE)), nil
		}
	}
	return c, nil
}
