package interop

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/iana"
	"github.com/mdlayher/ndp"

	"github.com/dialway/dialway/internal/packet"
	"github.com/dialway/dialway/ppp"
	"github.com/dialway/dialway/sstp"
	"github.com/dialway/dialway/sstp/sstptest"
	"github.com/dialway/dialway/tunnel"
	"github.com/dialway/dialway/tunnel/ipv6conf"
)

// packet6 makes a packet, with the checksum at an offset of its payload.
func packet6(src, dst netip.Addr, proto, hops byte, at int, payload []byte) []byte {
	b := make([]byte, 40, 40+len(payload))
	b[0], b[6], b[7] = 0x60, proto, hops
	binary.BigEndian.PutUint16(b[4:], uint16(len(payload)))
	copy(b[8:], src.AsSlice())
	copy(b[24:], dst.AsSlice())
	b = append(b, payload...)
	b[40+at], b[41+at] = 0, 0
	binary.BigEndian.PutUint16(b[40+at:], packet.Checksum(b[40:], packet.PseudoSum(src, dst, proto, len(payload))))
	return b
}

// TestHostileIPv6: one session solicits, advertises itself, and asks by DHCPv6 under ever new names, 10,000 times a second;
// it gets a burst of answers and one a second, keeps one prefix, and another session is configured meanwhile.
func TestHostileIPv6(t *testing.T) {
	const (
		rate   = 10000
		length = 2 * time.Second
	)
	rt := &tunnel.Router{Routes: new(tunnel.Table), Local: new(tunnel.Table)}
	six := &ipv6conf.Server{Routes: rt.Routes}
	rt.Local.Insert(netip.MustParsePrefix("ff02::2/128"), six, 0)
	rt.Local.Insert(netip.MustParsePrefix("ff02::1:2/128"), six, 0)
	srv := sstptest.NewServer(&sstp.Server{
		PPP: &ppp.Config{
			Authenticator: ppp.PasswordFunc(func(context.Context, string) (ppp.Secret, error) { return "secret", nil }),
			Addr:          netip.MustParseAddr("10.8.0.1"),
			Pool: &ppp.Pool{
				Prefixes: []netip.Prefix{netip.MustParsePrefix("10.8.0.0/28"), netip.MustParsePrefix("2001:db8:8::/48")},
				Exclude:  []netip.Prefix{netip.MustParsePrefix("10.8.0.1/32")}, Delegate: []netip.Prefix{netip.MustParsePrefix("2001:db8:a000::/40")},
			},
		},
		Handler: func(ctx context.Context, c *ppp.Conn) error { return rt.ServeLink(ctx, six.Link(c)) },
	})
	defer srv.Close()
	served := make(chan error, 2)
	dial := func(user string) *ppp.Conn {
		link, err := srv.Dialer(&ppp.Config{User: user, Password: "secret"}).DialContext(t.Context(), srv.Addr())
		if err != nil {
			t.Fatal(err)
		}
		return link
	}
	drop := func(bufs [][]byte, _ int) (int, error) { return len(bufs), nil }

	mallory := dial("mallory")
	go func() { served <- mallory.Serve(context.Background(), drop) }()
	own, server := mallory.Info().Local6, mallory.Info().Peer6
	routers, servers, all := netip.MustParseAddr("ff02::2"), netip.MustParseAddr("ff02::1:2"), netip.MustParseAddr("ff02::1")
	var packets [][]byte
	nd := func(src, dst netip.Addr, m ndp.Message) {
		b, err := ndp.MarshalMessage(m)
		if err != nil {
			t.Fatal(err)
		}
		packets = append(packets, packet6(src, dst, packet.ProtoICMPv6, 255, 2, b))
	}
	dhcp := func(dst netip.Addr, m *dhcpv6.Message) {
		d := m.ToBytes()
		u := binary.BigEndian.AppendUint16([]byte{2, 34, 2, 35}, uint16(8+len(d))) // ports 546, 547
		packets = append(packets, packet6(own, dst, packet.ProtoUDP, 64, 6, append(append(u, 0, 0), d...)))
	}
	nd(own, routers, new(ndp.RouterSolicitation))
	nd(own, server, &ndp.NeighborSolicitation{TargetAddress: server})
	nd(own, all, &ndp.RouterAdvertisement{RouterLifetime: time.Hour})
	nd(netip.MustParseAddr("fe80::9"), routers, new(ndp.RouterSolicitation)) // somebody else's address
	for i := range 60 {
		m, err := dhcpv6.NewSolicit(net.HardwareAddr{2, 0, 0, 0, 0, byte(i)}, dhcpv6.WithRapidCommit, dhcpv6.WithIAPD([4]byte{0, 0, 0, byte(i)}))
		if err != nil {
			t.Fatal(err)
		}
		dhcp(servers, m)
		if i%10 == 0 {
			m.MessageType = dhcpv6.MessageTypeRelease
			m.AddOption(dhcpv6.OptServerID(&dhcpv6.DUIDLL{HWType: iana.HWTypeEthernet, LinkLayerAddr: net.HardwareAddr{2, 9, 9, 9, 9, 9}}))
			dhcp(servers, m)
		}
	}
	flooded := flood(t, mallory, packets, rate, length)

	bystander := dial("alice") // in the middle of it
	c := &ipv6conf.Client{Link: bystander, Delegate: true}
	go func() { served <- c.Serve(context.Background(), drop) }()
	began := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	got, err := c.Wait(ctx, func(c ipv6conf.Config) bool { return len(c.Addrs) > 0 && len(c.Delegated) > 0 })
	took := time.Since(began)
	n := <-flooded
	s := six.Stats()
	t.Logf("%d messages in %v: %+v; another session was configured in %v", n, length, s, took.Round(time.Microsecond))
	if err != nil || took > 5*time.Second {
		t.Errorf("the bystander: %+v, %v after %v", got, err, took)
	}
	if n < rate*int(length/time.Second)/2 {
		t.Errorf("only %d messages sent", n)
	}
	// Two sessions: a burst of ten each, one a second, and what was advertised unasked.
	if s.Answered > 2*(10+uint64(length/time.Second)+2) || s.Advertised > 2*(3+10+uint64(length/time.Second)) || s.Limited == 0 || s.Refused == 0 || s.Delegated > 2 {
		t.Errorf("%+v", s)
	}
	routes := 0
	for r := range rt.Routes.(*tunnel.Table).All() {
		if r.Prefix.Addr().Is6() {
			routes++
		}
	}
	if routes > 4 {
		t.Errorf("%d routes", routes)
	}
	for _, x := range []*ppp.Conn{bystander, mallory} {
		x.Close()
		if err := <-served; !errors.As(err, new(*ppp.TerminatedError)) {
			t.Error(err)
		}
	}
}
