package tunnel

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/dialway/dialway/internal/packet"
)

// ParseRule reads rules such as
//
//	tcp 10.0.0.0/8 > 172.16.2.0/24:22-23
//	udp any:1024-65535 > any:53
//	icmpv6 any > 2001:db8::/32:128/0
//	udp any > [2001:db8::1]:53
//	47 192.0.2.1 > any
//	any
//
// that is: a protocol by name or number or "any", and, unless both ends are any, a source and a destination. An end is a
// prefix, an address, or "any"; behind a colon it may have a port or a range of ports, for a destination of icmp and
// icmpv6 a type or type/code. An IPv6 address with ports stands in brackets; an IPv6 prefix may.
func ParseRule(s string) (Rule, error) {
	r, err := parseRule(s)
	if err != nil {
		return Rule{}, fmt.Errorf("tunnel: rule %q: %w", s, err)
	}
	return r, nil
}

func parseRule(s string) (r Rule, err error) {
	fields := strings.Fields(s)
	switch {
	case len(fields) == 1:
	case len(fields) == 4 && fields[2] == ">":
	default:
		return r, errors.New(`want "protocol" or "protocol source > destination"`)
	}
	if r.Proto, err = parseProto(fields[0]); err != nil || len(fields) == 1 {
		return r, err
	}
	if r.Src, r.SrcPort, err = parseEnd(fields[1], r.Proto, false); err != nil {
		return r, fmt.Errorf("source: %w", err)
	}
	if r.Dst, r.DstPort, err = parseEnd(fields[3], r.Proto, true); err != nil {
		return r, fmt.Errorf("destination: %w", err)
	}
	if r.Src.IsValid() && r.Dst.IsValid() && r.Src.Addr().Is4() != r.Dst.Addr().Is4() {
		return r, errors.New("one end is IPv4, the other IPv6: nothing would match")
	}
	return r, nil
}

// protocols are those a rule may name, in the order in which String looks.
var protocols = [...]struct {
	name  string
	proto uint8
}{
	{"any", 0}, {"ip", 0}, {"icmp", packet.ProtoICMP}, {"tcp", packet.ProtoTCP}, {"udp", packet.ProtoUDP},
	{"dccp", packet.ProtoDCCP}, {"gre", packet.ProtoGRE}, {"esp", packet.ProtoESP}, {"ah", packet.ProtoAH},
	{"icmpv6", packet.ProtoICMPv6}, {"ipv6-icmp", packet.ProtoICMPv6}, {"sctp", packet.ProtoSCTP}, {"udplite", packet.ProtoUDPLite},
}

func parseProto(s string) (uint8, error) {
	for _, p := range protocols {
		if strings.EqualFold(s, p.name) {
			return p.proto, nil
		}
	}
	n, err := strconv.ParseUint(s, 10, 8)
	if err != nil {
		return 0, fmt.Errorf("protocol %q is neither a name nor a number below 256", s)
	}
	return uint8(n), nil
}

// parseEnd reads one end. In an IPv6 prefix without brackets only a colon behind the slash is one of ports.
func parseEnd(s string, proto uint8, dst bool) (p netip.Prefix, ports [2]uint16, err error) {
	where, what, colon := s, "", false
	if rest, ok := strings.CutPrefix(s, "["); ok {
		in, after, ok := strings.Cut(rest, "]")
		if !ok {
			return p, ports, fmt.Errorf("%q lacks ]", s)
		}
		where = in
		if after != "" {
			if what, colon = strings.CutPrefix(after, ":"); !colon {
				return p, ports, fmt.Errorf("%q: %q is no port", s, after)
			}
		}
	} else {
		from := strings.IndexByte(s, '/')
		if strings.Count(s, ":") == 1 {
			from = 0 // no IPv6
		}
		if from >= 0 {
			if i := strings.IndexByte(s[from:], ':'); i >= 0 {
				where, what, colon = s[:from+i], s[from+i+1:], true
			}
		}
	}
	if p, err = parsePlace(where); err != nil {
		return p, ports, err
	}
	switch {
	case !colon:
	case isICMP(proto) && !dst:
		err = errors.New("a type stands at the destination")
	case isICMP(proto):
		ports, err = parseICMP(what)
	case proto != 0 && !packet.HasPorts(proto):
		err = fmt.Errorf("protocol %s has no ports", protoName(proto))
	default:
		ports, err = parsePorts(what)
	}
	return p, ports, err
}

// parsePlace reads "any", an address or a prefix. Host bits in a prefix are more likely a slip than meant.
func parsePlace(s string) (netip.Prefix, error) {
	if strings.EqualFold(s, "any") || s == "*" {
		return netip.Prefix{}, nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		a, err := netip.ParseAddr(s)
		if err != nil || a.Zone() != "" {
			return netip.Prefix{}, fmt.Errorf("%q is no prefix and no address", s)
		}
		p = netip.PrefixFrom(a, a.BitLen())
	}
	if p.Addr().Is4In6() {
		return netip.Prefix{}, fmt.Errorf("%q: write it as IPv4", s)
	}
	if p != p.Masked() {
		return netip.Prefix{}, fmt.Errorf("%v has bits beyond its length: is %v meant?", p, p.Masked())
	}
	return p, nil
}

func parsePorts(s string) (ports [2]uint16, err error) {
	first, last, ranged := strings.Cut(s, "-")
	if !ranged {
		last = first
	}
	for i, text := range [...]string{first, last} {
		n, err := strconv.ParseUint(text, 10, 16)
		if err != nil {
			return ports, fmt.Errorf("%q is no port", text)
		}
		ports[i] = uint16(n)
	}
	if ports[0] > ports[1] || ports[1] == 0 {
		return [2]uint16{}, fmt.Errorf("%q is no range of ports", s)
	}
	return ports, nil
}

func parseICMP(s string) (tc [2]uint16, err error) {
	typ, code, both := strings.Cut(s, "/")
	for i, text := range [...]string{typ, code} {
		if i == 1 && !both {
			break
		}
		n, err := strconv.ParseUint(text, 10, 8)
		if err != nil {
			return tc, fmt.Errorf("%q is no ICMP type or code", text)
		}
		tc[i] = icmpExact | uint16(n)
	}
	return tc, nil
}

// String returns the rule as ParseRule reads it.
func (r Rule) String() string {
	proto := protoName(r.Proto)
	if r == (Rule{Proto: r.Proto}) {
		return proto
	}
	return proto + " " + endString(r.Src, portsString(r.SrcPort)) + " > " + endString(r.Dst, r.dstString())
}

func (r Rule) dstString() string {
	if !isICMP(r.Proto) {
		return portsString(r.DstPort)
	}
	t, c := r.DstPort[0], r.DstPort[1]
	switch {
	case t == 0 && c == 0:
		return ""
	case c == 0:
		return strconv.Itoa(int(t &^ icmpExact))
	}
	return fmt.Sprintf("%d/%d", t&^icmpExact, c&^icmpExact)
}

func protoName(proto uint8) string {
	for _, p := range protocols {
		if p.proto == proto {
			return p.name
		}
	}
	return strconv.Itoa(int(proto))
}

func portsString(p [2]uint16) string {
	switch {
	case p == [2]uint16{}:
		return ""
	case p[0] == p[1] || p[1] == 0:
		return strconv.Itoa(int(p[0]))
	}
	return fmt.Sprintf("%d-%d", p[0], p[1])
}

func endString(p netip.Prefix, ports string) string {
	where := "any"
	if p.IsValid() {
		where = p.String()
		if p.IsSingleIP() {
			where = p.Addr().String()
		}
	}
	if ports == "" {
		return where
	}
	if p.IsValid() && p.Addr().Is6() {
		where = "[" + where + "]"
	}
	return where + ":" + ports
}
