package access

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/dialway/dialway/internal/mschap"
	"github.com/dialway/dialway/ppp"
	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

// Secrets are kept in one of these forms. What a method needs decides which will do:
//
//	form               PAP   CHAP-MD5   MS-CHAPv2   change of password   at rest
//	clear:TEXT         yes   yes        yes         yes                  the password
//	nt:HEX             yes   no         yes         yes                  as good as the password for MS-CHAPv2
//	$argon2id$...      yes   no         no          no                   64 MiB and some 50 ms a guess
//	$2a$, $2b$, $2y$   yes   no         no          no                   bcrypt
//
// EAP-TLS needs none. The empty secret is none: nobody logs in with it.

// ErrSecretForm says that a secret is in none of the forms that Account.Secret may have.
var ErrSecretForm = errors.New("access: secret in no known form (clear:TEXT, nt:HEX, $argon2id$..., $2b$...)")

// ClearSecret keeps a password as it is: CHAP-MD5 needs that.
func ClearSecret(password ppp.Secret) ppp.Secret { return "clear:" + password }

// NTSecret keeps a password's NT hash, which serves PAP and MS-CHAPv2. A password of more than 256 characters has none.
func NTSecret(password ppp.Secret) (ppp.Secret, error) {
	hash, err := mschap.NTPasswordHash(string(password))
	if err != nil {
		return "", err
	}
	return ppp.Secret("nt:" + hex.EncodeToString(hash[:])), nil
}

// Cost of argon2id: RFC 9106's second recommendation.
const (
	argonTime    = 3
	argonMemory  = 64 << 10 // KiB
	argonThreads = 4
	argonSalt    = 16
	argonKey     = 32
)

// HashSecret keeps a password's argon2id hash, which serves PAP only.
func HashSecret(password ppp.Secret) ppp.Secret {
	salt := make([]byte, argonSalt)
	rand.Read(salt)
	key := argon2.IDKey([]byte(password), salt, argonTime, argonMemory, argonThreads, argonKey)
	e := base64.RawStdEncoding
	return ppp.Secret(fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonMemory, argonTime, argonThreads,
		e.EncodeToString(salt), e.EncodeToString(key)))
}

// Serves returns the methods that a secret can answer.
func Serves(s ppp.Secret) []ppp.AuthProtocol {
	switch formOf(s) {
	case formClear:
		return []ppp.AuthProtocol{ppp.MSCHAPv2, ppp.CHAP, ppp.PAP}
	case formNT:
		return []ppp.AuthProtocol{ppp.MSCHAPv2, ppp.PAP}
	case formArgon, formBcrypt:
		return []ppp.AuthProtocol{ppp.PAP}
	}
	return nil
}

type form uint8

const (
	formNone form = iota
	formClear
	formNT
	formArgon
	formBcrypt
	formUnknown
)

func formOf(s ppp.Secret) form {
	text := string(s)
	switch {
	case text == "":
		return formNone
	case strings.HasPrefix(text, "clear:"):
		return formClear
	case strings.HasPrefix(text, "nt:"):
		return formNT
	case strings.HasPrefix(text, "$argon2id$"):
		return formArgon
	case strings.HasPrefix(text, "$2a$"), strings.HasPrefix(text, "$2b$"), strings.HasPrefix(text, "$2y$"):
		return formBcrypt
	}
	return formUnknown
}

// CheckForm reports what is wrong with a secret; nil if an account may have it.
func CheckForm(s ppp.Secret) error {
	switch formOf(s) {
	case formNone, formClear:
		return nil
	case formNT:
		_, err := ntHash(s)
		return err
	case formArgon:
		_, err := parseArgon(s)
		return err
	case formBcrypt:
		_, err := bcrypt.Cost([]byte(s))
		return err
	}
	return ErrSecretForm
}

func ntHash(s ppp.Secret) (hash [16]byte, err error) {
	n, err := hex.Decode(hash[:], []byte(strings.TrimPrefix(string(s), "nt:"))[:min(32, len(s)-3)])
	if err != nil || n != len(hash) || len(s) != 3+32 {
		return hash, errors.New("access: an NT hash has 32 hexadecimal digits")
	}
	return hash, nil
}

// An argon is a parsed $argon2id$ secret. Its cost is bounded: a file must not be able to ask for all memory.
type argon struct {
	memory, time uint32
	threads      uint8
	salt, key    []byte
}

func parseArgon(s ppp.Secret) (a argon, err error) {
	bad := errors.New("access: argon2id secret is not $argon2id$v=19$m=,t=,p=$SALT$KEY with at most 1 GiB")
	parts := strings.Split(string(s), "$")
	if len(parts) != 6 || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return a, bad
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &a.memory, &a.time, &a.threads); err != nil {
		return a, bad
	}
	if a.salt, err = base64.RawStdEncoding.DecodeString(parts[4]); err != nil {
		return a, bad
	}
	if a.key, err = base64.RawStdEncoding.DecodeString(parts[5]); err != nil {
		return a, bad
	}
	if a.memory < 8 || a.memory > 1<<20 || a.time < 1 || a.time > 64 || a.threads < 1 || len(a.salt) < 8 || len(a.key) < 16 || len(a.key) > 64 {
		return a, bad
	}
	return a, nil
}

// slow reports whether checking a secret is made to take long.
func slow(s ppp.Secret) bool { f := formOf(s); return f == formArgon || f == formBcrypt }

// checkSecret answers a request from a secret. A method that the secret cannot answer is a wrong password for the far
// side, and says for the log what is the matter.
func checkSecret(req *ppp.AuthRequest, s ppp.Secret) (*ppp.Grant, error) {
	if req.Proved {
		return new(ppp.Grant), nil
	}
	switch formOf(s) {
	case formClear:
		return req.CheckPassword(s[len("clear:"):])
	case formNT:
		hash, err := ntHash(s)
		if err != nil {
			return nil, err
		}
		if req.Protocol == ppp.CHAP {
			return nil, unfit(req, "an NT hash", "clear:")
		}
		return req.CheckNTHash(hash)
	case formArgon:
		if req.Protocol != ppp.PAP {
			return nil, unfit(req, "an argon2id hash", "nt:")
		}
		a, err := parseArgon(s)
		if err != nil {
			return nil, err
		}
		got := argon2.IDKey([]byte(req.Password), a.salt, a.time, a.memory, a.threads, uint32(len(a.key)))
		if subtle.ConstantTimeCompare(got, a.key) != 1 {
			return nil, errWrong
		}
		return new(ppp.Grant), nil
	case formBcrypt:
		if req.Protocol != ppp.PAP {
			return nil, unfit(req, "a bcrypt hash", "nt:")
		}
		if bcrypt.CompareHashAndPassword([]byte(s), []byte(req.Password)) != nil {
			return nil, errWrong
		}
		return new(ppp.Grant), nil
	case formNone:
		return nil, &ppp.AuthError{Code: ppp.CodeFailed, Err: errors.New("access: the account has no secret")}
	}
	return nil, ErrSecretForm
}

var errWrong = &ppp.AuthError{Code: ppp.CodeFailed, Err: errors.New("access: wrong password")}

func unfit(req *ppp.AuthRequest, kept, need string) error {
	return &ppp.AuthError{Code: ppp.CodeFailed, Err: fmt.Errorf("access: the account keeps %s, and %v needs %s", kept, req.Protocol, need)}
}

// changed makes the secret of a new password, in the form of the old one.
func changed(old ppp.Secret, password ppp.Secret) (ppp.Secret, error) {
	if formOf(old) == formClear {
		return ClearSecret(password), nil
	}
	return NTSecret(password)
}

// oldHash is the NT hash of a secret, for a change of password.
func oldHash(s ppp.Secret) ([16]byte, error) {
	switch formOf(s) {
	case formClear:
		return mschap.NTPasswordHash(string(s[len("clear:"):]))
	case formNT:
		return ntHash(s)
	}
	return [16]byte{}, errors.New("access: the account keeps no NT hash, without which no password can be changed")
}

// dummy is a slow secret that nobody knows, of the cost of another: who does not exist is checked against it, so that
// the time tells nothing.
func dummy(like ppp.Secret) ppp.Secret {
	if formOf(like) == formArgon {
		if a, err := parseArgon(like); err == nil {
			sum := sha256.Sum256([]byte(like))
			e := base64.RawStdEncoding
			return ppp.Secret(fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, a.memory, a.time, a.threads,
				e.EncodeToString(a.salt), e.EncodeToString(sum[:min(len(a.key), 32)])))
		}
	}
	return like
}
