package register

import (
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"net/netip"
	"strings"
	"time"

	"github.com/dialway/dialway/internal/secret"
)

// A Secret is a key's bytes, as they are and not in base64. It prints as REDACTED; string(s) is the secret.
type Secret = secret.String

// A Key is a secret shared with a DNS server, and signs by it: TSIG, RFC 8945.
type Key struct {
	Name      string // as the server has it
	Algorithm string // hmac-sha1, hmac-sha224, hmac-sha256, hmac-sha384, hmac-sha512; "" means hmac-sha256
	Secret    Secret
}

// fudge is how far apart the clocks may be: RFC 8945 section 10 recommends it.
const fudge = 300 * time.Second

// hashes are by algorithm. HMAC-MD5 must not be used: RFC 8945 section 6.
var hashes = map[string]func() hash.Hash{
	"hmac-sha1":   sha1.New,
	"hmac-sha224": sha256.New224,
	"hmac-sha256": sha256.New,
	"hmac-sha384": sha512.New384,
	"hmac-sha512": sha512.New,
}

func (k *Key) algorithm() string {
	if k.Algorithm == "" {
		return "hmac-sha256"
	}
	return lower(strings.TrimSuffix(k.Algorithm, "."))
}

// Sign is Signer's.
func (k *Key) Sign(_ context.Context, server netip.AddrPort, msg []byte) (signed []byte, verify func(answer []byte) error, err error) {
	newHash := hashes[k.algorithm()]
	if newHash == nil {
		return nil, nil, fmt.Errorf("register: key %s: algorithm %q is not known", k.Name, k.Algorithm)
	}
	if k.Secret == "" {
		return nil, nil, fmt.Errorf("register: key %s has no secret", k.Name)
	}
	name, err := appendName(nil, lower(absolute(k.Name)))
	if err != nil {
		return nil, nil, err
	}
	alg, err := appendName(nil, k.algorithm()+".")
	if err != nil {
		return nil, nil, err
	}
	t := tsig{key: name, algorithm: alg, at: uint64(time.Now().Unix()), fudge: uint16(fudge / time.Second), id: binary.BigEndian.Uint16(msg)}
	t.mac = t.sum(newHash, k.Secret, nil, msg)
	verify = func(answer []byte) error { return k.verify(newHash, server, t, answer) }
	return t.append(append([]byte(nil), msg...)), verify, nil
}

// verify holds an answer to the request that t signed: RFC 8945 section 5.3.
func (k *Key) verify(newHash func() hash.Hash, server netip.AddrPort, sent tsig, answer []byte) error {
	body, t, err := splitTSIG(answer)
	if err != nil {
		return fmt.Errorf("%w: %w", errUnsigned, err)
	}
	if !equal(string(t.key), string(sent.key)) || !equal(string(t.algorithm), string(sent.algorithm)) {
		return fmt.Errorf("%w: it is signed by another key", errUnsigned)
	}
	if isSigned(t.sum(newHash, k.Secret, sent.mac, body), t.mac) {
		if t.code != 0 {
			return &SignatureError{Server: server, Key: k.Name, Code: t.code, Off: t.off(sent)}
		}
		if !isFresh(t, time.Now()) {
			return fmt.Errorf("%w: it was signed at %v", errUnsigned, time.Unix(int64(t.at), 0))
		}
		return nil
	}
	// Who does not know the key cannot sign that he does not: RFC 8945 section 5.3.2.
	if len(t.mac) == 0 && (t.code == badSig || t.code == badKey) {
		return &SignatureError{Server: server, Key: k.Name, Code: t.code, Unknown: true}
	}
	return errUnsigned
}

// A tsig is a TSIG record, RFC 8945 section 4.2. Names are as on the wire.
type tsig struct {
	key, algorithm []byte
	at             uint64 // seconds since 1970, of 48 bits
	fudge          uint16
	mac            []byte
	id             uint16 // of the message when it was signed
	code           uint16
	other          []byte
}

// off returns how far the clock of who said BADTIME is ahead.
func (t *tsig) off(sent tsig) time.Duration {
	if t.code != badTime || len(t.other) != 6 {
		return 0
	}
	theirs := binary.BigEndian.Uint64(append([]byte{0, 0}, t.other...))
	return time.Duration(int64(theirs)-int64(sent.at)) * time.Second
}

// sum computes the MAC of msg, which has no TSIG: RFC 8945 section 4.3.3. request is the MAC of what msg answers.
func (t *tsig) sum(newHash func() hash.Hash, key Secret, request, msg []byte) []byte {
	h := hmac.New(newHash, []byte(key))
	var b []byte
	if request != nil {
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(request))), request...)
	}
	b = append(binary.BigEndian.AppendUint16(b, t.id), msg[2:]...)
	b = append(b, lower(string(t.key))...)
	b = append(b, 0, classAny, 0, 0, 0, 0) // class, and TTL
	b = append(b, lower(string(t.algorithm))...)
	b = t.appendTime(b)
	b = binary.BigEndian.AppendUint16(b, t.code)
	b = append(binary.BigEndian.AppendUint16(b, uint16(len(t.other))), t.other...)
	h.Write(b)
	return h.Sum(nil)
}

func (t *tsig) appendTime(b []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(t.at>>32))
	b = binary.BigEndian.AppendUint32(b, uint32(t.at))
	return binary.BigEndian.AppendUint16(b, t.fudge)
}

// append appends the record to a message and counts it.
func (t *tsig) append(msg []byte) []byte {
	binary.BigEndian.PutUint16(msg[10:], binary.BigEndian.Uint16(msg[10:])+1)
	msg = append(msg, t.key...)
	msg = append(msg, 0, typeTSIG, 0, classAny, 0, 0, 0, 0)
	at := len(msg)
	msg = append(msg, 0, 0)
	msg = append(msg, t.algorithm...)
	msg = t.appendTime(msg)
	msg = append(binary.BigEndian.AppendUint16(msg, uint16(len(t.mac))), t.mac...)
	msg = binary.BigEndian.AppendUint16(msg, t.id)
	msg = binary.BigEndian.AppendUint16(msg, t.code)
	msg = append(binary.BigEndian.AppendUint16(msg, uint16(len(t.other))), t.other...)
	binary.BigEndian.PutUint16(msg[at:], uint16(len(msg)-at-2))
	return msg
}

var errNoTSIG = errors.New("it has no TSIG record")

// splitTSIG returns a message without the TSIG record at its end, as it was before it was signed.
func splitTSIG(msg []byte) (body []byte, t tsig, err error) {
	if len(msg) < headerSize {
		return nil, t, errCut
	}
	n := func(at int) int { return int(binary.BigEndian.Uint16(msg[at:])) }
	if n(10) == 0 {
		return nil, t, errNoTSIG
	}
	at := headerSize
	for range n(4) {
		if at, err = skipName(msg, at); err != nil {
			return nil, t, err
		}
		at += 4
	}
	for range n(6) + n(8) + n(10) - 1 {
		if at, err = skipName(msg, at); err != nil {
			return nil, t, err
		}
		if at+10 > len(msg) {
			return nil, t, errCut
		}
		at += 10 + n(at+8)
	}
	if t, err = parseTSIG(msg, at); err != nil {
		return nil, t, err
	}
	body = append([]byte(nil), msg[:at]...)
	binary.BigEndian.PutUint16(body[10:], uint16(n(10)-1))
	return body, t, nil
}

var errCut = errors.New("it is cut")

// parseTSIG reads the record at the end of msg.
func parseTSIG(msg []byte, at int) (t tsig, err error) {
	start := at
	if at, err = skipName(msg, at); err != nil {
		return t, err
	}
	if at+10 > len(msg) {
		return t, errCut
	}
	t.key = msg[start:at]
	h, data := msg[at:at+10], msg[at+10:]
	if binary.BigEndian.Uint16(h) != typeTSIG {
		return t, errNoTSIG
	}
	if binary.BigEndian.Uint16(h[2:]) != classAny || int(binary.BigEndian.Uint16(h[8:])) != len(data) {
		return t, errors.New("its TSIG record is malformed, or not the last")
	}
	end, err := skipName(data, 0)
	if err != nil {
		return t, err
	}
	t.algorithm, data = data[:end], data[end:]
	if len(data) < 10 {
		return t, errCut
	}
	t.at = uint64(binary.BigEndian.Uint16(data))<<32 | uint64(binary.BigEndian.Uint32(data[2:]))
	t.fudge = binary.BigEndian.Uint16(data[6:])
	size := int(binary.BigEndian.Uint16(data[8:]))
	if data = data[10:]; len(data) < size+6 {
		return t, errCut
	}
	t.mac, data = data[:size], data[size:]
	t.id, t.code = binary.BigEndian.Uint16(data), binary.BigEndian.Uint16(data[2:])
	if len(data)-6 != int(binary.BigEndian.Uint16(data[4:])) {
		return t, errCut
	}
	t.other = data[6:]
	return t, nil
}

// skipName returns where the name at at ends. The names of a TSIG record have no pointers (RFC 8945 section 4.2), so what
// has some does not compare as equal.
func skipName(msg []byte, at int) (int, error) {
	for at < len(msg) {
		switch n := int(msg[at]); {
		case n == 0:
			return at + 1, nil
		case n >= 0xc0:
			if at+2 > len(msg) {
				return 0, errCut
			}
			return at + 2, nil
		case n > 63:
			return 0, errors.New("it has a name that is none")
		default:
			at += 1 + n
		}
	}
	return 0, errCut
}
