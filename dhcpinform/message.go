package dhcpinform

import (
	"encoding/binary"
	"net/netip"
)

// A message is a DHCP message as it stands on the wire, RFC 2131 section 2, whose fixed part is whole.
//
//	op htype hlen hops │ xid │ secs flags │ ciaddr yiaddr siaddr giaddr │ chaddr 16 │ sname 64 │ file 128 │ cookie │ options
type message []byte

const (
	request = 1
	reply   = 2

	atHops    = 3
	atXID     = 4
	atSecs    = 8
	atFlags   = 10
	atCIAddr  = 12
	atYIAddr  = 16
	atGIAddr  = 24
	atCHAddr  = 28
	atSName   = 44
	atFile    = 108
	atCookie  = 236
	atOptions = 240

	// minMessage is what a BOOTP message had (RFC 1542 section 2.1): old relays and servers drop what is shorter.
	minMessage = 300

	flagBroadcast = 0x8000
	cookie        = 0x63825363 // RFC 2131 section 3
)

// The message types, RFC 2132 section 9.6.
const (
	typeDiscover = 1
	typeOffer    = 2
	typeRequest  = 3
	typeDecline  = 4
	typeACK      = 5
	typeNAK      = 6
	typeRelease  = 7
	typeInform   = 8
)

// parseMessage returns b as a message. The options are checked by who walks them.
func parseMessage(b []byte) (message, bool) {
	if len(b) < atOptions || binary.BigEndian.Uint32(b[atCookie:]) != cookie {
		return nil, false
	}
	if b[0] != request && b[0] != reply || b[2] > 16 {
		return nil, false
	}
	return b, true
}

func (m message) op() byte           { return m[0] }
func (m message) hops() byte         { return m[atHops] }
func (m message) xid() uint32        { return binary.BigEndian.Uint32(m[atXID:]) }
func (m message) secs() uint16       { return binary.BigEndian.Uint16(m[atSecs:]) }
func (m message) broadcast() bool    { return binary.BigEndian.Uint16(m[atFlags:])&flagBroadcast != 0 }
func (m message) ciaddr() netip.Addr { return netip.AddrFrom4([4]byte(m[atCIAddr:])) }
func (m message) giaddr() netip.Addr { return netip.AddrFrom4([4]byte(m[atGIAddr:])) }

// A hardware is htype, hlen and chaddr: what an answer has to repeat (RFC 2131 section 4.3.1, Table 3).
type hardware struct {
	kind, n byte
	addr    [16]byte
}

func (m message) hardware() hardware {
	return hardware{m[1], m[2], [16]byte(m[atCHAddr:])}
}

// appendHeader appends the fixed part of a message with empty sname and file.
func appendHeader(b []byte, op byte, hw hardware, xid uint32, secs, flags uint16, ciaddr netip.Addr) []byte {
	b = append(b, op, hw.kind, hw.n, 0)
	b = binary.BigEndian.AppendUint32(b, xid)
	b = binary.BigEndian.AppendUint16(b, secs)
	b = binary.BigEndian.AppendUint16(b, flags)
	b = append(b, ciaddr.AsSlice()...)
	b = append(b, make([]byte, atCHAddr-atCIAddr-4)...)
	b = append(b, hw.addr[:]...)
	b = append(b, make([]byte, atCookie-atSName)...)
	return binary.BigEndian.AppendUint32(b, cookie)
}
