package eap

import (
	"crypto/subtle"
	"crypto/tls"
	"strings"

	"github.com/dialway/dialway/ppp"
)

// The gates: every predicate that keeps somebody out. Each names the test that fails without it.

// staysShort: a conversation ends, whatever the far side does. Test: TestConversationIsBounded.
func staysShort(rounds, bytes int) bool { return rounds <= maxRounds && bytes <= maxBytes }

// mayDecide: the Grant of a method that the peer has refused counts for nothing. Test: TestRefusedMethodGrantsNothing.
func mayDecide(refused bool) bool { return !refused }

// proofHolds: a peer goes on only with a server that proves, too, that it knows the password (RFC 2759 section 5).
// Test: TestPeerVerifiesProof.
func proofHolds(got, want [20]byte) bool { return subtle.ConstantTimeCompare(got[:], want[:]) == 1 }

// acknowledged: keys count only when the peer has said that the server's proof satisfied it. Test: TestProofRefused.
func acknowledged(c msCode) bool { return c == msSuccess }

// mayTryAgain: guesses in one conversation are counted, whatever who knows the accounts says. attempt is that which
// failed, from 1. Test: TestRetriesLimited.
func mayTryAgain(attempt, retries int) bool {
	switch {
	case retries < 0:
		return false
	case retries == 0:
		retries = 2 // as RRAS
	}
	return attempt <= retries
}

// mayChange: a new password is taken only where one was asked for (RFC 2759 section 7). Test: TestChangeUnasked.
func mayChange(asked bool) bool { return asked }

// mayRespond: where a new password was asked for, the old one is no answer. Test: TestExpiredPasswordNotTriedAgain.
func mayRespond(expired bool) bool { return !expired }

// missingKeys names what a Grant for MS-CHAPv2 lacks: a link never binds with zeros where keys could be. Empty: nothing.
// Test: TestGrantWithoutKeysRefused.
func missingKeys(g *ppp.Grant) string {
	var missing []string
	if g.Proof == [20]byte{} {
		missing = append(missing, "Proof (RADIUS MS-CHAP2-Success)")
	}
	if !isKey(g.RecvKey) {
		missing = append(missing, "RecvKey (RADIUS MS-MPPE-Recv-Key)")
	}
	if !isKey(g.SendKey) {
		missing = append(missing, "SendKey (RADIUS MS-MPPE-Send-Key)")
	}
	return strings.Join(missing, ", ")
}

// isKey reports whether b has 16 bytes at least, and not zeros.
func isKey(b []byte) bool {
	var or byte
	for _, c := range b {
		or |= c
	}
	return len(b) >= 16 && or != 0
}

// mayGrow: a message is bounded as its fragments arrive, whatever its length field says, which it does not exceed.
// Test: TestFragmentsAreBounded.
func mayGrow(n int, total uint32, known bool) bool {
	return n <= maxMessage && (!known || total <= maxMessage && n <= int(total))
}

// certified: EAP-TLS is a certificate that was verified. Test: TestTLSWithoutCertificate.
func certified(cs *tls.ConnectionState) bool {
	return len(cs.VerifiedChains) > 0 && len(cs.PeerCertificates) > 0
}

// identityAgrees: who shows one certificate does not claim to be another (RFC 5216 section 5.2). An Identity without a
// user part claims nothing (RFC 9190 section 2.1.7); Windows puts host/ in front of a computer's name.
// Test: TestTLSIdentityMismatch.
func identityAgrees(identity string, names []string) bool {
	if identity == "" || identity[0] == '@' {
		return true
	}
	computer, isComputer := strings.CutPrefix(identity, "host/")
	for _, n := range names {
		if sameName(n, identity) || isComputer && sameName(n, computer) {
			return true
		}
	}
	return false
}

// trustSaid: a peer says whom it takes for its server. There is no default that would be safe: unlike a web browser it
// has no address that a certificate could be compared with. Test: TestPeerNeedsTrust.
func trustSaid(c *tls.Config) bool {
	switch {
	case c == nil:
		return false
	case c.InsecureSkipVerify:
		return c.VerifyConnection != nil
	}
	return c.ServerName != "" && c.RootCAs != nil
}

// mayResume: a session is resumed by the method that has it given. Test: TestTLSForeignTicket.
func mayResume(extra [][]byte) bool { return tagged(extra) }

// isSuccess: the protected success indication is one byte, 0 (RFC 9190 section 2.5). Test: TestTLSSuccessIndication.
func isSuccess(b []byte) bool { return len(b) == 1 && b[0] == 0 }

// bindingHolds: both ends of the tunnel know the inner method's keys, and both of the inner method the tunnel's ([MS-PEAP]
// section 3.1.5.5). Test: TestPEAPManInTheMiddle.
func bindingHolds(want, got []byte) bool { return subtle.ConstantTimeCompare(want, got) == 1 }

// mayGoUnbound: PEAP without a crypto binding is accepted only where it was said, and the tunnel's end was verified.
// Test: TestPEAPWithoutBinding.
func mayGoUnbound(okay, verified bool) bool { return okay && verified }
