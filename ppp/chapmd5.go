package ppp

import (
	"crypto/fips140"
	"crypto/md5"
	"errors"
)

// errFIPSMD5 is what CHAP-MD5 says where FIPS 140 is enforced: crypto/md5 would panic.
var errFIPSMD5 = errors.New("ppp: MD5 is not allowed in FIPS 140-only mode")

// chapMD5 is the value of a Response, RFC 1994 section 4.1: MD5 of identifier, secret and challenge.
func chapMD5(id byte, secret Secret, challenge []byte) (value [md5.Size]byte, err error) {
	if fips140.Enforced() {
		return value, errFIPSMD5
	}
	h := md5.New()
	h.Write([]byte{id})
	h.Write([]byte(secret))
	h.Write(challenge)
	h.Sum(value[:0])
	return value, nil
}
