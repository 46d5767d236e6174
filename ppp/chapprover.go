package ppp

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/dialway/dialway/internal/mschap"
)

// A chapProver answers CHAP with MD5 (RFC 1994) or MS-CHAPv2 (RFC 2759).
//
//	       Challenge            Success, and its proof holds
//	idle ────────────▶ asked ─────────────────────────────────▶ proved
//	                   ▲   ▲ └─ Failure ──┬───────────────────▶ over: refused   │ Challenge: answered again,
//	                   │   └─┐            │ R=1, or E=648,                      │ "no" ends the link
//	       10, 20, 40 s└─────┘            ▼ and Config.Retry               ◀────┘
//	                       └─────────── asks
//	                        its answer
type chapProver struct {
	host      methodHost
	protocol  AuthProtocol // CHAP or MSCHAPv2
	state     proverState
	proved    bool   // once; a later challenge changes nothing but yes or no
	password  Secret // which the next answer is made of
	challenge []byte // what the last answer answers
	id        byte   // of it
	packet    []byte // the answer, to be repeated
	tries     int
	at        time.Time
	retries   int  // Config.Retry was asked
	changed   bool // a new password was sent

	// MS-CHAPv2.
	want       [20]byte // the server's proof
	send, recv [16]byte // keys, once want is proved
	failure    *AuthError
}

// Config.Retry is not asked without end, whatever the server says: a function that always returns the same would loop.
const maxRetries = 10

func (m *chapProver) begin(now time.Time) { m.password = m.host.settings().Password }

func (m *chapProver) receive(now time.Time, pkt []byte) {
	code, id, data, ok := parsePacket(pkt)
	if !ok {
		return
	}
	switch code {
	case chapChallenge:
		m.challenged(now, id, data)
	case chapSuccess:
		if mayTakeResult(m.state == proverAsked, id == m.id) {
			m.succeed(data)
		}
	case chapFailure:
		if mayTakeResult(m.state == proverAsked, id == m.id) {
			m.fail(data)
		}
	}
}

// challenged answers a Challenge, RFC 1994 section 4.1: "the peer MUST transmit a Response".
func (m *chapProver) challenged(now time.Time, id byte, data []byte) {
	value, _, ok := parseCHAPValue(data)
	if !ok || m.protocol == MSCHAPv2 && len(value) != msChallengeLen {
		return
	}
	switch m.state {
	case proverAsks, proverOver:
		return // a Challenge that was repeated before the server's Failure
	case proverAsked, proverProved:
		if id == m.id && bytes.Equal(value, m.challenge) {
			m.host.sendMethod(protoCHAP, m.packet)
			return
		}
	}
	if !mayAnswerChallenge(m.host.challenges().has(value)) {
		m.refuse(&NegotiationError{
			Phase: m.protocol.String(), Remote: true, Theirs: "this end's own challenge",
			Hint: "the far side does not know the password, or the line is looped back",
		})
		return
	}
	m.answer(now, id, value)
}

// answer sends the Response to a challenge.
func (m *chapProver) answer(now time.Time, id byte, challenge []byte) {
	m.id, m.challenge = id, bytes.Clone(challenge)
	value, err := m.value()
	if err != nil {
		m.refuse(&NegotiationError{Phase: m.protocol.String(), Err: err})
		return
	}
	m.transmit(now, chapResponse, appendCHAPValue(nil, value, m.host.settings().User))
}

// value makes the value of a Response, and what its answer must be.
func (m *chapProver) value() ([]byte, error) {
	if n := len(m.host.settings().User); n > maxName {
		return nil, fmt.Errorf("Config.User has %d bytes, %d are allowed", n, maxName)
	}
	if m.protocol == CHAP {
		if m.password == "" {
			return nil, errors.New("Config.Password is empty, which RFC 1994 section 2.2 does not allow")
		}
		v, err := chapMD5(m.id, m.password, m.challenge)
		return v[:], err
	}
	hash, err := mschap.NTPasswordHash(string(m.password))
	if err != nil {
		return nil, err
	}
	r := m.msRespond(hash)
	return r.append(nil), nil
}

// msRespond answers m.challenge for a password's hash, and keeps what the server must prove and the keys.
func (m *chapProver) msRespond(hash [16]byte) (r msResponse) {
	user, auth := m.host.settings().User, [msChallengeLen]byte(m.challenge)
	m.host.random(r.peer[:])
	r.nt = mschap.NTResponse(auth, r.peer, user, hash)
	m.want = mschap.AuthenticatorResponse(hash, r.nt, r.peer, auth, user)
	m.send, m.recv = mschap.StartKeys(mschap.MasterKey(mschap.HashHash(hash), r.nt), false)
	return r
}

// answerRestart is the time to the first repetition of an answer. RFC 1994 has none but lets a peer repeat (section
// 4.1: the authenticator MUST allow it), which a lossy line needs. Over TCP nothing is lost, and there are servers that
// make another login of each repetition: so it is slow, gets slower, and is done three times.
const (
	answerRestart = 10 * time.Second
	answerTries   = 4
)

func (m *chapProver) transmit(now time.Time, code byte, data []byte) {
	m.state, m.tries = proverAsked, 1
	m.at = now.Add(answerRestart)
	m.packet = appendPacket(nil, code, m.id, data)
	m.host.sendMethod(protoCHAP, m.packet)
}

func (m *chapProver) deadline() time.Time { return m.at }

func (m *chapProver) expire(now time.Time) {
	if m.tries == answerTries {
		m.at = time.Time{} // the opening of the link has a time limit of its own
		return
	}
	m.at = now.Add(answerRestart << m.tries)
	m.tries++
	m.host.sendMethod(protoCHAP, m.packet)
}

func (m *chapProver) succeed(data []byte) {
	var send, recv []byte
	if m.protocol == MSCHAPv2 {
		s := parseMSSuccess(data)
		if !s.hasProof || !proofHolds(s.proof, m.want) {
			m.refuse(&AuthError{Err: errNoProof})
			return
		}
		send, recv = m.send[:], m.recv[:]
	}
	m.state, m.at = proverProved, time.Time{}
	if !m.proved {
		m.proved = true
		m.host.proved(m.protocol, send, recv, 0)
	}
}

func (m *chapProver) fail(data []byte) {
	if m.protocol != MSCHAPv2 {
		m.refuse(&AuthError{Message: messageText(data), Remote: true})
		return
	}
	f := parseMSFailure(data)
	e := &AuthError{Code: f.code, Retry: f.retry, Message: f.message, Remote: true}
	if f.hasChallenge {
		e.Challenge = f.challenge[:]
	}
	// RFC 2759 section 6: a password may be changed after E=648 R=0 V=3 alone. A change that failed is not tried again.
	change := f.code == CodeExpired && !f.retry && f.version == 3 && f.hasChallenge
	if m.proved || m.changed || !f.retry && !change || m.host.settings().Retry == nil || m.retries == maxRetries {
		m.refuse(e)
		return
	}
	if own := f.hasChallenge && m.host.challenges().has(e.Challenge); !mayAnswerChallenge(own) {
		m.refuse(e)
		return
	}
	m.retries++
	m.state, m.at, m.failure = proverAsks, time.Time{}, e
	given := *e
	given.Challenge = bytes.Clone(e.Challenge) // the function's own
	m.host.retry(&given)
}

// secret goes on with what Config.Retry said: another password, or after E=648 a new one.
func (m *chapProver) secret(now time.Time, s Secret, err error) {
	if m.state != proverAsks {
		return
	}
	e := m.failure
	if err != nil || s == "" {
		e.Err = err
		m.refuse(e)
		return
	}
	if e.Challenge != nil {
		m.challenge = e.Challenge // else the last one: the server made no other
	}
	m.id++ // RFC 2759 sections 6 and 7: the Failure's, plus one
	if e.Retry {
		m.password = s
		m.answer(now, m.id, m.challenge)
		return
	}
	change, err := m.change(s)
	if err != nil {
		m.refuse(&NegotiationError{Phase: m.protocol.String(), Ours: "Change-Password", Err: err})
		return
	}
	m.password, m.changed = s, true
	m.transmit(now, chapChange, change)
}

// change makes a Change-Password packet's data, RFC 2759 section 7.
func (m *chapProver) change(password Secret) ([]byte, error) {
	oldHash, err := mschap.NTPasswordHash(string(m.password))
	if err != nil {
		return nil, err
	}
	newHash, err := mschap.NTPasswordHash(string(password))
	if err != nil {
		return nil, err
	}
	var padding [512]byte
	m.host.random(padding[:])
	c := msChange{hash: mschap.EncryptHash(oldHash, newHash), response: m.msRespond(newHash)}
	if c.password, err = mschap.EncryptPassword(string(password), oldHash, padding); err != nil {
		return nil, err
	}
	return c.append(nil), nil
}

func (m *chapProver) refuse(err error) {
	m.state, m.at = proverOver, time.Time{}
	m.host.refuse(err)
}
