package ppp

import (
	"net/netip"
	"time"
)

// IPCP's options: RFC 1332 section 3, RFC 1877 section 1. Compression (2) and the old IP-Addresses (1) are rejected.
const (
	optIPAddress = 3
	optDNS1      = 129
	optNBNS1     = 130
	optDNS2      = 131
	optNBNS2     = 132
)

// serverOptions are the options that ask for name servers, in the order RFC 1877 numbers them.
var serverOptions = [4]byte{optDNS1, optNBNS1, optDNS2, optNBNS2}

// An ipcp agrees on the IPv4 addresses of both ends and on name servers. Either end may ask the other for its address:
// two routers do so in the same session.
type ipcp struct {
	automaton

	// This end's request.
	local   netip.Addr // 0.0.0.0 asks
	second  netip.Addr // to be used if the far side has none to give (Grant.AskAddr)
	fixed   bool       // the address is configured here: a Nak does not change it
	noAddr  bool       // the peer does not take the option: unnumbered
	asks    bool       // asks for name servers
	refused [len(serverOptions)]bool
	servers servers

	peer netip.Addr // the peer's address, as acknowledged
}

// servers are what was named for each of serverOptions; zero: none.
type servers [len(serverOptions)][4]byte

var unspecified4 = netip.AddrFrom4([4]byte{})

func (n *ipcp) init(c *Conn) {
	n.automaton = automaton{proto: protoIPCP, layer: n, link: c}
	n.local, n.fixed = c.cfg.Addr, c.cfg.Addr.Is4()
	if !n.fixed {
		n.local = unspecified4
	}
	n.asks = !c.server
}

// granted looks whether the far side is to be asked for this end's address, before the first request.
func (n *ipcp) granted(g *Grant) {
	if g != nil && g.AskAddr && n.fixed {
		n.second, n.local, n.fixed = n.local, unspecified4, false
	}
}

// useOwn takes this end's own address: the far side has none to give.
func (n *ipcp) useOwn() bool {
	if !n.second.IsValid() {
		return false
	}
	n.local, n.fixed, n.second = n.second, true, netip.Addr{}
	return true
}

func (n *ipcp) request(b []byte) []byte {
	if !n.noAddr {
		b = appendOptionAddr(b, optIPAddress, n.local)
	}
	if n.asks {
		for i, typ := range serverOptions {
			if !n.refused[i] {
				b = appendOption(b, typ, n.servers[i][:])
			}
		}
	}
	return b
}

func appendOptionAddr(b []byte, typ byte, a netip.Addr) []byte {
	v := addr4(a)
	return appendOption(b, typ, v[:])
}

// addr4 is the four bytes of an address; zero for what is none.
func addr4(a netip.Addr) [4]byte {
	if a.Is4() {
		return a.As4()
	}
	return [4]byte{}
}

// wait: a peer's address may have to be fetched first. One that says nothing of it waits, too, if it is being fetched.
func (n *ipcp) wait(list []byte) bool {
	wanted := false
	for o := range options(list) {
		if o.typ == optIPAddress && len(o.val) == 4 {
			wanted = [4]byte(o.val) == [4]byte{}
		}
	}
	return n.link.needAddress(wanted)
}

func (n *ipcp) check(list []byte, a *answer) {
	n.peer = netip.Addr{}
	dns, nbns := n.link.nameServers()
	said := false
	for o := range a.options(list) {
		if len(o.val) != 4 {
			a.reject(o)
			continue
		}
		switch o.typ {
		case optIPAddress:
			said = true
			n.checkAddr(o, a)
		case optDNS1:
			checkServer(o, a, dns, 0)
		case optDNS2:
			checkServer(o, a, dns, 1)
		case optNBNS1:
			checkServer(o, a, nbns, 0)
		case optNBNS2:
			checkServer(o, a, nbns, 1)
		default:
			a.reject(o)
		}
	}
	if given := n.link.peerAddr(); !said && given.IsValid() && !a.noNak {
		// A Nak may name an option that was not asked for (RFC 1661 section 5.3): this peer should have an address. One
		// that insists stays without.
		a.naks = appendOptionAddr(a.naks, optIPAddress, given)
	}
}

// checkAddr: an end that has an address to give insists on it. An end that has none takes what the peer says of itself,
// if it is the one that called; at a server a peer's word is not enough, its packets would be taken for somebody else's.
func (n *ipcp) checkAddr(o option, a *answer) {
	asked := netip.AddrFrom4([4]byte(o.val))
	given := n.link.peerAddr()
	switch {
	case given.IsValid() && asked == given:
		n.peer = given
	case given.IsValid() && a.noNak:
		a.refuse = &NegotiationError{
			Phase: "IPCP", Remote: true, Ours: "the far side's address to be " + given.String(), Theirs: asked.String(),
		}
	case given.IsValid():
		v := given.As4()
		a.nak(o, v[:])
	case n.link.server && asked.IsUnspecified():
		a.refuse = &NegotiationError{Phase: "IPCP", Err: errNoAddress, Hint: "set Config.Pool"}
	case n.link.server || !usablePeer(asked) || asked == n.local:
		a.reject(o)
	default:
		n.peer = asked
	}
}

// usablePeer reports whether a peer may say that this is its address.
func usablePeer(a netip.Addr) bool {
	return a.Is4() && !a.IsUnspecified() && !a.IsMulticast() && !a.IsLoopback() && a != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}

// checkServer answers a question for the i-th of a kind of server. Without one the option is rejected: a Nak with 0.0.0.0
// is what RFC 1877 section 1.1 leaves, and there are peers that then use that.
func checkServer(o option, a *answer, list []netip.Addr, i int) {
	if i >= len(list) {
		a.reject(o)
		return
	}
	if v := addr4(list[i]); [4]byte(o.val) != v {
		a.nak(o, v[:])
	}
}

func (n *ipcp) naked(list []byte) error {
	for o := range options(list) {
		if len(o.val) != 4 {
			continue
		}
		if v := netip.AddrFrom4([4]byte(o.val)); o.typ == optIPAddress {
			if v.IsUnspecified() && n.local.IsUnspecified() && n.useOwn() {
				continue
			}
			if v.IsUnspecified() {
				continue // no suggestion: ask again, within the rounds allowed
			}
			if (n.fixed || n.link.isOpen()) && v != n.local {
				return &NegotiationError{
					Phase: "IPCP", Remote: true, Ours: n.local.String(), Theirs: v.String(),
					Hint: "leave Config.Addr zero to take the address that the far side gives",
				}
			}
			n.local = v
			continue
		}
		for i, typ := range serverOptions {
			if o.typ == typ && n.asks {
				n.servers[i] = [4]byte(o.val)
				n.refused[i] = n.servers[i] == [4]byte{} // some say "none" so; to ask again would go on for ever
			}
		}
	}
	return nil
}

func (n *ipcp) rejected(list []byte) error {
	for o := range options(list) {
		if o.typ == optIPAddress && !n.useOwn() {
			n.noAddr = true
		}
		for i, typ := range serverOptions {
			if o.typ == typ {
				n.refused[i] = true
			}
		}
	}
	return nil
}

func (n *ipcp) up(now time.Time) {
	if !n.noAddr && n.local.IsUnspecified() {
		if n.useOwn() {
			n.event(evNak, now, nil) // an Ack of 0.0.0.0 gives nothing: as if it had been a Nak, it is asked again
			return
		}
		n.fail(now, &NegotiationError{
			Phase: "IPCP", Remote: true, Ours: "an address", Theirs: "0.0.0.0",
			Hint: "the far side has no address to give; set Config.Addr",
		})
		return
	}
	if !n.noAddr && n.local == n.peer {
		n.fail(now, &NegotiationError{
			Phase: "IPCP", Ours: n.local.String(), Theirs: n.peer.String(),
			Hint: "both ends have the same address: let their pools not overlap",
		})
		return
	}
	if n.link.debugs() {
		n.link.log.Debug("ppp: IPCP open", "id", n.link.call.ID, "local", n.addr(), "peer", n.peer)
	}
	n.link.networkUp(now)
}

func (n *ipcp) down()              { n.link.networkDown() }
func (n *ipcp) finished(why error) { n.link.networkFinished(&n.automaton, why) }

func (n *ipcp) other(code, id byte, data []byte, now time.Time) bool { return false }

// addr is this end's address; invalid on an unnumbered link.
func (n *ipcp) addr() netip.Addr {
	if n.noAddr || n.local.IsUnspecified() {
		if n.fixed {
			return n.local
		}
		return netip.Addr{}
	}
	return n.local
}

// dns returns the name servers; nbns the NetBIOS ones.
func (s *servers) dns() []netip.Addr  { return s.named(0) }
func (s *servers) nbns() []netip.Addr { return s.named(1) }

// named returns every other one.
func (s *servers) named(first int) (out []netip.Addr) {
	for i := first; i < len(s); i += 2 {
		if s[i] != [4]byte{} {
			out = append(out, netip.AddrFrom4(s[i]))
		}
	}
	return out
}
