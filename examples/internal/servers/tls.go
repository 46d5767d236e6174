package servers

import (
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"net"
	"strings"

	"github.com/dialway/dialway/examples/internal/cli"
	"github.com/dialway/dialway/radius"
)

// TLS has the flags of RadSec (RFC 6614), by which servers are asked in the place of UDP if one is given.
type TLS struct{ ca, cert, key, name string }

// Register defines the flags; before begins what is said of each.
func (t *TLS) Register(fs *flag.FlagSet, before string) {
	fs.StringVar(&t.cert, "radius-tls-cert", "", before+"ask by RadSec, at port 2083 where -radius says none: `FILE` with the certificate of this end in PEM")
	fs.StringVar(&t.key, "radius-tls-key", "", before+"RadSec: `FILE` with its key in PEM")
	fs.StringVar(&t.ca, "radius-tls-ca", "", before+"RadSec: `FILE` of PEM certificates that the servers' must come from; without, the system's authorities vouch for them")
	fs.StringVar(&t.name, "radius-tls-name", "", before+"RadSec: `NAME` in the servers' certificates; without, the host in -radius")
}

// Given reports whether servers are asked by RadSec.
func (t *TLS) Given() bool { return *t != TLS{} }

// Without says that there are no servers to ask.
func (t *TLS) Without(p *cli.Problems) {
	if t.Given() {
		p.Add("-radius-tls-cert", errors.New("means nothing without -radius"))
	}
}

// Targets reads -radius and what goes with it. What is wrong is added to p.
func (t *TLS) Targets(list, secretFile string, p *cli.Problems) []radius.Target {
	if !t.Given() {
		secret, err := Secret(secretFile)
		p.Add("-radius-secret-file", err)
		targets, err := Targets(list, secret)
		p.Add("-radius", err)
		return targets
	}
	if secretFile != "" {
		p.Add("-radius-secret-file", errors.New("means nothing with RadSec: certificates prove who is who"))
	}
	c := &tls.Config{ServerName: t.name}
	if t.cert == "" || t.key == "" {
		p.Add("-radius-tls-cert", errors.New("and -radius-tls-key: RadSec needs both"))
	} else {
		cert, err := tls.LoadX509KeyPair(t.cert, t.key)
		p.Add("-radius-tls-cert", err)
		c.Certificates = []tls.Certificate{cert}
	}
	if t.ca != "" {
		var err error
		c.RootCAs, err = cli.ReadCA(t.ca)
		p.Add("-radius-tls-ca", err)
	}
	var targets []radius.Target
	for _, s := range strings.Split(list, ",") {
		host, port, err := split(s, "2083")
		if err != nil {
			p.Add("-radius", err)
			continue
		}
		targets = append(targets, radius.Target{Addr: net.JoinHostPort(host, fmt.Sprint(port)), TLS: c})
	}
	return targets
}
