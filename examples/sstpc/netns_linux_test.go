package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/dialway/dialway/examples/internal/cli"
	"github.com/dialway/dialway/internal/netns"
	"github.com/dialway/dialway/ppp"
	"github.com/dialway/dialway/sstp"
	"github.com/dialway/dialway/tunnel"
	"github.com/dialway/dialway/tunnel/ipv6conf"
	"github.com/dialway/dialway/tunnel/netstack"
)

// This binary is also the processes that the test starts: what a process opens is in its network namespace.
func TestMain(m *testing.M) {
	switch os.Getenv("SSTPC_TEST") {
	case "client":
		cli.Main(run)
	case "server":
		cli.Main(serveOne)
	}
	os.Exit(m.Run())
}

// serveOne is a server whose end of the tunnel answers pings.
func serveOne(ctx context.Context, args []string, stdout, _ io.Writer) error {
	cert, err := cli.SelfSigned("server")
	if err != nil {
		return err
	}
	ns := new(netstack.Stack)
	defer ns.Close()
	if err := ns.SetAddrs(netip.MustParseAddr("10.8.0.1"), netip.MustParseAddr("2001:db8:ffff::1")); err != nil {
		return err
	}
	rt := &tunnel.Router{Routes: new(tunnel.Table), Local: new(tunnel.Table), Uplink: ns}
	six := &ipv6conf.Server{Routes: rt.Routes, Session: func(l tunnel.Link) ipv6conf.Session {
		s := ipv6conf.FromLink(l)
		s.Routes = []netip.Prefix{netip.MustParsePrefix("2001:db8:88::/48"), netip.MustParsePrefix("::/0")}
		return s
	}}
	rt.Local.Insert(netip.MustParsePrefix("ff02::2/128"), six, 0)
	rt.Local.Insert(netip.MustParsePrefix("ff02::1:2/128"), six, 0)
	go rt.Serve(ctx, ns)
	srv := &sstp.Server{
		Addr:      args[0],
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{*cert}},
		PPP: &ppp.Config{
			Authenticator: ppp.PasswordFunc(func(context.Context, string) (ppp.Secret, error) { return "secret", nil }),
			Addr:          netip.MustParseAddr("10.8.0.1"),
			Pool: &ppp.Pool{
				Prefixes: []netip.Prefix{netip.MustParsePrefix("10.8.0.8/29"), netip.MustParsePrefix("2001:db8:8::/48")},
				Delegate: []netip.Prefix{netip.MustParsePrefix("2001:db8:f000::/40")},
			},
		},
		Handler: func(ctx context.Context, c *ppp.Conn) error { return rt.ServeLink(ctx, six.Link(c)) },
	}
	context.AfterFunc(ctx, func() { srv.Shutdown(context.WithoutCancel(ctx)) })
	fmt.Fprintf(stdout, "fingerprint=%s.\n", cli.Fingerprint(cert.Certificate[0]))
	return srv.ListenAndServe()
}

// A process is one of this test's, with what it printed.
type process struct {
	*exec.Cmd
	mu  sync.Mutex
	out bytes.Buffer
}

func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.Write(b)
}

func (p *process) text() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.String()
}

func start(t *testing.T, ns *netns.NS, role string, args ...string) *process {
	t.Helper()
	p := &process{Cmd: exec.Command(os.Args[0], args...)}
	p.Env = append(os.Environ(), "SSTPC_TEST="+role)
	p.Stdout, p.Stderr = p, p
	if err := ns.Start(p.Cmd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Process.Kill() })
	return p
}

func (p *process) wait(t *testing.T, text string) {
	t.Helper()
	for range 1000 {
		if strings.Contains(p.text(), text) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("%q is not printed:\n%s", text, p.text())
}

// TestAddressesAndRoutesComeAndGo runs the client as it is in a network namespace, ends it in three ways, and finds the
// namespace as it was.
func TestAddressesAndRoutesComeAndGo(t *testing.T) {
	if _, err := exec.LookPath("ping"); err != nil {
		netns.Missing(t, "needs ping")
	}
	here, there := netns.New(t), netns.New(t)
	netns.Join(here, "ve0", "198.18.0.2/24", there, "ve1", "198.18.0.1/24")
	here.Run("ip", "route", "add", "default", "via", "198.18.0.1")
	server := start(t, there, "server", "198.18.0.1:443")
	server.wait(t, "fingerprint=")
	_, fingerprint, _ := strings.Cut(server.text(), "=")
	fingerprint, _, _ = strings.Cut(fingerprint, ".")
	before := here.Run("ip", "route") + here.Run("ip", "-6", "route")
	args := []string{"-server", "198.18.0.1", "-user", "alice", "-password", "secret", "-fingerprint", fingerprint, "-tun", "vpn7", "-route", "192.0.2.0/24", "-delegate", "60", "-accept-routes"}

	for name, end := range map[string]func(p *process) (code int){
		"SIGTERM":         func(p *process) int { p.Process.Signal(syscall.SIGTERM); return 0 },
		"SIGINT":          func(p *process) int { p.Process.Signal(os.Interrupt); return 0 },
		"the device goes": func(p *process) int { here.Run("ip", "link", "delete", "vpn7"); return 1 },
	} {
		p := start(t, here, "client", append(args, "-default-route")...)
		p.wait(t, "msg=connected")
		routes := here.Run("ip", "route")
		for _, want := range []string{"192.0.2.0/24 dev vpn7", "0.0.0.0/1 dev vpn7", "128.0.0.0/1 dev vpn7", "10.8.0.1 dev vpn7", "198.18.0.1 dev ve0", "default via 198.18.0.1 dev ve0"} {
			if !strings.Contains(routes, want) {
				t.Errorf("%s: no route %q in\n%s", name, want, routes)
			}
		}
		// The first may come before the link is served: the client says connected just before.
		if out, err := here.Try("ping", "-c", "5", "-i", "0.2", "-W", "5", "10.8.0.1"); err != nil {
			t.Errorf("%s: %v\n%s\n%s", name, err, out, p.text())
		}
		p.wait(t, "delegated=[2001:db8:f0") // the addresses come first
		routes = here.Run("ip", "-6", "route")
		for _, want := range []string{"::/1 dev vpn7", "8000::/1 dev vpn7", "2001:db8:88::/48 dev vpn7"} {
			if !strings.Contains(routes, want) {
				t.Errorf("%s: no route %q in\n%s", name, want, routes)
			}
		}
		if out := here.Run("ip", "-6", "addr", "show", "dev", "vpn7"); !strings.Contains(out, "inet6 2001:db8:8:") {
			t.Errorf("%s: no address in\n%s", name, out)
		}
		if out, err := here.Try("ping", "-n", "-c", "2", "-i", "0.2", "-W", "5", "2001:db8:ffff::1"); err != nil {
			t.Errorf("%s: %v\n%s\n%s", name, err, out, p.text())
		}
		code := end(p)
		p.Wait()
		if got := p.ProcessState.ExitCode(); got != code {
			t.Errorf("%s: exit %d, want %d\n%s", name, got, code, p.text())
		}
		if after := here.Run("ip", "route") + here.Run("ip", "-6", "route"); after != before {
			t.Errorf("%s: left behind:\n%s\nbefore:\n%s", name, after, before)
		}
	}

	args[5] = "wrong"
	p := start(t, here, "client", append(args, "-reconnect")...) // which it does not do with a password that is refused
	p.Wait()
	if p.ProcessState.ExitCode() != 1 || !strings.Contains(p.text(), "Check -user and the password") {
		t.Errorf("exit %d\n%s", p.ProcessState.ExitCode(), p.text())
	}
}
