package mschap

import (
	"crypto/rc4"
	"encoding/binary"
	"fmt"
)

// BlockLen is the length of an encrypted new password: 512 bytes, in which the password stands at the end behind random
// bytes, and its length (RFC 2759 section 8.10).
const BlockLen = 516

const blockText = 512

// EncryptPassword makes the block that carries a new password (RFC 2759 section 8.9,
// NewPasswordEncryptedWithOldNtPasswordHash). padding is random bytes, of which those in front of the password are used.
func EncryptPassword(password string, oldHash [16]byte, padding [512]byte) (block [BlockLen]byte, err error) {
	if err := Available(); err != nil {
		return block, err
	}
	text, err := appendUTF16(make([]byte, 0, blockText), password)
	if err != nil {
		return block, err
	}
	copy(block[:], padding[:])
	copy(block[blockText-len(text):], text)
	binary.LittleEndian.PutUint32(block[blockText:], uint32(len(text)))
	return block, cryptBlock(&block, oldHash)
}

// DecryptPassword is the inverse. Under another hash than the old password's the length is nearly always absurd, which
// is an error; it proves nothing when it is not: compare DecryptHash, too.
func DecryptPassword(block [BlockLen]byte, oldHash [16]byte) (string, error) {
	if err := Available(); err != nil {
		return "", err
	}
	if err := cryptBlock(&block, oldHash); err != nil {
		return "", err
	}
	n := binary.LittleEndian.Uint32(block[blockText:])
	if n > blockText {
		return "", fmt.Errorf("%w: the block says %d bytes", ErrPassword, n)
	}
	return parseUTF16(block[blockText-n : blockText])
}

// cryptBlock is RC4 under a password's hash, in place.
func cryptBlock(block *[BlockLen]byte, hash [16]byte) error {
	c, err := rc4.NewCipher(hash[:])
	if err != nil {
		return fmt.Errorf("mschap: %w", err)
	}
	c.XORKeyStream(block[:], block[:])
	return nil
}

// EncryptHash encrypts the old password's hash with the new one's (RFC 2759 section 8.12,
// OldNtPasswordHashEncryptedWithNewNtPasswordHash).
func EncryptHash(oldHash, newHash [16]byte) (encrypted [16]byte) {
	desEncrypt(encrypted[:8], oldHash[:8], [7]byte(newHash[:]))
	desEncrypt(encrypted[8:], oldHash[8:], [7]byte(newHash[7:]))
	return encrypted
}

// DecryptHash is the inverse: it returns the old password's hash.
func DecryptHash(encrypted, newHash [16]byte) (oldHash [16]byte) {
	desDecrypt(oldHash[:8], encrypted[:8], [7]byte(newHash[:]))
	desDecrypt(oldHash[8:], encrypted[8:], [7]byte(newHash[7:]))
	return oldHash
}
