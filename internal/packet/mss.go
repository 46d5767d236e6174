package packet

import "encoding/binary"

const (
	minTCP  = 20
	flagSYN = 0x02
	optMSS  = 2
)

// ClampMSS lowers the MSS option of a TCP SYN to what fits into packets of mtu bytes (RFC 9293 section 3.7.1; RFC 4459
// section 3.2 on why a tunnel does this), and keeps the checksum in step. It reports whether it changed b, which is
// one IP packet; anything else is left as it is.
func ClampMSS(b []byte, mtu int) bool {
	if len(b) < minIPv4 {
		return false
	}
	if b[0] == 0x45 && len(b) > minIPv4+13 && b[minIPv4+13]&flagSYN == 0 {
		return false // nearly every packet: if this is TCP, it is no SYN
	}
	var u Upper
	var header int
	switch b[0] >> 4 {
	case 4:
		if b[9] != ProtoTCP {
			return false
		}
		p, ok := ParseIPv4(b)
		if !ok {
			return false
		}
		u, header, b = p.Upper(), minIPv4, p
	case 6:
		p, ok := ParseIPv6(b)
		if !ok || p[6] == ProtoUDP {
			return false
		}
		u, header, b = p.Upper(), headerIPv6, p
	default:
		return false
	}
	if u.Proto != ProtoTCP || !u.Whole || u.Offset != 0 || len(b) < u.Start+minTCP {
		return false
	}
	tcp := b[u.Start:]
	if tcp[13]&flagSYN == 0 {
		return false
	}
	// RFC 6691: the MSS counts fixed headers only, whatever options the packets will have.
	most := mtu - header - minTCP
	if most <= 0 || most > 0xffff {
		return false
	}
	return clampOptions(tcp, uint16(most))
}

// clampOptions walks the options of a TCP header; a list that is malformed is left alone from there on.
func clampOptions(tcp []byte, most uint16) bool {
	end := int(tcp[12]>>4) * 4
	if end < minTCP || end > len(tcp) {
		return false
	}
	changed := false
	for i := minTCP; i < end; {
		switch tcp[i] {
		case 0:
			return changed
		case 1:
			i++
			continue
		}
		if i+1 >= end {
			return changed
		}
		n := int(tcp[i+1])
		if n < 2 || i+n > end {
			return changed
		}
		if tcp[i] == optMSS && n == 4 {
			if old := binary.BigEndian.Uint16(tcp[i+2:]); old > most {
				binary.BigEndian.PutUint16(tcp[i+2:], most)
				from, to := old, most
				if i&1 != 0 { // the value straddles two words of the sum: RFC 1071 section 2(B)
					from, to = from>>8|from<<8, to>>8|to<<8
				}
				sum := binary.BigEndian.Uint16(tcp[16:])
				binary.BigEndian.PutUint16(tcp[16:], UpdateChecksum(sum, from, to))
				changed = true
			}
		}
		i += n
	}
	return changed
}
