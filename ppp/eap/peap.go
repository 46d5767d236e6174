package eap

import (
	"cmp"
	"crypto/tls"
	"errors"
)

// PEAP is PEAP version 0 ([MS-PEAP]) around one inner method, both sides: a TLS tunnel in which only the server has a
// certificate, EAP inside of it, and a crypto binding that both ends of the tunnel are those of the inner method.
//
// The Grant's User is the one that the inner method has proved; the outer Identity is anybody's, and best nobody's
// ("@example.com").
//
// A peer's Config needs ServerName and RootCAs, as TLS has it. MaxVersion 0 means TLS 1.2, which is what most other
// implementations can; with TLS 1.3 the keys are those of RFC 9427. Sessions are not resumed: the inner method always
// runs.
type PEAP struct {
	Config    *tls.Config
	Inner     Method     // authenticator
	InnerPeer PeerMethod // peer

	// NoBindingOkay accepts a far side without the crypto-binding TLV; FreeRADIUS has none. The keys are then the tunnel's
	// alone, and a man in the middle who gets a client to use the inner method elsewhere can be either end. A peer does so
	// only where crypto/tls has verified chain and name of the server.
	NoBindingOkay bool
}

// Type returns TypePEAP.
func (m *PEAP) Type() Type { return TypePEAP }

// identity is the inner method's: a Peer with an Identity of its own keeps that for itself.
func (m *PEAP) identity() string { return identityOf(m.InnerPeer) }

// serverConfig is an authenticator's.
func (m *PEAP) serverConfig() (*tls.Config, error) {
	switch {
	case m.Config == nil:
		return nil, errors.New("eap: PEAP.Config is nil")
	case m.Inner == nil:
		return nil, errors.New("eap: PEAP.Inner is nil")
	}
	return peapServer(m.Config), nil
}

func peapServer(user *tls.Config) *tls.Config {
	c := peapConfig(user)
	c.SessionTicketsDisabled = true
	if other := user.GetConfigForClient; other != nil {
		c.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			u, err := other(hello)
			if err != nil || u == nil {
				return nil, err
			}
			return peapServer(u), nil
		}
	}
	return c
}

// clientConfig is a peer's.
func (m *PEAP) clientConfig() (*tls.Config, error) {
	if m.InnerPeer == nil {
		return nil, errors.New("eap: PEAP.InnerPeer is nil")
	}
	c, err := clientConfig(m.Config, TypePEAP, nil)
	if err != nil {
		return nil, err
	}
	c = peapConfig(c)
	c.ClientSessionCache = nil
	return c, nil
}

// peapConfig is what both ends have.
func peapConfig(user *tls.Config) *tls.Config {
	c := common(user, nil)
	c.NextProtos = nil
	c.MaxVersion = cmp.Or(c.MaxVersion, tls.VersionTLS12)
	return c
}
