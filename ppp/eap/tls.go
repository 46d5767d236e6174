package eap

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/dialway/dialway/ppp"
)

// TLS is EAP-TLS, RFC 5216 with TLS 1.2 and RFC 9190 with TLS 1.3, both sides: each end has a certificate.
//
// An authenticator needs Certificates and ClientCAs in Config: a client's certificate is always demanded, and verified
// against ClientCAs, whatever ClientAuth says. It asks Round.Next with Proved set and the certificate's name as User. An
// EAP Identity that names another than the certificate does is refused; one without a user part ("@example.com") names
// nobody.
//
// A peer needs a certificate, ServerName and RootCAs: neither the system's roots nor any name will do, since whoever has
// a certificate of any public authority could answer else. InsecureSkipVerify is good only for a VerifyConnection that
// verifies in its stead.
//
// TLS 1.2 needs Extended Master Secret (RFC 7627) at both ends. Sessions are resumed, where Config allows it, only with
// tickets that EAP-TLS has given; a Config with VerifyPeerCertificate, which is not called for resumed sessions, resumes
// none.
type TLS struct {
	Config *tls.Config

	// Name is the account's name in a client's certificate. nil means the first there is of: UPN, e-mail address, DNS name
	// (of the subject's alternative names), common name.
	Name func(cs tls.ConnectionState) (string, error)

	// CRLs has the revocation lists, of which there must be a valid one of each issuer in the far side's chain below the
	// root: it is called for each connection. nil checks none.
	CRLs func() ([]*x509.RevocationList, error)
}

// Type returns TypeTLS.
func (m *TLS) Type() Type { return TypeTLS }

// identity is the name in the peer's certificate.
func (m *TLS) identity() string {
	if m.Config == nil || len(m.Config.Certificates) == 0 || len(m.Config.Certificates[0].Certificate) == 0 {
		return ""
	}
	leaf, err := x509.ParseCertificate(m.Config.Certificates[0].Certificate[0])
	if err != nil {
		return ""
	}
	if names := certificateNames(leaf); len(names) > 0 {
		return names[0]
	}
	return ""
}

// Authenticate demands a certificate.
//
//	Start ─▶ handshake ─▶ name, identity ─▶ Next ─▶ TLS 1.3: 0x00 ─▶ acknowledged: granted
func (m *TLS) Authenticate(ctx context.Context, r *Round) (*ppp.Grant, error) {
	cfg, err := serverConfig(m.Config, m.CRLs)
	if err != nil {
		return nil, err
	}
	f := &flights{ctx: ctx, round: r, do: r.Do}
	if err := f.begin(); err != nil {
		return nil, err
	}
	conn := tls.Server(f, cfg)
	if err := conn.Handshake(); err != nil {
		return nil, f.refusal(TypeTLS, err)
	}
	state := conn.ConnectionState()
	msk, err := keyMaterial(&state, TypeTLS)
	if err != nil {
		return nil, err
	}
	name, err := m.name(&state, r.Identity)
	if err != nil {
		return nil, err
	}
	g, err := askNext(ctx, r.Next, &ppp.AuthRequest{
		Call: r.Request.Call, Client: r.Request.Client, Protocol: ppp.EAP, User: name, Attempt: 1, Proved: true,
	})
	if err != nil {
		return nil, err
	}
	if state.Version >= tls.VersionTLS13 {
		// RFC 9190 section 2.5: the server commits to say Success.
		if _, err := conn.Write([]byte{0}); err != nil {
			return nil, err
		}
	}
	if len(f.out) > 0 {
		if err := f.turn(); err != nil {
			return nil, err
		}
		if len(f.in) > 0 {
			// An alert, or what has no place here.
			return nil, &ppp.AuthError{Err: errors.New("eap: EAP-TLS: the peer does not accept the end of the handshake")}
		}
	}
	return keyed(g, name, msk), nil
}

// keyed is a Grant with an MSK (RFC 5216 section 2.3: the first half is the authenticator's to receive with).
func keyed(g *ppp.Grant, name string, msk []byte) *ppp.Grant {
	n := *g
	n.User = cmp.Or(g.User, name)
	n.RecvKey, n.SendKey = slices.Clone(msk[:32]), slices.Clone(msk[32:64])
	return &n
}

// name is who the peer is.
func (m *TLS) name(cs *tls.ConnectionState, identity string) (string, error) {
	if !certified(cs) {
		return "", &ppp.AuthError{Err: errors.New("eap: EAP-TLS without a verified certificate")}
	}
	names := certificateNames(cs.PeerCertificates[0])
	name := ""
	if m.Name != nil {
		var err error
		if name, err = m.Name(*cs); err != nil {
			return "", &ppp.AuthError{Err: fmt.Errorf("eap: the name in the certificate: %w", err)}
		}
		names = append(names, name)
	} else if len(names) > 0 {
		name = names[0]
	}
	if name == "" {
		return "", &ppp.AuthError{Err: errors.New("eap: the certificate has no name")}
	}
	if !identityAgrees(identity, names) {
		return "", &ppp.AuthError{Err: fmt.Errorf("eap: the EAP Identity is %q, the certificate is of %q", identity, name)}
	}
	return name, nil
}

// Respond shows the certificate, and verifies the server's.
func (m *TLS) Respond(ctx context.Context, request []byte, r *Round) (msk []byte, err error) {
	cfg, err := clientConfig(m.Config, TypeTLS, m.CRLs)
	if err != nil {
		return nil, ours(err)
	}
	if len(cfg.Certificates) == 0 && cfg.GetClientCertificate == nil {
		return nil, ours(errors.New("eap: TLS.Config has no client certificate"))
	}
	if s, ok := parseFragment(request); !ok || s.flags&flagStart == 0 {
		return nil, far(errors.New("eap: EAP-TLS does not begin with a start"))
	}
	f := &flights{ctx: ctx, round: r, do: r.need}
	conn := tls.Client(f, cfg)
	if err := conn.Handshake(); err != nil {
		return nil, f.refusal(TypeTLS, err)
	}
	state := conn.ConnectionState()
	if msk, err = keyMaterial(&state, TypeTLS); err != nil {
		return nil, err
	}
	if state.Version >= tls.VersionTLS13 {
		if err := success(conn); err != nil {
			return nil, f.refusal(TypeTLS, err)
		}
	}
	// The last acknowledgement. Tickets may come before and behind the protected success.
	f.do = r.Do
	for {
		if err := f.settle(conn); err != nil {
			return nil, f.refusal(TypeTLS, err)
		}
		if err := f.turn(); err == io.EOF {
			return msk[:64], nil
		} else if err != nil {
			return nil, err
		}
	}
}

// success waits for the protected success indication, RFC 9190 section 2.5: one byte, 0.
func success(conn io.Reader) error {
	var b [2]byte
	n, err := conn.Read(b[:])
	if err != nil {
		return err
	}
	if !isSuccess(b[:n]) {
		return far(errors.New("eap: TLS data that is no success indication"))
	}
	return nil
}
