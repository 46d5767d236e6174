package ppp

import (
	"bytes"
	"context"
	"errors"
	"time"
)

// An eapVerifier carries EAP (RFC 3748) between the far side and an Authenticator, which runs the methods: this is the
// pump, and knows no method but Identity.
//
//	          Response/Identity: ask             verdict
//	waits ────────────────────────▶ decides ───────────────▶ granted: Success
//	│   │                           │     ▲                  refused: Failure
//	└───┘ 3, 6, 12, 20, 20 s        │     │ Response with its identifier
//	                      Exchange: ▼     │
//	                        Request sent ─┘ 3, 6, 12, 20, 20 s
//
// Success and Failure are said by the verdict alone, never by what is in a packet (RFC 3579 section 2.6.3).
type eapVerifier struct {
	host   methodHost
	state  verifierState
	id     byte             // of the last Request
	packet []byte           // the Request that is not answered; nil: none
	to     chan<- eapAnswer // who waits for its answer; nil: the Identity is wanted
	tries  int
	wait   time.Duration
	at     time.Time
	user   string // as claimed
	kind   byte   // the type of the last Response that was no Nak
	result byte   // code of the end
}

// RFC 3748 section 4.3: three to five retransmissions; the timer is RFC 6298's, which is 3 s at first there, doubles, and
// is not over 20 s.
const (
	eapTries   = 6
	eapRestart = 3 * time.Second
	eapSlowest = 20 * time.Second
)

func (m *eapVerifier) begin(now time.Time) {
	m.id = m.host.nextID()
	m.request(now, appendPacket(nil, eapRequest, m.id, []byte{eapIdentity}))
}

// request sends a Request and waits for its answer.
func (m *eapVerifier) request(now time.Time, pkt []byte) {
	m.id, m.packet = pkt[1], pkt
	m.tries, m.wait = 0, eapRestart
	m.transmit(now)
}

func (m *eapVerifier) transmit(now time.Time) {
	m.tries++
	m.at = now.Add(m.wait)
	m.wait = min(2*m.wait, eapSlowest)
	m.host.sendMethod(protoEAP, m.packet)
}

func (m *eapVerifier) deadline() time.Time { return m.at }

func (m *eapVerifier) expire(now time.Time) {
	if m.tries < eapTries {
		m.transmit(now)
		return
	}
	m.packet, m.at = nil, time.Time{}
	err := &NegotiationError{Phase: "EAP", Remote: true, Ours: "Request", Theirs: "nothing", Err: errNoAnswer}
	if m.to != nil {
		m.answer(eapAnswer{err: err}) // the Authenticator's to report
		return
	}
	m.state = verifierSilences
	m.host.refuse(err)
}

// answer ends the exchange that waits.
func (m *eapVerifier) answer(a eapAnswer) {
	m.to <- a
	m.to = nil
}

func (m *eapVerifier) receive(now time.Time, pkt []byte) {
	code, id, data, ok := parsePacket(pkt)
	if !ok || code != eapResponse || id != m.id || len(data) == 0 {
		return
	}
	switch {
	case m.state == verifierGranted || m.state == verifierRefused:
		m.host.sendMethod(protoEAP, appendPacket(nil, m.result, m.id, nil)) // it may have been lost
	case m.packet == nil:
		// It has been answered, and the Authenticator thinks: RFC 3748 section 4.1.
	case m.state == verifierWaits:
		// Section 5.1; a Nak of Identity is not allowed.
		if data[0] != eapIdentity || len(data)-1 > maxName {
			return
		}
		m.state, m.packet, m.at, m.user = verifierDecides, nil, time.Time{}, string(data[1:])
		m.host.ask(&AuthRequest{
			Protocol: EAP, User: m.user, Attempt: 1,
			EAP: bytes.Clone(pkt[:packetHeaderLen+len(data)]), Exchange: m.exchange,
		})
	case m.to != nil:
		m.packet, m.at = nil, time.Time{}
		if data[0] != eapNak {
			m.kind = data[0]
		}
		m.answer(eapAnswer{packet: bytes.Clone(pkt[:packetHeaderLen+len(data)])})
	}
}

// exchange is AuthRequest.Exchange: packet is a Request under an identifier of its own, the answer a Response under it.
func (m *eapVerifier) exchange(ctx context.Context, packet []byte) ([]byte, error) {
	packet = bytes.Clone(packet)
	return eapExchange(ctx, m.host, func(now time.Time, to chan<- eapAnswer) {
		err := checkEAP(packet, eapRequest, m.host.maxControl())
		switch {
		case m.state != verifierDecides:
			err = errEAPOver
		case m.to != nil:
			err = errEAPBusy
		case err == nil && packet[1] == m.id:
			// RFC 3748 section 4.1: the far side would take it for the last one once more.
			err = errors.New("ppp: an EAP Request under the last one's identifier")
		}
		if err != nil {
			to <- eapAnswer{err: err}
			return
		}
		if c := eapChallenge(packet); c != nil {
			m.host.challenges().note(c)
		}
		m.to = to
		m.request(now, packet)
	}, func(to chan<- eapAnswer) {
		if m.to == to {
			m.to, m.packet, m.at = nil, nil, time.Time{}
		}
	})
}

var (
	errEAPOver = errors.New("ppp: the EAP conversation is over")
	errEAPBusy = errors.New("ppp: an EAP Exchange while another waits")
)

func (m *eapVerifier) verdict(now time.Time, g *Grant, err error) {
	if m.state != verifierDecides {
		return
	}
	if m.to != nil { // of a goroutine that the Authenticator left behind
		m.answer(eapAnswer{err: errEAPOver})
	}
	m.packet, m.at = nil, time.Time{}
	if g != nil && err == nil {
		if missing := missingKeys(EAP, g); missing != "" {
			err = &AuthError{Err: missingError(missing)}
		}
	}
	if g == nil || err != nil {
		m.end(verifierRefused, eapFailure)
		var n *NegotiationError
		var a *AuthError
		if errors.As(err, &n) && !errors.As(err, &a) {
			m.host.refuse(n) // nobody answered: not a wrong password
			return
		}
		m.host.refuse(refusal(err))
		return
	}
	m.end(verifierGranted, eapSuccess)
	m.host.granted(EAP, grantTo(g, EAP, m.user))
}

// end says how it ended, under the identifier of the last Response (RFC 3748 section 4.2).
func (m *eapVerifier) end(s verifierState, code byte) {
	m.state, m.result = s, code
	m.host.sendMethod(protoEAP, appendPacket(nil, code, m.id, nil))
}

func (m *eapVerifier) refused() *AuthError { return nil }
