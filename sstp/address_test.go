package sstp

import (
	"net"
	"net/netip"
	"testing"
)

func TestSplitAddr(t *testing.T) {
	for _, tt := range []struct{ in, host, port string }{
		{"vpn.example.com", "vpn.example.com", "443"},
		{"vpn.example.com:8443", "vpn.example.com", "8443"},
		{"192.0.2.1", "192.0.2.1", "443"},
		{"192.0.2.1:444", "192.0.2.1", "444"},
		{"2001:db8::1", "2001:db8::1", "443"},
		{"[2001:db8::1]", "2001:db8::1", "443"},
		{"[2001:db8::1]:444", "2001:db8::1", "444"},
		{"fe80::1%eth0", "fe80::1%eth0", "443"},
		{"vpn:https", "vpn", "https"},
	} {
		if host, port, err := splitAddr(tt.in); host != tt.host || port != tt.port || err != nil {
			t.Errorf("%s: %q, %q, %v", tt.in, host, port, err)
		}
	}
	for _, in := range []string{"", ":443", "vpn:", "a:b:c", "[::1", "[]", "[::1]x"} {
		if host, port, err := splitAddr(in); err == nil {
			t.Errorf("%s: %q, %q", in, host, port)
		}
	}
}

type textAddr string

func (a textAddr) Network() string { return "memory" }
func (a textAddr) String() string  { return string(a) }

func TestAddrPort(t *testing.T) {
	for _, tt := range []struct {
		in   net.Addr
		want string
	}{
		{&net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 5}, "192.0.2.1:5"},
		{&net.TCPAddr{IP: net.ParseIP("::ffff:192.0.2.1"), Port: 5}, "192.0.2.1:5"},
		{&net.TCPAddr{IP: net.ParseIP("2001:db8::1"), Port: 5}, "[2001:db8::1]:5"},
		{textAddr("192.0.2.1:5"), "192.0.2.1:5"},
		{textAddr("[::ffff:192.0.2.1]:5"), "192.0.2.1:5"},
		{textAddr("pipe"), "invalid AddrPort"},
		{nil, "invalid AddrPort"},
	} {
		if got := addrPort(tt.in); got.String() != tt.want {
			t.Errorf("%v: %v", tt.in, got)
		}
	}
}

func TestSource(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"192.0.2.1", "192.0.2.1/32"},
		{"::ffff:192.0.2.1", "192.0.2.1/32"},
		{"2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"},
		{"fe80::1%eth0", "fe80::/64"},
	} {
		if got := source(netip.MustParseAddr(tt.in)); got.String() != tt.want {
			t.Errorf("%s: %v", tt.in, got)
		}
	}
	if p := source(netip.Addr{}); p != (netip.Prefix{}) {
		t.Errorf("connections without an address: %v", p)
	}
}
