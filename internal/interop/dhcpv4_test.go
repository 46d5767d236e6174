package interop

import (
	"bytes"
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"github.com/dialway/dialway/dhcpinform"
	"github.com/dialway/dialway/internal/packet"
	"github.com/dialway/dialway/tunnel"
	"github.com/dialway/dialway/tunnel/tunneltest"
)

// datagram makes a UDP packet by hand, without a checksum, as RFC 768 lets it.
func datagram(src, dst netip.AddrPort, payload []byte) []byte {
	b := make([]byte, 28, 28+len(payload))
	b = append(b, payload...)
	b[0], b[8], b[9] = 0x45, 64, packet.ProtoUDP
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	copy(b[12:], src.Addr().AsSlice())
	copy(b[16:], dst.Addr().AsSlice())
	packet.IPv4(b).SetChecksum()
	binary.BigEndian.PutUint16(b[20:], src.Port())
	binary.BigEndian.PutUint16(b[22:], dst.Port())
	binary.BigEndian.PutUint16(b[24:], uint16(len(b)-20))
	return b
}

// TestDHCPCodecAgreesWithAnother: informs of ours and answers of ours, read by a codec that nobody here wrote, and its
// informs answered by ours.
func TestDHCPCodecAgreesWithAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, link := tunneltest.Pipe(netip.MustParsePrefix("10.8.0.1/32"), netip.MustParsePrefix("10.8.0.2/32"))
		routes := []dhcpinform.Route{{Prefix: netip.MustParsePrefix("10.88.0.0/16"), Via: netip.MustParseAddr("10.8.0.1")}}
		responder := &dhcpinform.Responder{Options: func(netip.Addr, tunnel.PacketWriter) *dhcpinform.Options {
			return &dhcpinform.Options{
				DNS: []netip.Addr{netip.MustParseAddr("192.0.2.53")}, Domain: "vpn.test", Search: []string{"vpn.test", "corp.test"},
				NTP: []netip.Addr{netip.MustParseAddr("192.0.2.123")}, Routes: routes,
			}
		}}
		rt := &tunnel.Router{Routes: new(tunnel.Table), Local: new(tunnel.Table)}
		rt.Local.Insert(netip.MustParsePrefix("255.255.255.255/32"), responder, 0)
		go rt.ServeLink(t.Context(), server)

		// Its inform, our answer.
		var got []byte
		c := &dhcpinform.Client{Link: link, Hostname: "pc1"}
		go c.Serve(t.Context(), func(bufs [][]byte, offset int) (int, error) {
			got = bytes.Clone(bufs[0][offset:])
			return len(bufs), nil
		})
		ask, err := dhcpv4.NewInform(net.HardwareAddr{2, 0, 0, 0, 0, 1}, net.IPv4(10, 8, 0, 2),
			dhcpv4.WithRequestedOptions(dhcpv4.OptionDomainNameServer, dhcpv4.OptionDomainName, dhcpv4.OptionDNSDomainSearchList,
				dhcpv4.OptionNTPServers, dhcpv4.OptionClasslessStaticRoute))
		if err != nil {
			t.Fatal(err)
		}
		link.Write([][]byte{datagram(netip.MustParseAddrPort("10.8.0.2:68"), netip.MustParseAddrPort("255.255.255.255:67"), ask.ToBytes())}, 0)
		synctest.Wait()
		if len(got) < 28 {
			t.Fatalf("no answer: %+v", responder.Stats())
		}
		a, err := dhcpv4.FromBytes(got[28:])
		if err != nil {
			t.Fatal(err)
		}
		if a.TransactionID != ask.TransactionID || a.MessageType() != dhcpv4.MessageTypeAck || !a.ClientIPAddr.Equal(net.IPv4(10, 8, 0, 2)) ||
			!a.ServerIdentifier().Equal(net.IPv4(10, 8, 0, 1)) || len(a.DNS()) != 1 || a.DomainName() != "vpn.test" || len(a.NTPServers()) != 1 {
			t.Errorf("%s", a.Summary())
		}
		if s := a.DomainSearch(); s == nil || len(s.Labels) != 2 || s.Labels[1] != "corp.test" {
			t.Errorf("search list %v", s)
		}
		if r := a.ClasslessStaticRoute(); len(r) != 1 || r[0].Dest.String() != "10.88.0.0/16" || !r[0].Router.Equal(net.IPv4(10, 8, 0, 1)) {
			t.Errorf("routes %v", r)
		}
		c.Close()
	})

	// Our inform.
	synctest.Test(t, func(t *testing.T) {
		server, link := tunneltest.Pipe(netip.MustParsePrefix("10.8.0.1/32"), netip.MustParsePrefix("10.8.0.2/32"))
		c := &dhcpinform.Client{Link: link, Hostname: "pc1"}
		ctx, cancel := context.WithCancel(t.Context())
		go c.Serve(t.Context(), func(bufs [][]byte, _ int) (int, error) { return len(bufs), nil })
		var sent []byte
		go server.Serve(t.Context(), func(bufs [][]byte, offset int) (int, error) {
			sent = bytes.Clone(bufs[0][offset:])
			cancel()
			return len(bufs), nil
		})
		c.Inform(ctx, nil)
		synctest.Wait()
		m, err := dhcpv4.FromBytes(sent[28:])
		if err != nil {
			t.Fatal(err)
		}
		if m.OpCode != dhcpv4.OpcodeBootRequest || m.MessageType() != dhcpv4.MessageTypeInform || !m.ClientIPAddr.Equal(net.IPv4(10, 8, 0, 2)) || m.IsBroadcast() ||
			m.HostName() != "pc1" || m.ClassIdentifier() != "MSFT 5.0" || !m.IsOptionRequested(dhcpv4.OptionDNSDomainSearchList) || len(m.ClientHWAddr) != 6 {
			t.Errorf("%s", m.Summary())
		}
		c.Close()
	})
}
