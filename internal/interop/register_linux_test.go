package interop

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/dialway/dialway/dhcpinform"
	"github.com/dialway/dialway/internal/netns"
	"github.com/dialway/dialway/ppp"
	"github.com/dialway/dialway/sstp"
	"github.com/dialway/dialway/tunnel/netstack"
	"github.com/dialway/dialway/tunnel/register"
)

// A remote is a server, a network behind it, and clients, each in its namespace:
//
//	client 198.18.N.2 ── 198.18.N.1 server 192.0.2.1 ── 192.0.2.53 office
//	   10.8.0.x ═══════ tunnel ══════ 10.8.0.1
type remote struct {
	t              *testing.T
	server, office *netns.NS
	clients        map[string]*netns.NS // by user
	sstpd          *Program
	fingerprint    string
	dir            string
}

func newRemote(t *testing.T) *remote {
	t.Helper()
	netns.Require(t)
	r := &remote{t: t, server: netns.New(t), office: netns.New(t), clients: make(map[string]*netns.NS), dir: scratch(t)}
	netns.Join(r.server, "lan", "192.0.2.1/24", r.office, "lan", "192.0.2.53/24")
	r.office.Run("ip", "route", "add", "10.8.0.0/24", "via", "192.0.2.1")
	r.server.Run("sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward")
	return r
}

// serve starts sstpd.
func (r *remote) serve(args ...string) {
	r.t.Helper()
	users := filepath.Join(r.dir, "users")
	if err := os.WriteFile(users, []byte("alice:secret\nbob:secret\ncarol:secret\ndave:secret\neve:secret\n"), 0o600); err != nil {
		r.t.Fatal(err)
	}
	r.sstpd = StartProgram(r.t, r.server, "sstpd", append([]string{"-listen", ":443", "-users", users}, args...)...)
	r.sstpd.Await(20*time.Second, "msg=ready", 1)
	_, f, _ := strings.Cut(r.sstpd.Output(), "fingerprint=")
	r.fingerprint, _, _ = strings.Cut(f, "\n")
	r.fingerprint, _, _ = strings.Cut(r.fingerprint, " ")
}

// client is the namespace of a user's machine.
func (r *remote) client(user string) *netns.NS {
	r.t.Helper()
	ns := r.clients[user]
	if ns == nil {
		n := int(user[0] - 'a')
		ns = netns.New(r.t)
		r.clients[user] = ns
		netns.Join(ns, "wan", fmt.Sprintf("198.18.%d.2/24", n), r.server, user, fmt.Sprintf("198.18.%d.1/24", n))
	}
	return ns
}

// args are sstpc's there.
func (r *remote) args(user string, more ...string) []string {
	return append([]string{"-server", fmt.Sprintf("198.18.%d.1", int(user[0]-'a')), "-user", user, "-password", "secret", "-fingerprint", r.fingerprint,
		"-tun", "vpn", "-route", "192.0.2.0/24"}, more...)
}

// dial starts sstpc and waits until it is connected.
func (r *remote) dial(user string, args ...string) *Program {
	r.t.Helper()
	p := StartProgram(r.t, r.client(user), "sstpc", r.args(user, args...)...)
	p.Await(20*time.Second, "msg=connected", 1)
	return p
}

// addr is the client's address, as it prints it.
func addrIn(t testing.TB, p *Program) string {
	t.Helper()
	_, s, _ := strings.Cut(p.Output(), "addrs=\"[")
	if s == "" {
		_, s, _ = strings.Cut(p.Output(), "addrs=[")
	}
	s, _, _ = strings.Cut(s, "]")
	s, _, _ = strings.Cut(s, " ")
	if _, err := netip.ParseAddr(s); err != nil {
		t.Fatalf("no address in\n%s", p.Output())
	}
	return s
}

// sixIn is the client's IPv6 address, as it prints it.
func sixIn(t testing.TB, p *Program) string {
	t.Helper()
	_, s, _ := strings.Cut(p.Output(), "msg=registered record=AAAA name=pc1.vpn.test. addr=")
	s, _, _ = strings.Cut(s, " ")
	if _, err := netip.ParseAddr(s); err != nil {
		t.Fatalf("no IPv6 address in\n%s", p.Output())
	}
	return s
}

// soon is what is waited for something to be printed, or for dig to find it.
const soon = 10 * time.Second

// said returns when a program printed the nth line with text.
func said(t *testing.T, p *Program, text string, n int) time.Time {
	t.Helper()
	p.Await(soon, text, n)
	for line := range strings.Lines(p.Output()) {
		if !strings.Contains(line, text) {
			continue
		}
		if n--; n > 0 {
			continue
		}
		_, s, _ := strings.Cut(line, "time=")
		s, _, _ = strings.Cut(s, " ")
		at, err := time.Parse(time.RFC3339Nano, s)
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	return time.Time{}
}

// TestBIND: sstpc registers with named through sstpd, and one or the other removes it.
func TestBIND(t *testing.T) {
	t.Parallel()
	r := newRemote(t)
	b := StartBIND(t, r.office, "192.0.2.53", "vpn.test", "8.10.in-addr.arpa", "8.0.0.0.0.0.d.f.ip6.arpa")
	r.serve("-dns", b.Addr, "-ipv6", "fd00:8::/48", "-inform", "domain=vpn.test", "-ddns", "vpn.test@"+b.Addr, "-tsig-file", b.KeyFile, "-ddns-users")
	// What the programs say that a server has answered is there: dig takes its time on a busy machine, and only looks.
	within := func(what string, d time.Duration) {
		t.Helper()
		t.Logf("%s after %v", what, d.Round(time.Millisecond))
		if d > time.Second {
			t.Errorf("%s after %v, more than a second", what, d)
		}
	}
	const nothing = "|||"

	p := r.dial("alice", "-register", "-host-id", "alice", "-hostname", "pc1", "-tsig-file", b.KeyFile)
	v4 := addrIn(t, p)
	connected := said(t, p, "msg=connected", 1)
	within("A there", said(t, p, "msg=registered record=A name=pc1.vpn.test. addr="+v4, 1).Sub(connected))
	within("its PTR there", said(t, p, "msg=registered record=PTR name=pc1.vpn.test. addr="+v4, 1).Sub(connected))
	within("AAAA there", said(t, p, "msg=registered record=AAAA name=pc1.vpn.test. addr=fd00:8:0:", 1).Sub(connected))
	within("its PTR there", said(t, p, "msg=registered record=PTR name=pc1.vpn.test. addr=fd00:8:0:", 1).Sub(connected))
	p.Await(soon, "msg=learnt from=10.8.0.1 domain=vpn.test", 1)
	v6 := sixIn(t, p)
	all := v4 + "|" + v6 + "|pc1.vpn.test.|pc1.vpn.test."
	b.AwaitLook(soon, all, "pc1.vpn.test", v4, v6)

	t.Run("another host's name is not stolen", func(t *testing.T) {
		thief := r.dial("bob", "-register", "-host-id", "bob", "-hostname", "pc1.vpn.test", "-tsig-file", b.KeyFile)
		thief.Await(soon, "pc1.vpn.test. belongs to another host, at ["+v4, 1)
		if got := b.Look("pc1.vpn.test", v4, v6); got != all {
			t.Errorf("DNS has %q, want %q", got, all)
		}
		if code := thief.Stop(); code != 0 {
			t.Errorf("exit %d", code)
		}
		if got := b.Look("pc1.vpn.test", v4, v6); got != all {
			t.Errorf("after the thief has left DNS has %q, want %q", got, all)
		}
		b.Update("zone vpn.test", "update add www.vpn.test 60 A 192.0.2.80")
		thief = r.dial("bob", "-register", "-host-id", "bob", "-hostname", "www.vpn.test", "-tsig-file", b.KeyFile)
		thief.Await(soon, "www.vpn.test. belongs to another host, at [192.0.2.80]", 1)
		thief.Stop()
		thief = r.dial("bob", "-register", "-host-id", "bob", "-hostname", "www.vpn.test", "-tsig-file", b.KeyFile, "-take-name")
		thief.Await(soon, "msg=registered record=A name=www.vpn.test.", 1)
		if got, want := b.Dig("www.vpn.test", "A"), addrIn(t, thief); got != want {
			t.Errorf("DNS has %q, want %q", got, want)
		}
		thief.Stop()
	})

	begin := time.Now()
	if code := p.Stop(); code != 0 {
		t.Errorf("exit %d", code)
	}
	within("all gone", said(t, p, "names removed", 1).Sub(begin))
	b.AwaitLook(soon, nothing, "pc1.vpn.test", v4, v6)
	if strings.Contains(r.sstpd.Output(), "name=pc1.vpn.test.") {
		t.Error("it was the server who removed the names")
	}

	p = r.dial("alice", "-register", "-host-id", "alice", "-hostname", "pc1", "-tsig-file", b.Key512)
	v4 = addrIn(t, p)
	p.Await(soon, "msg=registered record=PTR name=pc1.vpn.test. addr=fd00:8:0:", 1)
	v6 = sixIn(t, p)
	b.AwaitLook(soon, v4+"|"+v6+"|pc1.vpn.test.|pc1.vpn.test.", "pc1.vpn.test", v4, v6)
	if id := b.Dig("pc1.vpn.test", "DHCID"); id == "" {
		t.Error("no DHCID")
	}
	begin = time.Now()
	p.Kill()
	within("all gone after kill -9", said(t, r.sstpd, "name=pc1.vpn.test. addr=", 4).Sub(begin))
	b.AwaitLook(soon, nothing, "pc1.vpn.test", v4, v6)
	if id := b.Dig("pc1.vpn.test", "DHCID"); id != "" {
		t.Errorf("left behind: %s", id)
	}

	t.Run("an address that a client has made itself", func(t *testing.T) {
		p := r.dial("eve") // it is killed before it is registered by its user's name, to which its IPv4 address would lead
		r.sstpd.Await(soon, "msg=advertised user=eve prefixes=[", 1)
		_, six, _ := strings.Cut(r.sstpd.Output(), "msg=advertised user=eve prefixes=[")
		six, _, _ = strings.Cut(six, "]")
		made := netip.MustParsePrefix(six).Addr().As16()
		copy(made[8:], "\x12\x34made!!")
		addr := netip.AddrFrom16(made).String()
		b.Update("zone vpn.test", "update add pc6.vpn.test 60 AAAA "+addr)
		name := ""
		for i := len(made) - 1; i >= 0; i-- {
			name += fmt.Sprintf("%x.%x.", made[i]&15, made[i]>>4)
		}
		b.Update("zone 8.0.0.0.0.0.d.f.ip6.arpa", "update add "+name+"ip6.arpa 60 PTR pc6.vpn.test.")
		if got := b.Look("pc6.vpn.test", addr); got != "|"+addr+"|pc6.vpn.test." {
			t.Errorf("DNS has %q", got)
		}
		p.Kill()
		b.AwaitLook(soon, "||", "pc6.vpn.test", addr)
	})

	t.Run("a client that cannot", func(t *testing.T) {
		p := r.dial("dave")
		addr := addrIn(t, p)
		b.AwaitLook(soon, addr+"||dave.vpn.test.", "dave.vpn.test", addr)
		p.Kill()
		b.AwaitLook(soon, "||", "dave.vpn.test", addr)
	})

	t.Run("by a stack in the program", func(t *testing.T) { registerByStack(t, r, b) })

	t.Run("wrong key", func(t *testing.T) {
		wrong := filepath.Join(r.dir, "wrong.key")
		WriteKey(t, wrong, "ddns-key", "hmac-sha256", "another secret, of 32 bytes too!!")
		updates := countUpdates(t, r.office)
		p := r.dial("carol", "-register", "-host-id", "carol", "-hostname", "pc3.vpn.test", "-tsig-file", wrong)
		p.Await(soon, "does not accept key ddns-key: BADSIG", 1)
		time.Sleep(3 * time.Second) // of silence
		if code := p.Stop(); code != 0 {
			t.Errorf("exit %d", code)
		}
		// One, and one more if the IPv6 address came after the first try.
		if n := updates.Load(); n < 1 || n > 2 {
			t.Errorf("%d updates were sent, want 1 or 2", n)
		}
		if got := b.Look("pc3.vpn.test"); got != "|" {
			t.Errorf("DNS has %q", got)
		}
	})
}

// registerByStack registers without a TUN device: all of it goes through a stack in the test, whose names are then resolved
// there, too.
func registerByStack(t *testing.T, r *remote, b *BIND) {
	pin, err := hex.DecodeString(r.fingerprint)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(b.Key512)
	if err != nil {
		t.Fatal(err)
	}
	key, err := register.ParseKey(string(text))
	if err != nil {
		t.Fatal(err)
	}
	dialer := &sstp.Dialer{
		TLSConfig: new(tls.Config), Pins: [][32]byte{[32]byte(pin)}, PPP: &ppp.Config{User: "eve", Password: "secret"},
		NetDial: func(ctx context.Context, network, addr string) (c net.Conn, err error) {
			r.client("eve").Do(func() { c, err = new(net.Dialer).DialContext(ctx, network, addr) })
			return c, err
		},
	}
	link, err := dialer.DialContext(t.Context(), "198.18.4.1:443")
	if err != nil {
		t.Fatal(err)
	}
	stack := new(netstack.Stack)
	defer stack.Close()
	client := &dhcpinform.Client{Link: link, Hostname: "pc5"}
	served := make(chan error, 1)
	go func() { served <- stack.Serve(context.Background(), client) }()
	reg := &register.Registrar{Host: "pc5", ID: []byte("eve"), Signer: key, Resolver: netstack.HostResolver{Stack: stack},
		Dial: stack.DialContext, ListenPacket: stack.ListenPacket}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- reg.Run(ctx, client, nil) }()
	addr := link.Addrs()[0].String()
	b.AwaitLook(soon, addr+"||pc5.vpn.test.", "pc5.vpn.test", addr)
	if c, err := stack.DialContext(t.Context(), "udp", "ns:53"); err != nil || c.RemoteAddr().String() != b.Addr+":53" {
		t.Errorf("the stack does not know the domain's names: %v", err)
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if got := b.Look("pc5.vpn.test", addr); got != "||" {
		t.Errorf("DNS has %q", got)
	}
	link.Close()
	<-served
}

// countUpdates counts the DNS updates that reach ns.
func countUpdates(t *testing.T, ns *netns.NS) *atomic.Int32 {
	t.Helper()
	n := new(atomic.Int32)
	c := StartCapture(t, ns, "lan")
	c.Watch(func(p []byte) {
		h := int(p[0]&15) * 4
		if p[9] == syscall.IPPROTO_UDP && len(p) > h+8+4 && binary.BigEndian.Uint16(p[h+2:]) == 53 && p[h+8+2]>>3&0xf == 5 {
			n.Add(1)
		}
	})
	return n
}

// TestWINS: sstpc registers with nmbd, which finds it while it is connected.
func TestWINS(t *testing.T) {
	t.Parallel()
	r := newRemote(t)
	w := StartWINS(t, r.office, "lan", "192.0.2.53")
	r.serve("-wins", w.Addr)
	p := r.dial("alice", "-register", "-host-id", "alice", "-hostname", "laptop7", "-workgroup", "office")
	addr := addrIn(t, p)
	for _, name := range []string{"LAPTOP7<00>", "LAPTOP7<20>", "OFFICE<00>"} {
		p.Await(20*time.Second, fmt.Sprintf("msg=registered record=NetBIOS name=%s addr=%s", name, addr), 1)
	}
	for _, name := range []string{"LAPTOP7", "LAPTOP7#20"} {
		if got := w.Lookup(name); got != addr {
			t.Errorf("nmblookup finds %s at %q, want %s", name, got, addr)
		}
	}

	t.Run("another host's name is not stolen", func(t *testing.T) {
		// nmbd makes it wait, asks the owner, who is there, and refuses.
		thief := r.dial("bob", "-register", "-host-id", "bob", "-hostname", "laptop7", "-workgroup", "office")
		thief.Await(30*time.Second, "LAPTOP7<00> belongs to another host", 1)
		if got := w.Lookup("LAPTOP7"); got != addr {
			t.Errorf("nmblookup finds %q, want %s", got, addr)
		}
		thief.Stop()
	})

	if code := p.Stop(); code != 0 {
		t.Errorf("exit %d", code)
	}
	for _, name := range []string{"LAPTOP7", "LAPTOP7#20"} {
		if got := w.Lookup(name); got != "" {
			t.Errorf("after the end nmblookup finds %s at %s", name, got)
		}
	}
}
