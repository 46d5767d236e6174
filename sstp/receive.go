package sstp

import (
	"crypto/rand"
	"time"
)

// receive does what the table says about a control packet.
func (c *conn) receive(p []byte, now time.Time) {
	m := parseControl(p)
	act := step(c.server, c.state, m.typ)
	if m.typ != msgEchoRequest && m.typ != msgEchoResponse {
		c.log.Debug("sstp: received", "message", m.typ, "state", c.state)
	}
	switch act {
	case ignore, heard:
	case abort:
		status := StatusUnacceptedFrameReceived
		if !m.typ.known() {
			status = StatusInvalidFrameReceived
		}
		c.abort(now, statusInfo{attrib: attrStatusInfo, status: status}, nil)
	case takeRequest:
		c.takeRequest(m, now)
	case takeAck:
		c.takeAck(m, now)
	case takeNak:
		c.takeNak(m, now)
	case takeConnected:
		c.takeConnected(p, now)
	case echo:
		c.echoes++
	case replyAbort, crossAbort:
		s := parseEnd(m)
		c.ended(&StatusError{Status: s.status, Message: m.typ.String(), Attribute: s.attrib, Remote: true})
		if act == replyAbort {
			c.send(appendEnd(c.out[:0], msgAbort, statusInfo{}))
		}
		c.wait(abortDone, now.Add(abortT2))
	case replyDisconnect:
		c.ended(&StatusError{Status: parseEnd(m).status, Message: m.typ.String(), Remote: true})
		c.send(appendPlain(c.out[:0], msgDisconnectAck))
		c.wait(disconnectDone, now.Add(disconnectT2))
	case over:
		c.setState(down)
	}
}

// send sends a control packet. One that the stream does not take is the stream's end, or the far side's, who does not
// read.
func (c *conn) send(packet []byte) {
	c.out = packet
	if err := c.stream.WriteRaw(packet); err != nil {
		c.lost(err)
	}
}

// wait changes to a state that lasts until t, unless the connection has been lost meanwhile.
func (c *conn) wait(s state, t time.Time) {
	if c.state != down {
		c.timer = t
		c.setState(s)
	}
}

// ended notes why the call ended. The first reason stays.
func (c *conn) ended(err error) {
	if c.err == nil {
		c.err = err
	}
}

// abort is Abort! of the tables. err says more than the status does; nil makes a StatusError.
func (c *conn) abort(now time.Time, s statusInfo, err error) {
	if err == nil {
		err = &StatusError{Status: s.status, Message: msgAbort.String(), Attribute: s.attrib}
	}
	c.ended(err)
	c.send(appendEnd(c.out[:0], msgAbort, s))
	c.wait(abortSent, now.Add(abortT1))
}

// disconnect ends the call from this side.
func (c *conn) disconnect(now time.Time) {
	c.send(appendEnd(c.out[:0], msgDisconnect, statusInfo{}))
	c.wait(disconnectSent, now.Add(disconnectT1))
}

// takeRequest checks a Call Connect Request, section 3.3.5.2.2.
func (c *conn) takeRequest(m control, now time.Time) {
	faults, err := parseConnectRequest(m)
	switch {
	case err != nil:
		c.abort(now, statusInfo{attrib: attrStatusInfo, status: StatusInvalidFrameReceived}, nil)
	case len(faults) == 0:
		rand.Read(c.offer.nonce[:])
		c.send(appendConnectAck(c.out[:0], c.offer.protocols(), &c.offer.nonce))
		c.wait(authenticating, now.Add(c.negotiation))
	case c.naks == retryLimit:
		c.abort(now, statusInfo{attrib: attrStatusInfo, status: StatusRetryCountExceeded}, nil)
	default:
		c.naks++
		c.send(appendConnectNak(c.out[:0], faults))
	}
}

// takeAck checks a Call Connect Ack, section 3.2.5.3.2.
func (c *conn) takeAck(m control, now time.Time) {
	offered, nonce, fault := parseConnectAck(m)
	if fault.status != StatusNoError {
		c.abort(now, fault, nil)
		return
	}
	hash, err := chooseHash(offered, c.allowSHA1)
	if err != nil {
		c.abort(now, statusInfo{attrib: attrBindingReq, status: StatusValueNotSupported}, err)
		return
	}
	c.hash, c.offer.nonce = hash, nonce
	c.log.Debug("sstp: call accepted")
	c.wait(authenticating, now.Add(c.negotiation))
}

// takeNak sends the Request again, section 3.2.5.3.3: as it was, since there is nothing in it to do better.
func (c *conn) takeNak(m control, now time.Time) {
	s := parseConnectNak(m)
	if c.naks == retryLimit {
		c.abort(now, statusInfo{attrib: attrStatusInfo, status: StatusRetryCountExceeded},
			&StatusError{Status: s.status, Message: m.typ.String(), Attribute: s.attrib, Remote: true})
		return
	}
	c.naks++
	c.send(appendConnectRequest(c.out[:0]))
	c.timer = now.Add(c.negotiation)
}
