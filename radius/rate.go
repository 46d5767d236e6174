package radius

import (
	"encoding/binary"

	"github.com/dialway/dialway/ppp"
)

// RADIUS itself has no attribute for a rate. WISPr's are what servers' dictionaries have: bits per second in 32 bits, up
// from the far side and down to it (Wi-Fi Alliance, Best Current Practices for WISP Roaming 1.0, appendix C).
const (
	wispr     = 14122
	wisprUp   = 7 // WISPr-Bandwidth-Max-Up
	wisprDown = 8 // WISPr-Bandwidth-Max-Down
)

// readRates takes what there is; zero lifts a limit.
func readRates(g *ppp.Grant, p *Packet) {
	for t, v := range p.Vendor(wispr) {
		if len(v) != 4 {
			continue
		}
		rate := ppp.Rate{Bits: uint64(binary.BigEndian.Uint32(v))}
		switch t {
		case wisprUp:
			g.RateIn = rate
		case wisprDown:
			g.RateOut = rate
		}
	}
}

// addRates is the inverse. What does not fit 32 bits is as good as no limit.
func addRates(p *Packet, g *ppp.Grant) {
	for _, x := range [...]struct {
		typ  byte
		rate ppp.Rate
	}{{wisprUp, g.RateIn}, {wisprDown, g.RateOut}} {
		if n := x.rate.Bits; n > 0 && n < 1<<32 {
			p.addVendorUint32(wispr, x.typ, uint32(n))
		}
	}
}

// onlyRates reports whether a Vendor-Specific attribute's value is rates and nothing else.
func onlyRates(v []byte) bool {
	q := new(Packet)
	q.Add(VendorSpecific, v)
	n := 4
	for t, x := range q.Vendor(wispr) {
		if len(x) != 4 || t != wisprUp && t != wisprDown {
			return false
		}
		n += 2 + len(x)
	}
	return n > 4 && n == len(v)
}
