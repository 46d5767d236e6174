package tunnel

import (
	"net/netip"

	"github.com/dialway/dialway/internal/packet"
)

// A Filter says which packets match. The zero Filter matches none. Its Match fits ppp.Grant.In and Out.
type Filter struct {
	Rules  []Rule
	Except bool // matches what no rule does
}

// Match reports whether packet matches; a fragment without ports matches no rule that names ports.
//
// What cannot be judged matches no Filter, with Except or without: what is no IP packet, extension headers that are cut
// or too many, a first fragment that ends before the ports, a TCP fragment that would be written over them. So a Filter
// of what may pass, and one with Except of what may not, let none of it pass (RFC 1858, RFC 7112).
func (f *Filter) Match(packet []byte) bool {
	i, ok := judge(packet)
	if !ok {
		return false
	}
	for n := range f.Rules {
		if f.Rules[n].matches(&i) {
			return !f.Except
		}
	}
	return f.Except
}

// A Rule matches packets by header; zero fields match all.
type Rule struct {
	Src, Dst netip.Prefix
	Proto    uint8 // 0 means all; ports then match the protocols that have some

	// SrcPort and DstPort are first and last; a last of 0 means the first alone. For ICMP and ICMPv6 DstPort is type and
	// code: 0 means any, and 256 added to a number means that number, which is how to name type 0 and code 0.
	SrcPort, DstPort [2]uint16
}

func (r *Rule) matches(i *packet.Info) bool {
	if r.Proto != 0 && r.Proto != i.Proto {
		return false
	}
	if r.Src.IsValid() && !r.Src.Contains(i.Src) || r.Dst.IsValid() && !r.Dst.Contains(i.Dst) {
		return false
	}
	if r.SrcPort == [2]uint16{} && r.DstPort == [2]uint16{} {
		return true
	}
	if i.ICMP && isICMP(r.Proto) {
		return r.SrcPort == [2]uint16{} && icmpMatches(r.DstPort[0], i.Type) && icmpMatches(r.DstPort[1], i.Code)
	}
	return i.Ports && portMatches(r.SrcPort, i.SrcPort) && portMatches(r.DstPort, i.DstPort)
}

func portMatches(r [2]uint16, port uint16) bool {
	last := r[1]
	if last == 0 {
		last = r[0]
	}
	return r == [2]uint16{} || port >= r[0] && port <= last
}

func icmpMatches(want uint16, n uint8) bool { return want == 0 || want&^icmpExact == uint16(n) }

// icmpExact marks a type or code that is named, so that 0 can be.
const icmpExact = 256

func isICMP(proto uint8) bool { return proto == packet.ProtoICMP || proto == packet.ProtoICMPv6 }
