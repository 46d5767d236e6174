package ppp

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
)

// debugs reports whether somebody reads Debug's messages. What each session says asks first: a message costs a session in
// the making more than what it tells of, even if nobody reads it.
func (c *Conn) debugs() bool { return c.log.Enabled(context.Background(), slog.LevelDebug) }

// trace logs a control packet at Debug; decoding waits until somebody wants to see it.
func (c *Conn) trace(what string, proto uint16, pkt []byte) {
	if c.debugs() {
		c.log.Debug("ppp: "+what, "id", c.call.ID, "packet", tracedPacket{proto, pkt})
	}
}

// A tracedPacket is a control packet that says what it is. Of an authentication packet it says no more than its head: the
// rest is a password, or as good as one.
type tracedPacket struct {
	proto uint16
	pkt   []byte
}

// LogValue is what the log has.
func (p tracedPacket) LogValue() slog.Value { return slog.StringValue(p.String()) }

func (p tracedPacket) String() string {
	code, id, data, ok := parsePacket(p.pkt)
	if !ok {
		return fmt.Sprintf("%s, %d bytes that are no packet", protoName(p.proto), len(p.pkt))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s ", protoName(p.proto))
	switch p.proto {
	case protoPAP, protoCHAP, protoEAP:
		fmt.Fprintf(&b, "code %d id %d, %d bytes", code, id, len(data))
		return b.String()
	case protoLCP, protoIPCP, protoIPV6CP:
	default:
		fmt.Fprintf(&b, "code %d id %d, %d bytes", code, id, len(data))
		return b.String()
	}
	if int(code) < len(codeNames) && code != 0 {
		b.WriteString(codeNames[code])
	} else {
		fmt.Fprintf(&b, "code %d", code)
	}
	fmt.Fprintf(&b, " id %d", id)
	if code >= codeConfigureRequest && code <= codeConfigureReject && validOptions(data) {
		for o := range options(data) {
			fmt.Fprintf(&b, " %d:%x", o.typ, o.val)
		}
		return b.String()
	}
	fmt.Fprintf(&b, ", %d bytes", len(data))
	return b.String()
}

// codeNames are the codes of frame.go.
var codeNames = [...]string{
	codeConfigureRequest: "Configure-Request", codeConfigureAck: "Configure-Ack", codeConfigureNak: "Configure-Nak",
	codeConfigureReject: "Configure-Reject", codeTerminateRequest: "Terminate-Request", codeTerminateAck: "Terminate-Ack",
	codeCodeReject: "Code-Reject", codeProtocolReject: "Protocol-Reject", codeEchoRequest: "Echo-Request",
	codeEchoReply: "Echo-Reply", codeDiscardRequest: "Discard-Request", codeIdentification: "Identification",
	codeTimeRemaining: "Time-Remaining",
}
