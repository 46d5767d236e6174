package dhcpinform

import (
	"net/netip"
	"strings"

	"github.com/dialway/dialway/internal/names"
)

// Options is what an answer says. IPv4 only: what stands in it of another kind is not sent.
type Options struct {
	DNS      []netip.Addr // 6
	Domain   string       // 15
	NTP      []netip.Addr // 42
	Vendor   []byte       // 43
	WINS     []netip.Addr // 44
	NodeType uint8        // 46: 1 B, 2 P, 4 M, 8 H
	Scope    string       // 47, of NetBIOS
	Search   []string     // 119
	Routes   []Route      // 121, 249
	WPAD     string       // 252

	// Raw is, of an answer, all options as they came, each joined from its pieces: also those above, and those that
	// are above nowhere because they are malformed. A Responder sends those of it that the fields above do not say.
	Raw []Option

	Server netip.Addr // the server identifier, 54
}

// parseOptions reads what an answer says. An option that is malformed is left to Raw; it fails if where options begin
// and end is unclear.
func parseOptions(m message) (*Options, bool) {
	list, ok := m.options()
	if !ok {
		return nil, false
	}
	o := &Options{Raw: list}
	var windows []Route
	for _, x := range list {
		d := x.Data
		switch x.Code {
		case optDNS:
			o.DNS = parseAddrs(d)
		case optDomain:
			o.Domain = word(d)
		case optNTP:
			o.NTP = parseAddrs(d)
		case optVendor:
			o.Vendor = d
		case optWINS:
			o.WINS = parseAddrs(d)
		case optNodeType:
			if len(d) == 1 {
				o.NodeType = d[0]
			}
		case optScope:
			o.Scope = word(d)
		case optSearch:
			o.Search, _ = parseNames(d)
		case optRoutes:
			o.Routes, _ = parseRoutes(d)
		case optWindowsRoutes:
			windows, _ = parseRoutes(d)
		case optWPAD:
			o.WPAD = word(d)
		case optServer:
			if len(d) == 4 {
				o.Server = netip.AddrFrom4([4]byte(d))
			}
		}
	}
	// One set only, never both together: [MS-DHCPE] section 3.1.5.2.
	if o.Routes == nil {
		o.Routes = windows
	}
	return o, true
}

// data returns the data that a Responder sends under code, or nil.
func (o *Options) data(code byte) []byte {
	var b []byte
	switch code {
	case optDNS:
		b = appendAddrs(nil, o.DNS)
	case optDomain:
		b = []byte(o.Domain)
	case optNTP:
		b = appendAddrs(nil, o.NTP)
	case optVendor:
		b = o.Vendor
	case optWINS:
		b = appendAddrs(nil, o.WINS)
	case optNodeType:
		if o.NodeType != 0 {
			b = []byte{o.NodeType}
		}
	case optScope:
		b = []byte(o.Scope)
	case optSearch:
		b = names.Append(nil, o.Search)
	case optRoutes, optWindowsRoutes:
		b = appendRoutes(nil, o.Routes)
	case optWPAD:
		b = []byte(o.WPAD)
	}
	if len(b) > 0 {
		return b
	}
	for _, x := range o.Raw {
		if x.Code == code {
			return x.Data
		}
	}
	return nil
}

func parseAddrs(b []byte) (list []netip.Addr) {
	if len(b)%4 != 0 {
		return nil
	}
	for ; len(b) > 0; b = b[4:] {
		list = append(list, netip.AddrFrom4([4]byte(b)))
	}
	return list
}

func appendAddrs(b []byte, list []netip.Addr) []byte {
	for _, a := range list {
		if a = a.Unmap(); a.Is4() {
			b = append(b, a.AsSlice()...)
		}
	}
	return b
}

// word returns text without the NULs and line ends that servers put behind it (RFC 2132 section 2 lets them), or nothing
// if it is not one word: what a server says ends up in files and command lines.
func word(b []byte) string {
	s := strings.TrimRight(string(b), "\x00\r\n ")
	for _, c := range []byte(s) {
		if c <= ' ' || c == 0x7f {
			return ""
		}
	}
	return s
}
