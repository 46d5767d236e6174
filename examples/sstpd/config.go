package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"

	"github.com/dialway/dialway/examples/internal/cli"
	"github.com/dialway/dialway/examples/internal/policies"
	"github.com/dialway/dialway/ppp"
	"github.com/dialway/dialway/ppp/access"
)

const usage = `sstpd is an SSTP server: it gives clients that know a password an address, and carries their packets.

  sstpd -users users.txt -tun netstack -listen :8443     no root: what clients connect to is dialled from here
  sstpd -users users.txt -cert cert.pem -key key.pem     as root: packets go to the system by a TUN device
  sstpd -radius 10.0.0.5 -radius-secret-file secret -coa :3799     RADIUS servers have the accounts

To let clients through to other networks, the system must forward: sysctl net.ipv4.ip_forward=1, with -ipv6 also
net.ipv6.conf.all.forwarding=1, and a route back to -pool (-ipv6, -delegate) or masquerading. SIGHUP reads certificate and
users again; sessions stay. SIGINT and SIGTERM end it.`

// A config is the command line, checked.
type config struct {
	listen, cert, key, tun, web string
	users, accounts             string // one of them, or radius
	policies                    string
	radius                      radiusConfig
	ddns                        ddnsConfig
	localConfig
	poolsConfig
	pool                    netip.Prefix
	addr                    netip.Addr // the server's own, the first of pool
	dns                     cli.Addrs
	auth                    []ppp.AuthProtocol
	mtu, queues             int
	proxies                 cli.Prefixes
	eap, legacyTLS, verbose bool
	congestion              string
}

// parse reads the command line and tells everything that is wrong with it.
func parse(args []string, stderr io.Writer) (*config, error) {
	c := new(config)
	fs := cli.Flags("sstpd", usage, stderr)
	fs.StringVar(&c.listen, "listen", ":443", "`ADDRESS` to listen on")
	fs.StringVar(&c.cert, "cert", "", "`FILE` with the certificate and its chain in PEM; without, one is made and its fingerprint told")
	fs.StringVar(&c.key, "key", "", "`FILE` with the key in PEM")
	fs.StringVar(&c.users, "users", "", "`FILE` of lines name:password; the first colon separates, nothing is trimmed, lines that begin with # are left out")
	fs.StringVar(&c.accounts, "accounts", "", "`FILE` of accounts in the place of -users, with dial-in properties; examples/account keeps it")
	fs.StringVar(&c.policies, "policies", "", "`FILE` of policies, of which the first that fits decides about who has proved to be somebody; with -radius, its filters are what a Filter-Id names")
	c.radius.register(fs)
	c.ddns.register(fs)
	pool := fs.String("pool", "10.8.0.0/24", "`PREFIX` of the clients' addresses; its first is the server's own")
	fs.Var(&c.dns, "dns", "`IP,IP` of the name servers that clients are told")
	c.poolsConfig.register(fs)
	c.localConfig.register(fs)
	fs.StringVar(&c.tun, "tun", "sstp0", "`NAME` of the TUN device, or netstack")
	auth := fs.String("auth", "mschapv2", "`LIST` of what clients may prove themselves by, best first: mschapv2, chap, pap")
	fs.BoolVar(&c.eap, "eap", false, "also EAP, which is asked for first: EAP-MSCHAPv2 with the passwords of -users or -accounts, or what the servers of -radius speak")
	fs.IntVar(&c.queues, "queues", 1, "`NUMBER` of the TUN device's queues: with many sessions, one for each core")
	fs.IntVar(&c.mtu, "mtu", 1400, "largest packet, in `BYTES`")
	fs.StringVar(&c.congestion, "congestion", "", "congestion control of the sessions' TCP, by `NAME`: cubic, bbr; none means the system's")
	fs.Var(&c.proxies, "proxy-protocol", "`PREFIX` of the proxies in front, which must send a PROXY header (version 1 or 2)")
	fs.StringVar(&c.web, "web", "", "`DIR` to show to web browsers on the same port")
	fs.BoolVar(&c.legacyTLS, "legacy-tls", false, "also TLS 1.0 and 1.1 and cipher suites with CBC, for clients that have nothing better")
	fs.BoolVar(&c.verbose, "v", false, "tell each step of each session")
	if err := cli.Parse(fs, args); err != nil {
		return nil, err
	}
	var p cli.Problems
	var err error
	_, _, err = net.SplitHostPort(c.listen)
	p.Add("-listen", err)
	if (c.cert == "") != (c.key == "") {
		p.Add("-cert", errors.New("a certificate needs -key, and a key -cert"))
	} else if c.cert != "" {
		_, err = tls.LoadX509KeyPair(c.cert, c.key)
		p.Add("-cert", err)
	}
	var who []string
	for _, f := range [][2]string{{"-users", c.users}, {"-accounts", c.accounts}, {"-radius", c.radius.servers}} {
		if f[1] != "" {
			who = append(who, f[0])
		}
	}
	switch {
	case len(who) == 0:
		p.Add("-users", errors.New("missing, and no -accounts, and no -radius: nobody could connect"))
	case len(who) > 1:
		p.Add(who[0], fmt.Errorf("and %s do not go together: accounts are in one place", strings.Join(who[1:], " and ")))
	case c.users != "":
		_, err = readUsers(c.users)
		p.Add("-users", err)
	case c.accounts != "":
		_, err = access.OpenFile(c.accounts)
		p.Add("-accounts", err)
	}
	c.radius.check(fs, &p)
	c.ddns.check(&p)
	if c.policies != "" {
		_, err = policies.Read(c.policies)
		p.Add("-policies", err)
	}
	if c.pool, err = netip.ParsePrefix(*pool); err == nil {
		c.pool = c.pool.Masked()
		c.addr, err = cli.FirstHost(c.pool)
	}
	p.Add("-pool", err)
	c.auth, err = parseAuth(*auth)
	if c.eap {
		c.auth = append([]ppp.AuthProtocol{ppp.EAP}, c.auth...)
	}
	p.Add("-auth", err)
	four := 0
	for _, a := range c.dns {
		if a.Is4() {
			four++
		} else if c.ipv6.ipv6 == "" && c.accounts == "" && c.radius.servers == "" {
			p.Add("-dns", fmt.Errorf("%v: %w", a, errDNS6))
		}
	}
	if four > 2 {
		p.Add("-dns", errors.New("PPP tells two IPv4 name servers at most"))
	}
	if c.tun == "" || len(c.tun) > 15 {
		p.Add("-tun", fmt.Errorf("%q is no name of a device (1 to 15 bytes), nor netstack", c.tun))
	}
	if c.mtu < 576 || c.mtu > 4087 {
		p.Add("-mtu", fmt.Errorf("%d is not between 576 and 4087", c.mtu))
	}
	c.localConfig.check(&p, c.mtu)
	c.poolsConfig.check(fs, &p, c.tun)
	if c.queues < 1 || c.queues > 256 {
		p.Add("-queues", fmt.Errorf("%d is not between 1 and 256", c.queues)) // 256: MAX_TAP_QUEUES
	}
	if c.web != "" {
		if s, err := os.Stat(c.web); err != nil {
			p.Add("-web", err)
		} else if !s.IsDir() {
			p.Add("-web", fmt.Errorf("%s is no directory", c.web))
		}
	}
	return c, p.Err()
}

func parseAuth(s string) (list []ppp.AuthProtocol, err error) {
	for _, f := range strings.Split(s, ",") {
		switch f {
		case "mschapv2":
			list = append(list, ppp.MSCHAPv2)
		case "chap":
			list = append(list, ppp.CHAP)
		case "pap":
			list = append(list, ppp.PAP)
		default:
			return nil, fmt.Errorf("%q is not mschapv2, chap or pap", f)
		}
	}
	return list, nil
}
