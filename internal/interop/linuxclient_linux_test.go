package interop

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dialway/dialway/internal/netns"
)

// certificate makes a self-signed certificate for a name, which is its own CA.
func certificate(t *testing.T, dir, name string) (cert, key string) {
	t.Helper()
	cert, key = filepath.Join(dir, name+".crt"), filepath.Join(dir, name+".key")
	out, err := exec.Command("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN="+name,
		"-addext", "subjectAltName=DNS:"+name, "-addext", "basicConstraints=critical,CA:TRUE", "-keyout", key, "-out", cert).CombinedOutput()
	if err != nil {
		t.Fatalf("openssl: %v\n%s", err, out)
	}
	return cert, key
}

func writeFile(t testing.TB, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestLinuxClient: Debian's sstpc and pppd dial examples/sstpd.
func TestLinuxClient(t *testing.T) {
	t.Parallel()
	NeedLinuxClient(t)
	Need(t, "openssl:openssl", "curl:curl")
	ns := netns.New(t)
	dir := t.TempDir()
	cert, key := certificate(t, dir, "sstp.test")
	otherCA, _ := certificate(t, dir, "other.test")
	users := writeFile(t, filepath.Join(dir, "users"), "alice:pass:word $\"x\n")
	const password = `pass:word $"x`
	ns.Run("ip", "link", "add", "lan", "type", "bridge")
	ns.Run("ip", "addr", "add", "198.18.50.1/24", "dev", "lan")
	ns.Run("ip", "link", "set", "lan", "up")
	url, hash := serveFile(t, ns, "198.18.50.1", 20<<20)
	start := func() *Program {
		p := StartProgram(t, ns, "sstpd", "-listen", ":443", "-cert", cert, "-key", key, "-users", users, "-tun", "vpn0",
			"-pool", "10.8.0.0/29", "-dns", "10.8.0.1,192.0.2.53", "-auth", "mschapv2,chap,pap")
		p.Await(20*time.Second, "ready", 1)
		return p
	}
	server := start()
	g := StartGuest(t, ns, 0)
	call := Call{Server: g.Gateway.String() + ":443", Host: "sstp.test", CA: cert, User: "alice", Password: password}

	for _, auth := range []string{"mschap-v2", "chap", "pap"} {
		t.Run(auth, func(t *testing.T) {
			call := call
			call.Auth, call.IPv6 = auth, true
			s := g.Dial(call)
			if s.Refused != "" {
				t.Fatalf("refused: %s\n%s", s.Refused, last(s.PPPLog(), 3000))
			}
			if s.Peer.String() != "10.8.0.1" || s.Local.String() == "10.8.0.1" || !slices.Equal(s.DNS, []string{"10.8.0.1", "192.0.2.53"}) {
				t.Errorf("%+v", s)
			}
			s.Ping("10.8.0.1", 3)
			if s.Local6 == "" || s.Peer6 == "" {
				t.Error("no IPV6CP")
			} else {
				s.Ping(s.Peer6+"%ppp0", 3)
			}
			PingFrom(t, ns, s.Local.String(), 3)
			g.Must(time.Minute, "ip route replace 198.18.50.0/24 dev ppp0\ncurl -sS --fail -o /tmp/body "+url)
			if sum := g.Must(time.Minute, "sha256sum </tmp/body"); !strings.HasPrefix(sum, fmt.Sprintf("%x", hash)) {
				t.Errorf("the hash differs: %s", sum)
			}
			s.Hangup()
		})
	}

	t.Run("wrong password", func(t *testing.T) {
		call := call
		call.Auth, call.Password = "mschap-v2", "wrong"
		if s := g.Dial(call); s.Refused == "" || !strings.Contains(s.PPPLog(), "E=691") {
			t.Errorf("refused %q; pppd saw\n%s", s.Refused, last(s.PPPLog(), 2000))
		}
	})

	t.Run("wrong CA", func(t *testing.T) {
		call := call
		call.Auth, call.CA = "mschap-v2", otherCA
		if s := g.Dial(call); s.Refused == "" {
			t.Error("connected to a server that its CA does not know")
		}
	})

	t.Run("addresses come back", func(t *testing.T) {
		// The pool has five addresses: more calls than that need what was put back.
		call := call
		call.Auth = "mschap-v2"
		for range 6 {
			s := g.Dial(call)
			if s.Refused != "" {
				t.Fatalf("refused: %s", s.Refused)
			}
			s.Hangup()
		}
	})

	t.Run("idle, reload, restart", func(t *testing.T) {
		call := call
		call.Auth = "mschap-v2"
		s := g.Dial(call)
		if s.Refused != "" {
			t.Fatalf("refused: %s", s.Refused)
		}
		server.Signal(syscall.SIGHUP)
		server.Await(5*time.Second, "reloaded", 1)
		time.Sleep(idle)
		if !s.Alive() {
			t.Fatalf("ended while idle:\n%s", last(s.PPPLog(), 2000))
		}
		s.Ping("10.8.0.1", 3)
		server.Kill()
		server = start()
		for end := time.Now().Add(30 * time.Second); s.Alive(); time.Sleep(time.Second) {
			if time.Now().After(end) {
				t.Fatal("the client does not notice that the server was killed")
			}
		}
		if s = g.Dial(call); s.Refused != "" {
			t.Fatalf("refused after the restart: %s", s.Refused)
		}
		s.Ping("10.8.0.1", 3)
		// A server that ends in good order says so.
		if status := server.Stop(); status != 0 {
			t.Errorf("sstpd ended with status %d", status)
		}
		for end := time.Now().Add(10 * time.Second); s.Alive(); time.Sleep(100 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("the client does not notice that the server has ended")
			}
		}
		if !strings.Contains(s.PPPLog(), "LCP TermReq") {
			t.Errorf("no goodbye:\n%s", last(s.PPPLog(), 1500))
		}
	})
}
