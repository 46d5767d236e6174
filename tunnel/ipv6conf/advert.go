package ipv6conf

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/dialway/dialway/internal/names"
)

// Messages of neighbour discovery, RFC 4861 section 4.
const (
	ndFirst               = 133
	routerSolicitation    = 133
	routerAdvertisement   = 134
	neighbourSolicitation = 135
	neighbourAdvert       = 136
	ndLast                = 137
)

// Options of neighbour discovery.
const (
	ndSourceLink = 1  // RFC 4861 section 4.6.1
	ndPrefix     = 3  // section 4.6.2
	ndMTU        = 5  // section 4.6.4
	ndRoute      = 24 // RFC 4191 section 2.3
	ndRDNSS      = 25 // RFC 8106 section 5.1
	ndDNSSL      = 31 // section 5.2
)

// Flags.
const (
	flagManaged    = 0x80 // of an advertisement: addresses by DHCPv6
	flagOther      = 0x40 // other things by DHCPv6
	flagAutonomous = 0x40 // of a prefix: addresses are made of it
)

// forever is the lifetime that does not end.
const forever = 1<<32 - 1

// maxListed bounds what is kept of each kind of thing in one advertisement or message.
const maxListed = 16

// An advert is a router advertisement. Lifetimes are in seconds.
type advert struct {
	hops           byte
	managed, other bool
	lifetime       uint16 // as a default router; 0: it is none
	mtu            uint32 // 0: not said
	prefixes       []advertPrefix
	routes         []advertRoute
	dns            []advertDNS
	search         []advertSearch
}

type advertPrefix struct {
	prefix           netip.Prefix
	autonomous       bool
	valid, preferred uint32
}

type advertRoute struct {
	prefix   netip.Prefix
	lifetime uint32
}

type advertDNS struct {
	servers  []netip.Addr
	lifetime uint32
}

type advertSearch struct {
	names    []string
	lifetime uint32
}

// appendTo appends the body of an advertisement, behind type, code and checksum. No prefix is on link: behind a
// point-to-point link there is only the other end (RFC 4861 section 4.6.2).
func (a *advert) appendTo(b []byte) []byte {
	var flags byte
	if a.managed {
		flags |= flagManaged
	}
	if a.other {
		flags |= flagOther
	}
	b = append(b, a.hops, flags)
	b = binary.BigEndian.AppendUint16(b, a.lifetime)
	b = append(b, 0, 0, 0, 0, 0, 0, 0, 0) // reachable time, retransmission timer: unspecified
	if a.mtu != 0 {
		b = binary.BigEndian.AppendUint32(append(b, ndMTU, 1, 0, 0), a.mtu)
	}
	for _, p := range a.prefixes {
		flags = 0
		if p.autonomous {
			flags = flagAutonomous
		}
		b = append(b, ndPrefix, 4, byte(p.prefix.Bits()), flags)
		b = binary.BigEndian.AppendUint32(b, p.valid)
		b = binary.BigEndian.AppendUint32(b, p.preferred)
		b = append(append(b, 0, 0, 0, 0), p.prefix.Masked().Addr().AsSlice()...)
	}
	for _, r := range a.routes {
		n := (r.prefix.Bits() + 63) / 64 // as many halves of an address as are needed
		b = append(b, ndRoute, byte(1+n), byte(r.prefix.Bits()), 0)
		b = binary.BigEndian.AppendUint32(b, r.lifetime)
		b = append(b, r.prefix.Masked().Addr().AsSlice()[:8*n]...)
	}
	for _, d := range a.dns {
		b = append(b, ndRDNSS, byte(1+2*len(d.servers)), 0, 0)
		b = binary.BigEndian.AppendUint32(b, d.lifetime)
		for _, s := range d.servers {
			b = append(b, s.AsSlice()...)
		}
	}
	for _, d := range a.search {
		start := len(b)
		b = append(b, ndDNSSL, 0, 0, 0)
		b = binary.BigEndian.AppendUint32(b, d.lifetime)
		b = names.Append(b, d.names)
		for (len(b)-start)%8 != 0 {
			b = append(b, 0)
		}
		b[start+1] = byte((len(b) - start) / 8)
	}
	return b
}

// ndOptions calls f for each option of a message. It fails if one is cut or empty, which makes the whole message
// worthless (RFC 4861 section 6.1).
func ndOptions(b []byte, f func(typ byte, data []byte)) bool {
	for len(b) > 0 {
		if len(b) < 2 || b[1] == 0 || int(b[1])*8 > len(b) {
			return false
		}
		n := int(b[1]) * 8
		if f != nil {
			f(b[0], b[2:n])
		}
		b = b[n:]
	}
	return true
}

// parseAdvert reads the body of an advertisement. Options that are wrong in themselves are left out, as those that nobody
// knows are.
func parseAdvert(b []byte) (a advert, ok bool) {
	if len(b) < 12 {
		return a, false
	}
	a.hops, a.managed, a.other = b[0], b[1]&flagManaged != 0, b[1]&flagOther != 0
	a.lifetime = binary.BigEndian.Uint16(b[2:])
	ok = ndOptions(b[12:], func(typ byte, d []byte) {
		switch typ {
		case ndMTU:
			if len(d) == 6 {
				a.mtu = binary.BigEndian.Uint32(d[2:])
			}
		case ndPrefix:
			if len(d) == 30 && len(a.prefixes) < maxListed {
				p := netip.PrefixFrom(netip.AddrFrom16([16]byte(d[14:30])), int(d[0])).Masked()
				valid, preferred := binary.BigEndian.Uint32(d[2:]), binary.BigEndian.Uint32(d[6:])
				if usable(p) && preferred <= valid { // RFC 4862 section 5.5.3 (b) and (c)
					a.prefixes = append(a.prefixes, advertPrefix{p, d[1]&flagAutonomous != 0, valid, preferred})
				}
			}
		case ndRoute:
			var addr [16]byte
			if len(d) >= 6 && len(d) <= 22 && len(a.routes) < maxListed && int(d[0]) <= (len(d)-6)*8 && d[1]&0x18 != 0x10 {
				copy(addr[:], d[6:])
				if p := netip.PrefixFrom(netip.AddrFrom16(addr), int(d[0])).Masked(); usable(p) {
					a.routes = append(a.routes, advertRoute{p, binary.BigEndian.Uint32(d[2:])})
				}
			}
		case ndRDNSS:
			if len(d) < 22 || (len(d)-6)%16 != 0 || len(a.dns) == maxListed {
				return
			}
			x := advertDNS{lifetime: binary.BigEndian.Uint32(d[2:])}
			for s := d[6:]; len(s) >= 16 && len(x.servers) < maxListed; s = s[16:] {
				x.servers = append(x.servers, netip.AddrFrom16([16]byte(s)))
			}
			a.dns = append(a.dns, x)
		case ndDNSSL:
			if len(d) < 6 || len(a.search) == maxListed {
				return
			}
			if names, ok := parseNames(d[6:]); ok && len(names) > 0 {
				a.search = append(a.search, advertSearch{names, binary.BigEndian.Uint32(d[2:])})
			}
		}
	})
	return a, ok
}

// usable reports whether a prefix may be one of hosts on some network; ::/0 may be routed.
func usable(p netip.Prefix) bool {
	a := p.Addr()
	return p.IsValid() && a.Is6() && !a.Is4In6() && !a.IsLinkLocalUnicast() && !a.IsMulticast() && !a.IsLoopback() && (p.Bits() == 0 || !a.IsUnspecified())
}

// seconds is a lifetime as it stands in messages.
func seconds(d time.Duration) uint32 { return uint32(min(max(d/time.Second, 0), forever-1)) }
