package radius

import (
	"context"
	"encoding/binary"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dialway/dialway/ppp"
)

// A rate goes from a Grant through an Access-Accept into another, and not further than 32 bits.
func TestRatesOfWISPr(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		granted := &ppp.Grant{RateIn: ppp.Rate{Bits: 1_000_000}, RateOut: ppp.Rate{Bits: 4_000_000_000}}
		_, c := pair(t, &Server{Authenticator: byHand(granted)})
		g, err := c.Authenticate(t.Context(), ask(t, ppp.PAP, "alice", "secret"))
		if err != nil || g.RateIn != granted.RateIn || g.RateOut != granted.RateOut {
			t.Errorf("%+v, %v", g, err)
		}
		granted.RateIn, granted.RateOut = ppp.Rate{}, ppp.Rate{Bits: 1 << 32}
		g, err = c.Authenticate(t.Context(), ask(t, ppp.PAP, "alice", "secret"))
		if err != nil || g.RateIn.Bits != 0 || g.RateOut.Bits != 0 {
			t.Errorf("%+v, %v", g, err)
		}
	})
}

// byHand grants the same to everybody.
func byHand(g *ppp.Grant) ppp.Authenticator {
	return ppp.AuthenticatorFunc(func(context.Context, *ppp.AuthRequest) (*ppp.Grant, error) { return g, nil })
}

// A CoA changes rates, and one with something else in a vendor's attribute is refused whole.
func TestChangeOfRates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newCoaRig(t, new(Dynamic), 1)
		c := r.conns[0]
		change := func(add func(p *Packet)) []byte {
			time.Sleep(time.Second) // or it would be the same request again
			return r.dated(CoARequest, func(p *Packet) { p.addText(UserName, "alice"); add(p) })
		}
		rates := func(in, out uint64) {
			t.Helper()
			if g := c.Grant(); g.RateIn.Bits != in || g.RateOut.Bits != out {
				t.Errorf("rates %v, %v; want %d, %d", g.RateIn, g.RateOut, in, out)
			}
		}
		r.expect("both", change(func(p *Packet) {
			p.addVendorUint32(wispr, wisprUp, 1e6)
			p.addVendorUint32(wispr, wisprDown, 2e6)
		}), CoAACK, 0)
		rates(1e6, 2e6)
		r.expect("both in one attribute", change(func(p *Packet) {
			v := binary.BigEndian.AppendUint32(nil, wispr)
			v = binary.BigEndian.AppendUint32(append(v, wisprUp, 6), 3e6)
			p.Add(VendorSpecific, binary.BigEndian.AppendUint32(append(v, wisprDown, 6), 4e6))
		}), CoAACK, 0)
		rates(3e6, 4e6)
		r.expect("lifted", change(func(p *Packet) { p.addVendorUint32(wispr, wisprUp, 0) }), CoAACK, 0)
		rates(0, 4e6)
		for name, add := range map[string]func(p *Packet){
			"another of WISPr's": func(p *Packet) { p.AddVendor(wispr, 1, []byte("isocc=de")) },
			"a short one":        func(p *Packet) { p.AddVendor(wispr, wisprDown, []byte{1, 2}) },
			"bytes behind": func(p *Packet) {
				v := binary.BigEndian.AppendUint32(nil, wispr)
				p.Add(VendorSpecific, append(binary.BigEndian.AppendUint32(append(v, wisprUp, 6), 5e6), 0))
			},
			"no vendor": func(p *Packet) { p.Add(VendorSpecific, []byte{1}) },
		} {
			r.expect(name, change(func(p *Packet) { p.addUint32(IdleTimeout, 7); add(p) }), CoANAK, nakUnsupported)
		}
		rates(0, 4e6)
		if d := c.Grant().IdleTimeout; d == 7*time.Second {
			t.Error("a refused change was carried out")
		}
	})
}
