package ipv6conf

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"time"

	"github.com/dialway/dialway/internal/names"
)

// Messages of DHCPv6, RFC 8415 section 7.3.
const (
	dhcpSolicit     = 1
	dhcpAdvertise   = 2
	dhcpRequest     = 3
	dhcpConfirm     = 4
	dhcpRenew       = 5
	dhcpRebind      = 6
	dhcpReply       = 7
	dhcpRelease     = 8
	dhcpDecline     = 9
	dhcpInformation = 11
)

// Options of DHCPv6: RFC 8415 section 21; 23 and 24 are RFC 3646's, 31 is RFC 4075's.
const (
	optClientID   = 1
	optServerID   = 2
	optIANA       = 3
	optIATA       = 4
	optIAAddr     = 5
	optRequested  = 6
	optPreference = 7
	optElapsed    = 8
	optStatus     = 13
	optRapid      = 14
	optDNS        = 23
	optSearch     = 24
	optIAPD       = 25
	optIAPrefix   = 26
	optSNTP       = 31
	optRefresh    = 32
	optSolMaxRT   = 82
	optInfMaxRT   = 83
)

// Status codes, RFC 8415 section 21.13.
const (
	statusSuccess       = 0
	statusUnspec        = 1
	statusNoAddrs       = 2
	statusNoBinding     = 3
	statusNotOnLink     = 4
	statusUseMulticast  = 5
	statusNoPrefixAvail = 6
)

const (
	maxDUID = 130 // RFC 8415 section 11.1: a type and 128 bytes
	maxIAs  = 8   // of one message; more are not answered
)

// A dhcpMessage is one between client and server: RFC 8415 section 8.
type dhcpMessage struct {
	typ       byte
	xid       [3]byte
	client    []byte // DUIDs; parts of what was parsed
	server    []byte
	ias       []ia
	status    status
	requested []uint16
	elapsed   time.Duration // negative: not said
	rapid     bool
	refused   bool // it has something twice that may be there once
	pref      byte
	dns, sntp []netip.Addr
	search    []string
	refresh   time.Duration // 0: not said
	solMax    time.Duration // likewise
	infMax    time.Duration
}

type status struct {
	code uint16
	text string
}

// An ia is an identity association: IA_NA, IA_TA or IA_PD.
type ia struct {
	kind   uint16
	id     uint32
	t1, t2 uint32
	leases []iaLease
	status status
}

// An iaLease is an address (as a single one) or a prefix of an ia.
type iaLease struct {
	prefix           netip.Prefix
	preferred, valid uint32
}

// dhcpOptions calls f for each option. It fails if one is cut.
func dhcpOptions(b []byte, f func(code uint16, data []byte)) bool {
	for len(b) > 0 {
		if len(b) < 4 {
			return false
		}
		n := int(binary.BigEndian.Uint16(b[2:]))
		if 4+n > len(b) {
			return false
		}
		f(binary.BigEndian.Uint16(b), b[4:4+n])
		b = b[4+n:]
	}
	return true
}

// parseDHCP reads a message. It fails if options are cut, and for what is no message between client and server, such as a
// relay's.
func parseDHCP(b []byte) (m dhcpMessage, ok bool) {
	if len(b) < 4 || b[0] < dhcpSolicit || b[0] > dhcpInformation {
		return m, false
	}
	m.typ, m.xid, m.elapsed = b[0], [3]byte(b[1:4]), -1
	ok = dhcpOptions(b[4:], func(code uint16, d []byte) {
		switch code {
		case optClientID:
			m.refused = m.refused || m.client != nil || len(d) < 3 || len(d) > maxDUID
			m.client = d
		case optServerID:
			m.refused = m.refused || m.server != nil || len(d) < 3 || len(d) > maxDUID
			m.server = d
		case optIANA, optIATA, optIAPD:
			if len(m.ias) < maxIAs {
				x, ok := parseIA(code, d)
				m.refused = m.refused || !ok
				m.ias = append(m.ias, x)
			}
		case optRequested:
			for ; len(d) >= 2 && len(m.requested) < 64; d = d[2:] {
				m.requested = append(m.requested, binary.BigEndian.Uint16(d))
			}
		case optElapsed:
			if len(d) == 2 {
				m.elapsed = time.Duration(binary.BigEndian.Uint16(d)) * 10 * time.Millisecond
			}
		case optPreference:
			if len(d) == 1 {
				m.pref = d[0]
			}
		case optStatus:
			m.status = parseStatus(d)
		case optRapid:
			m.rapid = true
		case optDNS:
			m.dns = parseAddrs(d)
		case optSNTP:
			m.sntp = parseAddrs(d)
		case optSearch:
			m.search, _ = parseNames(d)
		case optRefresh:
			m.refresh = parseSeconds(d)
		case optSolMaxRT:
			m.solMax = parseSeconds(d)
		case optInfMaxRT:
			m.infMax = parseSeconds(d)
		}
	})
	return m, ok
}

func parseSeconds(d []byte) time.Duration {
	if len(d) != 4 {
		return 0
	}
	return time.Duration(binary.BigEndian.Uint32(d)) * time.Second
}

func parseAddrs(d []byte) (list []netip.Addr) {
	for ; len(d) >= 16 && len(list) < maxListed; d = d[16:] {
		list = append(list, netip.AddrFrom16([16]byte(d)))
	}
	return list
}

func parseStatus(d []byte) (s status) {
	if len(d) >= 2 {
		s.code = binary.BigEndian.Uint16(d)
		for _, c := range d[2:min(len(d), 2+128)] {
			if c < ' ' || c > '~' {
				c = '.' // it is for a log
			}
			s.text += string(rune(c))
		}
	}
	return s
}

// parseIA reads RFC 8415 sections 21.4, 21.5 and 21.21.
func parseIA(kind uint16, d []byte) (x ia, ok bool) {
	head := 12
	if kind == optIATA {
		head = 4
	}
	if len(d) < head {
		return x, false
	}
	x.kind, x.id = kind, binary.BigEndian.Uint32(d)
	if head == 12 {
		x.t1, x.t2 = binary.BigEndian.Uint32(d[4:]), binary.BigEndian.Uint32(d[8:])
	}
	ok = dhcpOptions(d[head:], func(code uint16, d []byte) {
		var l iaLease
		switch {
		case code == optStatus:
			x.status = parseStatus(d)
			return
		case code == optIAAddr && kind != optIAPD && len(d) >= 24: // section 21.6
			l.prefix = netip.PrefixFrom(netip.AddrFrom16([16]byte(d)), 128)
			l.preferred, l.valid = binary.BigEndian.Uint32(d[16:]), binary.BigEndian.Uint32(d[20:])
			d = d[24:]
		case code == optIAPrefix && kind == optIAPD && len(d) >= 25: // section 21.22
			l.prefix = netip.PrefixFrom(netip.AddrFrom16([16]byte(d[9:])), int(d[8])).Masked()
			l.preferred, l.valid = binary.BigEndian.Uint32(d), binary.BigEndian.Uint32(d[4:])
			d = d[25:]
		default:
			return
		}
		refused := false
		dhcpOptions(d, func(code uint16, d []byte) {
			refused = refused || code == optStatus && parseStatus(d).code != statusSuccess
		})
		if !refused && len(x.leases) < maxListed {
			x.leases = append(x.leases, l)
		}
	})
	return x, ok
}

// appendTo appends a message, with the options that are set.
func (m *dhcpMessage) appendTo(b []byte) []byte {
	b = append(b, m.typ, m.xid[0], m.xid[1], m.xid[2])
	if m.client != nil {
		b = appendDHCP(b, optClientID, m.client)
	}
	if m.server != nil {
		b = appendDHCP(b, optServerID, m.server)
	}
	for _, x := range m.ias {
		b = x.appendTo(b)
	}
	if m.status != (status{}) {
		b = m.status.appendTo(b)
	}
	if m.elapsed >= 0 {
		b = appendDHCP(b, optElapsed, binary.BigEndian.AppendUint16(nil, uint16(min(m.elapsed/(10*time.Millisecond), 0xffff))))
	}
	if m.rapid {
		b = appendDHCP(b, optRapid, nil)
	}
	if m.pref != 0 {
		b = appendDHCP(b, optPreference, []byte{m.pref})
	}
	if len(m.requested) > 0 {
		var d []byte
		for _, code := range m.requested {
			d = binary.BigEndian.AppendUint16(d, code)
		}
		b = appendDHCP(b, optRequested, d)
	}
	if len(m.dns) > 0 {
		b = appendDHCP(b, optDNS, bytesOf(m.dns))
	}
	if d := names.Append(nil, m.search); len(d) > 0 {
		b = appendDHCP(b, optSearch, d)
	}
	if len(m.sntp) > 0 {
		b = appendDHCP(b, optSNTP, bytesOf(m.sntp))
	}
	if m.refresh > 0 {
		b = appendDHCP(b, optRefresh, binary.BigEndian.AppendUint32(nil, seconds(m.refresh)))
	}
	return b
}

func bytesOf(list []netip.Addr) (b []byte) {
	for _, a := range list {
		b = append(b, a.AsSlice()...)
	}
	return b
}

func appendDHCP(b []byte, code uint16, data []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, code)
	b = binary.BigEndian.AppendUint16(b, uint16(len(data)))
	return append(b, data...)
}

func (s status) appendTo(b []byte) []byte {
	return appendDHCP(b, optStatus, append(binary.BigEndian.AppendUint16(nil, s.code), s.text...))
}

func (x *ia) appendTo(b []byte) []byte {
	d := binary.BigEndian.AppendUint32(nil, x.id)
	if x.kind != optIATA {
		d = binary.BigEndian.AppendUint32(d, x.t1)
		d = binary.BigEndian.AppendUint32(d, x.t2)
	}
	for _, l := range x.leases {
		if x.kind == optIAPD {
			v := binary.BigEndian.AppendUint32(nil, l.preferred)
			v = binary.BigEndian.AppendUint32(v, l.valid)
			v = append(append(v, byte(l.prefix.Bits())), l.prefix.Addr().AsSlice()...)
			d = appendDHCP(d, optIAPrefix, v)
		} else {
			v := l.prefix.Addr().AsSlice()
			v = binary.BigEndian.AppendUint32(v, l.preferred)
			v = binary.BigEndian.AppendUint32(v, l.valid)
			d = appendDHCP(d, optIAAddr, v)
		}
	}
	if x.status != (status{}) {
		d = x.status.appendTo(d)
	}
	return appendDHCP(b, x.kind, d)
}

// asksFor reports whether a message requests an option.
func (m *dhcpMessage) asksFor(code uint16) bool { return slices.Contains(m.requested, code) }
