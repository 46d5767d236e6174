package cli

import (
	"cmp"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"

	"github.com/dialway/dialway/ppp"
	"github.com/dialway/dialway/ppp/eap"
)

// Auth has the flags of how a client proves who it is.
type Auth struct {
	auth string
	eap  EAP
}

// Register defines the flags.
func (a *Auth) Register(fs *flag.FlagSet) {
	fs.StringVar(&a.auth, "auth", "", "`METHOD`: mschapv2, chap, pap, eap-mschapv2, eap-tls or peap (with EAP-MSCHAPv2 inside); none means what the server wants of mschapv2, chap and pap")
	a.eap.Register(fs, "")
}

// NeedsPassword reports whether the method has one.
func (a *Auth) NeedsPassword() bool { return a.auth != "eap-tls" }

// Configure sets what the flags say. User and Password are c's. What is wrong is added to p.
func (a *Auth) Configure(c *ppp.Config, p *Problems) {
	if a.eap.noBinding && a.auth != "peap" {
		p.Add("-peap-no-binding", errors.New("means nothing without -auth peap"))
	}
	if a.auth != "" && !a.eap.Use(c, a.auth, p) {
		p.Add("-auth", fmt.Errorf("%q is not mschapv2, chap, pap, eap-mschapv2, eap-tls or peap", a.auth))
	}
}

// EAP has the flags of what a client's EAP methods need.
type EAP struct {
	cert, key, ca, name, identity string
	noBinding                     bool
}

// Register defines the flags; before begins what is said of each.
func (e *EAP) Register(fs *flag.FlagSet, before string) {
	fs.StringVar(&e.cert, "client-cert", "", before+"eap-tls: `FILE` with the client's certificate in PEM")
	fs.StringVar(&e.key, "client-key", "", before+"eap-tls: `FILE` with its key in PEM")
	fs.StringVar(&e.ca, "eap-ca", "", before+"eap-tls, peap: `FILE` of PEM certificates that the authentication server's must come from")
	fs.StringVar(&e.name, "eap-server", "", before+"eap-tls, peap: `NAME` in the authentication server's certificate")
	fs.StringVar(&e.identity, "eap-identity", "", before+"eap-tls, peap: `NAME` to be seen outside of the tunnel, such as @example.com; none means the user's")
	fs.BoolVar(&e.noBinding, "peap-no-binding", false, before+"peap: a server without crypto binding will do; FreeRADIUS has none. Who gets this client to log in elsewhere by EAP-MSCHAPv2 outside of a tunnel can then stand in between")
}

// Knows reports whether there is something said for a method.
func (e *EAP) Knows(method string) bool {
	switch method {
	case "peap":
		return e.ca != "" || e.name != ""
	case "eap-tls":
		return e.cert != "" || e.key != ""
	}
	return true
}

// Use has one method prove who User is, and nothing else. User and Password are c's. It reports whether it knows the method;
// what it lacks is added to p.
func (e *EAP) Use(c *ppp.Config, method string, p *Problems) bool {
	plain := map[string]ppp.AuthProtocol{"mschapv2": ppp.MSCHAPv2, "chap": ppp.CHAP, "pap": ppp.PAP}
	if auth, ok := plain[method]; ok {
		c.Auth = []ppp.AuthProtocol{auth}
		return true
	}
	var m eap.PeerMethod
	identity := cmp.Or(e.identity, c.User)
	password := &eap.MSCHAPv2{User: c.User, Password: c.Password, Retry: c.Retry}
	switch method {
	case "eap-mschapv2":
		m = password
	case "eap-tls":
		cfg := e.tls(p)
		if e.cert == "" || e.key == "" {
			p.Add("-client-cert", errors.New("eap-tls needs it, and -client-key"))
		} else {
			cert, err := tls.LoadX509KeyPair(e.cert, e.key)
			p.Add("-client-cert", err)
			cfg.Certificates = []tls.Certificate{cert}
		}
		m = &eap.TLS{Config: cfg}
	case "peap":
		m = &eap.PEAP{Config: e.tls(p), InnerPeer: password, NoBindingOkay: e.noBinding}
	default:
		return false
	}
	c.Auth = []ppp.AuthProtocol{ppp.EAP}
	c.EAP = (&eap.Peer{Identity: identity, Methods: []eap.PeerMethod{m}}).Respond
	return true
}

// tls is whom the client takes for its authentication server, which need not be the server that it dials.
func (e *EAP) tls(p *Problems) *tls.Config {
	c := &tls.Config{ServerName: e.name}
	if e.name == "" {
		p.Add("-eap-server", errors.New("missing: anybody could ask for the password"))
	}
	if e.ca == "" {
		p.Add("-eap-ca", errors.New("missing: anybody could ask for the password"))
		return c
	}
	var err error
	c.RootCAs, err = ReadCA(e.ca)
	p.Add("-eap-ca", err)
	return c
}
