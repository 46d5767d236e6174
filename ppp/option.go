package ppp

import (
	"encoding/binary"
	"iter"
)

// An option is one configuration option: type, length of the whole, value (RFC 1661 section 6).
type option struct {
	typ byte
	val []byte // a view
	raw []byte // the whole option, a view
}

// nextOption takes the first option of a list. ok is false for a length that does not fit.
func nextOption(list []byte) (o option, rest []byte, ok bool) {
	if len(list) < 2 {
		return option{}, nil, false
	}
	n := int(list[1])
	if n < 2 || n > len(list) {
		return option{}, nil, false
	}
	return option{list[0], list[2:n:n], list[:n:n]}, list[n:], true
}

// validOptions reports whether a list can be walked to its end.
func validOptions(list []byte) bool {
	for len(list) > 0 {
		_, rest, ok := nextOption(list)
		if !ok {
			return false
		}
		list = rest
	}
	return true
}

// options walks a valid list.
func options(list []byte) iter.Seq[option] {
	return func(yield func(option) bool) {
		for len(list) > 0 {
			o, rest, ok := nextOption(list)
			if !ok || !yield(o) {
				return
			}
			list = rest
		}
	}
}

func appendOption(b []byte, typ byte, val []byte) []byte {
	return append(append(b, typ, byte(2+len(val))), val...)
}

func appendOption16(b []byte, typ byte, v uint16) []byte {
	return binary.BigEndian.AppendUint16(append(b, typ, 4), v)
}

func appendOption32(b []byte, typ byte, v uint32) []byte {
	return binary.BigEndian.AppendUint32(append(b, typ, 6), v)
}

// An answer collects what a Configure-Request is answered with: a Reject if any option is not known or not
// negotiable, else a Nak if any value is not acceptable, else an Ack of the whole (RFC 1661 sections 5.2 to 5.4).
type answer struct {
	naks    []byte
	rejects []byte
	noNak   bool  // Max-Failure is reached: what would be Nak-ed is rejected (section 4.6)
	refuse  error // the protocol cannot be spoken with this peer at all
}

// options walks a peer's request. An option may stand in it once (RFC 1661 section 5.1): the second is rejected here, or
// two ends could agree on either.
func (a *answer) options(list []byte) iter.Seq[option] {
	return func(yield func(option) bool) {
		var seen [256]bool
		for o := range options(list) {
			if seen[o.typ] {
				a.reject(o)
				continue
			}
			seen[o.typ] = true
			if !yield(o) {
				return
			}
		}
	}
}

func (a *answer) reject(o option) { a.rejects = append(a.rejects, o.raw...) }

// nak suggests val for o.
func (a *answer) nak(o option, val []byte) {
	if a.noNak {
		a.reject(o)
		return
	}
	a.naks = appendOption(a.naks, o.typ, val)
}

// code returns the code to answer with and its options; request is acknowledged to the byte.
func (a *answer) code(request []byte) (code byte, list []byte) {
	switch {
	case len(a.rejects) > 0:
		return codeConfigureReject, a.rejects
	case len(a.naks) > 0:
		return codeConfigureNak, a.naks
	}
	return codeConfigureAck, request
}
