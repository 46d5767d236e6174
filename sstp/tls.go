package sstp

import (
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"net/netip"

	"github.com/dialway/dialway/internal/tlsconn"
)

// serverTLS returns the configuration of a server's connections, made of the user's. It tells each session the leaf of the
// certificate that its connection was served: a client binds to it, and crypto/tls does not tell. So every way to a
// certificate goes through GetCertificate here, and session tickets are off, since a resumed connection is served none.
//
// The deprecated NameToCertificate has no effect.
func serverTLS(user *tls.Config) *tls.Config {
	c := user.Clone()
	c.SessionTicketsDisabled = true
	tlsconn.Prepare(c)
	if c.MinVersion == 0 {
		c.MinVersion = tls.VersionTLS12
	}
	if len(c.NextProtos) == 0 {
		c.NextProtos = []string{"http/1.1"} // what Windows offers
	}
	certificates := c.Certificates
	c.Certificates = nil // else crypto/tls takes them without asking where the client sends no name
	c.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		x, _ := tlsconn.NotesOf(hello.Conn).(*session)
		if x != nil && user.GetCertificate != nil {
			x.giveTurn() // it may wait, for a certificate that is fetched; what is left to compute is a signature
		}
		cert, err := pickCertificate(user.GetCertificate, certificates, hello)
		if err == nil && len(cert.Certificate) > 0 && x != nil {
			x.leaf = cert.Certificate[0]
		}
		return cert, err
	}
	// crypto/tls asks this when it has the ClientHello and has computed nothing.
	forClient := c.GetConfigForClient
	c.GetConfigForClient = func(hello *tls.ClientHelloInfo) (other *tls.Config, err error) {
		if forClient != nil {
			if other, err = forClient(hello); err != nil {
				return nil, err
			}
		}
		if other != nil {
			other = serverTLS(other)
			other.GetConfigForClient = nil // crypto/tls asks once
		}
		if x, ok := tlsconn.NotesOf(hello.Conn).(*session); ok {
			err = x.takeTurn()
			tlsconn.Before(hello.Conn, x.giveTurn)
		}
		return other, err
	}
	return c
}

// pickCertificate chooses as crypto/tls does: GetCertificate where the client names a server or there is nothing else,
// then the first certificate that the client supports, then the first.
func pickCertificate(get func(*tls.ClientHelloInfo) (*tls.Certificate, error), certificates []tls.Certificate,
	hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if get != nil && (len(certificates) == 0 || hello.ServerName != "") {
		if cert, err := get(hello); cert != nil || err != nil {
			return cert, err
		}
	}
	if len(certificates) == 0 {
		return nil, errors.New("sstp: no certificate for this client")
	}
	for i := range certificates {
		if hello.SupportsCertificate(&certificates[i]) == nil {
			return &certificates[i], nil
		}
	}
	return &certificates[0], nil
}

// servesCertificates says whether a server's configuration has a way to one.
func servesCertificates(c *tls.Config) bool {
	return len(c.Certificates) > 0 || c.GetCertificate != nil || c.GetConfigForClient != nil
}

// clientTLS returns the configuration of a dial to host, made of the user's, which may be nil.
func clientTLS(user *tls.Config, pins [][32]byte, host string) *tls.Config {
	c := user.Clone()
	if c == nil {
		c = new(tls.Config)
	}
	tlsconn.Prepare(c)
	c.ClientSessionCache = nil // a resumed connection shows the certificate of an older one
	if c.MinVersion == 0 {
		c.MinVersion = tls.VersionTLS12
	}
	if c.ServerName == "" {
		c.ServerName = host
		if a, err := netip.ParseAddr(host); err == nil {
			c.ServerName = a.WithZone("").String()
		}
	}
	if len(pins) > 0 {
		verify := c.VerifyConnection
		c.InsecureSkipVerify = true // a pin stands for chain and name
		c.VerifyConnection = func(state tls.ConnectionState) error {
			if !pinHolds(pins, &state) {
				return errPin
			}
			if verify != nil {
				return verify(state)
			}
			return nil
		}
	}
	return c
}

var errPin = errors.New("sstp: the server's certificate is none of the pinned ones")

// leafHash returns the pin of the certificate that a server showed.
func leafHash(state *tls.ConnectionState) (h [32]byte, ok bool) {
	if len(state.PeerCertificates) == 0 {
		return h, false
	}
	return sha256.Sum256(state.PeerCertificates[0].Raw), true
}
