package eap

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"slices"
)

// ticketTag is in the sessions of EAP-TLS: a ticket that another use of the same Config has given, a web server's or
// PEAP's, is none here (RFC 9190 section 2.1.2).
const ticketTag = "dialway: EAP-TLS"

// serverConfig is an authenticator's, made of the user's: a verified certificate is demanded.
func serverConfig(user *tls.Config, crls func() ([]*x509.RevocationList, error)) (*tls.Config, error) {
	if user == nil {
		return nil, errors.New("eap: TLS.Config is nil")
	}
	if user.ClientCAs == nil && user.GetConfigForClient == nil {
		// Or anybody with a certificate of a public authority could connect.
		return nil, errors.New("eap: TLS.Config has no ClientCAs, which would say whose certificates are accepted")
	}
	c := common(user, crls)
	c.ClientAuth = tls.RequireAndVerifyClientCert
	c.NextProtos = nil
	if user.VerifyPeerCertificate != nil {
		c.SessionTicketsDisabled = true // it would not be called for them
	}
	c.WrapSession = func(cs tls.ConnectionState, ss *tls.SessionState) ([]byte, error) {
		ss.Extra = append(ss.Extra, []byte(ticketTag))
		if user.WrapSession != nil {
			return user.WrapSession(cs, ss)
		}
		return user.EncryptTicket(cs, ss) // with the user's keys, which outlive the copy
	}
	c.UnwrapSession = func(ticket []byte, cs tls.ConnectionState) (*tls.SessionState, error) {
		unwrap := user.DecryptTicket
		if user.UnwrapSession != nil {
			unwrap = user.UnwrapSession
		}
		ss, err := unwrap(ticket, cs)
		if err != nil || ss == nil || !mayResume(ss.Extra) {
			return nil, err
		}
		return ss, nil
	}
	if other := user.GetConfigForClient; other != nil {
		// What it returns takes the place of all this, unless it is made the same.
		c.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			u, err := other(hello)
			if err != nil {
				return nil, err
			}
			if u == nil {
				u = user.Clone()
			} else {
				u = u.Clone()
			}
			u.GetConfigForClient = nil
			return serverConfig(u, crls)
		}
	}
	return c, nil
}

// clientConfig is a peer's.
func clientConfig(user *tls.Config, t Type, crls func() ([]*x509.RevocationList, error)) (*tls.Config, error) {
	if !trustSaid(user) {
		return nil, errors.New("eap: " + t.String() + " needs a Config with ServerName and RootCAs, and without InsecureSkipVerify unless VerifyConnection does its work: else anybody could be the server")
	}
	c := common(user, crls)
	c.NextProtos = nil
	if c.ClientSessionCache != nil {
		c.ClientSessionCache = sessions{c.ClientSessionCache, t}
	}
	if user.VerifyPeerCertificate != nil {
		c.ClientSessionCache = nil // it would not be called for them
	}
	return c, nil
}

// common is what both ends have.
func common(user *tls.Config, crls func() ([]*x509.RevocationList, error)) *tls.Config {
	c := user.Clone()
	c.MinVersion = max(c.MinVersion, tls.VersionTLS12) // RFC 9190 section 5: earlier ones have no exporter that is safe
	c.DynamicRecordSizingDisabled = true               // fragments are EAP's
	if crls != nil {
		verify := c.VerifyConnection
		c.VerifyConnection = func(cs tls.ConnectionState) error {
			lists, err := crls()
			if err != nil {
				return err
			}
			now := c.Time
			if err := notRevoked(cs.VerifiedChains, lists, now); err != nil {
				return err
			}
			if verify != nil {
				return verify(cs)
			}
			return nil
		}
	}
	return c
}

// sessions are a peer's of one method in a cache that others may use, too.
type sessions struct {
	cache tls.ClientSessionCache
	typ   Type
}

func (s sessions) key(k string) string { return s.typ.String() + " " + k }

func (s sessions) Get(k string) (*tls.ClientSessionState, bool)  { return s.cache.Get(s.key(k)) }
func (s sessions) Put(k string, session *tls.ClientSessionState) { s.cache.Put(s.key(k), session) }

// tagged reports whether a session is of EAP-TLS.
func tagged(extra [][]byte) bool {
	return slices.ContainsFunc(extra, func(b []byte) bool { return string(b) == ticketTag })
}
