package eap

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Flags of EAP-TLS (RFC 5216 section 3.1); PEAP has its version in the lowest bits ([MS-PEAP] section 2.2.2).
const (
	flagLength  = 0x80 // the length of the whole message is in front of the data
	flagMore    = 0x40 // fragments follow
	flagStart   = 0x20 // the server begins
	versionMask = 0x07
)

// maxMessage bounds a TLS message: RFC 5216 section 2.1.5 would let it be 4 GiB.
const maxMessage = 64 << 10

// A fragment is the data of one packet of a method with TLS in it.
type fragment struct {
	flags byte
	total uint32 // with flagLength
	data  []byte
}

// parseFragment reads one. An empty packet is an acknowledgement, as is one with flags alone.
func parseFragment(b []byte) (f fragment, ok bool) {
	if len(b) == 0 {
		return f, true
	}
	f.flags, b = b[0], b[1:]
	if f.flags&flagLength != 0 {
		if len(b) < 4 {
			return f, false
		}
		f.total, b = binary.BigEndian.Uint32(b), b[4:]
	}
	f.data = b[:len(b):len(b)]
	return f, true
}

func (f fragment) append(b []byte) []byte {
	b = append(b, f.flags)
	if f.flags&flagLength != 0 {
		b = binary.BigEndian.AppendUint32(b, f.total)
	}
	return append(b, f.data...)
}

// cut splits a message into the data of packets of at most size bytes. An empty message is one packet: an acknowledgement.
func cut(msg []byte, size int, version byte) (packets [][]byte) {
	f := fragment{flags: version, data: msg}
	if len(msg) > size-1 {
		// RFC 5216 section 2.1.5: the length is in the first fragment. Alone in its packet a message needs none.
		f.flags |= flagLength
		f.total = uint32(len(msg))
	}
	for {
		n := size - 1
		if f.flags&flagLength != 0 {
			n -= 4
		}
		if n <= 0 || len(msg) <= n {
			f.data = msg
			return append(packets, f.append(nil))
		}
		f.data, msg = msg[:n], msg[n:]
		f.flags |= flagMore
		packets = append(packets, f.append(nil))
		f.flags = version
	}
}

// A joiner puts a message together, and counts its bytes as they arrive.
type joiner struct {
	version byte // what the flags must say; mask 0 looks at none
	mask    byte
	msg     []byte
	total   uint32
	known   bool // total is
}

var errFragment = errors.New("eap: fragments that do not fit together")

// add takes the data of a packet, and reports whether the message is whole.
func (j *joiner) add(b []byte) (whole bool, err error) {
	f, ok := parseFragment(b)
	switch {
	case !ok:
		return false, fmt.Errorf("%w: flags without their length", errFragment)
	case f.flags&flagStart != 0:
		return false, fmt.Errorf("%w: a start in the middle", errFragment)
	case f.flags&j.mask != j.version:
		return false, fmt.Errorf("%w: version %d, agreed was %d", errFragment, f.flags&j.mask, j.version)
	case f.flags&flagMore != 0 && len(f.data) == 0:
		return false, fmt.Errorf("%w: an empty one", errFragment)
	case f.flags&flagLength != 0 && j.known && f.total != j.total:
		return false, fmt.Errorf("%w: %d bytes in all, and then %d", errFragment, j.total, f.total)
	case f.flags&flagLength != 0:
		j.total, j.known = f.total, true
	}
	n := len(j.msg) + len(f.data)
	if !mayGrow(n, j.total, j.known) {
		return false, fmt.Errorf("%w: %d bytes and more, of %d; %d are allowed", errFragment, n, j.total, maxMessage)
	}
	j.msg = append(j.msg, f.data...)
	if f.flags&flagMore != 0 {
		return false, nil
	}
	if j.known && uint32(len(j.msg)) != j.total {
		return false, fmt.Errorf("%w: %d bytes of %d", errFragment, len(j.msg), j.total)
	}
	return true, nil
}
