package register

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// The numbers of NetBIOS name service: RFC 1002 section 4.2.1.
const (
	nbPort = 137

	nbQuery    = 0
	nbRegister = 5
	nbRelease  = 6
	nbWACK     = 7
	nbRefresh  = 8 // section 4.2.1.1; 9 in the figure of section 4.2.4, which Windows does not use

	nbTypeNB   = 0x20
	nbTypeStat = 0x21

	nbResponse      = 0x8000
	nbAuthoritative = 0x0400
	nbRecursion     = 0x0100 // RD
	nbRecursive     = 0x0080 // RA

	nbGroup = 0x8000 // of NB_FLAGS

	nbNotFound = 3 // NAM_ERR
	nbRefused  = 5 // RFS_ERR
	nbActive   = 6 // ACT_ERR
	nbConflict = 7 // CFT_ERR
)

// An nbName is a NetBIOS name: 15 characters and what it stands for.
type nbName struct {
	name   string // upper case, without the spaces at its end
	suffix byte
	scope  string
	group  bool // not on the wire
}

// String returns it as Windows and Samba print it.
func (n nbName) String() string { return fmt.Sprintf("%s<%02X>", n.name, n.suffix) }

func (n nbName) is(x nbName) bool {
	return n.name == x.name && n.suffix == x.suffix && strings.EqualFold(n.scope, x.scope)
}

// append appends the name: each half of each byte as a letter from A on, then the scope. RFC 1001 section 14.1.
func (n nbName) append(b []byte) ([]byte, error) {
	b = append(b, 32)
	for i := range 16 {
		c := byte(' ')
		switch {
		case i == 15:
			c = n.suffix
		case i < len(n.name):
			c = n.name[i]
		}
		b = append(b, 'A'+c>>4, 'A'+c&0xf)
	}
	if n.scope == "" {
		return append(b, 0), nil
	}
	return appendName(b, absolute(n.scope))
}

// netBIOSName makes a NetBIOS name of the first label of a host's name, as Windows does.
func netBIOSName(host string) string {
	label, _, _ := strings.Cut(host, ".")
	label = strings.ToUpper(label)
	return label[:min(len(label), 15)]
}

// An nbMessage is what is used of a message: one name, and what one record says of it.
type nbMessage struct {
	id     uint16
	flags  uint16
	name   nbName // of the record, or of the question if there is none
	typ    uint16 // likewise
	ttl    uint32
	data   []byte
	record bool
}

func (m *nbMessage) response() bool { return m.flags&nbResponse != 0 }
func (m *nbMessage) opcode() uint16 { return m.flags >> 11 & 0xf }
func (m *nbMessage) rcode() uint16  { return m.flags & 0xf }

// owner returns the address that the record of a name says.
func (m *nbMessage) owner() netip.Addr {
	if len(m.data) < 6 {
		return netip.Addr{}
	}
	return netip.AddrFrom4([4]byte(m.data[2:6]))
}

var errNBNS = errors.New("register: malformed NetBIOS message")

// parseNBNS reads a message with a question, a record, or both.
func parseNBNS(b []byte) (m nbMessage, err error) {
	if len(b) < headerSize {
		return m, errNBNS
	}
	n := func(at int) int { return int(binary.BigEndian.Uint16(b[at:])) }
	m.id, m.flags = binary.BigEndian.Uint16(b), binary.BigEndian.Uint16(b[2:])
	questions, records := n(4), n(6)+n(8)+n(10)
	if questions > 1 || questions+records == 0 {
		return m, errNBNS
	}
	at := headerSize
	if questions == 1 {
		if m.name, at, err = parseNBName(b, at); err != nil {
			return m, err
		}
		if at+4 > len(b) {
			return m, errNBNS
		}
		m.typ = binary.BigEndian.Uint16(b[at:])
		at += 4
	}
	if records == 0 {
		return m, nil
	}
	if m.name, at, err = parseNBName(b, at); err != nil {
		return m, err
	}
	if at+10 > len(b) || at+10+n(at+8) > len(b) {
		return m, errNBNS
	}
	m.record = true
	m.typ, m.ttl = binary.BigEndian.Uint16(b[at:]), binary.BigEndian.Uint32(b[at+4:])
	m.data = b[at+10 : at+10+n(at+8)]
	return m, nil
}

// parseNBName reads the name at at, or where a pointer there leads: back, to a name without one.
func parseNBName(b []byte, at int) (name nbName, next int, err error) {
	if at+2 <= len(b) && b[at]&0xc0 == 0xc0 {
		to := int(binary.BigEndian.Uint16(b[at:]) & 0x3fff)
		if to >= at || to < headerSize || b[to]&0xc0 == 0xc0 {
			return name, 0, errNBNS
		}
		name, _, err = parseNBName(b[:at], to)
		return name, at + 2, err
	}
	if at+33 > len(b) || b[at] != 32 {
		return name, 0, errNBNS
	}
	var raw [16]byte
	for i := range raw {
		hi, lo := b[at+1+2*i]-'A', b[at+2+2*i]-'A'
		if hi > 15 || lo > 15 {
			return name, 0, errNBNS
		}
		raw[i] = hi<<4 | lo
	}
	name.name, name.suffix = strings.TrimRight(string(raw[:15]), " "), raw[15]
	var scope []string
	size := 0
	for at += 33; at < len(b); {
		n := int(b[at])
		if n == 0 {
			name.scope = strings.Join(scope, ".")
			return name, at + 1, nil
		}
		if n > 63 || at+1+n > len(b) || size+1+n > 255 || bytes.IndexByte(b[at+1:at+1+n], '.') >= 0 {
			break
		}
		scope = append(scope, string(b[at+1:at+1+n]))
		size += 1 + n
		at += 1 + n
	}
	return name, 0, errNBNS
}

// nbHeader appends a header.
func nbHeader(b []byte, id, flags uint16, questions, answers, additional uint16) []byte {
	for _, x := range [6]uint16{id, flags, questions, answers, 0, additional} {
		b = binary.BigEndian.AppendUint16(b, x)
	}
	return b
}

// nbRequest is a question about a name with a record that says whose it is: registration, refresh and release, RFC 1002
// sections 4.2.2, 4.2.4 and 4.2.9; overwrite (4.2.3) is a registration without RD.
func nbRequest(id, flags uint16, name nbName, ttl uint32, nbFlags uint16, addr netip.Addr) ([]byte, error) {
	b, err := name.append(nbHeader(nil, id, flags, 1, 0, 1))
	if err != nil {
		return nil, err
	}
	b = append(b, 0, nbTypeNB, 0, classIN)
	b = append(b, 0xc0, headerSize)
	return nbRecord(b, ttl, nbFlags, addr), nil
}

// nbRecord appends what stands behind the name of an NB record.
func nbRecord(b []byte, ttl uint32, nbFlags uint16, addr netip.Addr) []byte {
	b = append(b, 0, nbTypeNB, 0, classIN)
	b = binary.BigEndian.AppendUint32(b, ttl)
	b = append(b, 0, 6)
	b = binary.BigEndian.AppendUint16(b, nbFlags)
	return append(b, addr.AsSlice()...)
}
