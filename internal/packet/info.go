package packet

import (
	"encoding/binary"
	"net/netip"
)

// An Info is what a filter can know of a packet.
type Info struct {
	Src, Dst netip.Addr
	Upper
	Ports            bool // SrcPort and DstPort are known
	SrcPort, DstPort uint16
	ICMP             bool // Type and Code are known
	Type, Code       uint8
	// Unclear marks what cannot be judged: headers that are cut or wrong, a first fragment that ends before the ports,
	// and the fragment that would overwrite them (RFC 1858 sections 3 and 4, RFC 7112). A filter passes none of it.
	Unclear bool
}

// Parse fills i from b; false means that b is no IP packet.
func (i *Info) Parse(b []byte) bool {
	*i = Info{}
	if p, ok := ParseIPv4(b); ok {
		i.Src, i.Dst, i.Upper, b = p.Src(), p.Dst(), p.Upper(), p
	} else if p, ok := ParseIPv6(b); ok {
		i.Src, i.Dst, i.Upper, b = p.Src(), p.Dst(), p.Upper(), p
	} else {
		return false
	}
	switch {
	case !i.Whole:
		i.Unclear = true
	case i.Offset != 0:
		i.Unclear = i.Proto == ProtoTCP && i.Offset < minTCP
	case HasPorts(i.Proto):
		if len(b) < i.Start+4 || i.Proto == ProtoTCP && len(b) < i.Start+minTCP {
			i.Unclear = true
			break
		}
		i.Ports = true
		i.SrcPort = binary.BigEndian.Uint16(b[i.Start:])
		i.DstPort = binary.BigEndian.Uint16(b[i.Start+2:])
	case i.Proto == ProtoICMP && i.Src.Is4() || i.Proto == ProtoICMPv6 && i.Src.Is6():
		if len(b) < i.Start+4 {
			i.Unclear = true
			break
		}
		i.ICMP, i.Type, i.Code = true, b[i.Start], b[i.Start+1]
	}
	return true
}
