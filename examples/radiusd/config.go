package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/dialway/dialway/examples/internal/conf"
	"github.com/dialway/dialway/examples/internal/policies"
	"github.com/dialway/dialway/ppp/access"
	"github.com/dialway/dialway/radius"
)

// A config is a file, checked.
type config struct {
	fixed
	unsigned bool
	clients  radius.Secrets
	coaPorts map[netip.Prefix]int // of clients; 0: they take none
	radsec   radsecConfig
	eap      eapConfig
	homes    map[string]home
	realms   []realm
	policies *policies.Set // nil: there are none, and accounts decide
}

// A fixed part is what stays as it is while the program runs.
type fixed struct {
	listen               []string
	radsecListen, coa    string
	accounts, accounting string
}

// A radsecConfig is who this server is, and who its clients are.
type radsecConfig struct {
	cert  *tls.Certificate
	ca    *x509.CertPool
	names []string // nil: all that the authority vouches for
}

// An eapConfig is what EAP has beside the accounts.
type eapConfig struct {
	methods []string
	cert    *tls.Certificate
	ca      *x509.CertPool
}

// A home is a home server, as data: two that are equal are the same. The names of files stand with what is in them.
type home struct {
	addr, acct    string
	Secret        radius.Secret // exported, or printing the struct would tell it
	weight        int
	unsigned, tls bool
	ca, cert      string // PEM
	Key           radius.Secret
	serverName    string
}

// A realm is where its users are known.
type realm struct {
	name            string
	homes           []string // none: here
	strip           bool
	spool           string
	requests, reply []attr // that do not pass
	path            string // in the file
}

// An attr is an attribute's type, or a vendor's and one of its.
type attr struct {
	vendor uint32 // 0: none
	typ    byte
}

// readConfig reads a file and finds everything that is wrong with it.
func readConfig(file string) (*config, error) {
	t, err := conf.Read(file)
	if err != nil {
		return nil, err
	}
	c := &config{clients: radius.Secrets{}, coaPorts: map[netip.Prefix]int{}, homes: map[string]home{}}
	c.readGlobal(t)
	for _, x := range t.Tables("client") {
		c.readClient(x)
	}
	for _, x := range t.Tables("home") {
		c.readHome(x)
	}
	for _, x := range t.Tables("realm") {
		c.readRealm(x)
	}
	if s := policies.Parse(t, true); len(s.List) > 0 {
		c.policies = s
	}
	t.Rest()
	c.checkTogether(t)
	return c, t.Err()
}

func (c *config) readGlobal(t *conf.Table) {
	if c.listen = t.Texts("listen"); c.listen == nil {
		c.listen = []string{":1812", ":1813"}
	}
	for _, l := range c.listen {
		if _, _, err := net.SplitHostPort(l); err != nil {
			t.Bad("listen", "%v", err)
		}
	}
	if c.coa = t.Str("coa", ""); c.coa != "" {
		if _, _, err := net.SplitHostPort(c.coa); err != nil {
			t.Bad("coa", "%v", err)
		}
	}
	c.unsigned = t.Bool("unsigned", false)
	if c.accounts = t.Name(t.Str("accounts", "")); c.accounts != "" {
		if _, err := access.OpenFile(c.accounts); err != nil {
			t.Bad("accounts", "%v", err)
		}
	}
	c.accounting = t.Name(t.Str("accounting", ""))
	if x := t.Sub("radsec"); x != nil {
		c.radsecListen = x.Str("listen", ":2083")
		if _, _, err := net.SplitHostPort(c.radsecListen); err != nil {
			x.Bad("listen", "%v", err)
		}
		c.radsec.cert, c.radsec.ca = readKeyPair(x), readPool(x, "ca")
		if c.radsec.cert == nil {
			x.Bad("certificate", "RadSec needs a certificate")
		}
		if c.radsec.ca == nil {
			x.Bad("ca", "RadSec needs the authority that vouches for its clients")
		}
		c.radsec.names = x.Texts("names")
		x.Rest()
	}
	if x := t.Sub("eap"); x != nil {
		c.readEAP(x)
		x.Rest()
	}
}

func (c *config) readEAP(x *conf.Table) {
	c.eap.methods = x.Texts("methods")
	c.eap.cert, c.eap.ca = readKeyPair(x), readPool(x, "ca")
	for _, m := range c.eap.methods {
		switch m {
		case "mschapv2":
		case "tls", "peap":
			if c.eap.cert == nil {
				x.Bad("certificate", "%s needs a certificate", m)
			}
			if m == "tls" && c.eap.ca == nil {
				x.Bad("ca", "tls needs the authority that vouches for the users")
			}
		default:
			x.Bad("methods", "%q is not mschapv2, peap or tls", m)
		}
	}
}

// readKeyPair reads certificate and key; nil: there are none.
func readKeyPair(t *conf.Table) *tls.Certificate {
	cert, key := t.Name(t.Str("certificate", "")), t.Name(t.Str("key", ""))
	if cert == "" && key == "" {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Bad("certificate", "%v", err)
		return nil
	}
	return &pair
}

// readPool reads authorities; nil: there are none.
func readPool(t *conf.Table, key string) *x509.CertPool {
	pem := readFile(t, key)
	if pem == "" {
		return nil
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(pem)) {
		t.Bad(key, "the file has no PEM certificate")
		return nil
	}
	return pool
}

func readFile(t *conf.Table, key string) string {
	name := t.Name(t.Str(key, ""))
	if name == "" {
		return ""
	}
	b, err := os.ReadFile(name)
	if err != nil {
		t.Bad(key, "%v", err)
	}
	return string(b)
}

func (c *config) readClient(t *conf.Table) {
	secret := radius.Secret(t.Str("secret", ""))
	if secret == "" {
		t.Bad("secret", "missing")
	}
	port := t.Number("coa-port", 0, 65535)
	list := conf.List(t, "prefix", conf.Prefix)
	if len(list) == 0 {
		t.Bad("prefix", "a client needs a prefix such as 10.0.0.0/24, or an address")
	}
	for _, p := range list {
		if _, ok := c.clients[p]; ok {
			t.Bad("prefix", "%v has a secret already", p)
		}
		c.clients[p] = secret
		c.coaPorts[p] = port
	}
	t.Rest()
}

func (c *config) readHome(t *conf.Table) {
	name := t.Str("name", "")
	h := home{addr: t.Str("address", ""), acct: t.Str("accounting", ""), Secret: radius.Secret(t.Str("secret", "")),
		weight: t.Number("weight", 1, 1000), unsigned: t.Bool("unsigned", false), tls: t.Bool("radsec", false)}
	h.ca, h.cert, h.Key = readFile(t, "ca"), readFile(t, "certificate"), radius.Secret(readFile(t, "key"))
	h.serverName = t.Str("server-name", "")
	_, twice := c.homes[name]
	switch {
	case name == "":
		t.Bad("name", "a home server needs a name")
	case twice:
		t.Bad("name", "there is a home server %q already", name)
	case h.addr == "":
		t.Bad("address", "missing")
	case h.tls:
		if _, err := h.tlsConfig(); err != nil {
			t.Bad("radsec", "%v", err)
		}
	case h.Secret == "":
		t.Bad("secret", "missing")
	case h.ca+h.cert+h.serverName != "" || h.Key != "":
		t.Bad("radsec", "ca, certificate, key and server-name are RadSec's: want radsec = true")
	}
	c.homes[name] = h
	t.Rest()
}

// tlsConfig is how a home server is asked by RadSec; nil: by UDP.
func (h *home) tlsConfig() (*tls.Config, error) {
	if !h.tls {
		return nil, nil
	}
	c := &tls.Config{ServerName: h.serverName}
	if h.ca != "" {
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM([]byte(h.ca)) {
			return nil, fmt.Errorf("ca has no PEM certificate")
		}
	}
	cert, err := tls.X509KeyPair([]byte(h.cert), []byte(h.Key))
	if err != nil {
		return nil, fmt.Errorf("certificate and key: %w", err)
	}
	c.Certificates = []tls.Certificate{cert}
	return c, nil
}

func (c *config) readRealm(t *conf.Table) {
	r := realm{name: t.Str("name", ""), homes: t.Texts("home"), strip: t.Bool("strip", false), spool: t.Name(t.Str("spool", "")), path: t.Path}
	r.requests, r.reply = conf.List(t, "remove-requests", parseAttr), conf.List(t, "remove-replies", parseAttr)
	for _, h := range r.homes {
		if _, ok := c.homes[h]; !ok {
			t.Bad("home", "there is no [[home]] %q", h)
		}
	}
	for _, o := range c.realms {
		if strings.EqualFold(o.name, r.name) {
			t.Bad("name", "there is a realm %q already", o.name)
		}
		if r.spool != "" && o.spool == r.spool {
			t.Bad("spool", "realm %q has this directory already", o.name)
		}
	}
	if len(r.homes) == 0 && (r.spool != "" || len(r.requests)+len(r.reply) > 0) {
		t.Bad("home", "missing: a realm whose users are known here has no spool and no filter")
	}
	t.Rest()
	c.realms = append(c.realms, r)
}

// parseAttr reads a type, or VENDOR.TYPE.
func parseAttr(s string) (a attr, err error) {
	vendor, typ, ok := strings.Cut(s, ".")
	if !ok {
		vendor, typ = "0", s
	}
	v, err := strconv.ParseUint(vendor, 10, 32)
	n, err2 := strconv.ParseUint(typ, 10, 8)
	if err != nil || err2 != nil || n == 0 || ok && v == 0 {
		return a, fmt.Errorf("%q is no attribute's number such as 25, nor a vendor's such as 311.22", s)
	}
	if !ok && slices.Contains([]radius.Attr{radius.UserName, radius.State, radius.EAPMessage, radius.MessageAuthenticator, radius.ProxyState}, radius.Attr(n)) {
		return a, fmt.Errorf("attribute %d is the protocol's own", n)
	}
	return attr{uint32(v), byte(n)}, nil
}

// checkTogether finds what is wrong only with all of it.
func (c *config) checkTogether(t *conf.Table) {
	here, away := len(c.realms) == 0, false
	for _, r := range c.realms {
		here, away = here || len(r.homes) == 0, away || len(r.homes) > 0
	}
	if len(c.clients) == 0 && c.radsecListen == "" {
		t.Bad("client", "there is no [[client]] and no [radsec]: nobody could ask")
	}
	if c.coa != "" && !away {
		t.Bad("coa", "no realm has a home server: nobody would ask there")
	}
	if c.accounts == "" && !away {
		t.Bad("accounts", "missing, and no realm has a home server: nobody is known")
	}
	if c.accounts == "" && (len(c.eap.methods) > 0 || c.policies != nil) {
		t.Bad("accounts", "missing: EAP and policies are for users who are known here")
	}
	if c.accounts == "" && here && len(c.realms) > 0 {
		t.Bad("accounts", "missing, and there is a realm without a home server")
	}
}
