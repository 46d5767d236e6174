package ppp

import (
	"bytes"
	"encoding/binary"
	"time"
)

// Timer and counters of RFC 1661 section 4.6.
const (
	restartTime  = 3 * time.Second
	maxTerminate = 2
	maxConfigure = 10
	maxFailure   = 5

	// maxRounds bounds the Naks and Rejects that a peer may answer our requests with (each restarts the counter), and the
	// requests it may make that cannot be acknowledged: a peer that never agrees would never let go.
	maxRounds = 20
)

// A layer is what one control protocol adds to the automaton: its options.
type layer interface {
	request(b []byte) []byte                              // appends the options this end asks for
	check(list []byte, a *answer)                         // examines a peer's request; what it accepts is in force if it is acknowledged
	naked(list []byte) error                              // the peer suggests other values
	rejected(list []byte) error                           // the peer does not take these options
	up(now time.Time)                                     // This-Layer-Up
	down()                                                // This-Layer-Down
	finished(why error)                                   // This-Layer-Finished; why is nil after a goodbye
	other(code, id byte, data []byte, now time.Time) bool // a code beyond 7; false: unknown
}

// A waiter is a layer that may not be able to answer a request yet.
type waiter interface {
	wait(list []byte) bool // true: keep the request until recheck
}

// An automaton runs RFC 1661's state machine for one control protocol. All of it belongs to R.
type automaton struct {
	proto uint16
	state fsmState
	id    byte // of the last Configure-Request

	// Three of these are in every session, so the counters are small; none goes beyond maxRounds and one.
	termID  byte
	counter int8  // restart counter
	naks    uint8 // Configure-Naks sent since the last Ack, against maxFailure
	rounds  uint8 // Naks and Rejects received since the layer came up
	bad     uint8 // requests of the peer that were not acknowledged since then

	layer   layer
	link    *Conn
	expires time.Time // restart timer; zero: stopped
	sent    []byte    // the last request's options: an Ack must repeat them; nil once the layer is up
	why     error     // why the layer finishes
	held    []byte    // a Configure-Request that waits, whole packet
}

// event runs one transition; answer codes that need data are given by the caller as reply.
func (a *automaton) event(e fsmEvent, now time.Time, reply func()) {
	actions, next := step(a.state, e)
	if actions&actUndefined != 0 {
		return
	}
	was := a.state
	a.state = next
	if actions&actLayerDown != 0 {
		a.rounds, a.naks, a.bad = 0, 0, 0
		if a.layer.down(); a.state != next {
			return // what was above has ended the link
		}
	}
	if actions&actInitCounter != 0 {
		if actions&actSendTerminate != 0 {
			a.counter = maxTerminate
		} else {
			a.counter = maxConfigure
		}
	}
	if actions&actZeroCounter != 0 {
		// Wait one restart period for the peer to close (RFC 1661 section 4.4, zrc).
		a.counter = 0
		a.expires = now.Add(restartTime)
	}
	if actions&actSendRequest != 0 {
		a.sendRequest(now, e == evTimeout)
	}
	if actions&actSendTerminate != 0 {
		a.sendTerminate(now, e == evTimeout)
	}
	if actions&(actSendAck|actSendNak|actSendTermAck|actSendCodeReject|actSendEchoReply) != 0 && reply != nil {
		reply()
	}
	if !a.timed() {
		a.expires = time.Time{}
	}
	if actions&actLayerUp != 0 {
		a.rounds, a.naks, a.bad, a.sent = 0, 0, 0, nil
		a.layer.up(now)
	}
	if actions&actLayerFinished != 0 {
		why := a.why
		a.why = nil
		if why == nil && e == evTimeoutFinal && was >= stateReqSent {
			why = errNoAnswer
		}
		a.layer.finished(why)
	}
}

// timed reports whether the restart timer runs in the present state.
func (a *automaton) timed() bool {
	switch a.state {
	case stateClosing, stateStopping, stateReqSent, stateAckRcvd, stateAckSent:
		return true
	}
	return false
}

func (a *automaton) up(now time.Time)    { a.event(evUp, now, nil) }
func (a *automaton) open(now time.Time)  { a.event(evOpen, now, nil) }
func (a *automaton) close(now time.Time) { a.event(evClose, now, nil) }

// reset brings an automaton back to Initial without a word: the layer below is gone, or is not to be asked again.
func (a *automaton) reset() {
	a.state, a.expires, a.held = stateInitial, time.Time{}, nil
	a.naks, a.rounds, a.bad, a.why = 0, 0, 0, nil
}

// alive reports whether the layer is open or may still open.
func (a *automaton) alive() bool {
	return a.state >= stateReqSent || a.state == stateStopped && a.held != nil
}

// opened reports whether the layer is up.
func (a *automaton) opened() bool { return a.state == stateOpened }

// expire runs when the restart timer is due.
func (a *automaton) expire(now time.Time) {
	if a.counter > 0 {
		a.event(evTimeout, now, nil)
	} else {
		a.event(evTimeoutFinal, now, nil)
	}
}

func (a *automaton) sendRequest(now time.Time, again bool) {
	list := a.layer.request(a.link.scratch[:0])
	if !again || !bytes.Equal(list, a.sent) {
		// A new identifier whenever the content changes or an answer has come (RFC 1661 section 5.1).
		a.id = a.link.nextID()
	}
	a.sent = append(a.sent[:0], list...)
	a.link.sendPacket(a.proto, codeConfigureRequest, a.id, a.sent)
	a.counter--
	a.expires = now.Add(restartTime)
}

func (a *automaton) sendTerminate(now time.Time, again bool) {
	if !again {
		a.termID = a.link.nextID()
	}
	a.link.sendPacket(a.proto, codeTerminateRequest, a.termID, nil)
	a.counter--
	a.expires = now.Add(restartTime)
}

// fail gives up. LCP says so to the peer by a Terminate-Request and takes the link with it; of a network protocol the
// peer is told when it was open.
func (a *automaton) fail(now time.Time, why error) {
	if a.proto == protoLCP {
		a.link.end(now, a.link.inPhase("LCP", why))
		return
	}
	if why != nil {
		a.link.networkErr = a.link.inPhase(protoName(a.proto), why) // a.why is gone when the far side has acknowledged the end
	}
	a.why = why
	a.event(evRejectFatal, now, nil)
	a.why = nil
}

// receive takes a packet of this protocol.
func (a *automaton) receive(now time.Time, pkt []byte) {
	code, id, data, ok := parsePacket(pkt)
	if !ok || a.state == stateInitial || a.state == stateStarting {
		a.link.drop()
		return
	}
	switch code {
	case codeConfigureRequest:
		a.receiveRequest(now, pkt, id, data)
	case codeConfigureAck:
		// An Ack counts only for the last request and to the byte (RFC 1661 section 5.2).
		// In Opened it is the answer to a repeated request, late: the RFC would renegotiate, for nothing.
		if id != a.id || !bytes.Equal(data, a.sent) || a.state == stateOpened {
			a.link.drop()
			return
		}
		a.event(evAck, now, func() { a.termAck(id) })
	case codeConfigureNak, codeConfigureReject:
		a.receiveNak(now, code, id, data)
	case codeTerminateRequest:
		if a.proto == protoLCP {
			a.link.byeText = terminateText(data)
		}
		a.event(evTerminate, now, func() { a.termAck(id) })
		if a.proto == protoLCP {
			a.link.byeWhileOpening(now)
		}
	case codeTerminateAck:
		a.event(evTerminateAck, now, nil)
	case codeCodeReject:
		a.receiveCodeReject(now, data)
	default:
		if !a.layer.other(code, id, data, now) {
			a.event(evUnknown, now, func() { a.codeReject(pkt) })
		}
	}
}

func (a *automaton) receiveRequest(now time.Time, pkt []byte, id byte, list []byte) {
	if !validOptions(list) {
		a.link.drop()
		return
	}
	switch a.state {
	case stateClosed, stateClosing, stateStopping:
		// Not examined: what it would agree to is not in force here.
		a.event(evRequestGood, now, func() { a.termAck(id) })
		return
	case stateOpened:
		if !a.link.mayReconfigure(a) {
			return
		}
	}
	if w, ok := a.layer.(waiter); ok && w.wait(list) {
		a.held = append(a.held[:0], pkt...)
		return
	}
	ans := answer{noNak: a.naks >= maxFailure}
	a.layer.check(list, &ans)
	if ans.refuse != nil {
		a.refuse(now, pkt, ans.refuse)
		return
	}
	code, out := ans.code(list)
	if code != codeConfigureAck {
		if a.bad++; a.bad > maxRounds {
			a.fail(now, errNoAgreement)
			return
		}
	}
	e := evRequestGood
	switch code {
	case codeConfigureNak:
		a.naks++
		e = evRequestBad
	case codeConfigureReject:
		e = evRequestBad
	default:
		a.naks = 0
	}
	// The answer is a copy: out may view the packet, and sending the own request first reuses scratch.
	a.event(e, now, func() { a.link.sendPacket(a.proto, code, id, out) })
}

// refuse says by LCP that a protocol is not spoken here after all; what the peer still says in it is rejected alike.
func (a *automaton) refuse(now time.Time, pkt []byte, why error) {
	if a.opened() {
		a.layer.down()
	}
	a.link.lcp.protocolReject(a.proto, pkt)
	a.reset()
	a.layer.finished(why)
}

// recheck takes up a request that waited.
func (a *automaton) recheck(now time.Time) {
	if a.held == nil {
		return
	}
	pkt := a.held
	a.held = nil
	a.receive(now, pkt)
}

func (a *automaton) receiveNak(now time.Time, code, id byte, list []byte) {
	if id != a.id || !validOptions(list) {
		a.link.drop()
		return
	}
	switch a.state {
	case stateReqSent, stateAckSent:
		var err error
		if a.rounds++; a.rounds > maxRounds {
			err = errNoAgreement
		} else if code == codeConfigureNak {
			err = a.layer.naked(list)
		} else {
			err = a.layer.rejected(list)
		}
		if err != nil {
			a.fail(now, err)
			return
		}
	case stateOpened:
		// A late answer to a request that was agreed already: an opened link is not torn down for it.
		a.link.drop()
		return
	}
	a.event(evNak, now, func() { a.termAck(id) })
}

// receiveCodeReject: to reject a code without which the protocol cannot run is fatal, any other can be lived with
// (RFC 1661 section 4.3, RXJ).
func (a *automaton) receiveCodeReject(now time.Time, data []byte) {
	if len(data) > 0 && data[0] >= codeConfigureRequest && data[0] <= codeCodeReject {
		a.fail(now, &NegotiationError{Phase: protoName(a.proto), Remote: true, Theirs: "Code-Reject of a code that RFC 1661 requires"})
		return
	}
	a.event(evRejectOK, now, nil)
}

func (a *automaton) termAck(id byte) { a.link.sendPacket(a.proto, codeTerminateAck, id, nil) }

// codeReject returns a packet that was not understood, cut to the peer's MRU (RFC 1661 section 5.6).
func (a *automaton) codeReject(pkt []byte) {
	if !a.link.mayAnswerUnknown() {
		return
	}
	pkt = pkt[:min(int(binary.BigEndian.Uint16(pkt[2:])), a.link.maxControl()-packetHeaderLen)] // without padding
	a.link.sendPacket(a.proto, codeCodeReject, a.link.nextID(), pkt)
}
