package ppp

import (
	"encoding/binary"
	"fmt"
	"time"
)

// LCP's codes beyond the seven that every control protocol has: RFC 1661 sections 5.7 to 5.9, RFC 1570 section 1.

// maxText bounds what is kept of the texts a peer sends of itself.
const maxText = 128

func (l *lcp) other(code, id byte, data []byte, now time.Time) bool {
	switch code {
	case codeProtocolReject:
		l.protocolRejected(now, data)
	case codeEchoRequest:
		if l.hearsItself(data) {
			// RFC 1661 section 5.8: a request with our own magic number is our own, come back.
			if l.loops++; l.loops > maxLoops {
				l.fail(now, &NegotiationError{Phase: "LCP", Err: errLoop})
			}
			return true
		}
		l.event(evEcho, now, func() { l.echoReply(id, data) })
	case codeEchoReply:
		// That something came is noted already. The magic number in it is not looked at: there are peers that answer
		// with the request as it was, ours in it.
		l.event(evEcho, now, nil)
	case codeDiscardRequest:
		l.event(evEcho, now, nil)
	case codeIdentification:
		// In any state, never answered (RFC 1570 section 2.1).
		if len(data) >= 4 {
			l.link.identified(cleanText(data[4:], maxText))
		}
	case codeTimeRemaining:
		if len(data) >= 8 {
			l.link.remaining(now, binary.BigEndian.Uint32(data[4:]), cleanText(data[8:], maxText))
		}
	default:
		return false
	}
	return true
}

// ownMagic is what echoes and texts carry: zero while no magic number was agreed (RFC 1661 section 5.8).
func (l *lcp) ownMagic() uint32 {
	if l.noMagic {
		return 0
	}
	return l.magic
}

// hearsItself reports whether an echo carries this end's magic number, in a link whose other end has one of its own.
func (l *lcp) hearsItself(data []byte) bool {
	return len(data) >= 4 && !l.noMagic && l.peerMagic != l.magic && binary.BigEndian.Uint32(data) == l.magic
}

// echoReply answers with our magic number and the request's data, cut to what the peer receives.
func (l *lcp) echoReply(id byte, data []byte) {
	if len(data) < 4 || !l.link.mayAnswerEcho() {
		l.link.drop()
		return
	}
	if n := l.link.maxControl() - packetHeaderLen; len(data) > n {
		data = data[:n]
	}
	b := binary.BigEndian.AppendUint32(l.link.scratch[:0], l.ownMagic())
	b = append(b, data[4:]...)
	l.link.scratch = b
	l.link.sendPacket(protoLCP, codeEchoReply, id, b)
}

// sendEcho asks whether the peer is there.
func (l *lcp) sendEcho() byte {
	id := l.link.nextID()
	l.link.sendPacket(protoLCP, codeEchoRequest, id, binary.BigEndian.AppendUint32(l.link.scratch[:0], l.ownMagic()))
	return id
}

// sendText sends an Identification.
func (l *lcp) sendText(text string) {
	b := binary.BigEndian.AppendUint32(l.link.scratch[:0], l.ownMagic())
	l.link.sendPacket(protoLCP, codeIdentification, l.link.nextID(), append(b, text...))
}

// sendTimeRemaining says how long the session will last; 0xffffffff is for ever.
func (l *lcp) sendTimeRemaining(d time.Duration, text string) {
	b := binary.BigEndian.AppendUint32(l.link.scratch[:0], l.ownMagic())
	b = binary.BigEndian.AppendUint32(b, lasting(d))
	l.link.sendPacket(protoLCP, codeTimeRemaining, l.link.nextID(), append(b, text...))
}

// lasting is a duration in seconds; for ever is all ones.
func lasting(d time.Duration) uint32 {
	if d < 0 || d/time.Second >= 0xffffffff {
		return 0xffffffff
	}
	return uint32(d / time.Second)
}

// protocolReject returns a frame's protocol and information, only while LCP is open; the identifier changes for each
// (RFC 1661 section 5.7).
func (l *lcp) protocolReject(proto uint16, info []byte) {
	if !l.opened() || !l.link.mayAnswerUnknown() {
		return
	}
	b := binary.BigEndian.AppendUint16(l.link.scratch[:0], proto)
	if n := l.link.maxControl() - packetHeaderLen - 2; len(info) > n {
		info = info[:n]
	}
	l.link.sendPacket(protoLCP, codeProtocolReject, l.link.nextID(), append(b, info...))
}

// protocolRejected: the peer does not speak a protocol of ours.
func (l *lcp) protocolRejected(now time.Time, data []byte) {
	if len(data) < 2 || !l.opened() {
		l.link.drop()
		return
	}
	proto := binary.BigEndian.Uint16(data)
	if proto == protoLCP {
		l.fail(now, &NegotiationError{Phase: "LCP", Remote: true, Theirs: "Protocol-Reject of LCP itself"})
		return
	}
	l.event(evRejectOK, now, nil)
	l.link.protocolGone(now, proto)
}

// terminateText is what a Terminate-Request says (RFC 1661 section 5.5: data for the sender's own use). pppd sends a
// sentence; Windows its magic number, a constant, and the number of an error as its rasdial knows them.
func terminateText(data []byte) string {
	if len(data) == 12 && binary.BigEndian.Uint32(data[4:]) == 0x003ccd74 {
		if n := binary.BigEndian.Uint32(data[8:]); n != 0 {
			return fmt.Sprintf("error %d of Windows", n)
		}
		return ""
	}
	if text := cleanText(data, maxText); printable(text) {
		return text
	}
	return ""
}

// cleanText makes a peer's bytes fit for logs and attributes: printable ASCII, bounded.
func cleanText(b []byte, most int) string {
	if len(b) > most {
		b = b[:most]
	}
	out := make([]byte, len(b))
	for i, c := range b {
		if c < ' ' || c > '~' {
			c = '.'
		}
		out[i] = c
	}
	return string(out)
}
