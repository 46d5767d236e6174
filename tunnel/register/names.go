package register

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"strings"
)

// Names are absolute, as DNS messages have them: "pc1.vpn.test.".

// absolute returns name with a dot at its end.
func absolute(name string) string { return strings.TrimSuffix(name, ".") + "." }

// CheckHost says what is wrong with a name that is to be registered; nil: nothing. It has labels of letters, digits, "-" and "_", as RFC 1123
// section 2.1 and Windows have them. What a server tells as domain goes through it, too.
func CheckHost(name string) error {
	if len(name) > 253 {
		return fmt.Errorf("register: name of %d bytes is longer than 253", len(name))
	}
	for label := range strings.SplitSeq(strings.TrimSuffix(name, "."), ".") {
		if len(label) == 0 || len(label) > 63 {
			return fmt.Errorf("register: name %q has a label of %d bytes, not 1 to 63", name, len(label))
		}
		if label[0] == '-' || label[len(label)-1] == '-' {
			return fmt.Errorf("register: name %q has a label that begins or ends with \"-\"", name)
		}
		for _, c := range []byte(label) {
			if !('a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || c == '-' || c == '_') {
				return fmt.Errorf("register: name %q has the character %q", name, c)
			}
		}
	}
	return nil
}

// appendName appends a name as RFC 1035 section 3.1 writes it, without compression.
func appendName(b []byte, name string) ([]byte, error) {
	start := len(b)
	if name != "." {
		for label := range strings.SplitSeq(strings.TrimSuffix(name, "."), ".") {
			if len(label) == 0 || len(label) > 63 {
				return nil, fmt.Errorf("register: name %q has a label of %d bytes, not 1 to 63", name, len(label))
			}
			b = append(append(b, byte(len(label))), label...)
		}
	}
	if b = append(b, 0); len(b)-start > 255 {
		return nil, fmt.Errorf("register: name %q is longer than 255 bytes", name)
	}
	return b, nil
}

// lower is the canonical form, RFC 4034 section 6.2: of ASCII only, whatever other bytes stand in it. It does for names on
// the wire as well, whose lengths are below any letter.
func lower(name string) string {
	b := []byte(name)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// equal reports whether two names are the same.
func equal(a, b string) bool { return lower(a) == lower(b) }

// within reports whether name is zone or below it.
func within(name, zone string) bool {
	name, zone = lower(name), lower(zone)
	return zone == "." || name == zone || strings.HasSuffix(name, "."+zone)
}

// parent returns a name without its first label; "" if there is none.
func parent(name string) string {
	_, rest, _ := strings.Cut(name, ".")
	return rest
}

// reverse returns the name under which an address has its PTR: RFC 1035 section 3.5, RFC 3596 section 2.5.
func reverse(a netip.Addr) string {
	if a.Is4() {
		b := a.As4()
		return fmt.Sprintf("%d.%d.%d.%d.in-addr.arpa.", b[3], b[2], b[1], b[0])
	}
	b := a.As16()
	digits := hex.EncodeToString(b[:])
	var s strings.Builder
	for i := len(digits) - 1; i >= 0; i-- {
		s.WriteByte(digits[i])
		s.WriteByte('.')
	}
	s.WriteString("ip6.arpa.")
	return s.String()
}
