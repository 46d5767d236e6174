package ppp

import (
	"net/netip"
	"time"
)

// optInterfaceID is IPV6CP's option, RFC 5072 section 4.1; compression (2) is rejected.
const optInterfaceID = 1

// An ipv6cp agrees on the interface identifiers of both ends, which make their link-local addresses.
type ipv6cp struct {
	automaton

	id     [8]byte // this end's
	noID   bool
	peerID [8]byte
	given  [8]byte // what peerID has to be, since the pool's address says so; zero: what the peer likes
}

func (n *ipv6cp) init(c *Conn) {
	n.automaton = automaton{proto: protoIPV6CP, layer: n, link: c}
	n.id = n.newID()
}

// newID makes an identifier: not zero, not the peer's, its universal bit 0 (RFC 5072 section 4.1).
func (n *ipv6cp) newID() (id [8]byte) {
	for {
		n.link.random(id[:])
		id[0] &^= 2
		if id != [8]byte{} && id != n.id && id != n.peerID {
			return id
		}
	}
}

func (n *ipv6cp) request(b []byte) []byte {
	if n.noID {
		return b
	}
	return appendOption(b, optInterfaceID, n.id[:])
}

// assign makes the peer take the interface identifier of an address.
func (n *ipv6cp) assign(a netip.Addr, now time.Time) {
	b := a.As16()
	n.given = [8]byte(b[8:])
	if n.opened() && n.peerID != n.given {
		n.fail(now, n.otherID(n.peerID))
	}
}

func (n *ipv6cp) otherID(id [8]byte) error {
	return &NegotiationError{
		Phase: "IPV6CP", Remote: true, Ours: "the interface identifier of " + linkLocal(n.given).String(), Theirs: linkLocal(id).String(),
		Hint: "the address is of a /64 that sessions share: give a far side that insists on its own identifier a /64 of its own",
	}
}

// wait: a pool that shares a /64 has yet to say which identifier the peer gets.
func (n *ipv6cp) wait([]byte) bool { return n.link.addr.asking && sharesPrefix(n.link.cfg.Pool) }

func (n *ipv6cp) check(list []byte, a *answer) {
	n.peerID = [8]byte{}
	for o := range a.options(list) {
		if o.typ != optInterfaceID || len(o.val) != 8 {
			a.reject(o)
			continue
		}
		switch id := [8]byte(o.val); {
		case n.given != [8]byte{} && id != n.given && a.noNak:
			a.refuse = n.otherID(id)
		case n.given != [8]byte{} && id != n.given:
			a.nak(o, n.given[:])
		case id == [8]byte{} && n.noID:
			a.reject(o) // both have none
		case id == [8]byte{} || id == n.id:
			v := n.newID()
			a.nak(o, v[:])
		default:
			n.peerID = id
		}
	}
}

func (n *ipv6cp) naked(list []byte) error {
	for o := range options(list) {
		if o.typ != optInterfaceID || len(o.val) != 8 || n.link.isOpen() {
			continue
		}
		if id := [8]byte(o.val); id != [8]byte{} && id != n.peerID {
			n.id = id
		} else {
			n.id = n.newID()
		}
	}
	return nil
}

func (n *ipv6cp) rejected(list []byte) error {
	for o := range options(list) {
		if o.typ == optInterfaceID {
			n.noID = true
		}
	}
	return nil
}

func (n *ipv6cp) up(now time.Time) {
	if n.noID || n.peerID == [8]byte{} {
		n.fail(now, &NegotiationError{Phase: "IPV6CP", Remote: true, Ours: "interface identifiers", Theirs: "none"})
		return
	}
	n.link.networkUp(now)
}

func (n *ipv6cp) down()              { n.link.networkDown() }
func (n *ipv6cp) finished(why error) { n.link.networkFinished(&n.automaton, why) }

func (n *ipv6cp) other(code, id byte, data []byte, now time.Time) bool { return false }

// linkLocal is fe80::/64 and an identifier.
func linkLocal(id [8]byte) netip.Addr {
	b := [16]byte{0: 0xfe, 1: 0x80}
	copy(b[8:], id[:])
	return netip.AddrFrom16(b)
}
