package ppp

import (
	"bytes"
	"cmp"
	"time"
)

// ownName is what an end without a Config.User calls itself; RFC 1994 section 4.1 wants one octet at least.
const ownName = "dialway"

// challengeLen is how long a CHAP-MD5 challenge of this end is; MS-CHAPv2 wants just that (RFC 2759 section 3).
const challengeLen = 16

// A chapVerifier asks by CHAP with MD5 (RFC 1994) or MS-CHAPv2 (RFC 2759).
//
//	                Response             verdict: yes
//	waits ──────────────────────▶ decides ───────────▶ granted: Success
//	│   │                           ▲ ▲ │
//	└───┘ 3 s, 10 times             │ │ ├── no ───────▶ refused: Failure
//	                      Response │ │ │ no, and it may be tried again (R=1)
//	                               │ │ └──────────────────▶ retries
//	                               └─┼────────────────────────┘
//	                 Change-Password │   password expired (E=648)
//	                                 └─────────────────────── changes
//
// The last three are MS-CHAPv2's. A Response that comes once more gets the stored result, and is not decided again.
type chapVerifier struct {
	host      methodHost
	protocol  AuthProtocol // CHAP or MSCHAPv2
	state     verifierState
	challenge [challengeLen]byte // what a Response answers
	packet    []byte             // the Challenge, to be repeated until there is an answer
	id        byte               // of the Challenge
	tries     int
	at        time.Time

	answered byte   // the identifier of what was decided last
	response []byte // its data, while a retry may follow
	result   []byte // the Success or Failure for it
	user     string
	attempt  int
	changing bool       // what is decided is a Change
	failure  *AuthError // what waits for another attempt
}

func (m *chapVerifier) begin(now time.Time) {
	m.newChallenge(nil)
	m.id = m.host.nextID()
	name := cmp.Or(m.host.settings().User, ownName)
	m.packet = appendPacket(nil, chapChallenge, m.id, appendCHAPValue(nil, m.challenge[:], clip(name, maxName)))
	m.send(now)
}

// newChallenge makes what the next Response answers, unless the Authenticator wants another.
func (m *chapVerifier) newChallenge(wanted []byte) {
	if len(wanted) == challengeLen {
		copy(m.challenge[:], wanted)
	} else {
		m.host.random(m.challenge[:])
	}
	m.host.challenges().note(m.challenge[:])
}

// send sends the Challenge. Repeated, it is the same packet: with a new identifier, as RFC 1994 section 4.1 can be read,
// a far side whose answer takes longer than the timer could never be heard.
func (m *chapVerifier) send(now time.Time) {
	m.tries++
	m.at = now.Add(methodRestart)
	m.host.sendMethod(protoCHAP, m.packet)
}

func (m *chapVerifier) deadline() time.Time { return m.at }

func (m *chapVerifier) expire(now time.Time) {
	switch m.state {
	case verifierWaits:
		if m.tries < methodTries {
			m.send(now)
			return
		}
		m.over(verifierSilences)
		m.host.refuse(&NegotiationError{Phase: m.protocol.String(), Remote: true, Ours: "Challenge", Theirs: "nothing", Err: errNoAnswer})
	case verifierRetries, verifierChanges:
		m.over(verifierRefused)
		m.host.refuse(m.failure)
	}
}

func (m *chapVerifier) refused() *AuthError {
	if m.state == verifierRetries || m.state == verifierChanges {
		return m.failure
	}
	return nil
}

// over ends the timers, and forgets what is not looked at again.
func (m *chapVerifier) over(s verifierState) {
	m.state, m.at, m.packet = s, time.Time{}, nil
	if s == verifierGranted || s == verifierRefused {
		m.response = nil
	}
}

func (m *chapVerifier) receive(now time.Time, pkt []byte) {
	code, id, data, ok := parsePacket(pkt)
	switch {
	case !ok:
	case code == chapResponse:
		m.respond(id, data)
	case code == chapChange && m.protocol == MSCHAPv2:
		m.change(id, data)
	}
}

// respond takes a Response: the first one, one more for a retry, or the same again.
func (m *chapVerifier) respond(id byte, data []byte) {
	switch m.state {
	case verifierWaits:
		if id != m.id {
			return
		}
	case verifierRetries:
		// RFC 2759 section 6: the retry's identifier is one more. Of one that is not, only new contents are a retry.
		if id == m.answered && bytes.Equal(data, m.response) {
			m.repeat()
			return
		}
		if id != m.answered+1 && id != m.answered {
			return
		}
	case verifierChanges, verifierGranted, verifierRefused:
		// RFC 1994 section 4.1: the result may have been lost.
		if id == m.answered && !m.changing {
			m.repeat()
		}
		return
	default:
		return
	}
	value, name, ok := parseCHAPValue(data)
	if !ok || !m.lengthOK(value) {
		return
	}
	m.user = string(name)
	m.decide(id, data, &AuthRequest{Response: bytes.Clone(value)})
}

// lengthOK reports whether a Response's value can be right.
func (m *chapVerifier) lengthOK(value []byte) bool {
	if m.protocol == MSCHAPv2 {
		return len(value) == msResponseLen
	}
	return len(value) == 16 // MD5
}

// change takes a Change-Password, RFC 2759 section 7.
func (m *chapVerifier) change(id byte, data []byte) {
	if m.changing && m.state != verifierDecides && id == m.answered {
		m.repeat()
		return
	}
	if !mayChange(m.state == verifierChanges) || len(data) != msChangeLen {
		return
	}
	// Section 7: the Failure's identifier plus one; the same is taken, too, for peers that count otherwise.
	if id != m.answered+1 && id != m.answered {
		return
	}
	m.changing = true
	m.decide(id, data, &AuthRequest{Change: bytes.Clone(data)})
}

// decide asks the Authenticator.
func (m *chapVerifier) decide(id byte, data []byte, req *AuthRequest) {
	m.over(verifierDecides)
	m.answered, m.response = id, bytes.Clone(data)
	m.attempt++
	req.Protocol, req.User, req.Attempt, req.Identifier = m.protocol, m.user, m.attempt, id
	req.Challenge = bytes.Clone(m.challenge[:])
	m.host.ask(req)
}

// repeat sends the stored result.
func (m *chapVerifier) repeat() { m.host.sendMethod(protoCHAP, m.result) }

// finish stores a result and sends it.
func (m *chapVerifier) finish(code byte, data []byte) {
	m.result = appendPacket(nil, code, m.answered, data)
	m.repeat()
}

func (m *chapVerifier) verdict(now time.Time, g *Grant, err error) {
	if m.state != verifierDecides {
		return
	}
	var e *AuthError
	if g == nil || err != nil {
		e = refusal(err)
	} else if missing := missingKeys(m.protocol, g); missing != "" {
		e = &AuthError{Err: missingError(missing)}
	}
	switch {
	case e != nil && m.protocol == MSCHAPv2:
		m.fail(now, e)
	case e != nil:
		m.over(verifierRefused)
		m.finish(chapFailure, []byte(clip(e.Message, maxMessage)))
		m.host.refuse(e)
	default:
		m.over(verifierGranted)
		m.finish(chapSuccess, m.successData(g))
		m.host.granted(m.protocol, grantTo(g, m.protocol, m.user))
	}
}

func (m *chapVerifier) successData(g *Grant) []byte {
	if m.protocol == MSCHAPv2 {
		s := msSuccess{proof: g.Proof, message: g.Message}
		return s.append(nil)
	}
	return []byte(clip(g.Message, maxMessage))
}

// fail refuses by MS-CHAPv2 (RFC 2759 section 6), for good or for this time.
func (m *chapVerifier) fail(now time.Time, e *AuthError) {
	f := msFailure{code: cmp.Or(e.Code, CodeFailed), version: 3, message: e.Message}
	next := verifierRefused
	switch {
	case m.changing:
		// Section 6: the only answer to a change that fails, and there is no second one.
		if f.code == CodeFailed || f.code == CodeExpired {
			f.code = CodeChanging
		}
	case f.code == CodeExpired:
		next = verifierChanges
	case e.Retry && mayTryAgain(m.attempt, m.host.settings().AuthRetries):
		f.retry, next = true, verifierRetries
	}
	m.newChallenge(e.Challenge)
	f.challenge = m.challenge
	m.finish(chapFailure, f.append(nil))
	m.over(next)
	if next == verifierRefused {
		m.host.refuse(e)
		return
	}
	// Section 6: a retry disables short time-outs, since somebody types.
	m.failure, m.at = e, now.Add(patience)
}
