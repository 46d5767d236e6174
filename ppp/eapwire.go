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
