package ppp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"
)

// LCP's options: RFC 1661 section 6, RFC 1662 section 7.1. The rest is rejected: Callback (13), Multilink's MRRU (17),
// short sequence (18) and endpoint discriminator (19), Quality-Protocol (4), and compression of the header (7, 8), which
// saves three bytes in a TLS record and which some peers then get wrong; it is read all the same.
const (
	optMRU   = 1
	optACCM  = 2
	optAuth  = 3
	optMagic = 5
)

// minMRU is the smallest MRU taken from a peer: IPv4 asks for 68 bytes (RFC 791 section 3.2).
const minMRU = 68

// maxLoops is how often a peer may show our own magic number before the line counts as looped back.
const maxLoops = 3

var (
	errNoAnswer    = errors.New("no answer")
	errNoAgreement = errors.New("no agreement within the rounds allowed")
	errLoop        = errors.New("the line is looped back: the far side shows our own magic number")
)

// An lcp is the link layer: what the two ends say of themselves, and which authentication each demands.
type lcp struct {
	automaton

	// This end's request.
	demands   []AuthProtocol // what this end may demand, best first; empty: nothing
	mru       int            // announced; 0: not asked for, which means 1500
	demanding int            // index into demands
	magic     uint32
	dropped   bool // the peer takes no demand at all
	noMagic   bool
	noMRU     bool

	// The peer's request, as acknowledged.
	proving   AuthProtocol // what the peer demands of this end
	loops     uint8
	peerMagic uint32
	peerMRU   int
	offered   []AuthProtocol // what this end may answer with, best first
}

// defaultMRU is what RFC 1661 section 6.1 lets an end assume.
const defaultMRU = 1500

func (l *lcp) init(c *Conn) {
	l.automaton = automaton{proto: protoLCP, layer: l, link: c}
	l.mru = c.mtu()
	l.peerMRU = defaultMRU
	l.demands = c.demands()
	l.offered = c.offers()
	l.newMagic()
}

// restart begins this end's side of a negotiation anew. The peer's stays: it may be the request of the peer that has
// brought LCP down, and been examined.
func (l *lcp) restart() { l.demanding, l.dropped = 0, false }

func (l *lcp) newMagic() {
	for l.magic = 0; l.magic == 0; {
		var b [4]byte
		l.link.random(b[:])
		l.magic = binary.BigEndian.Uint32(b[:])
	}
}

// demanded is the protocol this end asks for now.
func (l *lcp) demanded() AuthProtocol {
	if !l.dropped && l.demanding < len(l.demands) {
		return l.demands[l.demanding]
	}
	return NoProtocol
}

// undemanded says that the peer takes none of the authentication protocols demanded, and goes on without only if it may.
func (l *lcp) undemanded(theirs, hint string) error {
	l.dropped = true
	if mayOpenLCP(len(l.demands) > 0, l.demanded()) {
		return nil
	}
	return &NegotiationError{Phase: "LCP", Remote: true, Ours: joinAuth(l.demands), Theirs: theirs, Hint: hint}
}

func (l *lcp) request(b []byte) []byte {
	if !l.noMRU && l.mru != defaultMRU {
		b = appendOption16(b, optMRU, uint16(l.mru))
	}
	if p := l.demanded(); p != NoProtocol {
		b = appendOption(b, optAuth, authValue(p))
	}
	if !l.noMagic {
		b = appendOption32(b, optMagic, l.magic)
	}
	return b
}

func (l *lcp) check(list []byte, a *answer) {
	// A request is whole: what an earlier one said is forgotten. This end offers nothing weaker than what it has proved
	// itself by before.
	l.peerMRU, l.peerMagic, l.proving = defaultMRU, 0, NoProtocol
	l.link.auth.asked = nil
	l.offered = l.link.offers()
	for o := range a.options(list) {
		switch {
		case o.typ == optMRU && len(o.val) == 2:
			if mru := int(binary.BigEndian.Uint16(o.val)); mru < minMRU {
				a.nak(o, []byte{defaultMRU >> 8, defaultMRU & 0xff})
			} else {
				l.peerMRU = mru
			}
		case o.typ == optACCM && len(o.val) == 4:
			// No escaping over a transport of frames: any map will do (RFC 1662 section 7.1).
		case o.typ == optAuth && len(o.val) >= 2:
			l.checkAuth(o, a)
		case o.typ == optMagic && len(o.val) == 4:
			l.checkMagic(o, a)
		default:
			a.reject(o)
		}
	}
}

// checkAuth examines what the peer demands of this end: a Nak names what this end would rather do (RFC 1661 section
// 6.2), a Reject says that it has nothing to say for itself.
func (l *lcp) checkAuth(o option, a *answer) {
	p := parseAuth(o.val)
	switch {
	case slices.Contains(l.offered, p):
		l.proving = p
	case len(l.offered) > 0:
		l.link.noteAsked(o.val)
		a.nak(o, authValue(l.offered[0]))
	default:
		l.link.noteAsked(o.val)
		a.reject(o)
	}
}

// checkMagic: zero is no magic number, and our own says that we hear ourselves (RFC 1661 section 6.4).
func (l *lcp) checkMagic(o option, a *answer) {
	v := binary.BigEndian.Uint32(o.val)
	if v != 0 && (l.noMagic || v != l.magic) {
		l.peerMagic = v
		return
	}
	if v != 0 {
		l.loops++
	}
	var b [4]byte
	for b == [4]byte{} || binary.BigEndian.Uint32(b[:]) == l.magic {
		l.link.random(b[:])
	}
	a.nak(o, b[:])
}

func (l *lcp) naked(list []byte) error {
	for o := range options(list) {
		switch {
		case o.typ == optMRU && len(o.val) == 2:
			// The peer wants to send larger packets, or smaller ones; both are fine as far as the transport carries them.
			if v := int(binary.BigEndian.Uint16(o.val)); v >= minMRU && v <= l.link.maxMRU() {
				l.mru = v
			}
		case o.typ == optAuth && len(o.val) >= 2:
			if err := l.nextDemand(o.val); err != nil {
				return err
			}
		case o.typ == optMagic:
			if l.loops++; l.loops > maxLoops {
				return &NegotiationError{Phase: "LCP", Err: errLoop}
			}
			l.newMagic()
		}
	}
	return nil
}

// nextDemand follows the peer's suggestion where this end may, else goes down its own list.
func (l *lcp) nextDemand(suggested []byte) error {
	if len(l.demands) == 0 {
		return nil // a Nak may suggest what was not asked for; nothing is demanded here
	}
	p := parseAuth(suggested)
	if i := slices.Index(l.demands, p); i >= 0 {
		if i != l.demanding {
			l.demanding = i
		}
		return nil
	}
	if l.demanding++; l.demanding < len(l.demands) {
		return nil
	}
	return l.undemanded(authText(suggested), "let both ends list a common authentication protocol")
}

func (l *lcp) rejected(list []byte) error {
	for o := range options(list) {
		switch o.typ {
		case optMRU:
			l.noMRU = true
		case optMagic:
			l.noMagic = true
		case optAuth:
			if l.loops > 0 {
				return &NegotiationError{Phase: "LCP", Err: errLoop} // it is this end that rejects what it does not know itself
			}
			if err := l.undemanded("Configure-Reject: no authentication at all", "give the far side a user name and a password"); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *lcp) up(now time.Time) {
	if !mayOpenLCP(len(l.demands) > 0, l.demanded()) {
		l.link.end(now, &NegotiationError{Phase: "LCP", Remote: true, Ours: joinAuth(l.demands), Theirs: "nothing"})
		return
	}
	l.loops = 0
	l.link.linkUp(now)
}

func (l *lcp) down() { l.link.linkDown() }

func (l *lcp) finished(why error) { l.link.linkFinished(why) }

// authValue is the value of option 3 (RFC 1661 section 6.2): protocol and, for CHAP, algorithm (RFC 1994 section 3, RFC
// 2759 section 2).
func authValue(p AuthProtocol) []byte {
	switch p {
	case PAP:
		return []byte{0xc0, 0x23}
	case CHAP:
		return []byte{0xc2, 0x23, 5}
	case MSCHAPv2:
		return []byte{0xc2, 0x23, 0x81}
	case EAP:
		return []byte{0xc2, 0x27}
	}
	return nil
}

// parseAuth is authValue's inverse; NoProtocol is what is not known.
func parseAuth(v []byte) AuthProtocol {
	for _, p := range [...]AuthProtocol{PAP, CHAP, MSCHAPv2, EAP} {
		if slices.Equal(v, authValue(p)) {
			return p
		}
	}
	return NoProtocol
}

// authText names what a peer asked for, known or not.
func authText(v []byte) string {
	if p := parseAuth(v); p != NoProtocol {
		return p.String()
	}
	if slices.Equal(v, []byte{0xc2, 0x23, 0x80}) {
		return "MS-CHAPv1"
	}
	if len(v) > 8 {
		v = v[:8]
	}
	return fmt.Sprintf("authentication protocol %x", v)
}

func joinAuth(list []AuthProtocol) string {
	var s string
	for i, p := range list {
		if i > 0 {
			s += " or "
		}
		s += p.String()
	}
	if s == "" {
		return "nothing"
	}
	return s
}
