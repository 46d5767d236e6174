package interop

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dialway/dialway/internal/netns"
)

// TestTwoNamespaces: examples/sstpd and examples/sstpc, each with a TUN device in a namespace of its own.
func TestTwoNamespaces(t *testing.T) {
	t.Parallel()
	Need(t, "openssl:openssl", "curl:curl", "ping:iputils-ping")
	ns, nc := netns.New(t), netns.New(t)
	netns.Join(ns, "vs", "192.0.2.1/24", nc, "vc", "192.0.2.2/24")
	dir := t.TempDir()
	cert, key := certificate(t, dir, "sstp.test")
	users := writeFile(t, filepath.Join(dir, "users"), "alice:secret\n")
	password := writeFile(t, filepath.Join(dir, "password"), "secret\n")
	ns.Run("ip", "link", "add", "lan", "type", "bridge")
	ns.Run("ip", "addr", "add", "198.18.50.1/24", "dev", "lan")
	ns.Run("ip", "link", "set", "lan", "up")
	serve := func() *Program {
		p := StartProgram(t, ns, "sstpd", "-listen", "192.0.2.1:443", "-cert", cert, "-key", key, "-users", users, "-tun", "vpn0", "-pool", "10.8.0.0/30")
		p.Await(20*time.Second, "ready", 1)
		return p
	}
	dial := func(args ...string) *Program {
		p := StartProgram(t, nc, "sstpc", append([]string{"-server", "192.0.2.1", "-user", "alice", "-password-file", password,
			"-insecure", "-tun", "vpn1", "-route", "198.18.50.0/24"}, args...)...)
		p.Await(20*time.Second, "msg=connected", 1)
		return p
	}
	server, client := serve(), dial()
	PingFrom(t, nc, "10.8.0.1", 3)
	PingFrom(t, nc, "198.18.50.1", 3)
	PingFrom(t, ns, "10.8.0.2", 3)

	const size = 1 << 30
	url, hash := serveFile(t, ns, "198.18.50.1", size)
	if out := nc.Run("sh", "-c", "curl -sS --fail "+url+" | sha256sum"); !strings.HasPrefix(out, fmt.Sprintf("%x", hash)) {
		t.Errorf("the hash differs: %s", out)
	}

	// The pool has one address for clients: who dials next needs it back.
	client.Kill()
	server.Await(20*time.Second, "session ended", 1)
	client = dial("-reconnect")
	PingFrom(t, nc, "10.8.0.1", 3)
	server.Kill()
	client.Await(20*time.Second, "disconnected", 1)
	server = serve()
	client.Await(60*time.Second, "msg=connected", 2)
	PingFrom(t, nc, "10.8.0.1", 3)
	if status := client.Stop(); status != 0 {
		t.Errorf("sstpc ended with status %d", status)
	}
	if out := nc.Run("ip", "route"); strings.Contains(out, "198.18.50") || strings.Contains(out, "vpn1") {
		t.Errorf("left behind: %s", out)
	}
	server.Await(10*time.Second, "session ended", 1)
}
