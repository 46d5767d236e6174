package dhcpinform

import (
	"encoding/binary"
	"time"

	"github.com/dialway/dialway/internal/packet"
	"github.com/dialway/dialway/tunnel"
)

// Link wraps a session's link for the servers that send their answers straight to the client, as RFC 2131 section 4.3.5
// says: on their way through it, what Kea sends to the relay's port goes to the client's, and option 82 is taken out. Give
// it to the Router in the place of l.
func (r *Relay) Link(l tunnel.Link) tunnel.Link { return &relayLink{l, r} }

type relayLink struct {
	tunnel.Link
	relay *Relay
}

// Unwrap returns the session's link.
func (l *relayLink) Unwrap() tunnel.Link { return l.Link }

// Write puts answers right, in place, and hands all packets on.
func (l *relayLink) Write(bufs [][]byte, offset int) (n int, err error) {
	for _, b := range bufs {
		if len(b) > offset && fromServer(b[offset:]) {
			l.relay.pass(b[offset:])
		}
	}
	return l.Link.Write(bufs, offset)
}

// fromServer is all that most packets are asked.
func fromServer(b []byte) bool {
	if len(b) < headers || b[0]>>4 != 4 || b[9] != packet.ProtoUDP {
		return false
	}
	h := int(b[0]&0x0f) * 4
	return len(b) >= h+udpHeader && binary.BigEndian.Uint16(b[h:]) == serverPort
}

// pass puts an answer on its way to a client right, if it is one to a question of ours: a client that serves or relays
// DHCP itself gets its packets as they are.
func (r *Relay) pass(b []byte) {
	d, ok := parseUDP(b)
	if !ok || d.dstPort != clientPort && d.dstPort != serverPort || !isServer(r.Servers, d.src) {
		return
	}
	m, ok := parseMessage(d.payload)
	if !ok || r.asks.find(m, d.dst, time.Now()) == nil {
		return
	}
	changed := stripAgent(m)
	if d.dstPort == serverPort {
		binary.BigEndian.PutUint16(d.udp[2:], clientPort)
		changed = true
	}
	if changed {
		d.seal()
	}
	r.counts.answered.Add(1)
}
