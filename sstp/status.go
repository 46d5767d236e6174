package sstp

import (
	"fmt"
	"net"
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
	Status Status
	Remote bool
}

// Error returns status and side.
func (e *StatusError) Error() string {
	if e.Remote {
		return fmt.Sprintf("sstp: the far side ended the call: %v", e.Status)
	}
	return fmt.Sprintf("sstp: call ended: %v", e.Status)
}

// Is reports whether target is a StatusError of the same Status.
func (e *StatusError) Is(target error) bool {
	t, ok := target.(*StatusError)
	return ok && t.Status == e.Status
}

// Unwrap returns net.ErrClosed.
func (e *StatusError) Unwrap() error { return net.ErrClosed }

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
