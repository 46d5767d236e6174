package radius

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dialway/dialway/ppp"
)

// What an Access-Accept's attributes grant, a server of this package sends so that it grants the same again.
func FuzzGrant(f *testing.F) {
	seed := &Packet{}
	addNetwork(seed, &ppp.Grant{
		Addr: netip.MustParseAddr("10.8.0.7"), Pool: "branch",
		Prefixes: []netip.Prefix{netip.MustParsePrefix("172.16.2.0/24"), netip.MustParsePrefix("2001:db8:1::/64"), netip.MustParsePrefix("2001:db8:2::/56")},
		DNS:      []netip.Addr{netip.MustParseAddr("10.8.0.1"), netip.MustParseAddr("2001:db8::53")},
		NBNS:     []netip.Addr{netip.MustParseAddr("10.8.0.2")},
	})
	seed.addUint32(SessionTimeout, 60)
	f.Add(seed.attrs)
	masked := &Packet{}
	masked.Add(FramedIPAddress, []byte{10, 8, 0, 7})
	masked.Add(FramedIPNetmask, []byte{255, 255, 255, 0})
	masked.addText(FramedRoute, "172.16.9.0 10.8.0.7 1 2")
	masked.addText(FramedIPv6Route, "2001:db8:9::/48 :: 1")
	f.Add(masked.attrs)
	f.Fuzz(func(t *testing.T, attrs []byte) {
		header := []byte{byte(AccessAccept), 1, byte((20 + len(attrs)) >> 8), byte(20 + len(attrs)), 19: 0}
		if len(attrs) > 4000 {
			return
		}
		p, err := Parse(append(header, attrs...))
		if err != nil {
			return
		}
		req, from := &ppp.AuthRequest{Protocol: ppp.PAP}, &server{target: &Target{TrustUserName: true}}
		c := new(Client)
		g, err := c.grant(req, p, from)
		if err != nil || len(g.DNS) > 8 || len(g.NBNS) > 2 {
			return
		}
		out, err := new(Server).accept(req, g)
		if err != nil {
			t.Fatalf("granted and not to be said: %+v: %v", g, err)
		}
		again, err := c.grant(req, out, from)
		if err != nil {
			t.Fatalf("%+v comes back as %v", g, err)
		}
		network := func(g *ppp.Grant) (a []netip.Prefix) {
			a = slices.Clone(g.Prefixes)
			slices.SortFunc(a, func(a, b netip.Prefix) int { return strings.Compare(a.String(), b.String()) })
			return a
		}
		if again.Addr != g.Addr || again.Pool != g.Pool || again.SessionTimeout != g.SessionTimeout || again.IdleTimeout != g.IdleTimeout ||
			!slices.Equal(network(again), network(g)) {
			t.Errorf("%+v came back as %+v", g, again)
		}
	})
}

// The texts in MS-CHAP-Error and MS-CHAP2-Success: what was read is written so that it reads the same.
func FuzzMSTexts(f *testing.F) {
	f.Add("E=691 R=1 C=00112233445566778899AABBCCDDEEFF V=3 M=no")
	f.Add("S=407A5589115FD0D6209F510FE9C04566932CDA56 M=hi")
	f.Fuzz(func(t *testing.T, text string) {
		var e, again ppp.AuthError
		parseMSError(text, &e)
		parseMSError(formatMSError(&e), &again)
		if e.Code == 0 {
			e.Code = ppp.CodeFailed
		}
		if again.Code != e.Code || again.Retry != e.Retry || string(again.Challenge) != string(e.Challenge) || again.Message != e.Message {
			t.Errorf("%+v came back as %+v", e, again)
		}
		parseMSSuccess(text)
	})
}

// FuzzChange carries out a CoA on a Grant: what is refused changes nothing.
func FuzzChange(f *testing.F) {
	seed := &Packet{}
	seed.addUint32(SessionTimeout, 60)
	seed.addUint32(AcctInterimInterval, 600)
	seed.addText(FilterID, "none.in")
	seed.addVendorUint32(wispr, wisprUp, 1e6)
	seed.addText(UserName, "alice")
	f.Add(seed.attrs)
	two := &Packet{}
	two.Add(VendorSpecific, []byte{0, 0, 0x37, 0x2a, wisprUp, 6, 0, 0, 1, 0, wisprDown, 6, 0, 0, 2, 0})
	f.Add(two.attrs)
	f.Fuzz(func(t *testing.T, attrs []byte) {
		if len(attrs) > 4000 {
			return
		}
		header := []byte{byte(CoARequest), 1, byte((20 + len(attrs)) >> 8), byte(20 + len(attrs)), 19: 0}
		p, err := Parse(append(header, attrs...))
		if err != nil {
			return
		}
		d := &Dynamic{Filter: func(id string) (func([]byte) bool, error) {
			if id != "none.in" {
				return nil, errors.New("unknown")
			}
			return func([]byte) bool { return false }, nil
		}}
		g := &ppp.Grant{IdleTimeout: time.Hour, RateIn: ppp.Rate{Bits: 7}}
		onlyNames(p)
		if code := d.edit(g, p); code != 0 {
			return
		}
		for a, v := range p.All() {
			switch {
			case a == IdleTimeout && len(v) != 4, a == ServiceType, a == VendorSpecific && !onlyRates(v):
				t.Errorf("obeyed in spite of attribute %d %x", a, v)
			}
		}
		if g.SessionTimeout < 0 || g.IdleTimeout < 0 || g.Interim < 0 || g.RateIn.Bits >= 1<<32 {
			t.Errorf("%+v", g)
		}
	})
}
