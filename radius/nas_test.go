package radius

import (
	"context"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/dialway/dialway/ppp"
)

// An Access-Request has what a VPN access server says of itself and of the call ([MS-RNAS] 3.1.5.2, RFC 2865, 2868, 2869).
func TestRequestOfAVPNServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen *Packet
		_, c := pair(t, &Server{Authenticator: passwords, Handler: func(_ context.Context, _ netip.AddrPort, p *Packet) (*Packet, error) {
			seen = p
			return nil, nil
		}})
		if _, err := c.Authenticate(t.Context(), ask(t, ppp.MSCHAPv2, "alice", "secret")); err != nil {
			t.Fatal(err)
		}
		for a, want := range map[Attr]string{
			UserName: "alice", NASIdentifier: "nas", NASIPAddress: "\xc0\x00\x02\x01", NASPortID: "call-1", AcctSessionID: "call-1",
			NASPortType: "\x00\x00\x00\x05", ServiceType: "\x00\x00\x00\x02", FramedProtocol: "\x00\x00\x00\x01",
			CalledStationID: "vpn.example.com", CallingStationID: "198.51.100.7", ConnectInfo: "SSTP",
			TunnelType: "\x00\x01\x37\x01", TunnelMediumType: "\x00\x00\x00\x01", TunnelClientEndpoint: "198.51.100.7", TunnelServerEndpoint: "192.0.2.1",
		} {
			if got := seen.text(a); got != want {
				t.Errorf("attribute %d is %q, want %q", a, got, want)
			}
		}
		for typ, want := range map[byte]string{
			msRASVendor: "\x00\x00\x01\x37", msNASType: "\x00\x00\x00\x02", msRASVersion: "dialway", msRASClientVersion: "MSRASV5.20\x00",
			msRASClientName: "MSRAS-0-PC7\x00", msRASCorrelationID: "{12345678-1234-1234-1234-123456789abc}",
		} {
			if got, _ := seen.getVendor(Microsoft, typ); string(got) != want {
				t.Errorf("attribute %d of Microsoft's is %q, want %q", typ, got, want)
			}
		}
		if v, _ := seen.getVendor(Microsoft, msCHAP2Response); len(v) != msResponseAttr {
			t.Errorf("a response of %d bytes", len(v))
		}

		// EAP bounds the server's fragments. IPv6 is said as such.
		req := ask(t, ppp.PAP, "alice", "secret")
		call := *testCall
		call.Local, call.Remote = netip.MustParseAddrPort("[2001:db8::1]:443"), netip.MustParseAddrPort("[2001:db8::7]:50000")
		req.Call, req.Protocol, req.EAP = &call, ppp.EAP, eap(eapResponse, 1, eapIdentity, "alice")
		c.Authenticate(t.Context(), req)
		six := call.Local.Addr().As16()
		if mtu, _ := seen.uint32(FramedMTU); mtu != 1400 || seen.text(NASIPv6Address) != string(six[:]) || seen.text(TunnelMediumType) != "\x00\x00\x00\x02" {
			t.Errorf("Framed-MTU %d, NAS-IPv6-Address %x, medium %x", mtu, seen.text(NASIPv6Address), seen.text(TunnelMediumType))
		}
		var signed []Attr
		for a := range seen.All() {
			signed = append(signed, a)
		}
		if !slices.Contains(signed, MessageAuthenticator) {
			t.Error("it is not signed")
		}
	})
}
