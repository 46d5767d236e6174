package ppp

import (
	"crypto/subtle"
	"errors"
	"strings"
)

// The gates of authentication, as gates.go has the link's.

// proofHolds: a client goes on only with a server that proves, too, that it knows the password (RFC 2759 section 5).
// Test: TestMSCHAPClientVerifiesServer.
func proofHolds(got, want [20]byte) bool {
	return subtle.ConstantTimeCompare(got[:], want[:]) == 1
}

// mayTakeResult: Success and Failure count only as the answer to what this end has sent, or a server could say that a
// method is over which has not begun (RFC 1994 section 4.2, RFC 3748 section 4.2). Test: TestEarlySuccessDiscarded.
func mayTakeResult(answered, sameID bool) bool {
	return answered && sameID
}

// mayAnswerChallenge: a challenge that this end asked is not answered, or the far side would have us
// answer for it (RFC 1994 section 2.3). Tests: TestReflectedChallengeRefused, TestReflectedEAPChallengeRefused.
func mayAnswerChallenge(own bool) bool {
	return !own
}

// mayTryAgain: guesses on one link are counted, whatever the Authenticator says. attempt is that which failed, from 1.
// Test: TestAuthRetriesLimited.
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
func mayChange(asked bool) bool {
	return asked
}

// missingKeys names what a Grant lacks that its method yields: a link never binds with zeros where keys could be, or a
// man in the middle needs none. Empty: nothing. Test: TestGrantWithoutKeysRefused.
//
// MS-CHAPv2 needs the proof and 16 bytes of either direction. EAP's receive and send keys make 32 bytes together (the
// halves of RFC 3079, or those of an MSK), and only the first half must not be zero: EAP-MSCHAPv2's MSK ends in zeros.
func missingKeys(p AuthProtocol, g *Grant) string {
	var missing []string
	switch p {
	case MSCHAPv2:
		if g.Proof == [20]byte{} {
			missing = append(missing, "Grant.Proof (RADIUS MS-CHAP2-Success)")
		}
		if !isKey(g.SendKey) {
			missing = append(missing, "Grant.SendKey (RADIUS MS-MPPE-Send-Key)")
		}
		if !isKey(g.RecvKey) {
			missing = append(missing, "Grant.RecvKey (RADIUS MS-MPPE-Recv-Key)")
		}
	case EAP:
		if !isKey(g.RecvKey) {
			missing = append(missing, "Grant.RecvKey (RADIUS MS-MPPE-Recv-Key)")
		}
		if len(g.RecvKey)+len(g.SendKey) < 32 {
			missing = append(missing, "Grant.SendKey (RADIUS MS-MPPE-Send-Key)")
		}
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

// mayStay: who is to be called back, at a number of his own, does not get in on the call he made; nobody here calls back.
// Test: TestCallbackRefused.
func mayStay(callback string) bool { return callback == "" }

// errCallback is why such a session is refused.
var errCallback = errors.New("ppp: the account is to be called back (Grant.Callback), which this end cannot")

// mayBindKeyless: EAP may prove an identity without keys, which then binds nothing: as with PAP, the transport must
// have verified the server. Test: TestEAPWithoutKeysNeedsVerifiedServer.
func mayBindKeyless(hasKey, verified bool) bool {
	return hasKey || verified
}

// provesName reports whether a method proves the name that it claims. EAP's Identity is only claimed: the name of an EAP
// session is what the Authenticator says, or none. Test: TestEAPIdentityIsNotProven.
func provesName(p AuthProtocol) bool {
	return p == PAP || p == CHAP || p == MSCHAPv2
}

// errNoProof: the server did not prove that it knows the password.
var errNoProof = errors.New("the server does not know the password: its proof (S=) is missing or wrong")

// missingError says what a Grant lacks.
func missingError(missing string) error {
	return errors.New("the Authenticator's Grant lacks " + missing + ", without which the link would bind with zeros")
}
