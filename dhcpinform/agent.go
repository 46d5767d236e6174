package dhcpinform

import (
	"net/netip"
)

// An AgentInfo is the relay agent information, option 82: who asks, for servers that go by it. What is zero is not sent.
type AgentInfo struct {
	CircuitID string // RFC 3046 section 3.1: where the client is connected
	RemoteID  string // RFC 3046 section 3.2: who it is

	// LinkSelection is an address of the subnet that the server is to answer for, where Addr is in another (RFC 3527).
	LinkSelection netip.Addr

	// ServerOverride is what the client is to be told as the server's identifier, so that all it sends later comes to the
	// relay (RFC 5107).
	ServerOverride netip.Addr
}

const (
	subCircuit       = 1
	subRemote        = 2
	subLinkSelection = 5
	subOverride      = 11

	// maxRelayed is the largest message that is made longer: with its headers it fits an Ethernet.
	maxRelayed = 1500 - headers
)

// data returns the sub-options, or nothing if there are none or they do not fit.
func (a AgentInfo) data() []byte {
	var b []byte
	add := func(sub byte, data []byte) {
		if len(data) > 0 && len(data) <= 255 {
			b = append(append(b, sub, byte(len(data))), data...)
		}
	}
	add(subCircuit, []byte(a.CircuitID))
	add(subRemote, []byte(a.RemoteID))
	if a.LinkSelection.Is4() {
		add(subLinkSelection, a.LinkSelection.AsSlice())
	}
	if a.ServerOverride.Is4() {
		add(subOverride, a.ServerOverride.AsSlice())
	}
	if len(b) > 255 {
		return nil // RFC 3046 section 2.0: the option is never split, and half of it would be somebody else
	}
	return b
}

// appendAgent returns a copy of m with option 82 behind all of its other options: RFC 3046 section 2.1. What stands
// behind END is padding. A message that would become too long stays as it is (section 2.1.1).
func appendAgent(m message, data []byte) (message, bool) {
	end, ok := walk(m[atOptions:], nil)
	out := make(message, 0, max(len(m)+2+len(data)+1, minMessage))
	if need := atOptions + end + 2 + len(data) + 1; !ok || len(data) == 0 || need > maxRelayed {
		return append(out, m...), false
	}
	out = append(out, m[:atOptions+end]...)
	return finish(appendOption(out, optAgent, data), 0), true
}

// stripAgent takes option 82 out of m, in place and without changing its length, and leaves everything else as it is.
// It reports whether m changed.
func stripAgent(m message) (changed bool) {
	fields, ok := m.fields()
	if !ok {
		return false
	}
	for _, field := range fields {
		for {
			var cut piece
			found := false
			walk(field, func(p piece) bool {
				if p.code == optAgent {
					cut, found = p, true
				}
				return !found
			})
			if !found {
				break
			}
			n := 2 + len(cut.data)
			copy(field[cut.start:], field[cut.start+n:])
			clear(field[len(field)-n:]) // pads
			changed = true
		}
	}
	return changed
}
