package ppp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"
)

// An eapProver carries EAP (RFC 3748) between a server and Config.EAP, which runs the methods.
//
//	       Request             Config.EAP is done
//	idle ───────────▶ running ────────────────────▶ pending ──── Success ───▶ proved
//	                   │  ▲ │                          └──────── Failure ───▶ over
//	         Exchange: ▼  │ │ Config.EAP is done, and had io.EOF
//	           Response ──┘ └───────────────────────────────────────────────▶ proved
//	            Request: the answer
//	            Success: io.EOF
//	            Failure: *AuthError
//
// A Request that comes again gets the stored Response (section 4.1). A Success that comes while nobody waits for one is
// discarded, and one that a method had too early it can discard by another Exchange, without a packet. A server may begin
// again later: that changes nothing but yes or no.
type eapProver struct {
	host     methodHost
	state    proverState // idle, asks (running), asked (pending), proved, over
	proved   bool
	run      int    // counts conversations, so that those left behind are known
	id       byte   // of the last Request
	known    bool   // there was one
	response []byte // to it; nil: not yet
	to       chan<- eapAnswer
	success  bool // the method has had io.EOF
	eapType  byte // of the last method
	msk      []byte
	at       time.Time
	no       *AuthError // the server's Failure, of which the method was told
	verdict  chan error // what the method makes of it; filled once
}

func (m *eapProver) begin(now time.Time) {}

func (m *eapProver) deadline() time.Time { return m.at }

func (m *eapProver) expire(now time.Time) {
	m.refuse(&NegotiationError{Phase: "EAP", Remote: true, Ours: "waited for Success", Theirs: "nothing", Err: errNoAnswer})
}

// secret: methods ask for themselves.
func (m *eapProver) secret(now time.Time, s Secret, err error) {}

func (m *eapProver) receive(now time.Time, pkt []byte) {
	code, id, data, ok := parsePacket(pkt)
	switch {
	case !ok || m.state == proverOver:
	case code == eapRequest && len(data) > 0:
		m.requested(id, pkt[:packetHeaderLen+len(data)])
	case code == eapSuccess || code == eapFailure:
		// RFC 3748 section 4.2: the identifier is the last Response's. Some servers count on.
		if mayTakeResult(m.response != nil, id == m.id || id == m.id+1) {
			m.ended(code == eapSuccess)
		}
	}
}

func (m *eapProver) requested(id byte, pkt []byte) {
	if c := eapChallenge(pkt); c != nil && !mayAnswerChallenge(m.host.challenges().has(c)) {
		m.refuse(&NegotiationError{
			Phase: "EAP", Remote: true, Theirs: "this end's own challenge",
			Hint: "the far side does not know the password, or the line is looped back",
		})
		return
	}
	switch {
	case m.known && id == m.id && m.state != proverIdle:
		if m.response != nil {
			m.host.sendMethod(protoEAP, m.response)
		}
	case m.to != nil:
		m.id, m.response = id, nil
		m.answer(eapAnswer{packet: bytes.Clone(pkt)})
	case m.state == proverIdle || m.state == proverProved:
		m.start(id, bytes.Clone(pkt))
	}
	// Else the method thinks about the last one: EAP goes in lock-step, and this one will come again.
}

// start begins a conversation.
func (m *eapProver) start(id byte, pkt []byte) {
	m.state, m.id, m.known, m.response, m.success, m.eapType = proverAsks, id, true, nil, false, 0
	m.run++
	run, f := m.run, m.host.settings().EAP
	verdict := make(chan error, 1)
	m.no, m.verdict = nil, verdict
	m.host.goBeside(func(ctx context.Context) {
		msk, err := f(ctx, pkt, func(ctx context.Context, packet []byte) ([]byte, error) {
			return m.exchange(ctx, run, packet)
		})
		verdict <- err
		m.host.post(func(now time.Time) { m.finished(now, msk, err) })
	})
}

// exchange is the Exchange of Config.EAP: packet is the Response to the last Request, the answer the next Request.
// Without a packet it only waits.
func (m *eapProver) exchange(ctx context.Context, run int, packet []byte) ([]byte, error) {
	packet = bytes.Clone(packet)
	return eapExchange(ctx, m.host, func(now time.Time, to chan<- eapAnswer) {
		var err error
		switch {
		case m.state != proverAsks || run != m.run:
			err = errEAPOver
		case m.to != nil:
			err = errEAPBusy
		case packet == nil && m.response == nil:
			err = errors.New("ppp: an EAP Exchange that waits, but the last Request is not answered")
		case packet != nil:
			if err = checkEAP(packet, eapResponse, m.host.maxControl()); err == nil && (packet[1] != m.id || m.response != nil) {
				err = fmt.Errorf("ppp: an EAP Response under identifier %d, which is not that of an open Request", packet[1])
			}
		}
		if err != nil {
			to <- eapAnswer{err: err}
			return
		}
		m.to, m.success = to, false
		if packet == nil {
			return
		}
		m.response = packet
		if t := packet[packetHeaderLen]; t > eapNak {
			m.eapType = t
		}
		m.host.sendMethod(protoEAP, packet)
	}, func(to chan<- eapAnswer) {
		if m.to == to {
			m.to = nil
		}
	})
}

// answer ends the exchange that waits.
func (m *eapProver) answer(a eapAnswer) {
	m.to <- a
	m.to = nil
}

// ended takes a Success or Failure that may be one.
func (m *eapProver) ended(success bool) {
	no := &AuthError{Remote: true}
	switch {
	case m.to != nil && success:
		m.success = true
		m.answer(eapAnswer{err: io.EOF})
	case m.to != nil:
		m.no = no
		given := *no
		m.answer(eapAnswer{err: &given})
	case m.state == proverAsked && success:
		m.complete()
	case m.state == proverAsked:
		m.refuse(no)
	}
}

// explain is what the method says of the server's Failure. It waits for the method, whose ctx has ended. A server says
// goodbye right behind its Failure, so that the link may be over before the method has said why.
func (m *eapProver) explain() error {
	var a *AuthError
	var n *NegotiationError
	switch err := <-m.verdict; {
	case errors.As(err, &a):
		return a
	case errors.As(err, &n): // it had refused the server before the server refused it
		return n
	}
	return m.no
}

// finished takes what Config.EAP returned.
func (m *eapProver) finished(now time.Time, msk []byte, err error) {
	if m.state != proverAsks {
		return
	}
	if m.to != nil { // of a goroutine that the method left behind
		m.answer(eapAnswer{err: errEAPOver})
	}
	if err != nil {
		var a *AuthError
		var n *NegotiationError
		switch {
		case errors.As(err, &a):
			m.refuse(a)
		case errors.As(err, &n):
			m.refuse(n)
		default:
			m.refuse(&NegotiationError{Phase: "EAP", Err: err})
		}
		return
	}
	m.msk = msk
	if m.success {
		m.complete()
		return
	}
	m.state, m.at = proverAsked, now.Add(patience)
}

// complete: the method is content, and the server has said Success.
func (m *eapProver) complete() {
	msk := m.msk
	m.msk = nil
	var err error
	switch {
	case len(msk) == 0:
		if !mayBindKeyless(false, m.host.called().Verified) {
			err = errors.New("the method yields no keys, and the transport has not verified the server: nothing binds them together")
		}
	case len(msk) < 64 || !isKey(msk[:32]):
		err = fmt.Errorf("an MSK of %d bytes, or of zeros; 64 are wanted (RFC 3748 section 7.10)", len(msk))
	}
	if err != nil {
		m.refuse(&NegotiationError{Phase: "EAP", Err: err})
		return
	}
	m.state, m.at = proverProved, time.Time{}
	if m.proved {
		return
	}
	m.proved = true
	if len(msk) == 0 {
		m.host.proved(EAP, nil, nil, m.eapType)
		return
	}
	// RFC 5216 section 2.3: the first half is the peer's to send with.
	m.host.proved(EAP, msk[:32], msk[32:64], m.eapType)
}

func (m *eapProver) refuse(err error) {
	m.state, m.at = proverOver, time.Time{}
	m.host.refuse(err)
}
