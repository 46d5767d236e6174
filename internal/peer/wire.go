package peer

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
)

// Messages of SSTP, [MS-SSTP] section 2.2.
const (
	ConnectRequest = 1 + iota
	ConnectAck
	ConnectNak
	Connected
	Abort
	Disconnect
	DisconnectAck
	EchoRequest
	EchoResponse
)

var messageNames = [...]string{"data", "CALL_CONNECT_REQUEST", "CALL_CONNECT_ACK", "CALL_CONNECT_NAK", "CALL_CONNECTED",
	"CALL_ABORT", "CALL_DISCONNECT", "CALL_DISCONNECT_ACK", "ECHO_REQUEST", "ECHO_RESPONSE"}

// Attributes of SSTP.
const (
	AttrProtocol   = 1
	AttrStatus     = 2
	AttrBinding    = 3
	AttrBindingReq = 4
)

// Protocols of PPP.
const (
	IPv4   = 0x0021
	IPv6   = 0x0057
	IPCP   = 0x8021
	IPV6CP = 0x8057
	CCP    = 0x80fd
	LCP    = 0xc021
	PAP    = 0xc023
	CHAP   = 0xc223
)

// Codes of control protocols, RFC 1661 section 5 and RFC 1570; PAP's and CHAP's are the first four.
const (
	ConfReq = 1 + iota
	ConfAck
	ConfNak
	ConfRej
	TermReq
	TermAck
	CodeRej
	ProtRej
	EchoReq
	EchoRep
	Discard
	Identification
	TimeRemaining
)

var protoNames = map[uint16]string{IPv4: "IPv4", IPv6: "IPv6", IPCP: "IPCP", IPV6CP: "IPV6CP", CCP: "CCP", LCP: "LCP", PAP: "PAP", CHAP: "CHAP"}

var codeNames = [...]string{"?", "Conf-Req", "Conf-Ack", "Conf-Nak", "Conf-Rej", "Term-Req", "Term-Ack", "Code-Rej", "Prot-Rej",
	"Echo-Req", "Echo-Rep", "Discard", "Identification", "Time-Remaining"}

// Hex decodes hexadecimal text with any white space; the text is part of a test.
func Hex(text string) []byte {
	b, err := hex.DecodeString(strings.Join(strings.Fields(text), ""))
	if err != nil {
		panic("peer: " + err.Error())
	}
	return b
}

// Control makes a control packet.
func Control(typ uint16, attributes ...[]byte) []byte {
	b := []byte{0x10, 1, 0, 0}
	b = binary.BigEndian.AppendUint16(b, typ)
	b = binary.BigEndian.AppendUint16(b, uint16(len(attributes)))
	for _, a := range attributes {
		b = append(b, a...)
	}
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	return b
}

// Attr makes an attribute.
func Attr(id byte, value []byte) []byte {
	n := len(value) + 4
	return append([]byte{0, id, byte(n >> 8), byte(n)}, value...)
}

// Status makes a STATUS_INFO attribute.
func Status(attribute byte, status uint32) []byte {
	return Attr(AttrStatus, binary.BigEndian.AppendUint32([]byte{0, 0, 0, attribute}, status))
}

// Request makes a Call Connect Request for PPP.
func Request() []byte { return Control(ConnectRequest, Attr(AttrProtocol, []byte{0, 1})) }

// Data makes a data packet of a PPP frame, header included.
func Data(frame []byte) []byte {
	n := len(frame) + 4
	return append([]byte{0x10, 0, byte(n >> 8), byte(n)}, frame...)
}

// Frame makes a data packet of a protocol and its information.
func Frame(proto uint16, info []byte) []byte {
	return Data(append([]byte{0xff, 0x03, byte(proto >> 8), byte(proto)}, info...))
}

// PPP makes a data packet of a control protocol's packet.
func PPP(proto uint16, code, id byte, data ...[]byte) []byte {
	b := []byte{code, id, 0, 0}
	for _, d := range data {
		b = append(b, d...)
	}
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	return Frame(proto, b)
}

// Opt makes an option of a hexadecimal value.
func Opt(typ byte, value string) []byte {
	v := Hex(value)
	return append([]byte{typ, byte(len(v) + 2)}, v...)
}

// A Packet is an SSTP packet as it came.
type Packet []byte

// IsControl reports whether the C bit is set.
func (p Packet) IsControl() bool { return p[1]&1 != 0 }

// Type is the type of a control packet, 0 of a data packet.
func (p Packet) Type() uint16 {
	if !p.IsControl() || len(p) < 8 {
		return 0
	}
	return binary.BigEndian.Uint16(p[4:])
}

// Attribute returns the value of a control packet's first attribute of an ID.
func (p Packet) Attribute(id byte) []byte {
	if !p.IsControl() {
		return nil
	}
	for b := p[8:]; len(b) >= 4; {
		n := int(binary.BigEndian.Uint16(b[2:]) & 0xfff)
		if n < 4 || n > len(b) {
			return nil
		}
		if b[1] == id {
			return b[4:n]
		}
		b = b[n:]
	}
	return nil
}

// Status returns attribute and status of a STATUS_INFO.
func (p Packet) Status() (attribute byte, status uint32, ok bool) {
	v := p.Attribute(AttrStatus)
	if len(v) < 8 {
		return 0, 0, false
	}
	return v[3], binary.BigEndian.Uint32(v[4:]), true
}

// Proto is the protocol of a data packet, in whatever form its header is; 0 of a control packet.
func (p Packet) Proto() uint16 {
	proto, _ := p.split()
	return proto
}

// Info is what follows the protocol.
func (p Packet) Info() []byte {
	_, info := p.split()
	return info
}

func (p Packet) split() (proto uint16, info []byte) {
	if p.IsControl() {
		return 0, nil
	}
	f := p[4:]
	if len(f) >= 2 && f[0] == 0xff && f[1] == 3 {
		f = f[2:]
	}
	switch {
	case len(f) >= 1 && f[0]&1 != 0: // RFC 1661 section 6.5
		return uint16(f[0]), f[1:]
	case len(f) >= 2:
		return binary.BigEndian.Uint16(f), f[2:]
	}
	return 0, nil
}

// Code is a control protocol's code, 0 of anything else.
func (p Packet) Code() byte {
	if proto, info := p.split(); proto >= 0x8000 && len(info) >= 4 {
		return info[0]
	}
	return 0
}

// ID is a control protocol's identifier.
func (p Packet) ID() byte {
	if p.Code() == 0 {
		return 0
	}
	return p.Info()[1]
}

// Body is what follows a control protocol's length: options, or whatever the code has.
func (p Packet) Body() []byte {
	if p.Code() == 0 {
		return nil
	}
	info := p.Info()
	return info[4:min(len(info), max(4, int(binary.BigEndian.Uint16(info[2:]))))]
}

// Option returns the value of an option, and whether it is there.
func (p Packet) Option(typ byte) (value []byte, ok bool) {
	for b := p.Body(); len(b) >= 2 && int(b[1]) >= 2 && int(b[1]) <= len(b); b = b[b[1]:] {
		if b[0] == typ {
			return b[2:b[1]], true
		}
	}
	return nil, false
}

// Check says what a strict peer would not take. accel-ppp and sstp-client read 16 bits of length, so reserved bits must
// be zero; SoftEther takes no frame without FF 03 or with a protocol of one byte; Open-SSTP-Client takes none that is
// longer than its PPP length, and no LCP code above 11.
func (p Packet) Check() error {
	switch {
	case p[0] != 0x10 || p[1]&^1 != 0 || p[2]&0xf0 != 0:
		return fmt.Errorf("reserved bits are set: % x", p[:4])
	case p.IsControl():
		rest := p[8:]
		for n := binary.BigEndian.Uint16(p[6:]); n > 0; n-- {
			if len(rest) < 4 || rest[0] != 0 || rest[2]&0xf0 != 0 {
				return fmt.Errorf("attribute header: % x", rest)
			}
			k := int(binary.BigEndian.Uint16(rest[2:]))
			if k < 4 || k > len(rest) {
				return fmt.Errorf("attribute length %d of %d", k, len(rest))
			}
			rest = rest[k:]
		}
		if len(rest) != 0 {
			return fmt.Errorf("%d bytes behind the last attribute", len(rest))
		}
	case len(p) < 8 || p[4] != 0xff || p[5] != 3 || p[6]&1 != 0:
		return fmt.Errorf("a frame with a short header: % x", p[:min(len(p), 8)])
	case p.Proto() >= 0x8000:
		info := p.Info()
		if len(info) < 4 || int(binary.BigEndian.Uint16(info[2:])) != len(info) {
			return fmt.Errorf("the length of % x is not its length", info)
		}
		if p.Proto() == LCP && info[0] > Discard {
			return fmt.Errorf("LCP code %d", info[0])
		}
	}
	return nil
}

// String is one line of a transcript's comment.
func (p Packet) String() string {
	if p.IsControl() {
		name := fmt.Sprintf("message %d", p.Type())
		if int(p.Type()) < len(messageNames) {
			name = messageNames[p.Type()]
		}
		if a, s, ok := p.Status(); ok {
			name += fmt.Sprintf(" (attribute %d, status %d)", a, s)
		}
		return name
	}
	proto := p.Proto()
	name, ok := protoNames[proto]
	if !ok {
		name = fmt.Sprintf("protocol %04x", proto)
	}
	if c := p.Code(); c != 0 {
		if int(c) < len(codeNames) && proto != PAP && proto != CHAP {
			name += " " + codeNames[c]
		} else {
			name += fmt.Sprintf(" code %d", c)
		}
		return fmt.Sprintf("%s id %d: %x", name, p.ID(), p.Body())
	}
	return fmt.Sprintf("%s, %d bytes", name, len(p.Info()))
}

// Cut takes the first packet off b. ok is false while it is not whole. What has no length to go by is an error.
func Cut(b []byte) (p Packet, rest []byte, ok bool, err error) {
	if len(b) < 4 {
		return nil, b, false, nil
	}
	n := int(binary.BigEndian.Uint16(b[2:]) & 0xfff)
	if b[0] != 0x10 || n < 4 || b[1]&1 != 0 && n < 8 {
		return nil, b, false, fmt.Errorf("peer: no packet: % x", b[:4])
	}
	if len(b) < n {
		return nil, b, false, nil
	}
	return append(Packet(nil), b[:n]...), b[n:], true, nil
}
