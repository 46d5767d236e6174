package ppp

import (
	"context"
	"errors"
)

// Authenticate calls f, then CheckPassword.
func (f PasswordFunc) Authenticate(ctx context.Context, req *AuthRequest) (*Grant, error) {
	return nil, errors.ErrUnsupported
}

// CheckPassword answers PAP, CHAP and MSCHAPv2 for one who knows the password: the Grant has proof and keys, nothing
// else. A Change is carried out in the proof only: see NewPassword for the password to store.
func (r *AuthRequest) CheckPassword(password Secret) (*Grant, error) {
	return nil, errors.ErrUnsupported
}

// CheckNTHash answers PAP and MSCHAPv2 for one who keeps the NT hash (MD4 of the password in UTF-16LE).
func (r *AuthRequest) CheckNTHash(hash [16]byte) (*Grant, error) { return nil, errors.ErrUnsupported }

// NewPassword returns what a Change asks for, for one who knows the NT hash of the old password.
func (r *AuthRequest) NewPassword(oldHash [16]byte) (Secret, error) {
	return "", errors.ErrUnsupported
}
