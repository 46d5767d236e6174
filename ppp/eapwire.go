package ppp

import (
	"encoding/binary"
	"fmt"
)

// Codes and types of EAP, RFC 3748 sections 4 and 5.
const (
	eapRequest  byte = 1
	eapResponse byte = 2
	eapSuccess  byte = 3
	eapFailure  byte = 4

	eapIdentity     byte = 1
	eapNotification byte = 2
	eapNak          byte = 3
)

// checkEAP reports what keeps a packet of this end's own Authenticator or Config.EAP from being sent: it must be whole, of
// the code that this role sends, with a type (RFC 3748 section 4.1), and fit.
func checkEAP(pkt []byte, code byte, most int) error {
	const typed = packetHeaderLen + 1
	switch {
	case len(pkt) < typed || int(binary.BigEndian.Uint16(pkt[2:])) != len(pkt):
		return fmt.Errorf("ppp: an EAP packet of %d bytes is not whole", len(pkt))
	case pkt[0] != code:
		return fmt.Errorf("ppp: EAP code %d where %d is to be sent; the link itself sends Success and Failure", pkt[0], code)
	case len(pkt) > most:
		return fmt.Errorf("ppp: an EAP packet of %d bytes, %d fit the link", len(pkt), most)
	}
	return nil
}

// Types whose challenge somebody could have this end answer for it, in the other direction of the same link.
const (
	eapMD5      byte = 4
	eapMSCHAPv2 byte = 26
)

// eapChallenge returns the challenge in a Request of EAP-MD5 (RFC 3748 section 5.4) or EAP-MSCHAPv2, or that of the
// latter's Failure, which another attempt answers; nil of all others. The methods are the Authenticator's and Config.EAP's
// business: this is all that the link looks at.
func eapChallenge(pkt []byte) []byte {
	if len(pkt) < packetHeaderLen+1 {
		return nil
	}
	t, b := pkt[packetHeaderLen], pkt[packetHeaderLen+1:]
	if t == eapMSCHAPv2 {
		if len(b) < packetHeaderLen {
			return nil
		}
		code, data := b[0], b[packetHeaderLen:]
		if code == chapFailure {
			if f := parseMSFailure(data); f.hasChallenge {
				return f.challenge[:]
			}
			return nil
		}
		if code != chapChallenge {
			return nil
		}
		b = data
	} else if t != eapMD5 {
		return nil
	}
	value, _, ok := parseCHAPValue(b)
	if !ok || len(value) == 0 {
		return nil
	}
	return value
}
