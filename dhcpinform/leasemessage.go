package dhcpinform

import (
	"encoding/binary"
	"net/netip"
	"time"
)

// leaseAsks are the options that a lease asks for; servers send those of the lease anyway.
var leaseAsks = [...]byte{optLeaseTime, optServer, optRenewal, optRebinding}

// A leaseWriter is what all messages of a pool's leases have in common.
type leaseWriter struct {
	hw     hardware
	giaddr netip.Addr // invalid: not through a relay
}

// message makes a message of l: RFC 2131 Table 5.
func (w leaseWriter) message(l *lease, kind byte, now time.Time) []byte {
	ciaddr := netip.AddrFrom4([4]byte{})
	var flags uint16
	// Who has no relay to answer to has no address to answer to either: there is none that the system would take packets
	// for. So also a REQUEST of renewing has no ciaddr, to which it would be answered, but is what a client sends that has
	// started anew (section 4.3.2, INIT-REBOOT): that is broadcast and extends a lease as well.
	direct := !w.giaddr.IsValid()
	renews := kind == typeRequest && (l.state == leaseRenewing || l.state == leaseRebinding)
	if direct && kind != typeRelease {
		flags = flagBroadcast
	}
	if renews && !direct || kind == typeRelease {
		ciaddr = l.addr
	}
	var secs uint16
	if kind == typeDiscover || kind == typeRequest {
		secs = uint16(min(now.Sub(l.began)/time.Second, 0xffff))
	}
	b := appendHeader(nil, request, w.hw, l.xid, secs, flags, ciaddr)
	if !direct {
		b[atHops] = 1
		copy(b[atGIAddr:], w.giaddr.AsSlice())
	}
	b = appendOption(b, optType, []byte{kind})
	b = appendOption(b, optClient, l.id)
	switch kind {
	case typeRequest:
		if l.state == leaseRequesting {
			b = appendOption(b, optServer, l.server.AsSlice())
		}
		if !ciaddrSet(b) {
			b = appendOption(b, optAddress, l.addr.AsSlice())
		}
	case typeDecline:
		b = appendOption(b, optAddress, l.addr.AsSlice())
		b = appendOption(b, optServer, l.server.AsSlice())
	case typeRelease:
		b = appendOption(b, optServer, l.server.AsSlice())
	}
	if kind == typeDiscover || kind == typeRequest {
		b = appendOption(b, optMaxSize, binary.BigEndian.AppendUint16(nil, minPacket))
		b = appendOption(b, optRequest, leaseAsks[:])
	}
	return finish(b, 0)
}

func ciaddrSet(b []byte) bool { return [4]byte(b[atCIAddr:]) != [4]byte{} }
