package cli

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"

	"github.com/dialway/dialway/ppp"
	"github.com/dialway/dialway/sstp"
)

// Explain returns the error and, where there is something, what to do about it.
func Explain(err error) string {
	if hint := hint(err); hint != "" {
		return fmt.Sprintf("%v\n%s", err, hint)
	}
	return err.Error()
}

func hint(err error) string {
	var (
		auth      *ppp.AuthError
		negotiate *ppp.NegotiationError
		ended     *ppp.TerminatedError
		http      *sstp.HTTPError
		binding   *sstp.BindingError
		status    *sstp.StatusError
		verify    *tls.CertificateVerificationError
		name      x509.HostnameError
		dns       *net.DNSError
	)
	switch {
	case errors.As(err, &auth) && auth.Remote:
		switch auth.Code {
		case ppp.CodeExpired:
			return "The password has expired: change it with the server's administrator."
		case ppp.CodeDisabled, ppp.CodeNoDialin, ppp.CodeRestrictedHours:
			return "The account is right but may not connect now: ask the server's administrator."
		}
		return "Check -user and the password; a DOMAIN\\ in front of the name may be wanted. It is not tried again, since that could lock the account."
	case errors.As(err, &auth):
		return "This end refuses the server: it does not prove what it must. If it can prove nothing better, -fingerprint makes a password safe to use."
	case errors.As(err, &negotiate) && negotiate.Hint != "":
		return "To try: " + negotiate.Hint + "."
	case errors.As(err, &http) && http.Proxy:
		return "The proxy does not let us through."
	case errors.As(err, &http):
		return "There is a web server, but no SSTP server, at this address and port: check -server."
	case errors.As(err, &binding):
		return "The server did not prove that it is the end of this TLS connection: a TLS proxy stands between, or the server has another certificate than it thinks."
	case errors.As(err, &name):
		return fmt.Sprintf("Dial by a name that is in the certificate, or trust it by -fingerprint %s", Fingerprint(name.Certificate.Raw))
	case errors.As(err, &verify) && len(verify.UnverifiedCertificates) > 0:
		return fmt.Sprintf("Give the authority's certificate by -ca. If you know from the server itself that this is its certificate: -fingerprint %s",
			Fingerprint(verify.UnverifiedCertificates[0].Raw))
	case errors.As(err, &status) && status.Remote:
		return "The server ended the call; its log says why."
	case errors.As(err, &ended):
		return ""
	case errors.As(err, &dns):
		return "Check the host's name in -server."
	case errors.Is(err, syscall.ECONNREFUSED):
		return "Nobody listens there: check host and port of -server, and that the server runs."
	case errors.Is(err, syscall.EADDRINUSE):
		return "Another program has the port: stop it, or choose another -listen."
	case errors.Is(err, os.ErrPermission):
		return "This needs root, or CAP_NET_ADMIN for -tun and CAP_NET_BIND_SERVICE for a port below 1024. Without: sstpd -tun netstack -listen :8443, and proxy instead of sstpc."
	case errors.Is(err, errors.ErrUnsupported):
		return "This system has no TUN device that the program can open: sstpd -tun netstack and proxy need none."
	case errors.Is(err, context.DeadlineExceeded):
		return "Nobody answered in time: check -server, and whether something between drops the packets."
	}
	return ""
}
