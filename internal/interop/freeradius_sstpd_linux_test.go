package interop

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dialway/dialway/internal/netns"
	"github.com/dialway/dialway/ppp"
	"github.com/dialway/dialway/ppp/eap"
	"github.com/dialway/dialway/sstp"
)

// The users of TestFreeRADIUS: alice is a router with an address of her own, tina has a certificate.
const freeRADIUSUsers = `alice Cleartext-Password := "secret"
	Framed-IP-Address = 10.8.0.77,
	Framed-Route = "172.16.7.0/24 0.0.0.0 1",
	Session-Timeout = 3600,
	Idle-Timeout = 600,
	Filter-Id = "web.in",
	WISPr-Bandwidth-Max-Down = 200000000,
	MS-Primary-DNS-Server = 10.8.0.53,
	Reply-Message = "welcome",
	Class = "accounted"

tina EAP-Type := TLS
	Framed-IP-Address = 10.8.0.78,
	Class = "of tina"

bob Cleartext-Password := "secret"
	Class = "of bob"

brief Cleartext-Password := "secret"
	Session-Timeout = 4

idle Cleartext-Password := "secret"
	Idle-Timeout = 3

outside Cleartext-Password := "secret"
	Framed-IP-Address = 203.0.113.9

filtered Cleartext-Password := "secret"
	Filter-Id = "of another server"
`

// freeRADIUSPolicies lets everybody through; its filters are what Filter-Id names. alice's lets no packet to port 9 pass.
const freeRADIUSPolicies = `[[policy]]
name = "all"

[[filter]]
name = "web.in"
except = ["udp any > any:9"]

[[filter]]
name = "nothing"
only = ["tcp any > 192.0.2.1:1"]
`

// An accessServer is examples/sstpd in front of FreeRADIUS, with clients of this library.
type accessServer struct {
	*Program
	t    *testing.T
	ns   *netns.NS
	addr string // as this library's client dials it
	cert string
	pki  eapPKI
}

// startAccessServer starts sstpd with the servers of RADIUS.
func startAccessServer(t *testing.T, ns *netns.NS, dir, addr, cert, key string, pki eapPKI, servers []*FreeRADIUS, args ...string) *accessServer {
	t.Helper()
	var list []string
	for _, f := range servers {
		list = append(list, fmt.Sprintf("127.0.0.1:%d", f.Port))
	}
	secret := writeFile(t, filepath.Join(dir, "radius-secret"), servers[0].Secret+"\n")
	_, port, _ := net.SplitHostPort(addr)
	args = append([]string{"-listen", ":" + port, "-cert", cert, "-key", key, "-v", "-auth", "mschapv2,chap,pap", "-eap",
		"-radius", strings.Join(list, ","), "-radius-secret-file", secret}, args...)
	s := &accessServer{Program: StartProgram(t, ns, "sstpd", args...), t: t, ns: ns, addr: addr, cert: cert, pki: pki}
	s.Await(20*time.Second, "ready", 1)
	return s
}

// A method is how a client of this library logs in.
type method struct {
	name string
	auth ppp.AuthProtocol
	peer func(user string, password ppp.Secret) eap.PeerMethod // of EAP
	keys string                                                // what the server binds with
}

func (s *accessServer) methods() []method {
	password := func(user string, password ppp.Secret) eap.PeerMethod {
		return &eap.MSCHAPv2{User: user, Password: password}
	}
	outer := func(version uint16) *tls.Config {
		c := &tls.Config{RootCAs: s.pki.roots, ServerName: "radius.test", MaxVersion: version}
		pair, err := tls.LoadX509KeyPair(s.pki.cert, s.pki.key)
		if err != nil {
			s.t.Fatal(err)
		}
		c.Certificates = []tls.Certificate{pair}
		return c
	}
	byTLS := func(version uint16) func(string, ppp.Secret) eap.PeerMethod {
		return func(_ string, password ppp.Secret) eap.PeerMethod {
			c := outer(version)
			if password != "secret" { // the certificate of another CA
				pair, err := tls.LoadX509KeyPair(s.pki.other, s.pki.otherKey)
				if err != nil {
					s.t.Fatal(err)
				}
				c.Certificates = []tls.Certificate{pair}
			}
			return &eap.TLS{Config: c}
		}
	}
	return []method{
		{"PAP", ppp.PAP, nil, "zero"},
		{"CHAP", ppp.CHAP, nil, "zero"},
		{"MS-CHAPv2", ppp.MSCHAPv2, nil, "recv+send"},
		{"EAP-MSCHAPv2", ppp.EAP, password, "recv+send"},
		{"EAP-TLS 1.2", ppp.EAP, byTLS(tls.VersionTLS12), "recv+send"},
		{"EAP-TLS 1.3", ppp.EAP, byTLS(tls.VersionTLS13), "recv+send"},
		{"PEAP-MSCHAPv2", ppp.EAP, func(user string, p ppp.Secret) eap.PeerMethod {
			c := outer(tls.VersionTLS12)
			c.Certificates = nil
			return &eap.PEAP{Config: c, InnerPeer: password(user, p), NoBindingOkay: true} // FreeRADIUS has none
		}, "recv+send"},
	}
}

// dial connects with this library's client. The link is served until it ends, which ended tells.
func (s *accessServer) dial(m method, user string, password ppp.Secret) (link *ppp.Conn, ended chan error, err error) {
	s.t.Helper()
	pem, err := os.ReadFile(s.cert)
	if err != nil {
		s.t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	cfg := &ppp.Config{User: user, Auth: []ppp.AuthProtocol{m.auth}, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}
	if m.peer != nil {
		cfg.EAP = (&eap.Peer{Identity: user, Methods: []eap.PeerMethod{m.peer(user, password)}}).Respond
	} else {
		cfg.Password = password
	}
	d := &sstp.Dialer{
		PPP: cfg, TLSConfig: &tls.Config{RootCAs: roots, ServerName: "sstp.test"},
		NetDial: func(ctx context.Context, network, addr string) (c net.Conn, err error) {
			s.ns.Do(func() { c, err = new(net.Dialer).DialContext(ctx, network, addr) })
			return c, err
		},
	}
	ctx, cancel := context.WithTimeout(context.Background(), 40*time.Second)
	defer cancel()
	if link, err = d.DialContext(ctx, s.addr); err != nil {
		return nil, nil, err
	}
	ended = make(chan error, 1)
	go func() {
		ended <- link.Serve(context.Background(), func(bufs [][]byte, _ int) (int, error) { return len(bufs), nil })
	}()
	return link, ended, nil
}

// logged returns the server's lines with all of the texts.
func (s *accessServer) logged(texts ...string) (lines []string) {
next:
	for line := range strings.Lines(s.Output()) {
		for _, x := range append(texts, "\n") { // whole lines
			if !strings.Contains(line, x) {
				continue next
			}
		}
		lines = append(lines, line)
	}
	return lines
}

// sessionID is what a line of the log says about it.
func sessionID(line string) string {
	return regexp.MustCompile(` id=(\S+)`).FindStringSubmatch(line)[1]
}

// A ledger is what detail files say: the records of each session.
type ledger map[string][]string

func readLedger(t *testing.T, servers ...*FreeRADIUS) ledger {
	t.Helper()
	l := ledger{}
	for _, f := range servers {
		b, err := os.ReadFile(f.Detail)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		for r := range strings.SplitSeq(string(b), "\n\n") {
			id := value(r, "Acct-Session-Id")
			l[id] = append(l[id], r)
		}
	}
	return l
}

// find returns a session's record with a status; empty: there is none.
func (l ledger) find(id, status string) string {
	for _, r := range l[id] {
		if value(r, "Acct-Status-Type") == status {
			return r
		}
	}
	return ""
}

// awaitRecord waits for a record to come to any of the servers.
func awaitRecord(t *testing.T, timeout time.Duration, id, status string, servers ...*FreeRADIUS) string {
	t.Helper()
	for end := time.Now().Add(timeout); ; time.Sleep(50 * time.Millisecond) {
		if r := readLedger(t, servers...).find(id, status); r != "" {
			return r
		}
		if time.Now().After(end) {
			t.Errorf("no %s of session %s within %v", status, id, timeout)
			return ""
		}
	}
}

// value returns an attribute of a record, without quotes.
func value(record, name string) string {
	m := regexp.MustCompile(`(?m)^\s+` + regexp.QuoteMeta(name) + ` = (.*)$`).FindStringSubmatch(record)
	if m == nil {
		return ""
	}
	return strings.Trim(m[1], `"`)
}

func number(t *testing.T, record, name string) uint64 {
	t.Helper()
	n, err := strconv.ParseUint(value(record, name), 10, 64)
	if err != nil {
		t.Errorf("%s: %v in\n%s", name, err, record)
	}
	return n
}

// TestFreeRADIUS has FreeRADIUS behind examples/sstpd, which Debian's sstpc and pppd dial, and this library's client.
func TestFreeRADIUS(t *testing.T) {
	t.Parallel()
	NeedLinuxClient(t)
	Need(t, "openssl:openssl")
	ns, dir := netns.New(t), t.TempDir()
	cert, key := certificate(t, dir, "sstp.test")
	pki := newEAPPKI(t, dir, "tina")
	a, b, bare := NewFreeRADIUS(t, ns, 1812), NewFreeRADIUS(t, ns, 1822), NewFreeRADIUS(t, ns, 1832)
	var wg sync.WaitGroup
	for _, f := range []*FreeRADIUS{a, b, bare} {
		f.Users, f.TLS = freeRADIUSUsers, [3]string{pki.ca, pki.serverFiles[0], pki.serverFiles[1]}
		f.NoKeys = f == bare
		wg.Go(f.Start)
	}
	g := StartGuest(t, ns, 0)
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
	policy := writeFile(t, filepath.Join(dir, "policies.toml"), freeRADIUSPolicies)
	s := startAccessServer(t, ns, dir, "127.0.0.1:443", cert, key, pki, []*FreeRADIUS{a, b}, "-tun", "vpn0", "-pool", "10.8.0.0/24",
		"-coa", "127.0.0.1:3799", "-radius-spool", filepath.Join(dir, "spool"), "-radius-interim", "15s", "-radius-trust-name", "-policies", policy)
	both := []*FreeRADIUS{a, b}

	t.Run("while both run", func(t *testing.T) {
		t.Run("Linux client", func(t *testing.T) { t.Parallel(); linuxClientByRADIUS(t, s, g, both) })
		t.Run("our client", func(t *testing.T) { t.Parallel(); ourClientByRADIUS(t, s, both) })
		t.Run("time-outs", func(t *testing.T) { t.Parallel(); timeoutsByRADIUS(t, s, both) })
		t.Run("no keys", func(t *testing.T) {
			t.Parallel()
			noKeysByRADIUS(t, startAccessServer(t, ns, t.TempDir(), "127.0.0.1:444", cert, key, pki, []*FreeRADIUS{bare}, "-tun", "netstack", "-pool", "10.9.0.0/24"))
		})
	})
	t.Run("one of two dies, then both", func(t *testing.T) { failOverByRADIUS(t, s, g, a, b) })
}

func (s *accessServer) call(g *Guest, user, password, auth string) Call {
	return Call{Server: g.Gateway.String() + ":443", Host: "sstp.test", CA: s.cert, User: user, Password: password, Auth: auth}
}

// linuxClientByRADIUS: sstpc and pppd by every method they have; then what was granted, accounting, and changes.
func linuxClientByRADIUS(t *testing.T, s *accessServer, g *Guest, servers []*FreeRADIUS) {
	share := func(name, from string) string {
		text, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		g.put(name, string(text), 0o600)
		return "/mnt/" + name
	}
	byTLS := "ca " + share("eap-ca.pem", s.pki.ca) + "\ncert " + share("client.pem", s.pki.cert) + "\nkey " + share("client.key", s.pki.key) +
		"\nneed-peer-eap\nmax-tls-version 1.2\n" // pppd's TLS 1.3 is older than RFC 9190
	for _, c := range []struct{ name, user, addr, auth, password, options, keys string }{
		{"PAP", "alice", "10.8.0.77", "pap", "secret", "", "zero"},
		{"CHAP", "alice", "10.8.0.77", "chap", "secret", "", "zero"},
		{"MS-CHAPv2", "alice", "10.8.0.77", "mschap-v2", "secret", "", "recv+send"},
		{"EAP-MSCHAPv2", "alice", "10.8.0.77", "eap", "secret", "", "recv+send"},
		{"EAP-TLS", "tina", "10.8.0.78", "eap", "", byTLS, "recv16+send16"},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := len(s.logged("crypto binding holds", "keys="+c.keys+" ", g.Addr.String()))
			call := s.call(g, c.user, c.password, c.auth)
			call.Options = c.options
			session := g.Dial(call)
			if session.Refused != "" {
				t.Fatalf("refused: %s\n%s", session.Refused, last(session.PPPLog(), 3000))
			}
			if session.Local.String() != c.addr {
				t.Errorf("the client has %v", session.Local)
			}
			if n := len(s.logged("crypto binding holds", "keys="+c.keys+" ", g.Addr.String())); n != before+1 {
				t.Errorf("the server did not bind with %s:\n%s", c.keys, strings.Join(s.logged("crypto binding holds"), ""))
			}
			if c.name != "MS-CHAPv2" {
				session.Ping("10.8.0.1", 1)
				session.Hangup()
				return
			}
			// The server must have counted what the client's device has. That counts IPCP, too: until here.
			counters := func() (n [4]uint64) {
				out := g.Must(10*time.Second, "cd /sys/class/net/ppp0/statistics; cat tx_packets tx_bytes rx_packets rx_bytes")
				for i, f := range strings.Fields(out) {
					n[i], _ = strconv.ParseUint(f, 10, 64)
				}
				return n
			}
			before4 := counters()
			g.Must(30*time.Second, "for i in 1 2 3 4 5 6 7; do ping -n -c 1 -W 5 -s 1000 10.8.0.1 || exit 1; done")
			after4 := counters()
			session.Hangup()
			lines := s.logged("session opened", "user=alice")
			stop := awaitRecord(t, 20*time.Second, sessionID(lines[len(lines)-1]), "Stop", servers...)
			for i, name := range []string{"Acct-Input-Packets", "Acct-Input-Octets", "Acct-Output-Packets", "Acct-Output-Octets"} {
				if want, got := after4[i]-before4[i], number(t, stop, name); got != want || got < 7 {
					t.Errorf("%s: the server has %d, the client's device %d", name, got, want)
				}
			}
		})
		if c.name != "MS-CHAPv2" && c.name != "EAP-MSCHAPv2" {
			continue
		}
		t.Run(c.name+", wrong password", func(t *testing.T) {
			if session := g.Dial(s.call(g, "alice", "wrong", c.auth)); session.Refused == "" {
				t.Error("connected")
			}
		})
	}

	// One session for all that takes a while.
	opened := len(s.logged("session opened", "user=alice"))
	session := g.Dial(s.call(g, "alice", "secret", "mschap-v2"))
	if session.Refused != "" {
		t.Fatalf("refused: %s\n%s", session.Refused, last(session.PPPLog(), 3000))
	}
	began := time.Now()
	lines := s.logged("session opened", "user=alice")
	if len(lines) != opened+1 {
		t.Fatalf("%d sessions of alice's, there were %d", len(lines), opened)
	}
	id := sessionID(lines[opened])
	if len(session.DNS) == 0 || session.DNS[0] != "10.8.0.53" {
		t.Errorf("name servers %v", session.DNS)
	}

	t.Run("Framed-Route", func(t *testing.T) {
		g.Must(10*time.Second, "ip addr replace 172.16.7.1/32 dev lo")
		if r := s.ns.Run("ip", "route", "show", "172.16.7.0/24"); !strings.Contains(r, "vpn0") {
			t.Errorf("the system has no route: %q", r)
		}
		PingFrom(t, s.ns, "172.16.7.1", 2)
	})

	t.Run("CoA acts", func(t *testing.T) {
		coa := func(attributes string) {
			t.Helper()
			attributes += fmt.Sprintf(`, User-Name = "alice", Event-Timestamp = %d`, time.Now().Unix())
			if out, err := Radclient(s.ns, "127.0.0.1:3799", "coa", servers[0].Secret, attributes); err != nil || !strings.Contains(out, "CoA-ACK") {
				t.Errorf("CoA: %v\n%s", err, out)
			}
		}
		begin := time.Now()
		coa(`Filter-Id = "nothing", WISPr-Bandwidth-Max-Up = 1000000, Idle-Timeout = 300`)
		if out, status := g.Run(20*time.Second, "ping -n -c 1 -W 1 10.8.0.1"); status == 0 {
			t.Errorf("a packet passes the filter \"nothing\":\n%s", out)
		}
		time.Sleep(time.Until(begin.Truncate(time.Second).Add(time.Second))) // another Event-Timestamp
		coa(`Filter-Id = "web.in"`)
		session.Ping("10.8.0.1", 1)
		if out, _ := Radclient(s.ns, "127.0.0.1:3799", "coa", servers[0].Secret,
			fmt.Sprintf(`User-Name = "alice", Filter-Id = "unknown", Event-Timestamp = %d`, time.Now().Unix())); !strings.Contains(out, "CoA-NAK") {
			t.Errorf("an unknown filter:\n%s", out)
		}
		if out, _ := Radclient(s.ns, "127.0.0.1:3799", "coa", "another", `User-Name = "alice", Idle-Timeout = 1`); strings.Contains(out, "Received CoA") {
			t.Errorf("another secret:\n%s", out)
		}
	})

	t.Run("Interim", func(t *testing.T) {
		g.Must(30*time.Second, "for i in 1 2 3 4 5; do ping -n -c 1 -W 5 -s 1000 10.8.0.1 || exit 1; done")
		interim := awaitRecord(t, 40*time.Second-time.Since(began), id, "Interim-Update", servers...)
		if interim == "" {
			return
		}
		// Both ways: what the Framed-Route's test has sent, and five of 1,028 bytes if they came before.
		if in, out := number(t, interim, "Acct-Input-Packets"), number(t, interim, "Acct-Output-Packets"); in < 2 || out < 2 || in > 20 || out > 20 {
			t.Errorf("packets of the update: %d, %d", in, out)
		}
		start := readLedger(t, servers...).find(id, "Start")
		for _, name := range []string{"Class", "Framed-IP-Address", "NAS-Identifier", "Calling-Station-Id", "User-Name"} {
			if v := value(start, name); v == "" || v != value(interim, name) {
				t.Errorf("%s: Start has %q, the update %q", name, v, value(interim, name))
			}
		}
	})

	t.Run("disconnect acts", func(t *testing.T) {
		begin := time.Now()
		out, err := Radclient(s.ns, "127.0.0.1:3799", "disconnect", servers[0].Secret,
			fmt.Sprintf(`Acct-Session-Id = "%s", Framed-IP-Address = 10.8.0.77, Event-Timestamp = %d`, id, begin.Unix()))
		if err != nil || !strings.Contains(out, "Disconnect-ACK") {
			t.Fatalf("disconnect: %v\n%s", err, out)
		}
		for len(s.logged("sstp: session ended", "id="+id)) == 0 {
			if time.Since(begin) > time.Second {
				t.Fatal("the session lives a second after its disconnect")
			}
			time.Sleep(10 * time.Millisecond)
		}
		for end := time.Now().Add(10 * time.Second); session.Alive(); {
			if time.Now().After(end) {
				t.Fatal("pppd does not notice")
			}
		}
		stop := awaitRecord(t, 20*time.Second, id, "Stop", servers...)
		for name, want := range map[string]string{
			"Acct-Terminate-Cause": "Admin-Reset", "User-Name": "alice", "Framed-IP-Address": "10.8.0.77", "Class": "0x6163636f756e746564",
			"Acct-Authentic": "RADIUS", "Service-Type": "Framed-User", "Framed-Protocol": "PPP", "NAS-Port-Type": "Virtual",
			"Calling-Station-Id": g.Addr.String(), "Called-Station-Id": "sstp.test",
		} {
			if got := value(stop, name); got != want {
				t.Errorf("Stop: %s is %q, want %q", name, got, want)
			}
		}
		ended := s.logged("sstp: session ended", "id="+id)[0]
		for name, key := range map[string]string{"Acct-Input-Octets": "rx", "Acct-Output-Octets": "tx"} {
			want := regexp.MustCompile(` ` + key + `=(\d+)`).FindStringSubmatch(ended)[1]
			if got := value(stop, name); got != want || len(got) < 4 {
				t.Errorf("Stop: %s is %s, the session had %s", name, got, want)
			}
		}
		if r := s.ns.Run("ip", "route", "show", "172.16.7.0/24"); r != "" {
			t.Errorf("the route is left: %q", r)
		}
	})
}

// ourClientByRADIUS: this library's client by every method; the server binds with the keys that came by RADIUS.
func ourClientByRADIUS(t *testing.T, s *accessServer, servers []*FreeRADIUS) {
	for _, m := range s.methods() {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			user := "bob"
			if strings.HasPrefix(m.name, "EAP-TLS") {
				user = "tina" // the certificate's
			}
			link, ended, err := s.dial(m, user, "secret")
			if err != nil {
				t.Fatalf("%v\n%s", err, strings.Join(s.logged("level=WARN"), ""))
			}
			id := link.Info().Call.ID
			opened := s.logged("session opened", "id="+id, "user="+user)
			for i := 0; len(opened) == 0 && i < 100; i++ {
				time.Sleep(20 * time.Millisecond)
				opened = s.logged("session opened", "id="+id, "user="+user)
			}
			if len(opened) != 1 {
				t.Fatalf("the server has no session %s of %s", id, user)
			}
			remote := regexp.MustCompile(` remote=(\S+)`).FindStringSubmatch(opened[0])[1]
			if len(s.logged("crypto binding holds", "remote="+remote+" ", "keys="+m.keys+" ")) != 1 {
				t.Errorf("want keys %s:\n%s", m.keys, strings.Join(s.logged("crypto binding holds", "remote="+remote+" "), ""))
			}
			link.Close()
			<-ended
			stop := awaitRecord(t, 20*time.Second, id, "Stop", servers...)
			if value(stop, "User-Name") != user || value(stop, "Acct-Terminate-Cause") != "User-Request" || value(stop, "Class") == "" {
				t.Errorf("%s", stop)
			}
			if _, _, err := s.dial(m, user, "wrong"); !errors.As(err, new(*ppp.AuthError)) {
				t.Errorf("wrong password or certificate: %v", err)
			}
		})
	}
	t.Run("PEAP needs its crypto binding, unless told", func(t *testing.T) {
		t.Parallel()
		m := s.methods()[6]
		peer := m.peer
		m.peer = func(user string, p ppp.Secret) eap.PeerMethod {
			x := peer(user, p).(*eap.PEAP)
			x.NoBindingOkay = false
			return x
		}
		if _, _, err := s.dial(m, "bob", "secret"); err == nil || !strings.Contains(err.Error(), "PEAP without a crypto binding") {
			t.Errorf("%v", err)
		}
	})
	t.Run("refused grants", func(t *testing.T) {
		t.Parallel()
		if _, _, err := s.dial(s.methods()[0], "filtered", "secret"); !errors.As(err, new(*ppp.AuthError)) || len(s.logged("Filter-Id", "of another server")) == 0 {
			t.Errorf("a filter that is not known: %v", err)
		}
		link, ended, err := s.dial(s.methods()[0], "outside", "secret")
		if err != nil {
			t.Fatal(err)
		}
		if a := link.Info().Local; a != netip.MustParseAddr("203.0.113.9") {
			t.Errorf("%v", a)
		}
		// The client is told of its address before the server has the route.
		r := s.ns.Run("ip", "route", "show", "203.0.113.9")
		for end := time.Now().Add(10 * time.Second); !strings.Contains(r, "vpn0") && time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
			r = s.ns.Run("ip", "route", "show", "203.0.113.9")
		}
		if !strings.Contains(r, "vpn0") {
			t.Errorf("an address outside of the pool has no route: %q", r)
		}
		link.Close()
		<-ended
	})
}

// timeoutsByRADIUS: Session-Timeout and Idle-Timeout end sessions, and accounting says so.
func timeoutsByRADIUS(t *testing.T, s *accessServer, servers []*FreeRADIUS) {
	for user, x := range map[string]struct {
		after time.Duration
		cause string
	}{"brief": {4 * time.Second, "Session-Timeout"}, "idle": {3 * time.Second, "Idle-Timeout"}} {
		t.Run(user, func(t *testing.T) {
			t.Parallel()
			link, ended, err := s.dial(s.methods()[2], user, "secret")
			if err != nil {
				t.Fatal(err)
			}
			begin := time.Now()
			select {
			case <-ended:
			case <-time.After(20 * time.Second):
				t.Fatal("it does not end")
			}
			if d := time.Since(begin); d < x.after-time.Second || d > x.after+10*time.Second {
				t.Errorf("ended after %v", d)
			}
			stop := awaitRecord(t, 20*time.Second, link.Info().Call.ID, "Stop", servers...)
			if got := value(stop, "Acct-Terminate-Cause"); got != x.cause {
				t.Errorf("ended by %q", got)
			}
		})
	}
}

// noKeysByRADIUS: FreeRADIUS accepts, and sends no MPPE keys: there is nothing to bind with, and the error says what is
// missing.
func noKeysByRADIUS(t *testing.T, s *accessServer) {
	for _, m := range s.methods()[2:4] {
		before := len(s.logged("authentication failed"))
		if _, _, err := s.dial(m, "bob", "secret"); err == nil {
			t.Errorf("%s: a session without keys", m.name)
		}
		s.Await(10*time.Second, "authentication failed", before+1)
		if line := s.logged("authentication failed")[before]; !strings.Contains(line, "the server accepts, but sends no MS-MPPE-Send-Key, no MS-MPPE-Recv-Key") {
			t.Errorf("%s: %s", m.name, line)
		}
	}
}

// failOverByRADIUS: one server is killed and comes back, then the other, then both: logins go on while one lives, and no
// accounting record is lost.
func failOverByRADIUS(t *testing.T, s *accessServer, g *Guest, a, b *FreeRADIUS) {
	var mu sync.Mutex
	ids := map[string]bool{}
	login := func(n int) {
		t.Helper()
		var wg sync.WaitGroup
		for range n {
			wg.Go(func() {
				link, ended, err := s.dial(s.methods()[2], "bob", "secret")
				if err != nil {
					t.Errorf("a login: %v", err)
					return
				}
				mu.Lock()
				ids[link.Info().Call.ID] = true
				mu.Unlock()
				link.Close()
				<-ended
			})
		}
		wg.Wait()
	}
	long, ended, err := s.dial(s.methods()[2], "bob", "secret")
	if err != nil {
		t.Fatal(err)
	}
	ids[long.Info().Call.ID] = true
	login(4)
	a.Kill()
	login(8)
	if session := g.Dial(s.call(g, "alice", "secret", "mschap-v2")); session.Refused != "" {
		t.Errorf("the Linux client is refused: %s", session.Refused)
	} else {
		session.Hangup()
	}
	a.Start()
	b.Kill()
	login(8)
	a.Kill()
	begin := time.Now()
	long.Close() // nobody is there to hear of it
	<-ended
	time.Sleep(3 * time.Second)
	a.Start()
	b.Start()
	stop := awaitRecord(t, time.Minute, long.Info().Call.ID, "Stop", a, b)
	if n := number(t, stop, "Acct-Delay-Time"); n < 2 || n > uint64(time.Since(begin)/time.Second)+1 {
		t.Errorf("Acct-Delay-Time is %d, after %v", n, time.Since(begin))
	}
	login(4)
	if status := s.Stop(); status != 0 {
		t.Errorf("sstpd ended with status %d", status)
	}
	l := readLedger(t, a, b)
	for id := range ids {
		for _, status := range []string{"Start", "Stop"} {
			if l.find(id, status) == "" {
				t.Errorf("%s of session %s is lost", status, id)
			}
		}
	}
	// And of every session that the server has had.
	lines := s.logged("session opened")
	for _, line := range lines {
		if id := sessionID(line); l.find(id, "Start") == "" || l.find(id, "Stop") == "" {
			t.Errorf("records of session %s are lost", id)
		}
	}
	if len(ids) != 25 || len(lines) < 40 {
		t.Errorf("%d sessions, %d in the log", len(ids), len(lines))
	}
	t.Logf("%d sessions, each with Start and Stop", len(lines))
}
