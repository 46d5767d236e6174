package ppp

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"

	"github.com/dialway/dialway/internal/mschap"
)

// Authenticate calls f, then CheckPassword. MSCHAPv2 may try again, as often as Config.AuthRetries allows.
//
// An error of f that is ErrNoUser refuses as a wrong password does, after the same work. One that is an *AuthError
// (expired, disabled, outside the hours) refuses with it only those who know the Secret that came with it; to others it
// is a wrong password. A change of the password is refused: there is nowhere to put it.
func (f PasswordFunc) Authenticate(ctx context.Context, req *AuthRequest) (*Grant, error) {
	if len(req.Change) > 0 {
		return nil, &AuthError{Code: CodeChanging, Err: errors.New("a PasswordFunc cannot store a new password")}
	}
	password, err := f(ctx, req.User)
	var verdict *AuthError
	switch {
	case err == nil:
	case errors.Is(err, ErrNoUser):
		password = nobody
	case errors.As(err, &verdict):
		if password == "" && !req.Proved {
			password = nobody
		}
	default:
		return nil, err
	}
	g, check := req.CheckPassword(password)
	switch {
	case verdict != nil && password != nobody && check == nil:
		return nil, verdict
	case err != nil:
		return nil, &AuthError{Code: CodeFailed, Retry: req.Protocol == MSCHAPv2, Err: err}
	case errors.As(check, &verdict):
		again := *verdict
		again.Retry = req.Protocol == MSCHAPv2
		return nil, &again
	}
	return g, check
}

// nobody is what the password of a user who does not exist is compared with, to take as long.
const nobody Secret = "no such user has this password"

// wrong refuses a password.
func wrong(r *AuthRequest, why error) *AuthError {
	if len(r.Change) > 0 {
		return &AuthError{Code: CodeChanging, Err: why}
	}
	return &AuthError{Code: CodeFailed, Err: why}
}

var errPassword = errors.New("wrong password")

// CheckPassword answers PAP, CHAP and MSCHAPv2 for one who knows the password: the Grant has proof and keys, nothing
// else. A Change is carried out in the proof only: see NewPassword for the password to store. An identity that is proved
// already needs no password. An empty password is no password: it refuses.
//
// A wrong password is an *AuthError without Retry: who lets a far side try again sets it, for users who do not exist as
// well, or the answers tell which do. Another error says that password cannot be checked (more than 256 characters, FIPS
// 140, EAP), and refuses, too.
func (r *AuthRequest) CheckPassword(password Secret) (*Grant, error) {
	switch {
	case r.Proved:
		return new(Grant), nil
	case password == "":
		return nil, wrong(r, errors.New("the account has no password"))
	case r.Protocol == PAP:
		return r.checkPAP(sha256.Sum256([]byte(password)), sha256.Sum256([]byte(r.Password)))
	case r.Protocol == CHAP:
		want, err := chapMD5(r.Identifier, password, r.Challenge)
		if err != nil {
			return nil, err
		}
		if subtle.ConstantTimeCompare(want[:], r.Response) != 1 {
			return nil, wrong(r, errPassword)
		}
		return new(Grant), nil
	case r.Protocol != MSCHAPv2:
		return nil, fmt.Errorf("ppp: %v cannot be checked with a password", r.Protocol)
	}
	hash, err := mschap.NTPasswordHash(string(password))
	if err != nil {
		return nil, err
	}
	return r.checkMSCHAP(hash)
}

// CheckNTHash answers PAP and MSCHAPv2 for one who keeps the NT hash (MD4 of the password in UTF-16LE), as CheckPassword
// does for one who keeps the password.
func (r *AuthRequest) CheckNTHash(hash [16]byte) (*Grant, error) {
	switch {
	case r.Proved:
		return new(Grant), nil
	case r.Protocol == PAP:
		got, err := mschap.NTPasswordHash(string(r.Password))
		if errors.Is(err, mschap.ErrPassword) {
			return nil, wrong(r, err)
		} else if err != nil {
			return nil, err
		}
		return r.checkPAP(sha256.Sum256(hash[:]), sha256.Sum256(got[:]))
	case r.Protocol != MSCHAPv2:
		return nil, fmt.Errorf("ppp: %v cannot be checked with an NT hash", r.Protocol)
	}
	if err := mschap.Available(); err != nil {
		return nil, err
	}
	return r.checkMSCHAP(hash)
}

// checkPAP compares digests, so that the time does not tell lengths.
func (r *AuthRequest) checkPAP(want, got [sha256.Size]byte) (*Grant, error) {
	if r.Password == "" || subtle.ConstantTimeCompare(want[:], got[:]) != 1 {
		return nil, wrong(r, errPassword)
	}
	return new(Grant), nil
}

// checkMSCHAP compares a Response, or carries out a Change, for the hash of the password that is stored.
func (r *AuthRequest) checkMSCHAP(hash [16]byte) (*Grant, error) {
	if len(r.Challenge) != msChallengeLen {
		return nil, fmt.Errorf("ppp: an MS-CHAPv2 challenge of %d bytes", len(r.Challenge))
	}
	auth := [msChallengeLen]byte(r.Challenge)
	var resp msResponse
	if len(r.Change) > 0 {
		_, newHash, c, err := r.openChange(hash)
		if err != nil {
			return nil, err
		}
		hash, resp = newHash, c.response
	} else {
		var ok bool
		if resp, ok = parseMSResponse(r.Response); !ok {
			return nil, wrong(r, fmt.Errorf("a response of %d bytes", len(r.Response)))
		}
		want := mschap.NTResponse(auth, resp.peer, r.User, hash)
		if subtle.ConstantTimeCompare(want[:], resp.nt[:]) != 1 {
			return nil, wrong(r, errPassword)
		}
	}
	g := &Grant{Proof: mschap.AuthenticatorResponse(hash, resp.nt, resp.peer, auth, r.User)}
	send, recv := mschap.StartKeys(mschap.MasterKey(mschap.HashHash(hash), resp.nt), true)
	g.SendKey, g.RecvKey = send[:], recv[:]
	return g, nil
}

// NewPassword returns what a Change asks for, for one who knows the NT hash of the old password. All that the packet
// proves is checked (RFC 2759 section 7): that it was made with the old password, for this challenge, and that what it
// carries is the password it proves. An *AuthError says that it was not.
func (r *AuthRequest) NewPassword(oldHash [16]byte) (Secret, error) {
	if len(r.Change) == 0 {
		return "", errors.New("ppp: the request asks for no new password")
	}
	if err := mschap.Available(); err != nil {
		return "", err
	}
	password, _, _, err := r.openChange(oldHash)
	return password, err
}

// openChange decrypts and checks a Change.
func (r *AuthRequest) openChange(oldHash [16]byte) (password Secret, newHash [16]byte, c msChange, err error) {
	no := func(why error) (Secret, [16]byte, msChange, error) {
		return "", [16]byte{}, msChange{}, &AuthError{Code: CodeChanging, Err: why}
	}
	c, ok := parseMSChange(r.Change)
	if !ok || len(r.Challenge) != msChallengeLen {
		return no(fmt.Errorf("a Change-Password of %d bytes for a challenge of %d", len(r.Change), len(r.Challenge)))
	}
	text, err := mschap.DecryptPassword(c.password, oldHash)
	if errors.Is(err, mschap.ErrFIPS) {
		return "", newHash, c, err
	}
	if err != nil || text == "" {
		return no(errPassword)
	}
	if newHash, err = mschap.NTPasswordHash(text); err != nil {
		return no(err)
	}
	old := mschap.DecryptHash(c.hash, newHash)
	nt := mschap.NTResponse([msChallengeLen]byte(r.Challenge), c.response.peer, r.User, newHash)
	if subtle.ConstantTimeCompare(old[:], oldHash[:])&subtle.ConstantTimeCompare(nt[:], c.response.nt[:]) != 1 {
		return no(errPassword)
	}
	return Secret(text), newHash, c, nil
}
