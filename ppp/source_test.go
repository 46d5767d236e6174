package ppp

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
)

// passing sends packets from one end and returns which of them the other end's Serve handed on.
func passing(t *testing.T, from *Conn, packets chan []byte, list map[string][]byte) map[string]bool {
	t.Helper()
	got := map[string]bool{}
	for name, p := range list {
		header := ipv4Header[:]
		if p[0]>>4 == 6 {
			header = ipv6Header[:]
		}
		from.fc.WriteFrames(header, [][]byte{p}, 0)
		synctest.Wait()
		select {
		case b := <-packets:
			if !bytes.Equal(b, p) {
				t.Errorf("%s: another packet: %x", name, b)
			}
			got[name] = true
		default:
		}
	}
	return got
}

func expectPassed(t *testing.T, got map[string]bool, want ...string) {
	t.Helper()
	for _, name := range want {
		if !got[name] {
			t.Errorf("%s: did not pass", name)
		}
		delete(got, name)
	}
	for name := range got {
		t.Errorf("%s: passed", name)
	}
}

// linkOf is a link of two Conns that are served.
func linkOf(t *testing.T, g *Grant) (c, s *Conn, atClient, atServer chan []byte, end func()) {
	t.Helper()
	g.User, g.Addr = "u", clientAddr
	c, s = ends(t, &Config{}, &Config{Authenticator: says(g, nil), Auth: []AuthProtocol{}, Addr: serverAddr})
	atClient, e1 := serve(c)
	atServer, e2 := serve(s)
	return c, s, atClient, atServer, func() {
		c.Close()
		<-e1
		<-e2
	}
}

var (
	other      = netip.MustParseAddr("10.8.0.78")
	branch     = netip.MustParseAddr("172.16.2.9")
	lan6       = netip.MustParseAddr("2001:db8:2::9")
	world6     = netip.MustParseAddr("2001:db8:ffff::9")
	everybody4 = netip.MustParseAddr("255.255.255.255")
	everybody6 = netip.MustParseAddr("ff02::1")
)

func TestForeignSourceDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s, _, atServer, end := linkOf(t, &Grant{Prefixes: []netip.Prefix{netip.MustParsePrefix("2001:db8:2::/64")}})
		list := map[string][]byte{
			"own address":        ipv4(clientAddr, branch, 64),
			"broadcast":          ipv4(clientAddr, everybody4, 64),
			"multicast":          ipv4(clientAddr, netip.MustParseAddr("224.0.0.251"), 64),
			"own prefix":         ipv6(lan6, world6, 64),
			"neighbour's":        ipv4(other, branch, 64),
			"branch":             ipv4(branch, other, 64),
			"server's":           ipv4(serverAddr, branch, 64),
			"unspecified":        ipv4(netip.IPv4Unspecified(), everybody4, 64),
			"loopback":           ipv4(netip.MustParseAddr("127.0.0.1"), branch, 64),
			"from multicast":     ipv4(netip.MustParseAddr("224.0.0.1"), branch, 64),
			"from broadcast":     ipv4(everybody4, branch, 64),
			"foreign IPv6":       ipv6(world6, lan6, 64),
			"loopback IPv6":      ipv6(netip.IPv6Loopback(), lan6, 64),
			"unspecified IPv6":   ipv6(netip.IPv6Unspecified(), world6, 64),
			"link-local, routed": ipv6(c.Info().Local6, world6, 64),
		}
		before := s.Stats().RxDropped
		expectPassed(t, passing(t, c, atServer, list), "own address", "broadcast", "multicast", "own prefix")
		if n := s.Stats().RxDropped - before; n != 11 {
			t.Errorf("%d dropped", n)
		}
		// A router: what is expected of it, and what it was given.
		s.Expect([]netip.Prefix{netip.MustParsePrefix("172.16.2.0/24")})
		expectPassed(t, passing(t, c, atServer, list), "own address", "broadcast", "multicast", "own prefix", "branch")
		s.Expect(nil)
		expectPassed(t, passing(t, c, atServer, list), "own address", "broadcast", "multicast", "own prefix")
		end()
	})
}

func TestForeignDestinationDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s, atClient, _, end := linkOf(t, &Grant{})
		list := map[string][]byte{
			"for this end":   ipv4(other, clientAddr, 64),
			"from server":    ipv4(serverAddr, clientAddr, 64),
			"broadcast":      ipv4(serverAddr, everybody4, 64),
			"multicast":      ipv4(serverAddr, netip.MustParseAddr("224.0.0.1"), 64),
			"for the LAN":    ipv4(serverAddr, netip.MustParseAddr("192.168.1.1"), 64),
			"wide multicast": ipv4(serverAddr, netip.MustParseAddr("239.1.1.1"), 64),
			"spoofed":        ipv4(clientAddr, clientAddr, 64),
			"loopback":       ipv4(netip.MustParseAddr("127.0.0.1"), clientAddr, 64),
			"LAN's IPv6":     ipv6(world6, lan6, 64),
		}
		expectPassed(t, passing(t, s, atClient, list), "for this end", "from server", "broadcast", "multicast")
		c.Expect([]netip.Prefix{netip.MustParsePrefix("10.8.0.78/32"), netip.MustParsePrefix("2001:db8:ffff::/64")})
		expectPassed(t, passing(t, s, atClient, list), "for this end", "from server", "broadcast", "multicast", "for the LAN", "wide multicast", "LAN's IPv6")
		end()
	})
}

// TestWhatIsGivenLater: prefixes that come by router advertisement or DHCPv6 pass like those of the Grant, while they are
// the far side's.
func TestWhatIsGivenLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s, atClient, atServer, end := linkOf(t, &Grant{})
		own, mask := netip.MustParsePrefix("2001:db8:2::9/128"), netip.MustParsePrefix("2001:db8:2::/64")
		up := map[string][]byte{"own": ipv6(lan6, world6, 64), "foreign": ipv6(netip.MustParseAddr("2001:db8:3::9"), world6, 64)}
		down := map[string][]byte{"own": ipv6(world6, lan6, 64), "foreign": ipv6(world6, netip.MustParseAddr("2001:db8:3::9"), 64), "from itself": ipv6(lan6, lan6, 64)}
		expectPassed(t, passing(t, c, atServer, up))
		expectPassed(t, passing(t, s, atClient, down))
		s.Give([]netip.Prefix{mask})
		c.Own([]netip.Prefix{own, netip.MustParsePrefix("2001:db8:4::/56")})
		expectPassed(t, passing(t, c, atServer, up), "own")
		expectPassed(t, passing(t, s, atClient, down), "own")
		if got := s.Prefixes(); !slices.Contains(got, mask) {
			t.Errorf("the server's Prefixes: %v", got)
		}
		if got := c.Addrs(); !slices.Contains(got, own.Addr()) || slices.Contains(got, netip.MustParseAddr("2001:db8:4::")) {
			t.Errorf("the client's Addrs: %v", got)
		}
		s.Give(nil)
		c.Own(nil)
		expectPassed(t, passing(t, c, atServer, up))
		expectPassed(t, passing(t, s, atClient, down))
		end()
	})
}

// udp6 makes an ICMPv6 packet with its checksum right.
func icmp6(src, dst netip.Addr, typ byte, size int) []byte {
	b := ipv6(src, dst, size)
	b[6], b[40] = protoICMPv6, typ
	for i := 48; i < size; i++ {
		b[i] = byte(i)
	}
	binary.BigEndian.PutUint16(b[42:], checksum6(b))
	return b
}

func TestLinkLocalStaysOnLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s, atClient, atServer, end := linkOf(t, &Grant{Prefixes: []netip.Prefix{netip.MustParsePrefix("2001:db8:2::/64"), netip.MustParsePrefix("fe80::/10")}})
		i := c.Info()
		stranger := linkLocal([8]byte{9, 9})
		list := map[string][]byte{
			"router solicitation":  icmp6(i.Local6, netip.MustParseAddr("ff02::2"), 133, 48),
			"DHCPv6":               ipv6(i.Local6, netip.MustParseAddr("ff02::1:2"), 64),
			"to the server itself": ipv6(i.Local6, i.Peer6, 64),
			"stranger to all":      ipv6(stranger, everybody6, 64),
			"stranger to server":   ipv6(stranger, i.Peer6, 64),
			"to another link":      ipv6(i.Local6, stranger, 64),
			"global to all":        ipv6(lan6, everybody6, 64),
			"global to link-local": ipv6(lan6, i.Peer6, 64),
			"nobody to all":        ipv6(netip.IPv6Unspecified(), everybody6, 64),
		}
		expectPassed(t, passing(t, c, atServer, list), "router solicitation", "DHCPv6", "to the server itself")
		// A ping of this end's link-local address is answered here, whatever its size.
		for _, size := range []int{48, 63, 1400} {
			synctest.Wait() // what is counted is counted behind the sending
			before, p := s.Stats(), icmp6(i.Local6, i.Peer6, icmp6EchoAsk, size)
			c.fc.WriteFrames(ipv6Header[:], [][]byte{p}, 0)
			a := <-atClient
			synctest.Wait()
			if len(a) != size || a[40] != icmp6EchoAnswer || checksum6(a) != 0 || !bytes.Equal(a[8:24], p[24:40]) || !bytes.Equal(a[24:40], p[8:24]) || !bytes.Equal(a[44:], p[44:]) {
				t.Errorf("answer %x", a)
			}
			if st := s.Stats(); st.TxPackets != before.TxPackets+1 || st.RxPackets != before.RxPackets || st.RxDropped != before.RxDropped {
				t.Errorf("%+v", st)
			}
		}
		bad := icmp6(i.Local6, i.Peer6, icmp6EchoAsk, 64)
		bad[50]++
		expectPassed(t, passing(t, c, atServer, map[string][]byte{"bad checksum": bad}))
		if len(atClient) != 0 {
			t.Error("a ping with a wrong checksum was answered")
		}
		end()
	})
}
