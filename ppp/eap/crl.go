package eap

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"time"
)

// errNoCRL: where lists are wanted, an issuer without one is not believed.
var errNoCRL = errors.New("eap: no valid revocation list of the certificate's issuer")

// notRevoked returns nil when one of the chains is good: each certificate below the root has a list of its issuer that is
// signed by it, is not out of date, and does not name it (RFC 5280 section 6.3).
func notRevoked(chains [][]*x509.Certificate, lists []*x509.RevocationList, clock func() time.Time) error {
	now := time.Now()
	if clock != nil {
		now = clock()
	}
	err := errNoCRL
	for _, chain := range chains {
		if err = chainGood(chain, lists, now); err == nil {
			return nil
		}
	}
	return err
}

func chainGood(chain []*x509.Certificate, lists []*x509.RevocationList, now time.Time) error {
	if len(chain) < 2 {
		return errNoCRL
	}
	for i, c := range chain[:len(chain)-1] {
		issuer, found := chain[i+1], false
		for _, l := range lists {
			if !bytes.Equal(l.RawIssuer, issuer.RawSubject) || l.CheckSignatureFrom(issuer) != nil || !current(l, now) {
				continue
			}
			found = true
			for _, e := range l.RevokedCertificateEntries {
				if e.SerialNumber.Cmp(c.SerialNumber) == 0 {
					return fmt.Errorf("eap: the certificate of %q was revoked at %v", c.Subject, e.RevocationTime)
				}
			}
		}
		if !found {
			return fmt.Errorf("%w: %q", errNoCRL, issuer.Subject)
		}
	}
	return nil
}

// current reports whether a list is of now.
func current(l *x509.RevocationList, now time.Time) bool {
	return !now.Before(l.ThisUpdate) && (l.NextUpdate.IsZero() || now.Before(l.NextUpdate))
}
