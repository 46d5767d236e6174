package register

import (
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// Errors that say by a method Permanent that there is no point in trying again are not tried again before the next refresh,
// if they are sure to be the server's.

// An UpdateError says that a server does not do what it was asked.
type UpdateError struct {
	Server netip.AddrPort
	Zone   string
	Name   string
	Code   RCode
}

// Error says what to do about it, where that is known.
func (e *UpdateError) Error() string {
	hint := ""
	switch e.Code {
	case 5:
		hint = " (does its policy let the key, or this address, change the name?)"
	case rcodeNotAuth:
		hint = " (is it the zone's primary, and does it know the key?)"
	}
	return fmt.Sprintf("register: %v in zone %s: %v says %v%s", e.Name, e.Zone, e.Server, e.Code, hint)
}

// Permanent is false for SERVFAIL, which a server says that is starting, and for what depends on records of others.
func (e *UpdateError) Permanent() bool {
	switch e.Code {
	case rcodeServFail, rcodeNXDomain, rcodeYXDomain, rcodeYXRRSet, rcodeNXRRSet:
		return false
	}
	return true
}

// A TakenError says that another host holds the name.
type TakenError struct {
	Name  string
	Addrs []netip.Addr // of the other host, as far as they are known
}

// Error names the host.
func (e *TakenError) Error() string {
	if len(e.Addrs) == 0 {
		return fmt.Sprintf("register: %s belongs to another host", e.Name)
	}
	return fmt.Sprintf("register: %s belongs to another host, at %v", e.Name, e.Addrs)
}

// A SignatureError says that a server does not accept a signature.
type SignatureError struct {
	Server  netip.AddrPort
	Key     string
	Code    uint16        // BADSIG 16, BADKEY 17, BADTIME 18, BADTRUNC 22: RFC 8945 section 3
	Off     time.Duration // BADTIME: how far the server's clock is ahead of this one
	Unknown bool          // the answer that says so is itself not signed, so anybody on the way may have sent it
}

// The error codes of TSIG: RFC 8945 section 3.
const (
	badSig   = 16
	badKey   = 17
	badTime  = 18
	badTrunc = 22
)

// Error says what is wrong and what to do.
func (e *SignatureError) Error() string {
	what := fmt.Sprintf("error %d", e.Code)
	switch e.Code {
	case badSig:
		what = "BADSIG: its secret for the key is another"
	case badKey:
		what = "BADKEY: it does not know the key, or not with this algorithm"
	case badTime:
		what = fmt.Sprintf("BADTIME: its clock is %v ahead of this one", e.Off)
	case badTrunc:
		what = "BADTRUNC: the signature is too short"
	}
	return fmt.Sprintf("register: %v does not accept key %s: %s", e.Server, e.Key, what)
}

// Permanent reports whether only a change of the key helps. A clock may be put right.
func (e *SignatureError) Permanent() bool { return e.Code != badTime }

// ErrNoAnswer says that a server did not answer any of the tries.
var ErrNoAnswer = errors.New("no answer")

// ErrNoZone says that no server told which zone a name is in.
var ErrNoZone = errors.New("no zone found")

// errUnsigned says that an answer has no signature, or one that is not right, and is not to be believed.
var errUnsigned = errors.New("answer is not signed, or wrongly")

// forgeable reports whether a refusal may be anybody's: it came without a signature, or none is asked for.
func (r *Registrar) forgeable(err error) bool {
	if bad := (*SignatureError)(nil); errors.As(err, &bad) {
		return bad.Unknown
	}
	return r.Signer == nil
}

func permanent(err error) bool {
	var p interface{ Permanent() bool }
	return errors.As(err, &p) && p.Permanent()
}
