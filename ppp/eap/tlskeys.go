package eap

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"

	"github.com/dialway/dialway/ppp"
)

// keyMaterial is what both ends of a TLS tunnel know and nobody else: 128 bytes, of which the MSK is the first half.
func keyMaterial(cs *tls.ConnectionState, t Type) ([]byte, error) {
	if cs.Version >= tls.VersionTLS13 {
		// RFC 9190 section 2.3; RFC 9427 section 2.1 says the same of PEAP. The output depends on the length.
		return cs.ExportKeyingMaterial("EXPORTER_EAP_TLS_Key_Material", []byte{byte(t)}, 128)
	}
	// RFC 5216 section 2.3, which is RFC 5705's exporter without a context.
	b, err := cs.ExportKeyingMaterial("client EAP encryption", nil, 128)
	if err != nil {
		return nil, &ppp.NegotiationError{
			Phase: t.String(), Remote: true, Ours: "keys of the TLS session", Theirs: "TLS 1.2 without Extended Master Secret (RFC 7627)", Err: err,
			Hint: "let the far side use TLS 1.3, or a TLS library that knows the extension: OpenSSL 1.1.0, Windows 8.1, and later",
		}
	}
	return b, nil
}

// refusal ends a conversation for an error of crypto/tls. Its alert is sent, and the far side's acknowledged, so that
// both ends know why.
func (f *flights) refusal(t Type, err error) error {
	if f.err != nil {
		return f.err // no round, no TLS
	}
	var op *net.OpError
	remote := errors.As(err, &op) && op.Op == "remote error"
	f.say()
	err = fmt.Errorf("eap: %v: %w", t, err)
	if remote || f.isServer() {
		return &ppp.AuthError{Remote: remote && !f.isServer(), Err: err}
	}
	return &ppp.NegotiationError{
		Phase: t.String(), Remote: true, Ours: "a server that can be verified", Err: err,
		Hint: "is it the right server, and Config.RootCAs and ServerName those of its certificate?",
	}
}

// isServer reports whether this is the authenticator's end.
func (f *flights) isServer() bool { return f.round.Request != nil }
