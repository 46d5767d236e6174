package ppp

import (
	"errors"
	"fmt"
	"net"
	"strings"
)

// ErrPeerStalled ends a session whose far side does not read: too many control frames wait, or nothing moved within
// the write deadline.
var ErrPeerStalled = errors.New("ppp: far side does not read")

// Codes of an AuthError, RFC 2759 section 6.
const (
	CodeRestrictedHours = 646 // ERROR_RESTRICTED_LOGON_HOURS
	CodeDisabled        = 647 // ERROR_ACCT_DISABLED
	CodeExpired         = 648 // ERROR_PASSWD_EXPIRED: a Change is asked for
	CodeNoDialin        = 649 // ERROR_NO_DIALIN_PERMISSION
	CodeFailed          = 691 // ERROR_AUTHENTICATION_FAILURE
	CodeChanging        = 709 // ERROR_CHANGING_PASSWORD
)

// An AuthError refuses, or says that the far side refused. Any other error of an Authenticator refuses with 691 and is logged.
//
// A Code other than 691 tells something about the account: an Authenticator returns it for those only who proved that
// they know the password. Retry on some refusals with 691 and not on others tells which accounts exist.
type AuthError struct {
	Code      int    // RFC 2759 section 6; 0 means 691
	Retry     bool   // another response may be tried on this link
	Challenge []byte // 16 bytes for the retry; nil: one is made
	Message   string
	Remote    bool  // the far side refused this end
	Err       error // not told to the far side
}

// Error returns code and message.
func (e *AuthError) Error() string {
	var b strings.Builder
	if e.Remote {
		b.WriteString("ppp: authentication refused by the far side")
	} else {
		b.WriteString("ppp: authentication refused")
	}
	code := e.Code
	if code == 0 {
		code = CodeFailed
	}
	fmt.Fprintf(&b, " (%d %s)", code, codeText(code))
	if e.Message != "" {
		fmt.Fprintf(&b, ": %q", e.Message)
	}
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	return b.String()
}

func codeText(code int) string {
	switch code {
	case CodeRestrictedHours:
		return "outside the hours allowed"
	case CodeDisabled:
		return "account disabled"
	case CodeExpired:
		return "password expired"
	case CodeNoDialin:
		return "no permission to dial in"
	case CodeChanging:
		return "password could not be changed"
	}
	return "authentication failure"
}

// Unwrap returns Err.
func (e *AuthError) Unwrap() error { return e.Err }

// Permanent reports that there is no point in dialling again with the same credentials.
func (e *AuthError) Permanent() bool { return true }

// A TerminatedError says how an open link ended. It unwraps to net.ErrClosed and, where there is one, to Err.
type TerminatedError struct {
	Cause  Cause
	Remote bool // the far side ended it
	Reason string
	Err    error // a StatusError of sstp, an error of the transport
}

// Error returns cause and reason.
func (e *TerminatedError) Error() string {
	var b strings.Builder
	b.WriteString("ppp: session ended")
	if e.Remote {
		b.WriteString(" by the far side")
	}
	fmt.Fprintf(&b, " (%v)", e.Cause)
	if e.Reason != "" {
		fmt.Fprintf(&b, ": %s", e.Reason)
	}
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	return b.String()
}

// Lost reports whether the link broke, rather than being hung up by either end.
func (e *TerminatedError) Lost() bool { return e.Cause == LostCarrier }

// Unwrap returns net.ErrClosed and Err.
func (e *TerminatedError) Unwrap() []error {
	if e.Err == nil {
		return []error{net.ErrClosed}
	}
	return []error{net.ErrClosed, e.Err}
}

// A NegotiationError says why a link did not open: in which phase, whose fault, what was offered, and what to try.
type NegotiationError struct {
	Phase  string // "LCP", "PAP", ..., "IPCP"
	Remote bool   // whose fault
	Ours   string // what was asked, in words
	Theirs string // what was answered
	Hint   string // what to try
	Err    error
}

// Error returns all of it in one line.
func (e *NegotiationError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "ppp: %s failed", e.Phase)
	if e.Remote {
		b.WriteString(" at the far side")
	}
	if e.Ours != "" {
		fmt.Fprintf(&b, ": asked %s", e.Ours)
	}
	if e.Theirs != "" {
		fmt.Fprintf(&b, ", got %s", e.Theirs)
	}
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	if e.Hint != "" {
		fmt.Fprintf(&b, " (%s)", e.Hint)
	}
	return b.String()
}

// Unwrap returns Err.
func (e *NegotiationError) Unwrap() error { return e.Err }
