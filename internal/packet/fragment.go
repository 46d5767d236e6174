package packet

import "encoding/binary"

// FragmentsSize returns how many bytes AppendFragments needs for p: headroom and headers for each fragment.
// It is 0 if mtu is too small for any, and for a fragment that reaches beyond the longest datagram there can be.
func FragmentsSize(p IPv4, mtu, headroom int) int {
	h := p.HeaderLen()
	step := (mtu - h) &^ 7
	if step <= 0 || p.FragmentOffset()+len(p) > 0xffff {
		return 0
	}
	n := (len(p) - h + step - 1) / step
	return n*(headroom+h) + len(p) - h
}

// AppendFragments cuts p into fragments of at most mtu bytes and appends to views one buffer for each, headroom bytes
// before the fragment. The buffers are parts of buf, which has at least FragmentsSize bytes. RFC 791 section 3.2.
// Whether p may be fragmented is the caller's to know.
func AppendFragments(views [][]byte, buf []byte, p IPv4, mtu, headroom int) [][]byte {
	h := p.HeaderLen()
	step := (mtu - h) &^ 7
	data := p[h:]
	if step <= 0 || p.FragmentOffset()+len(p) > 0xffff {
		return views
	}
	flags := binary.BigEndian.Uint16(p[6:])
	for off := 0; off < len(data); off += step {
		n := min(step, len(data)-off)
		v := buf[: headroom+h+n : headroom+h+n]
		buf = buf[headroom+h+n:]
		f := IPv4(v[headroom:])
		copy(f, p[:h])
		if off > 0 {
			clearOptions(f[minIPv4:h])
		}
		copy(f[h:], data[off:off+n])
		binary.BigEndian.PutUint16(f[2:], uint16(h+n))
		field := flags&^uint16(0x1fff) | (flags&0x1fff + uint16(off/8))
		if off+n < len(data) {
			field |= flagMF // the last one has the flag of p, which may be a fragment itself
		}
		binary.BigEndian.PutUint16(f[6:], field)
		f.SetChecksum()
		views = append(views, v)
	}
	return views
}

// clearOptions leaves in a later fragment's header the options that are copied; the others become no-operations, which
// keeps every header of the datagram as long as the first.
func clearOptions(o []byte) {
	for i := 0; i < len(o); {
		n := 1
		switch o[i] {
		case 0:
			return
		case 1:
		default:
			if i+1 >= len(o) || o[i+1] < 2 || i+int(o[i+1]) > len(o) {
				return // malformed: a receiver will say so
			}
			n = int(o[i+1])
			if o[i]&0x80 == 0 {
				for j := range o[i : i+n] {
					o[i+j] = 1
				}
			}
		}
		i += n
	}
}
