package interop

import (
	_ "embed"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/dialway/dialway/internal/netns"
)

//go:embed connect.sh
var connectScript string

//go:embed disconnect.sh
var disconnectScript string

// A Call is how the Linux client dials.
type Call struct {
	Server   string // IP:PORT, as the guest sees it
	Host     string // for SNI and the certificate's name; empty: the IP
	CA       string // file; empty: certificate problems are only warnings
	User     string
	Password string
	Auth     string // mschap-v2, chap, pap, eap
	IPv6     bool
	Options  string // more of pppd's
}

// A Session is the Linux client's view of a connection.
type Session struct {
	Local, Peer   netip.Addr
	Local6, Peer6 string
	DNS           []string
	Refused       string // why there is none

	g *Guest
}

// authNames are pppd's names of methods; refusing all others leaves one.
var authNames = []string{"eap", "mschap-v2", "mschap", "chap", "pap"}

// NeedLinuxClient skips a test unless the Linux client is here.
func NeedLinuxClient(t testing.TB) {
	t.Helper()
	Need(t, "sstpc:sstp-client", "pppd:ppp", "ping:iputils-ping", "curl:curl")
}

// Dial connects. A connection that is refused has Refused set.
func (g *Guest) Dial(c Call) *Session {
	g.t.Helper()
	sstpc := "sstpc --log-stderr --log-level 4 --ipparam dialway --nolaunchpppd"
	if c.CA != "" {
		pem, err := os.ReadFile(c.CA)
		if err != nil {
			g.t.Fatal(err)
		}
		g.put("ca.pem", string(pem), 0o644)
		sstpc += " --ca-cert /mnt/ca.pem"
	} else {
		sstpc += " --cert-warn"
	}
	if c.Host != "" {
		sstpc += " --host " + c.Host + " --tls-ext"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "noauth noipdefault nodefaultroute usepeerdns nolock hide-password debug logfile /mnt/pppd.log\nuser %s\n", quote(c.User))
	b.WriteString("lcp-echo-failure 0 nobsdcomp nodeflate noccp\n")
	if c.IPv6 {
		b.WriteString("+ipv6\n")
	} else {
		b.WriteString("noipv6\n")
	}
	for _, a := range authNames {
		if a != c.Auth {
			fmt.Fprintf(&b, "refuse-%s\n", a)
		}
	}
	fmt.Fprintf(&b, "%s\nplugin sstp-pppd-plugin.so\nsstp-sock /var/run/sstpc/sstpc-dialway\npty \"exec %s %s 2>/mnt/sstpc.log\"\n", c.Options, sstpc, c.Server)
	g.put("ppp/peers/dialway", b.String(), 0o644)
	for _, f := range []string{"ppp/chap-secrets", "ppp/pap-secrets"} {
		g.put(f, fmt.Sprintf("%s * %s *\n", quote(c.User), quote(c.Password)), 0o600)
	}
	six := 0
	if c.IPv6 {
		six = 1
	}
	out, status := g.Run(90*time.Second, fmt.Sprintf("TIMEOUT=45 IPV6=%d\n%s", six, connectScript))
	s := &Session{g: g}
	for line := range strings.Lines(out) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch key {
		case "local":
			s.Local, _ = netip.ParseAddr(value)
		case "peer":
			s.Peer, _ = netip.ParseAddr(value)
		case "dns":
			s.DNS = strings.Fields(value)
		case "local6":
			s.Local6 = value
		case "peer6":
			s.Peer6 = value
		case "refused":
			s.Refused = value
		}
	}
	if status != 0 && s.Refused == "" {
		g.t.Fatalf("interop: connect: %s", out)
	}
	return s
}

// quote makes a word of pppd's files.
func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// Hangup ends the connection in good order; it fails the test when it had ended before.
func (s *Session) Hangup() {
	s.g.t.Helper()
	if out, status := s.g.Run(30*time.Second, disconnectScript); status != 0 {
		s.g.t.Errorf("interop: hang up: %s", out)
	}
}

// Alive reports whether pppd still runs.
func (s *Session) Alive() bool {
	_, status := s.g.Run(10*time.Second, "read -r pid </tmp/pppd.pid; kill -0 $pid")
	return status == 0
}

// pingScript pings an address so often, one echo a run: once something has come back, ping waits for the last answer for
// two round trips only, which is little on a busy machine.
func pingScript(to string, count int) string {
	return fmt.Sprintf("for i in $(seq %d); do ping -n -c 1 -W 5 %s || exit 1; done", count, to)
}

// Ping pings an address through the tunnel; every echo must be answered.
func (s *Session) Ping(to string, count int) {
	s.g.t.Helper()
	out, status := s.g.Run(time.Duration(count+20)*time.Second, fmt.Sprintf("ip route replace %s dev ppp0 2>/dev/null\n%s", to, pingScript(to, count)))
	if status != 0 {
		s.g.t.Errorf("interop: ping %s: %s", to, out)
	}
}

// PingFrom pings an address from a namespace; every echo must be answered.
func PingFrom(t testing.TB, ns *netns.NS, to string, count int) {
	t.Helper()
	if out, err := ns.Try("sh", "-c", pingScript(to, count)); err != nil {
		t.Errorf("interop: ping %s: %s", to, out)
	}
}

// PPPLog is what pppd logged of the last connection.
func (s *Session) PPPLog() string { return s.g.get("pppd.log") }
