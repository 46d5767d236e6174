package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/dialway/dialway/demanddial"
	"github.com/dialway/dialway/examples/internal/cli"
	"github.com/dialway/dialway/examples/internal/conf"
	"github.com/dialway/dialway/ppp"
	"github.com/dialway/dialway/tunnel"
)

// A config is a file, checked.
type config struct {
	global
	interfaces []ifaceConfig
	clients    []clientConfig

	source *conf.Source
}

// A global is what stays as it is while the program runs.
type global struct {
	listen, cert, key, tun, control string
	domains                         []string
	pool                            netip.Prefix
	addr                            netip.Addr // this router's own, the first of pool
	dns, resolvers                  []netip.Addr
	mtu, ports                      int
	remoteAccess, demandDial        bool
}

// An ifaceConfig is one interface, as data: two that are equal are the same interface.
type ifaceConfig struct {
	demanddial.Wizard
	domains                     []string
	persistent, disabled        bool
	keepOrder, redialLost       bool
	exclude, hoursCut           bool
	idle, answeredIdle, timeout time.Duration
	backoff, holdFor, deadPeer  time.Duration
	delegate                    int // length of the prefix to ask for; 0: none
	lockOut                     [2]time.Duration
	attempts, hold, mtu         int
	hours                       string
	demand, in, out             *tunnel.Filter
	dns                         []netip.Addr
	ca                          string // PEM
	pins                        [][32]byte
	insecure                    bool
	auth                        []ppp.AuthProtocol
	address, source             netip.Addr
	identification              string
	path                        string // in the file
}

// A clientConfig is a remote-access client.
type clientConfig struct {
	name     string
	Password ppp.Secret // exported, or printing the struct would tell it
	addr     netip.Addr
	routes   []netip.Prefix // of a router that only calls, and is no interface
	askAddr  bool
}

const (
	defaultControl = "/run/branch.sock"
	maxTunName     = 15
)

// readConfig reads a file and finds everything that is wrong with it.
func readConfig(file string) (*config, error) {
	t, err := conf.Read(file)
	if err != nil {
		return nil, err
	}
	c := &config{source: t.Source}
	c.readGlobal(t)
	for _, x := range t.Tables("interface") {
		c.interfaces = append(c.interfaces, readInterface(x))
	}
	for _, x := range t.Tables("client") {
		c.readClient(x)
	}
	t.Rest()
	c.checkTogether()
	return c, t.Err()
}

func (c *config) readGlobal(t *conf.Table) {
	c.listen = t.Str("listen", ":443")
	if _, _, err := net.SplitHostPort(c.listen); err != nil {
		t.Bad("listen", "%v", err)
	}
	c.cert, c.key = t.Name(t.Str("certificate", "")), t.Name(t.Str("key", ""))
	if (c.cert == "") != (c.key == "") {
		t.Bad("certificate", "a certificate needs a key, and a key a certificate")
	} else if c.cert != "" {
		if _, err := tls.LoadX509KeyPair(c.cert, c.key); err != nil {
			t.Bad("certificate", "%v", err)
		}
	}
	if c.tun = t.Str("tun", "ras0"); c.tun == "" || len(c.tun) > maxTunName {
		t.Bad("tun", "%q is no name of a device", c.tun)
	}
	c.control = t.Str("control", defaultControl)
	c.domains = t.Texts("domains")
	pool, err := netip.ParsePrefix(t.Str("pool", "10.8.0.0/24"))
	if err == nil {
		c.pool = pool.Masked()
		c.addr, err = cli.FirstHost(c.pool)
	}
	if err != nil {
		t.Bad("pool", "%v", err)
	}
	c.dns, c.resolvers = conf.List(t, "dns", netip.ParseAddr), conf.List(t, "resolvers", netip.ParseAddr)
	if c.resolvers == nil {
		c.resolvers = systemResolvers()
	}
	if c.mtu = t.Number("mtu", 576, 4087); c.mtu == 0 {
		c.mtu = 1400
	}
	c.ports = t.Number("ports", 1, 1<<20)
	c.remoteAccess, c.demandDial = t.Bool("remote-access", true), t.Bool("demand-dial", true)
}

// systemResolvers returns the name servers of the system.
func systemResolvers() (list []netip.Addr) {
	b, _ := os.ReadFile("/etc/resolv.conf")
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) == 2 && f[0] == "nameserver" {
			if a, err := netip.ParseAddr(f[1]); err == nil {
				list = append(list, a)
			}
		}
	}
	return list
}

func readInterface(t *conf.Table) ifaceConfig {
	c := ifaceConfig{path: t.Path}
	w := &c.Wizard
	w.Name = t.Str("name", "")
	w.Connection, w.VPN = t.Str("connection", ""), t.Str("vpn", "")
	w.To = t.Texts("to")
	for _, to := range w.To {
		if err := checkDestination(to); err != nil && strings.TrimSpace(to) == to && to != "" { // else the wizard tells
			t.Bad("to", "%v", err)
		}
	}
	w.RoutePackets = t.Bool("route-packets", true)
	w.DialInPassword = ppp.Secret(t.Str("dial-in-password", ""))
	w.DialInPasswordAgain = w.DialInPassword // whoever wrote the file has seen it
	w.AddUser = t.Bool("add-user", w.DialInPassword != "")
	w.User, w.Domain = t.Str("user", ""), t.Str("domain", "")
	w.Password = ppp.Secret(t.Str("password", ""))
	w.PasswordAgain = w.Password
	for _, r := range t.Tables("route") {
		w.Routes = append(w.Routes, readRoute(r))
	}
	c.exclude = t.Bool("exclude", false)
	if t.Bool("default-route", false) {
		w.Routes = append(w.Routes, defaultRoute(w.Routes)...)
		if !c.exclude {
			t.Bad("default-route", "it would lead to the far router itself, too: it needs exclude = true")
		}
	}

	c.domains = t.Texts("domains")
	c.persistent, c.disabled = t.Bool("persistent", false), t.Bool("disabled", false)
	c.keepOrder, c.redialLost = t.Bool("keep-order", false), t.Bool("redial-lost", false)
	c.idle, c.answeredIdle = t.Duration("idle", "never"), t.Duration("answered-idle", "")
	c.timeout, c.backoff = t.Duration("timeout", ""), t.Duration("backoff", "")
	c.readLockOut(t)
	if t.Word("attempts", "forever") {
		c.attempts = -1
	} else {
		c.attempts = t.Number("attempts", 1, 99)
	}
	c.hold, c.holdFor = t.Number("hold", 0, 1<<30), t.Duration("hold-for", "")
	c.mtu = t.Number("mtu", 576, 4087)
	if c.hours = t.Str("hours", ""); c.hours != "" {
		if _, err := demanddial.ParseHours(c.hours); err != nil {
			t.Bad("hours", "%s", strings.TrimPrefix(err.Error(), "demanddial: "))
		}
	}
	c.hoursCut = t.Bool("hours-cut", false)
	c.demand, c.in, c.out = readFilter(t, "demand"), readFilter(t, "in"), readFilter(t, "out")
	c.dns = conf.List(t, "dns", netip.ParseAddr)
	c.deadPeer = t.Duration("dead-peer", "")
	c.delegate = t.Number("delegate", 32, 64)
	c.readTrust(t)
	c.auth = conf.List(t, "auth", parseAuth)
	c.address, c.source = address(t, "address"), address(t, "source")
	c.identification = t.Str("identification", "")
	t.Rest()
	return c
}

func readRoute(t *conf.Table) (r demanddial.Route) {
	var err error
	if r.Prefix, err = netip.ParsePrefix(t.Str("prefix", "")); err != nil {
		t.Bad("prefix", "%v", err)
	}
	r.Metric, r.Connected = t.Number("metric", 0, 1<<16), t.Bool("connected", false)
	t.Rest()
	return r
}

// defaultRoute is the way to everywhere, for the families of the other routes, or IPv4 if there are none. It is in halves: the
// system has a default route already, by which the far router is reached, and that must stay.
func defaultRoute(others []demanddial.Route) (list []demanddial.Route) {
	four, six := families(others)
	var halves []string
	if four || !six {
		halves = append(halves, "0.0.0.0/1", "128.0.0.0/1")
	}
	if six {
		halves = append(halves, "::/1", "8000::/1")
	}
	for _, p := range halves {
		list = append(list, demanddial.Route{Prefix: netip.MustParsePrefix(p), Connected: true})
	}
	return list
}

func (c *ifaceConfig) readLockOut(t *conf.Table) {
	if t.Word("lock-out", "none") {
		c.lockOut[0] = -1
		return
	}
	for n, s := range t.Texts("lock-out") {
		if n > 1 {
			t.Bad("lock-out", "want the first and the most")
			return
		}
		c.lockOut[n] = t.ParseDuration("lock-out", s, "")
	}
}

// readFilter reads { only = [...] } or { except = [...] }.
func readFilter(t *conf.Table, key string) *tunnel.Filter {
	x := t.Sub(key)
	if x == nil {
		return nil
	}
	f := x.Filter(t, key)
	x.Rest()
	return f
}

// readTrust reads how the far server is known.
func (c *ifaceConfig) readTrust(t *conf.Table) {
	if ca := t.Name(t.Str("ca", "")); ca != "" {
		b, err := os.ReadFile(ca)
		if err != nil {
			t.Bad("ca", "%v", err)
		} else if !x509.NewCertPool().AppendCertsFromPEM(b) {
			t.Bad("ca", "%s has no PEM certificate", ca)
		}
		c.ca = string(b)
	}
	c.pins = conf.List(t, "fingerprint", cli.ParseFingerprint)
	c.insecure = t.Bool("insecure", false)
}

func parseAuth(s string) (ppp.AuthProtocol, error) {
	for _, p := range []ppp.AuthProtocol{ppp.PAP, ppp.CHAP, ppp.MSCHAPv2} {
		if strings.EqualFold(s, strings.ReplaceAll(p.String(), "-", "")) || strings.EqualFold(s, p.String()) {
			return p, nil
		}
	}
	return 0, fmt.Errorf("%q is not MS-CHAPv2, CHAP-MD5 or PAP", s)
}

func address(t *conf.Table, key string) (a netip.Addr) {
	if s := t.Str(key, ""); s != "" {
		var err error
		if a, err = netip.ParseAddr(s); err != nil {
			t.Bad(key, "%v", err)
		}
	}
	return a
}

func (c *config) readClient(t *conf.Table) {
	x := clientConfig{name: t.Str("name", ""), Password: ppp.Secret(t.Str("password", "")), addr: address(t, "address")}
	x.routes = conf.List(t, "routes", netip.ParsePrefix)
	x.askAddr = t.Bool("ask-address", false)
	switch {
	case x.name == "" || strings.ContainsAny(x.name, `\@`):
		t.Bad("name", "%q is no user name without domain", x.name)
	case x.Password == "":
		t.Bad("password", "a client without a password cannot come in")
	}
	t.Rest()
	c.clients = append(c.clients, x)
}

// checkTogether finds what is wrong only with all of it.
func (c *config) checkTogether() {
	names := map[string]bool{}
	for n, x := range c.clients {
		key := strings.ToLower(x.name)
		if names[key] && key != "" {
			c.source.Bad(fmt.Sprintf("client.%d.name", n), "name: there is a client %q already", x.name)
		}
		names[key] = true
	}
	c.checkAddresses()
	for _, x := range c.interfaces {
		if names[strings.ToLower(x.Name)] && x.AddUser {
			c.source.Bad(x.path+".name", "name: there is a client %q: its calls would be this interface's", x.Name)
		}
	}
	set := &demanddial.Set{Router: &tunnel.Router{Routes: new(tunnel.Table)}, Domains: c.domains, Resolvers: c.resolvers}
	b := builder{config: c, exclude: func(netip.Addr) error { return nil }}
	var good []*demanddial.Interface
	for n := range c.interfaces {
		i, _, err := b.build(&c.interfaces[n])
		if err != nil {
			c.place(err)
			continue
		}
		good = append(good, i)
	}
	c.place(set.Add(good...))
}

// checkAddresses finds addresses and routes that are somebody else's already.
func (c *config) checkAddresses() {
	taken := map[netip.Addr]string{c.addr: "this router"}
	for n, x := range c.clients {
		if !x.addr.IsValid() {
			continue
		}
		if who := taken[x.addr]; who != "" {
			c.source.Bad(fmt.Sprintf("client.%d.address", n), "address: %s has %v already", who, x.addr)
		}
		taken[x.addr] = "client " + strconv.Quote(x.name)
	}
	for _, x := range c.interfaces {
		for n, r := range x.Routes {
			if c.pool.IsValid() && r.Prefix.IsValid() && r.Prefix.Bits() >= c.pool.Bits() && c.pool.Contains(r.Prefix.Addr()) {
				c.source.Bad(fmt.Sprintf("%s.route.%d", x.path, n), "interface %q: %v is of this router's own pool, %v", x.Name, r.Prefix, c.pool)
			}
		}
	}
}

// place notes problems of package demanddial where their keys stand.
func (c *config) place(err error) {
	for _, p := range demanddial.Problems(err) {
		path := ""
		for _, x := range c.interfaces {
			if x.Name == p.Interface {
				path = x.path // the last of a name: the one too many
			}
		}
		key := strings.ToLower(kebab(p.Field))
		if p.Field == "Routes" {
			key = fmt.Sprintf("route.%d", p.Index)
		}
		c.source.Bad(conf.Join(path, key), "interface %q: %v", p.Interface, p.Err)
	}
	if err != nil && len(demanddial.Problems(err)) == 0 {
		c.source.Bad("", "%v", err)
	}
}

// kebab makes DialInPassword of Go dial-in-password of the file.
func kebab(field string) string {
	var b strings.Builder
	for n, r := range field {
		if n > 0 && r >= 'A' && r <= 'Z' && field[n-1] >= 'a' {
			b.WriteByte('-')
		}
		b.WriteRune(r)
	}
	return b.String()
}

var errNoAccount = errors.New("no account")
