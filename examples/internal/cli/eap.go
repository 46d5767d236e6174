package cli

import (
	"crypto/tls"
	"errors"
	"flag"
	"fmt"

	"github.com/dialway/dialway/ppp"
	"github.com/dialway/dialway/ppp/eap"
)

// Auth has the flags of how a client proves who it is.
type Auth struct {
	auth, cert, key, ca, name, identity string
	noBinding                           bool
}

// Register defines the flags.
func (a *Auth) Register(fs *flag.FlagSet) {
	fs.StringVar(&a.auth, "auth", "", "`METHOD`: mschapv2, chap, pap, eap-mschapv2, eap-tls or peap (with EAP-MSCHAPv2 inside); none means what the server wants of mschapv2, chap and pap")
	fs.StringVar(&a.cert, "client-cert", "", "eap-tls: `FILE` with the client's certificate in PEM")
	fs.StringVar(&a.key, "client-key", "", "eap-tls: `FILE` with its key in PEM")
	fs.StringVar(&a.ca, "eap-ca", "", "eap-tls, peap: `FILE` of PEM certificates that the authentication server's must come from")
	fs.StringVar(&a.name, "eap-server", "", "eap-tls, peap: `NAME` in the authentication server's certificate")
	fs.StringVar(&a.identity, "eap-identity", "", "eap-tls, peap: `NAME` to be seen outside of the tunnel, such as @example.com; none means that of -user")
	fs.BoolVar(&a.noBinding, "peap-no-binding", false, "peap: a server without crypto binding will do; FreeRADIUS has none. Who gets this client to log in elsewhere by EAP-MSCHAPv2 outside of a tunnel can then stand in between")
}

// NeedsPassword reports whether the method has one.
func (a *Auth) NeedsPassword() bool { return a.auth != "eap-tls" }

// Configure sets what the flags say. User and Password are c's. What is wrong is added to p.
func (a *Auth) Configure(c *ppp.Config, p *Problems) {
	if a.noBinding && a.auth != "peap" {
		p.Add("-peap-no-binding", errors.New("means nothing without -auth peap"))
	}
	password := &eap.MSCHAPv2{User: c.User, Password: c.Password, Retry: c.Retry}
	switch a.auth {
	case "":
		return
	case "mschapv2":
		c.Auth = []ppp.AuthProtocol{ppp.MSCHAPv2}
		return
	case "chap":
		c.Auth = []ppp.AuthProtocol{ppp.CHAP}
		return
	case "pap":
		c.Auth = []ppp.AuthProtocol{ppp.PAP}
		return
	case "eap-mschapv2":
		a.use(c, password)
	case "eap-tls":
		cfg := a.tls(p)
		if a.cert == "" || a.key == "" {
			p.Add("-client-cert", errors.New("eap-tls needs it, and -client-key"))
		} else {
			cert, err := tls.LoadX509KeyPair(a.cert, a.key)
			p.Add("-client-cert", err)
			cfg.Certificates = []tls.Certificate{cert}
		}
		a.use(c, &eap.TLS{Config: cfg})
	case "peap":
		a.use(c, &eap.PEAP{Config: a.tls(p), InnerPeer: password, NoBindingOkay: a.noBinding})
	default:
		p.Add("-auth", fmt.Errorf("%q is not mschapv2, chap, pap, eap-mschapv2, eap-tls or peap", a.auth))
	}
}

// use has one method answer EAP, and nothing else.
func (a *Auth) use(c *ppp.Config, m eap.PeerMethod) {
	identity := a.identity
	if identity == "" {
		identity = c.User
	}
	c.Auth = []ppp.AuthProtocol{ppp.EAP}
	c.EAP = (&eap.Peer{Identity: identity, Methods: []eap.PeerMethod{m}}).Respond
}

// tls is whom the client takes for its authentication server, which need not be the server that it dials.
func (a *Auth) tls(p *Problems) *tls.Config {
	c := &tls.Config{ServerName: a.name}
	if a.name == "" {
		p.Add("-eap-server", errors.New("missing: anybody could ask for the password"))
	}
	if a.ca == "" {
		p.Add("-eap-ca", errors.New("missing: anybody could ask for the password"))
		return c
	}
	var err error
	c.RootCAs, err = readCA(a.ca)
	p.Add("-eap-ca", err)
	return c
}
