package sstp

import (
	"fmt"
	"net"
	"strings"

	"github.com/dialway/dialway/ppp"
)

// A Status is an ATTRIB_STATUS code, [MS-SSTP] section 2.2.8.
type Status uint32

const (
	StatusNoError                     Status = 0x0
	StatusDuplicateAttribute          Status = 0x1
	StatusUnrecognizedAttribute       Status = 0x2
	StatusInvalidAttribValueLength    Status = 0x3
	StatusValueNotSupported           Status = 0x4
	StatusUnacceptedFrameReceived     Status = 0x5
	StatusRetryCountExceeded          Status = 0x6
	StatusInvalidFrameReceived        Status = 0x7
	StatusNegotiationTimeout          Status = 0x8
	StatusAttribNotSupportedInMsg     Status = 0x9
	StatusRequiredAttributeMissing    Status = 0xA
	StatusStatusInfoNotSupportedInMsg Status = 0xB
)

var statusNames = [...]string{
	"NO_ERROR",
	"DUPLICATE_ATTRIBUTE",
	"UNRECOGNIZED_ATTRIBUTE",
	"INVALID_ATTRIB_VALUE_LENGTH",
	"VALUE_NOT_SUPPORTED",
	"UNACCEPTED_FRAME_RECEIVED",
	"RETRY_COUNT_EXCEEDED",
	"INVALID_FRAME_RECEIVED",
	"NEGOTIATION_TIMEOUT",
	"ATTRIB_NOT_SUPPORTED_IN_MSG",
	"REQUIRED_ATTRIBUTE_MISSING",
	"STATUS_INFO_NOT_SUPPORTED_IN_MSG",
}

// String returns the name in [MS-SSTP], without ATTRIB_STATUS_.
func (s Status) String() string {
	if int(s) < len(statusNames) {
		return statusNames[s]
	}
	return fmt.Sprintf("status %#x", uint32(s))
}

// A StatusError is a Call Abort, Call Disconnect or Call Connect Nak, sent or received. It unwraps to net.ErrClosed.
type StatusError struct {
	Status    Status
	Message   string // "Call Abort", "Call Disconnect", "Call Connect Nak"
	Attribute uint8  // the attribute that Status is about, [MS-SSTP] section 2.2.4; 0 for none
	Remote    bool   // the far side sent it
}

// Error returns message, status and side.
func (e *StatusError) Error() string {
	var b strings.Builder
	message := e.Message
	if message == "" {
		message = "call ended"
	}
	fmt.Fprintf(&b, "sstp: %s", message)
	if e.Remote {
		b.WriteString(" by the far side")
	}
	if e.Status != StatusNoError {
		fmt.Fprintf(&b, ": %v", e.Status)
	}
	if e.Attribute == attrBinding && e.Status == StatusValueNotSupported {
		b.WriteString(" (the crypto binding: another certificate was served than the far side knows of, or the keys differ)")
	}
	return b.String()
}

// Is reports whether target is a StatusError of the same Status.
func (e *StatusError) Is(target error) bool {
	t, ok := target.(*StatusError)
	return ok && t.Status == e.Status
}

// Unwrap returns net.ErrClosed.
func (e *StatusError) Unwrap() error { return net.ErrClosed }

// TerminateCause says why a session ended that ended like this; package ppp asks.
func (e *StatusError) TerminateCause() ppp.Cause {
	switch {
	case e.Status == StatusNegotiationTimeout:
		return ppp.LostCarrier
	case e.Status != StatusNoError:
		return ppp.UserError
	}
	return ppp.UserRequest
}

// An HTTPError is a server's or a proxy's answer other than 200.
type HTTPError struct {
	Code  int
	Proxy bool
}

// Error returns code and side.
func (e *HTTPError) Error() string {
	if e.Proxy {
		return fmt.Sprintf("sstp: the proxy answered %d to CONNECT", e.Code)
	}
	return fmt.Sprintf("sstp: the server answered %d: no SSTP at this address", e.Code)
}

// A BindingError says which part of the crypto binding did not hold: "nonce", "certificate", "hash protocol", "MAC",
// "no keys".
type BindingError struct{ Part string }

// Error returns the part.
func (e *BindingError) Error() string {
	return "sstp: crypto binding failed: " + e.Part
}
