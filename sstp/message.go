package sstp

import "encoding/binary"

// A message is the type of a control packet, [MS-SSTP] section 2.2.2.
type message uint16

const (
	msgConnectRequest message = 1 + iota
	msgConnectAck
	msgConnectNak
	msgConnected
	msgAbort
	msgDisconnect
	msgDisconnectAck
	msgEchoRequest
	msgEchoResponse
	numMessages = iota
)

var messageNames = [...]string{
	msgConnectRequest: "Call Connect Request",
	msgConnectAck:     "Call Connect Ack",
	msgConnectNak:     "Call Connect Nak",
	msgConnected:      "Call Connected",
	msgAbort:          "Call Abort",
	msgDisconnect:     "Call Disconnect",
	msgDisconnectAck:  "Call Disconnect Ack",
	msgEchoRequest:    "Echo Request",
	msgEchoResponse:   "Echo Response",
}

// known says whether m is one of the nine.
func (m message) known() bool { return m >= msgConnectRequest && m <= msgEchoResponse }

// String returns the name in [MS-SSTP].
func (m message) String() string {
	if m.known() {
		return messageNames[m]
	}
	return "unknown message"
}

// A control is a view of a control packet.
type control struct {
	typ   message
	count int    // attributes, as the packet says
	body  []byte // the attributes
}

// parseControl reads a control packet that nextPacket has delimited.
func parseControl(p []byte) control {
	return control{
		typ:   message(binary.BigEndian.Uint16(p[4:])),
		count: int(binary.BigEndian.Uint16(p[6:])),
		body:  p[controlLen:],
	}
}

func (c control) attributes() attributes { return attributes{b: c.body, n: c.count} }

// beginControl appends the head of a control packet; endControl then fills in the length of what begins at start.
func beginControl(b []byte, typ message, count int) []byte {
	b = appendHeader(b, true, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(typ))
	return binary.BigEndian.AppendUint16(b, uint16(count))
}

func endControl(b []byte, start int) []byte {
	binary.BigEndian.PutUint16(b[start+2:], uint16(len(b)-start))
	return b
}

// appendPlain appends one of the messages that have no attributes: Call Disconnect Ack, Echo Request and Echo
// Response, [MS-SSTP] section 2.2.15.
func appendPlain(b []byte, typ message) []byte {
	start := len(b)
	return endControl(beginControl(b, typ, 0), start)
}

// appendEnd appends a Call Abort or Call Disconnect, sections 2.2.13 and 2.2.14. It always has its STATUS_INFO, as
// Windows does it: sstp-client ignores the short form.
func appendEnd(b []byte, typ message, s statusInfo) []byte {
	start := len(b)
	b = beginControl(b, typ, 1)
	b = appendStatusInfo(b, statusInfo{attrib: s.attrib, status: s.status})
	return endControl(b, start)
}

// parseEnd reads a Call Abort or Call Disconnect. Nothing in one is an error: SoftEther sends it without attributes,
// others send a malformed one, and the call ends in any case.
func parseEnd(c control) statusInfo {
	as := c.attributes()
	for a, ok := as.next(); ok; a, ok = as.next() {
		if a.id != attrStatusInfo {
			continue
		}
		if s, ok := parseStatusInfo(a.value); ok {
			return statusInfo{attrib: s.attrib, status: s.status}
		}
	}
	return statusInfo{}
}
