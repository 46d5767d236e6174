package interop

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
	"reflect"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/iana"
	"github.com/mdlayher/ndp"

	"github.com/dialway/dialway/internal/packet"
	"github.com/dialway/dialway/tunnel"
	"github.com/dialway/dialway/tunnel/ipv6conf"
	"github.com/dialway/dialway/tunnel/tunneltest"
)

var routerLL, hostLL = netip.MustParseAddr("fe80::1"), netip.MustParseAddr("fe80::2:3:4:5")

// sixLink is a link in memory whose far side has prefixes.
type sixLink struct {
	tunnel.Link
	prefixes []netip.Prefix
}

func (l *sixLink) Prefixes() []netip.Prefix { return l.prefixes }

// A talk is one end of a link, spoken by codecs of others.
type talk struct {
	t    *testing.T
	link tunnel.Link
	own  netip.Addr

	mu  sync.Mutex
	got [][]byte
}

func (k *talk) serve() {
	go k.link.Serve(k.t.Context(), func(bufs [][]byte, offset int) (int, error) {
		k.mu.Lock()
		defer k.mu.Unlock()
		for _, b := range bufs {
			k.got = append(k.got, bytes.Clone(b[offset:]))
		}
		return len(bufs), nil
	})
}

func (k *talk) say(dst netip.Addr, proto, hops byte, at int, payload []byte) {
	k.t.Helper()
	k.link.Write([][]byte{packet6(k.own, dst, proto, hops, at, payload)}, 0)
	synctest.Wait()
}

func (k *talk) nd(dst netip.Addr, m ndp.Message) {
	k.t.Helper()
	b, err := ndp.MarshalMessage(m)
	if err != nil {
		k.t.Fatal(err)
	}
	k.say(dst, packet.ProtoICMPv6, 255, 2, b)
}

func (k *talk) dhcp(dst netip.Addr, src, port uint16, m dhcpv6.DHCPv6) {
	k.t.Helper()
	d := m.ToBytes()
	u := binary.BigEndian.AppendUint16(nil, src)
	u = binary.BigEndian.AppendUint16(u, port)
	u = binary.BigEndian.AppendUint16(u, uint16(8+len(d)))
	k.say(dst, packet.ProtoUDP, 64, 6, append(append(u, 0, 0), d...))
}

// take returns what was said since the last call: messages of neighbour discovery and of DHCPv6.
func (k *talk) take() (nd []ndp.Message, dhcp []*dhcpv6.Message) {
	k.t.Helper()
	synctest.Wait()
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, b := range k.got {
		if b[6] == packet.ProtoICMPv6 {
			m, err := ndp.ParseMessage(b[40:])
			if err != nil {
				k.t.Errorf("%v: %x", err, b)
			}
			nd = append(nd, m)
			continue
		}
		m, err := dhcpv6.MessageFromBytes(b[48:])
		if err != nil {
			k.t.Errorf("%v: %x", err, b)
			continue
		}
		dhcp = append(dhcp, m)
	}
	k.got = nil
	return nd, dhcp
}

func addrList(list ...string) (out []netip.Addr) {
	for _, s := range list {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

// TestIPv6ServerAgreesWithOtherCodecs: what our Server says, read by codecs that nobody here wrote, and what they say, heard by it.
func TestIPv6ServerAgreesWithOtherCodecs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := tunneltest.Pipe(netip.PrefixFrom(routerLL, 128), netip.PrefixFrom(hostLL, 128))
		rt := &tunnel.Router{Routes: new(tunnel.Table), Local: new(tunnel.Table)}
		six := &ipv6conf.Server{Routes: rt.Routes, Session: func(tunnel.Link) ipv6conf.Session {
			return ipv6conf.Session{
				Prefixes: []netip.Prefix{netip.MustParsePrefix("2001:db8:1::/64")}, Addr: netip.MustParseAddr("2001:db8:1::5"),
				Delegated: []netip.Prefix{netip.MustParsePrefix("2001:db8:a00::/56")}, DNS: addrList("2001:db8::53", "2001:db8::54"),
				Search: []string{"vpn.test", "corp.test"}, SNTP: addrList("2001:db8::123"), Routes: []netip.Prefix{netip.MustParsePrefix("2001:db8:88::/48")},
			}
		}}
		rt.Local.Insert(netip.MustParsePrefix("ff02::2/128"), six, 0)
		rt.Local.Insert(netip.MustParsePrefix("ff02::1:2/128"), six, 0)
		go rt.ServeLink(t.Context(), six.Link(&sixLink{Link: a}))
		k := &talk{t: t, link: b, own: hostLL}
		k.serve()
		time.Sleep(100 * time.Second)
		k.take()

		k.nd(netip.MustParseAddr("ff02::2"), new(ndp.RouterSolicitation))
		time.Sleep(time.Second)
		nd, _ := k.take()
		want := &ndp.RouterAdvertisement{
			CurrentHopLimit: 64, ManagedConfiguration: true, OtherConfiguration: true, RouterSelectionPreference: ndp.Medium, RouterLifetime: 1800 * time.Second,
			Options: []ndp.Option{
				ndp.NewMTU(1400),
				&ndp.PrefixInformation{PrefixLength: 64, AutonomousAddressConfiguration: true, ValidLifetime: 90 * time.Minute, PreferredLifetime: 45 * time.Minute, Prefix: netip.MustParseAddr("2001:db8:1::")},
				&ndp.RouteInformation{PrefixLength: 48, Preference: ndp.Medium, RouteLifetime: 1800 * time.Second, Prefix: netip.MustParseAddr("2001:db8:88::")},
				&ndp.RecursiveDNSServer{Lifetime: 1800 * time.Second, Servers: addrList("2001:db8::53", "2001:db8::54")},
				&ndp.DNSSearchList{Lifetime: 1800 * time.Second, DomainNames: []string{"vpn.test", "corp.test"}},
			},
		}
		if len(nd) != 1 || !reflect.DeepEqual(nd[0], want) {
			t.Errorf("got\n%+v, want\n%+v", nd, want)
		}

		hw := net.HardwareAddr{2, 0, 0, 0, 0, 1}
		duid := &dhcpv6.DUIDLL{HWType: iana.HWTypeEthernet, LinkLayerAddr: hw}
		servers := netip.MustParseAddr("ff02::1:2")
		ask, err := dhcpv6.NewMessage(dhcpv6.WithClientID(duid), dhcpv6.WithRequestedOptions(dhcpv6.OptionDNSRecursiveNameServer, dhcpv6.OptionDomainSearchList))
		if err != nil {
			t.Fatal(err)
		}
		ask.MessageType = dhcpv6.MessageTypeInformationRequest
		k.dhcp(servers, 546, 547, ask)
		_, dhcp := k.take()
		if len(dhcp) != 1 || dhcp[0].MessageType != dhcpv6.MessageTypeReply || len(dhcp[0].Options.DNS()) != 2 || dhcp[0].Options.DomainSearchList().Labels[1] != "corp.test" ||
			dhcp[0].TransactionID != ask.TransactionID || !dhcp[0].Options.ClientID().Equal(duid) || dhcp[0].Options.ServerID() == nil {
			t.Fatalf("%v", dhcp)
		}

		// Solicit, advertise, request, renew, release.
		solicit, err := dhcpv6.NewSolicit(hw, dhcpv6.WithIAPD([4]byte{0, 0, 0, 7}))
		if err != nil {
			t.Fatal(err)
		}
		k.dhcp(servers, 546, 547, solicit)
		_, dhcp = k.take()
		if len(dhcp) != 1 || dhcp[0].MessageType != dhcpv6.MessageTypeAdvertise {
			t.Fatalf("%v", dhcp)
		}
		request, err := dhcpv6.NewRequestFromAdvertise(dhcp[0])
		if err != nil {
			t.Fatal(err)
		}
		k.dhcp(servers, 546, 547, request)
		_, dhcp = k.take()
		if len(dhcp) != 1 || dhcp[0].MessageType != dhcpv6.MessageTypeReply {
			t.Fatalf("%v", dhcp)
		}
		pd, na := dhcp[0].Options.OneIAPD(), dhcp[0].Options.OneIANA()
		if p := pd.Options.Prefixes(); len(p) != 1 || p[0].Prefix.String() != "2001:db8:a00::/56" || p[0].ValidLifetime != 90*time.Minute || pd.T1 != 1350*time.Second || pd.IaId != [4]byte{0, 0, 0, 7} {
			t.Errorf("%v", pd)
		}
		if x := na.Options.OneAddress(); x == nil || !x.IPv6Addr.Equal(net.ParseIP("2001:db8:1::5")) {
			t.Errorf("%v", na)
		}
		if rt.Routes.Lookup(netip.MustParseAddr("2001:db8:a00:7::1")) == nil {
			t.Error("the delegated prefix is not routed")
		}
		release := *request
		release.MessageType = dhcpv6.MessageTypeRelease
		k.dhcp(servers, 546, 547, &release)
		_, dhcp = k.take()
		if len(dhcp) != 1 || dhcp[0].Options.Status() == nil || dhcp[0].Options.Status().StatusCode != iana.StatusSuccess {
			t.Errorf("%v", dhcp)
		}
		if rt.Routes.Lookup(netip.MustParseAddr("2001:db8:a00:7::1")) != nil {
			t.Error("the delegated prefix is still routed")
		}
		b.Close()
	})
}

// TestIPv6ClientAgreesWithOtherCodecs: likewise our Client.
func TestIPv6ClientAgreesWithOtherCodecs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := tunneltest.Pipe(netip.PrefixFrom(routerLL, 128), netip.PrefixFrom(hostLL, 128))
		c := &ipv6conf.Client{Link: b, Delegate: true, Length: 56}
		k := &talk{t: t, link: a, own: routerLL}
		k.serve()
		go c.Serve(t.Context(), func(bufs [][]byte, _ int) (int, error) { return len(bufs), nil })
		nd, dhcp := k.take()
		if len(nd) != 1 || !reflect.DeepEqual(nd[0], new(ndp.RouterSolicitation)) {
			t.Fatalf("%+v", nd)
		}
		if len(dhcp) != 1 || dhcp[0].MessageType != dhcpv6.MessageTypeSolicit || dhcp[0].GetOneOption(dhcpv6.OptionRapidCommit) == nil || dhcp[0].GetOneOption(dhcpv6.OptionElapsedTime) == nil {
			t.Fatalf("%v", dhcp)
		}
		if p := dhcp[0].Options.OneIAPD().Options.Prefixes(); len(p) != 1 || p[0].Prefix.String() != "::/56" {
			t.Errorf("%v", p)
		}
		k.nd(netip.MustParseAddr("ff02::1"), &ndp.RouterAdvertisement{
			CurrentHopLimit: 64, RouterLifetime: time.Hour,
			Options: []ndp.Option{
				&ndp.PrefixInformation{PrefixLength: 64, AutonomousAddressConfiguration: true, ValidLifetime: time.Hour, PreferredLifetime: time.Hour, Prefix: netip.MustParseAddr("2001:db8:1::")},
				&ndp.RecursiveDNSServer{Lifetime: time.Hour, Servers: addrList("2001:db8::53")},
				&ndp.DNSSearchList{Lifetime: time.Hour, DomainNames: []string{"vpn.test"}},
				&ndp.RouteInformation{PrefixLength: 48, RouteLifetime: time.Hour, Prefix: netip.MustParseAddr("2001:db8:88::")},
				ndp.NewMTU(1300),
			},
		})
		_, delegated, _ := net.ParseCIDR("2001:db8:a00::/56")
		reply, err := dhcpv6.NewReplyFromMessage(dhcp[0], dhcpv6.WithServerID(&dhcpv6.DUIDLL{HWType: iana.HWTypeEthernet, LinkLayerAddr: net.HardwareAddr{2, 0, 0, 0, 0, 9}}),
			dhcpv6.WithDNS(net.ParseIP("2001:db8::54")), dhcpv6.WithIAPD([4]byte{0, 0, 0, 1}, &dhcpv6.OptIAPrefix{PreferredLifetime: time.Hour, ValidLifetime: 2 * time.Hour, Prefix: delegated}))
		if err != nil {
			t.Fatal(err)
		}
		k.dhcp(hostLL, 547, 546, reply)
		want := ipv6conf.Config{
			Addrs: addrList("2001:db8:1:0:2:3:4:5"), Prefixes: []netip.Prefix{netip.MustParsePrefix("2001:db8:1::/64")}, Delegated: []netip.Prefix{netip.MustParsePrefix("2001:db8:a00::/56")},
			Router: routerLL, Routes: []netip.Prefix{netip.MustParsePrefix("2001:db8:88::/48")}, DNS: addrList("2001:db8::53", "2001:db8::54"), Search: []string{"vpn.test"}, MTU: 1300,
		}
		if got := c.Config(); !reflect.DeepEqual(got, want) {
			t.Errorf("got\n%+v, want\n%+v", got, want)
		}
		a.Close()
	})
}
