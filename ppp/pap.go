package ppp

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Timers of the methods. RFC 1334 and RFC 1994 leave them open; these are RFC 1661's (section 4.6), which pppd uses here,
// too.
const (
	methodRestart = 3 * time.Second
	methodTries   = 10
)

// patience is how long a method waits for a human at the far side, or for a far side that has to make the first move:
// RRAS' AuthenticateTime.
const patience = 2 * time.Minute

// A papProver says name and password (RFC 1334 section 2).
//
//	         begin                       Ack
//	idle ────────────▶ asking ──────────────────────▶ over: proved
//	                    │  │
//	     3 s, 10 times ─┘  └─ Nak, nobody answers ──▶ over: refused
type papProver struct {
	host  methodHost
	state proverState
	ids   [methodTries]byte // of the requests sent
	tries int
	at    time.Time
}

type proverState uint8

const (
	proverIdle   proverState = iota // nothing is asked yet
	proverAsked                     // sent; a result is wanted
	proverAsks                      // Config.Retry is at work
	proverProved                    // the far side accepted this end
	proverOver                      // refused
)

func (m *papProver) begin(now time.Time) {
	c := m.host.settings()
	if len(c.User) > maxPAPText || len(c.Password) > maxPAPText {
		m.refuse(&NegotiationError{Phase: "PAP", Err: fmt.Errorf("name or password is longer than %d bytes", maxPAPText)})
		return
	}
	m.state = proverAsked
	m.send(now)
}

// send sends the request under a new identifier, as RFC 1334 section 2.2.1 wants it for each.
func (m *papProver) send(now time.Time) {
	c := m.host.settings()
	id := m.host.nextID()
	m.ids[m.tries] = id
	m.tries++
	m.at = now.Add(methodRestart)
	data := appendPAPRequest(make([]byte, 0, 2+len(c.User)+len(c.Password)), c.User, string(c.Password))
	m.host.sendMethod(protoPAP, appendPacket(nil, papRequest, id, data))
}

func (m *papProver) receive(now time.Time, pkt []byte) {
	code, id, data, ok := parsePacket(pkt)
	// The answer to any request is the answer: all say the same.
	if !ok || !mayTakeResult(m.state == proverAsked, slices.Contains(m.ids[:m.tries], id)) {
		return
	}
	switch code {
	case papAck:
		m.state, m.at = proverProved, time.Time{}
		m.host.proved(PAP, nil, nil, 0)
	case papNak:
		m.refuse(&AuthError{Message: parsePAPReply(data), Remote: true})
	}
}

func (m *papProver) deadline() time.Time { return m.at }

func (m *papProver) expire(now time.Time) {
	if m.tries < methodTries {
		m.send(now)
		return
	}
	m.refuse(&NegotiationError{Phase: "PAP", Remote: true, Ours: "Authenticate-Request", Theirs: "nothing", Err: errNoAnswer})
}

func (m *papProver) refuse(err error) {
	m.state, m.at = proverOver, time.Time{}
	m.host.refuse(err)
}

// secret: PAP has no retry.
func (m *papProver) secret(now time.Time, s Secret, err error) {}

// A papVerifier asks for name and password, which means to wait for them.
//
//	         Request             verdict
//	waits ────────────▶ decides ──────────▶ granted, refused
//	                     │    ▲                    │   ▲
//	                     └────┘ Request:           └───┘ Request: the same answer,
//	                            its id counts            under its id
type papVerifier struct {
	host  methodHost
	state verifierState
	id    byte // of the latest request
	user  string
	code  byte   // of the answer
	reply []byte // its data
	at    time.Time
}

type verifierState uint8

const (
	verifierWaits    verifierState = iota // for a first answer
	verifierDecides                       // the Authenticator is at work
	verifierRetries                       // another answer may come
	verifierChanges                       // a Change-Password may come
	verifierGranted                       // the far side is who it says
	verifierRefused                       // it is not, or may not
	verifierSilences                      // over, with nothing to say
)

func (m *papVerifier) begin(now time.Time) { m.at = now.Add(patience) }

func (m *papVerifier) receive(now time.Time, pkt []byte) {
	code, id, data, ok := parsePacket(pkt)
	if !ok || code != papRequest {
		return
	}
	user, password, ok := parsePAPRequest(data)
	if !ok {
		return
	}
	switch m.state {
	case verifierWaits:
		m.state, m.id, m.user, m.at = verifierDecides, id, string(user), time.Time{}
		m.host.ask(&AuthRequest{Protocol: PAP, User: m.user, Attempt: 1, Password: Secret(password)})
	case verifierDecides:
		// A repeated request is not another login: pppd's would be ten while RADIUS waits for a telephone. It has a new
		// identifier, which the answer must carry.
		m.id = id
	case verifierGranted, verifierRefused:
		// RFC 1334 section 2.2.1: whatever it says, it gets the same answer again.
		m.id = id
		m.answer()
	}
}

func (m *papVerifier) answer() {
	m.host.sendMethod(protoPAP, appendPacket(nil, m.code, m.id, m.reply))
}

func (m *papVerifier) verdict(now time.Time, g *Grant, err error) {
	if m.state != verifierDecides {
		return
	}
	if g == nil || err != nil {
		e := refusal(err)
		m.state, m.code, m.reply = verifierRefused, papNak, appendPAPReply(nil, e.Message)
		m.answer()
		m.host.refuse(e)
		return
	}
	m.state, m.code, m.reply = verifierGranted, papAck, appendPAPReply(nil, g.Message)
	m.answer()
	m.host.granted(PAP, grantTo(g, PAP, m.user))
}

func (m *papVerifier) refused() *AuthError { return nil }

func (m *papVerifier) deadline() time.Time { return m.at }

func (m *papVerifier) expire(now time.Time) {
	m.state, m.at = verifierSilences, time.Time{}
	m.host.refuse(&NegotiationError{Phase: "PAP", Remote: true, Ours: "waited for an Authenticate-Request", Theirs: "nothing", Err: errNoAnswer})
}

// refusal makes an AuthError of what an Authenticator returned without a Grant.
func refusal(err error) *AuthError {
	if err == nil {
		err = errors.New("the Authenticator granted nothing")
	}
	return asAuthError(err)
}

// grantTo returns a Grant with its User set, where the method proves the name it was given.
func grantTo(g *Grant, p AuthProtocol, user string) *Grant {
	n := *g // the Authenticator's is not modified
	if n.User == "" && provesName(p) {
		n.User = user
	}
	return &n
}
