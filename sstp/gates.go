package sstp

import (
	"bytes"
	"crypto/subtle"
	"crypto/tls"
	"net/netip"
	"slices"

	"github.com/dialway/dialway/ppp"
)

// The gates: every predicate that keeps somebody out. Each names the test that fails without it.

// validLength says whether a packet's Length can be true: a header at least, and in a control packet the type and
// number of attributes. Shorter ones would be read again for ever. Test: TestDelineation.
func validLength(control bool, n int) bool {
	if control {
		return n >= controlLen
	}
	return n >= headerLen
}

// nonceHolds says whether a Call Connected has this connection's nonce: it is not one of another connection.
// Test: TestReplayedCallConnected.
func nonceHolds(sent, received []byte) bool {
	return subtle.ConstantTimeCompare(sent, received) == 1
}

// hashOffered says whether a Call Connected uses exactly one of the hash protocols that the server named.
// Test: TestBindingGates/hash_protocol.
func hashOffered(offered, used uint8) bool {
	return hashLen(used) != 0 && used&offered == used
}

// certificateHolds says whether the client saw the certificate that this connection was served: nobody is in between.
// Test: TestBindingGates/certificate.
func certificateHolds(served [][]byte, seen []byte) bool {
	ok := 0
	for _, h := range served {
		ok |= subtle.ConstantTimeCompare(h, seen)
	}
	return ok == 1
}

// macHolds says whether the client has the keys of the authentication. Test: TestBindingGates/MAC.
func macHolds(want, got []byte) bool {
	return len(want) != 0 && subtle.ConstantTimeCompare(want, got) == 1
}

// keysComplete says whether keys may bind: none at all, for a method that yields none, or both, the client's sending key
// (first) not zero. Half a pair, or zeros from a method that should have yielded keys, would bind with what everybody
// knows. The other key may be zero where the first fills an HLAK alone: EAP-MSCHAPv2's master session key ends in zeros.
// Test: TestKeysFailClosed.
func keysComplete(first, second []byte) bool {
	if len(first) == 0 && len(second) == 0 {
		return true
	}
	return len(first) != 0 && len(second) != 0 && !allZero(first) && (len(first) >= hlakLen || !allZero(second))
}

// zeroKeyAllowed says whether a client may bind with zeros though its authentication has yielded keys: EAP alone, and where
// the server's owner says so. Test: TestZeroKeyEAP.
func zeroKeyAllowed(accept bool, by ppp.AuthProtocol) bool { return accept && by == ppp.EAP }

func allZero(b []byte) bool { return len(bytes.Trim(b, "\x00")) == 0 }

// sha1Allowed says whether a client binds by SHA-1 to a server that offers nothing else. Test: TestSHA1Policy.
func sha1Allowed(allow bool) bool { return allow }

// passes says whether a PPP frame may go through, in either direction: data (protocols below 0x8000, which network
// protocol phase carries) only on a call whose binding has been checked, [MS-SSTP] sections 3.2.7 and 3.3.7. A frame
// without a protocol is no control frame. Tests: TestDataBeforeBinding, TestDataBeforeCallConnected.
func passes(bound bool, frame []byte) bool {
	return bound || controlProtocol(frame)
}

// controlProtocol says whether a frame's protocol is 0x8000 or above: RFC 1661 section 2. A compressed protocol, odd
// in its first byte (section 6.5), is below 0x100.
func controlProtocol(frame []byte) bool {
	if len(frame) >= 2 && frame[0] == 0xff && frame[1] == 0x03 {
		frame = frame[2:]
	}
	return len(frame) >= 2 && frame[0]&1 == 0 && frame[0] >= 0x80
}

// pinHolds says whether the server showed a pinned certificate. Test: TestPins.
func pinHolds(pins [][32]byte, state *tls.ConnectionState) bool {
	h, ok := leafHash(state)
	return ok && slices.Contains(pins, h)
}

// verified says whether a client knows who the server is: crypto/tls has verified its chain and name, or it showed a
// pinned certificate. Only then may passwords go over the connection. Test: TestVerified.
func verified(pins [][32]byte, state *tls.ConnectionState) bool {
	return len(state.VerifiedChains) > 0 || pinHolds(pins, state)
}

// plainAllowed says whether a connection without TLS may come from there: what is on it is in clear.
// Test: TestPlainFrom.
func plainAllowed(from []netip.Prefix, a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	if from == nil {
		return a.IsLoopback()
	}
	for _, p := range from {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// opennessSaid says whether a server's Config says who may connect: a server that asks nobody is an error unless that
// is what its owner wrote. Test: TestServeRefusesOpenServer.
func opennessSaid(c *ppp.Config) bool {
	return c != nil && (c.Authenticator != nil || c.ForCall != nil || c.NoAuth)
}

// hasRoom says whether one more fits a limit. Tests: TestHalfOpenAreBounded, TestPendingPerSource, TestMaxSessions.
func hasRoom(n, limit int) bool { return n < limit }
