package interop

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dialway/dialway/internal/netns"
	"github.com/dialway/dialway/ppp"
	"github.com/dialway/dialway/radius"
	"github.com/dialway/dialway/sstp"
	"github.com/dialway/dialway/sstp/sstptest"
)

const aliceInFreeRADIUS = `alice Cleartext-Password := "secret"
	Framed-IP-Address = 10.8.0.77,
	Framed-Route = "172.16.7.0/24 0.0.0.0 1",
	Session-Timeout = 3600,
	Idle-Timeout = 600,
	Reply-Message = "welcome",
	Class = "accounted"
`

// A radiusVPN is an SSTP server of this library that asks a FreeRADIUS.
type radiusVPN struct {
	*sstptest.Server
	t        *testing.T
	sessions *ppp.Sessions

	mu  sync.Mutex
	err error // of the last authentication
}

func (v *radiusVPN) lastError() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.err
}

// newRadiusVPN has sessions authenticated by one protocol, and accounted where acct is not nil.
func newRadiusVPN(t *testing.T, c *radius.Client, acct *radius.Accounting, protocol ppp.AuthProtocol) *radiusVPN {
	v := &radiusVPN{t: t, sessions: new(ppp.Sessions)}
	v.Server = sstptest.NewServer(&sstp.Server{
		PPP: &ppp.Config{
			Authenticator: ppp.AuthenticatorFunc(func(ctx context.Context, req *ppp.AuthRequest) (*ppp.Grant, error) {
				g, err := c.Authenticate(ctx, req)
				v.mu.Lock()
				v.err = err
				v.mu.Unlock()
				return g, err
			}),
			Auth: []ppp.AuthProtocol{protocol}, Sessions: v.sessions, Addr: netip.MustParseAddr("10.8.0.1"),
		},
		Handler: func(ctx context.Context, conn *ppp.Conn) error {
			if acct != nil {
				acct.Start(conn)
			}
			return conn.Serve(ctx, func(bufs [][]byte, offset int) (int, error) { return len(bufs), nil })
		},
	})
	t.Cleanup(v.Close)
	return v
}

// dial logs in as alice. The link is served until it ends.
func (v *radiusVPN) dial(password ppp.Secret) (*ppp.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 40*time.Second)
	defer cancel()
	auth := []ppp.AuthProtocol{ppp.MSCHAPv2, ppp.CHAP, ppp.PAP}
	c, err := v.Dialer(&ppp.Config{User: "alice", Password: password, Auth: auth}).DialContext(ctx, v.Addr())
	if err == nil {
		go c.Serve(context.Background(), func(bufs [][]byte, offset int) (int, error) { return len(bufs), nil })
	}
	return c, err
}

func (v *radiusVPN) must() *ppp.Conn {
	v.t.Helper()
	c, err := v.dial("secret")
	if err != nil {
		v.t.Fatalf("%v; the server: %v", err, v.lastError())
	}
	return c
}

// session is the server's end of alice's session, which may open a moment after the client's; nil: there is none.
func (v *radiusVPN) session() *ppp.Conn {
	for range 100 {
		if c := v.sessions.Addr(netip.MustParseAddr("10.8.0.77")); c != nil {
			return c
		}
		time.Sleep(20 * time.Millisecond)
	}
	return nil
}

func client(t *testing.T, list ...*FreeRADIUS) *radius.Client {
	c := &radius.Client{NAS: "vpn", Dial: list[0].DialUDP}
	for _, f := range list {
		c.Targets = append(c.Targets, radius.Target{
			Addr: fmt.Sprintf("127.0.0.1:%d", f.Port), Acct: fmt.Sprintf("127.0.0.1:%d", f.Port+1), Secret: radius.Secret(f.Secret), Unsigned: f.Unsigned,
		})
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestFreeRADIUSInProcess(t *testing.T) {
	t.Parallel()
	ns := netns.New(t)
	f := NewFreeRADIUS(t, ns, 1812)
	f.Users = aliceInFreeRADIUS
	f.Start()

	for _, p := range []ppp.AuthProtocol{ppp.PAP, ppp.CHAP, ppp.MSCHAPv2} {
		t.Run(p.String(), func(t *testing.T) {
			v := newRadiusVPN(t, client(t, f), nil, p)
			// MS-CHAPv2 binds with the keys that came by RADIUS: without them, or with others, this fails.
			c := v.must()
			defer c.Close()
			s := v.session()
			if s == nil || s.Info().Auth != p || s.Info().User != "alice" {
				t.Fatalf("no session at the address, or another: %+v", c.Info())
			}
			g := s.Grant()
			if g.SessionTimeout != time.Hour || g.IdleTimeout != 10*time.Minute || len(g.Class) != 1 || g.Message != "welcome" ||
				len(g.Prefixes) != 1 || g.Prefixes[0] != netip.MustParsePrefix("172.16.7.0/24") {
				t.Errorf("granted %+v", g)
			}
			if _, err := v.dial("wrong"); !errors.As(err, new(*ppp.AuthError)) || !errors.As(v.lastError(), new(*ppp.AuthError)) {
				t.Errorf("a wrong password: %v; the server: %v", err, v.lastError())
			}
		})
	}

	t.Run("keys missing", func(t *testing.T) {
		bare := NewFreeRADIUS(t, ns, 1822)
		bare.Users, bare.NoKeys = aliceInFreeRADIUS, true
		bare.Start()
		v := newRadiusVPN(t, client(t, bare), nil, ppp.MSCHAPv2)
		_, err := v.dial("secret")
		var missing *radius.MissingError
		if err == nil || !errors.As(v.lastError(), &missing) || !strings.Contains(missing.Error(), "MS-MPPE-Recv-Key") {
			t.Errorf("%v; the server: %v", err, v.lastError())
		}
	})

	// Debian's server answers without Message-Authenticator, unless it is told otherwise.
	t.Run("unsigned", func(t *testing.T) {
		old := NewFreeRADIUS(t, ns, 1832)
		old.Users, old.Unsigned = aliceInFreeRADIUS, true
		old.Start()
		newRadiusVPN(t, client(t, old), nil, ppp.MSCHAPv2).must().Close()
		c := client(t, old)
		c.Targets[0].Unsigned = false
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		p := &radius.Packet{Code: radius.AccessRequest}
		p.Add(radius.UserName, []byte("alice"))
		p.Add(radius.UserPassword, []byte("secret"))
		if _, err := c.Exchange(ctx, p); err == nil {
			t.Error("an unsigned reply is taken")
		}
		if st := c.Stats()[0]; st.Bad == 0 {
			t.Errorf("%+v", st)
		}
	})
}

func TestFreeRADIUSAccountsAndChanges(t *testing.T) {
	t.Parallel()
	ns := netns.New(t)
	f := NewFreeRADIUS(t, ns, 1812)
	f.Users = aliceInFreeRADIUS
	f.Start()
	c := client(t, f)
	acct := &radius.Accounting{Client: c, Interim: time.Minute, Spool: t.TempDir()}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- acct.Serve(ctx) }()
	v := newRadiusVPN(t, c, acct, ppp.MSCHAPv2)

	d := &radius.Dynamic{Sessions: v.sessions, Clients: radius.Secrets{netip.MustParsePrefix("127.0.0.0/8"): radius.Secret(f.Secret)}.Find, NAS: "vpn"}
	coa := listenUDP(t, ns, "127.0.0.1:3799")
	go d.Serve(coa)
	defer d.Close()

	link := v.must()
	packet := append([]byte{0x45, 0, 0, 100, 0, 0, 0, 0, 64, 17, 0, 0, 10, 8, 0, 77, 10, 8, 0, 1}, make([]byte, 80)...)
	for range 10 {
		link.Write([][]byte{append([]byte(nil), packet...)}, 0)
	}
	s := v.session()
	for range 100 {
		if s.Stats().RxPackets == 10 {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	now := func() string { return fmt.Sprintf("Event-Timestamp = %d", time.Now().Unix()) }
	if out, err := f.Radclient("127.0.0.1", 3799, "coa", `User-Name = "alice", Idle-Timeout = 77, `+now()); err != nil || !strings.Contains(out, "CoA-ACK") {
		t.Errorf("CoA: %v\n%s", err, out)
	}
	if got := s.Grant().IdleTimeout; got != 77*time.Second {
		t.Errorf("Idle-Timeout %v", got)
	}
	if out, _ := f.Radclient("127.0.0.1", 3799, "disconnect", `Acct-Session-Id = "another", `+now()); !strings.Contains(out, "Disconnect-NAK") || !strings.Contains(out, "Session-Context-Not-Found") {
		t.Errorf("disconnect of nobody:\n%s", out)
	}
	if out, err := f.Radclient("127.0.0.1", 3799, "disconnect", fmt.Sprintf(`Acct-Session-Id = "%s", %s`, s.Info().Call.ID, now())); err != nil || !strings.Contains(out, "Disconnect-ACK") {
		t.Errorf("disconnect: %v\n%s", err, out)
	}
	select {
	case <-s.Context().Done():
	case <-time.After(time.Second):
		t.Error("the session lives a second after its disconnect")
	}
	<-s.Context().Done()
	id := s.Info().Call.ID
	v.Close()
	cancel()
	if err := <-served; !errors.Is(err, context.Canceled) || acct.Pending() != 0 {
		t.Errorf("Serve: %v, %d wait", err, acct.Pending())
	}
	detail, err := os.ReadFile(f.Detail)
	if err != nil {
		t.Fatal(err)
	}
	records := regexp.MustCompile(`\n\n`).Split(strings.TrimSpace(string(detail)), -1)
	var got []string
	for _, r := range records {
		m := regexp.MustCompile(`Acct-Status-Type = (\S+)`).FindStringSubmatch(r)
		if m == nil {
			t.Fatalf("a record without status:\n%s", r)
		}
		got = append(got, m[1])
		if m[1] == "Start" || m[1] == "Stop" {
			for _, want := range []string{`Acct-Session-Id = "` + id + `"`, `User-Name = "alice"`, "Framed-IP-Address = 10.8.0.77", "Class = 0x6163636f756e746564", `NAS-Identifier = "vpn"`} {
				if !strings.Contains(r, want) {
					t.Errorf("%s has no %s:\n%s", m[1], want, r)
				}
			}
		}
		if m[1] == "Stop" {
			for _, want := range []string{"Acct-Input-Octets = 1000", "Acct-Input-Packets = 10", "Acct-Terminate-Cause = Admin-Reset"} {
				if !strings.Contains(r, want) {
					t.Errorf("Stop has no %s:\n%s", want, r)
				}
			}
		}
	}
	if s := strings.Join(got, " "); s != "Accounting-On Start Stop Accounting-Off" {
		t.Errorf("records: %s", s)
	}
}

// Two servers, one of which is killed and started again: logins go on, and no accounting record is lost.
func TestFreeRADIUSFailOver(t *testing.T) {
	t.Parallel()
	ns := netns.New(t)
	a, b := NewFreeRADIUS(t, ns, 1812), NewFreeRADIUS(t, ns, 1822)
	for _, f := range []*FreeRADIUS{a, b} {
		f.Users = aliceInFreeRADIUS
		f.Start()
	}
	c := client(t, a, b)
	acct := &radius.Accounting{Client: c}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- acct.Serve(ctx) }()
	v := newRadiusVPN(t, c, acct, ppp.MSCHAPv2)
	ids := map[string]bool{}
	login := func(n int) {
		t.Helper()
		for range n {
			link := v.must()
			v.session()
			for s := range v.sessions.All() {
				ids[s.Info().Call.ID] = true
			}
			link.Close()
			for i := 0; v.sessions.Len() > 0 && i < 100; i++ {
				time.Sleep(20 * time.Millisecond)
			}
		}
	}
	login(4)
	a.Kill()
	login(4)
	a.Start()
	b.Kill()
	login(4)
	b.Start()
	v.Close()
	cancel()
	if err := <-served; acct.Pending() != 0 {
		t.Errorf("Serve: %v, %d wait", err, acct.Pending())
	}
	x, _ := os.ReadFile(a.Detail)
	y, _ := os.ReadFile(b.Detail)
	all := string(x) + string(y)
	for id := range ids {
		for _, status := range []string{"Start", "Stop"} {
			found := false
			for r := range strings.SplitSeq(all, "\n\n") {
				found = found || strings.Contains(r, `Acct-Session-Id = "`+id+`"`) && strings.Contains(r, "Acct-Status-Type = "+status+"\n")
			}
			if !found {
				t.Errorf("%s of session %s is lost", status, id)
			}
		}
	}
	if len(ids) != 12 {
		t.Errorf("%d sessions", len(ids))
	}
}

func listenUDP(t testing.TB, ns *netns.NS, addr string) net.PacketConn {
	t.Helper()
	var pc net.PacketConn
	var err error
	ns.Do(func() { pc, err = net.ListenPacket("udp", addr) })
	if err != nil {
		t.Fatal(err)
	}
	return pc
}

// TestRADIUSServer has FreeRADIUS' clients ask this library's server.
func TestRADIUSServer(t *testing.T) {
	t.Parallel()
	Need(t, "radclient:freeradius-utils", "radtest:freeradius-utils")
	ns := netns.New(t)
	var mu sync.Mutex
	var records []*radius.Record
	srv := &radius.Server{
		Clients: radius.Secrets{netip.MustParsePrefix("127.0.0.0/8"): "testing123"}.Find,
		Authenticator: ppp.PasswordFunc(func(ctx context.Context, user string) (ppp.Secret, error) {
			switch user {
			case "alice":
				return "secret", nil
			case "User":
				return "clientPass", nil
			}
			return "", ppp.ErrNoUser
		}),
		Account: func(ctx context.Context, r *radius.Record) error {
			mu.Lock()
			defer mu.Unlock()
			records = append(records, r)
			return nil
		},
	}
	go srv.Serve(listenUDP(t, ns, "127.0.0.1:1812"))
	go srv.Serve(listenUDP(t, ns, "127.0.0.1:1813"))
	t.Cleanup(func() { srv.Close() })

	const signed = ", Message-Authenticator = 0x00"
	for _, x := range []struct{ name, addr, verb, attributes, want string }{
		{"PAP", "127.0.0.1:1812", "auth", `User-Name = "alice", User-Password = "secret"` + signed, "Access-Accept"},
		{"PAP, wrong", "127.0.0.1:1812", "auth", `User-Name = "alice", User-Password = "secreT"` + signed, "Access-Reject"},
		{"PAP of 100 characters", "127.0.0.1:1812", "auth", `User-Name = "alice", User-Password = "` + strings.Repeat("x", 100) + `"` + signed, "Access-Reject"},
		{"PAP, no such user", "127.0.0.1:1812", "auth", `User-Name = "bob", User-Password = "secret"` + signed, "Access-Reject"},
		{"PAP, unsigned", "127.0.0.1:1812", "auth", `User-Name = "alice", User-Password = "secret"`, "No reply from server"},
		{"CHAP", "127.0.0.1:1812", "auth", `User-Name = "alice", CHAP-Password = "secret"` + signed, "Access-Accept"},
		{"CHAP, wrong", "127.0.0.1:1812", "auth", `User-Name = "alice", CHAP-Password = "wrong"` + signed, "Access-Reject"},
		{"status", "127.0.0.1:1812", "status", "Message-Authenticator = 0x00", "Access-Accept"},
		{"status of accounting", "127.0.0.1:1813", "status", "Message-Authenticator = 0x00", "Accounting-Response"},
		{"accounting", "127.0.0.1:1813", "acct", `User-Name = "alice", Acct-Session-Id = "s1", Acct-Status-Type = Start, NAS-IP-Address = 127.0.0.1`, "Accounting-Response"},
		// The user of RFC 2759 section 9.2; radclient takes the keys of RFC 3079 section 3.5 out of hiding.
		{"MS-CHAPv2", "127.0.0.1:1812", "auth", mschapVector + signed, fmt.Sprintf("MS-CHAP2-Success = 0x07%x", "S=407A5589115FD0D6209F510FE9C04566932CDA56")},
		{"MS-CHAPv2 keys", "127.0.0.1:1812", "auth", mschapVector + signed, "8b7cdc149b993a1ba118cb153f56dccb"},
		{"MS-CHAPv2, wrong", "127.0.0.1:1812", "auth", strings.Replace(mschapVector, "82309e", "82309f", 1) + signed, "E=691"},
	} {
		out, _ := Radclient(ns, x.addr, x.verb, "testing123", x.attributes)
		if !regexp.MustCompile(x.want).MatchString(out) {
			t.Errorf("%s: no %s:\n%s", x.name, x.want, out)
		}
	}
	if out, _ := Radclient(ns, "127.0.0.1:1812", "auth", "another", `User-Name = "alice", User-Password = "secret"`+signed); strings.Contains(out, "Received") {
		t.Errorf("another secret:\n%s", out)
	}
	for kind, want := range map[string]string{"pap": "Access-Accept", "chap": "Access-Accept"} {
		if out, _ := ns.Try("radtest", "-t", kind, "alice", "secret", "127.0.0.1:1812", "7", "testing123"); !strings.Contains(out, want) {
			t.Errorf("radtest %s:\n%s", kind, out)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	if len(records) != 1 || records[0].Status != "Start" || records[0].Session != "s1" {
		t.Errorf("records: %+v", records)
	}
}

const mschapVector = `User-Name = "User", MS-CHAP-Challenge = 0x5b5d7c7d7b3f2f3e3c2c602132262628, ` +
	`MS-CHAP2-Response = 0x070021402324255e262a28295f2b3a337c7e000000000000000082309ecd8d708b5ea08faa3981cd83544233114a3d85d6df`
