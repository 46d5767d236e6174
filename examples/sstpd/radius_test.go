package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dialway/dialway/examples/internal/cli"
	"github.com/dialway/dialway/ppp"
	"github.com/dialway/dialway/ppp/eap"
	"github.com/dialway/dialway/radius"
	"github.com/dialway/dialway/sstp"
)

func secretFile(t *testing.T, text string, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestRadiusFlags(t *testing.T) {
	secret := secretFile(t, "s3cret\nmore", 0o600)
	c, err := parse(strings.Fields("-radius 10.0.0.5,radius.example.com:1645,[2001:db8::5]:1812,::1 -coa :3799 -radius-trust-name -tun netstack -eap -radius-secret-file "+secret), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, x := range c.radius.targets {
		got = append(got, x.Addr+" "+x.Acct)
		if x.Secret != "s3cret" || !x.TrustUserName || x.Unsigned {
			t.Errorf("%+v", x)
		}
	}
	if want := []string{"10.0.0.5:1812 10.0.0.5:1813", "radius.example.com:1645 radius.example.com:1646", "[2001:db8::5]:1812 [2001:db8::5]:1813", "[::1]:1812 [::1]:1813"}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if c.radius.interim != 10*time.Minute || c.auth[0] != ppp.EAP {
		t.Errorf("%+v, %v", c.radius, c.auth)
	}

	users := usersFile(t, "alice:x\n")
	for args, want := range map[string]string{
		"-radius 10.0.0.5 -users " + users + " -radius-secret-file " + secret:                         "-users: and -radius do not go together",
		"-radius 10.0.0.5 -accounts " + users + " -users " + users + " -radius-secret-file " + secret: "-users: and -accounts and -radius do not go together",
		"-radius 10.0.0.5": "-radius-secret-file: missing",
		"-radius 10.0.0.5 -radius-secret-file " + secretFile(t, "s", 0o644):                                  "make it 0600",
		"-radius 10.0.0.5 -radius-secret-file " + secretFile(t, "\n", 0o600):                                 "no first line",
		"-radius 10.0.0.5:99999 -radius-secret-file " + secret:                                               "is no server",
		"-radius 10.0.0.5,,10.0.0.6 -radius-secret-file " + secret:                                           "is no server",
		"-radius 10.0.0.5 -coa 3799 -radius-secret-file " + secret:                                           "-coa: ",
		"-radius 10.0.0.5 -radius-interim 1ms -radius-secret-file " + secret:                                 "-radius-interim: ",
		"-radius 10.0.0.5 -radius-spool " + users + "/x -radius-secret-file " + secret:                       "-radius-spool: ",
		"-coa :3799 -users " + users:                                                                         "-coa: means nothing without -radius",
		"-radius-spool /tmp -users " + users:                                                                 "-radius-spool: means nothing without -radius",
		"-radius-secret-file " + secret + " -users " + users:                                                 "-radius-secret-file: means nothing without -radius",
		"-policies /does/not/exist -users " + users:                                                          "-policies: ",
		"-users " + users + " -policies " + secretFile(t, "[[policy]]\nname = \"x\"\nuser = \"[\"\n", 0o600): "-policies: ",
	} {
		_, err := parse(strings.Fields(args+" -tun netstack"), io.Discard)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\n%v\ndoes not tell %q", args, err, want)
		}
		if err != nil && strings.Count(err.Error(), "\n") != 2 {
			t.Errorf("%s: more than one error:\n%v", args, err)
		}
	}
}

func TestPoliciesDecideAboutUsers(t *testing.T) {
	policy := secretFile(t, "[[policy]]\nname = \"not bob\"\nuser = \"bob\"\ndeny = true\n[[policy]]\nname = \"rest\"\nidle-timeout = \"7m\"\n", 0o600)
	c, err := parse([]string{"-users", usersFile(t, "alice:x\nbob:x\n"), "-policies", policy, "-tun", "netstack"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	s := &server{config: c, log: cli.Logger(io.Discard, false)}
	if err := s.load(); err != nil {
		t.Fatal(err)
	}
	login := func(user string) (*ppp.Grant, error) {
		return s.who.Authenticate(t.Context(), &ppp.AuthRequest{Call: new(ppp.Call), Protocol: ppp.PAP, User: user, Password: "x"})
	}
	if g, err := login("alice"); err != nil || g.IdleTimeout != 7*time.Minute {
		t.Errorf("%+v, %v", g, err)
	}
	if _, err := login("bob"); !errors.As(err, new(*ppp.AuthError)) {
		t.Errorf("bob: %v", err)
	}
	// What is wrong keeps both; the users are not read again without the policies.
	os.WriteFile(c.users, []byte("carol:x\n"), 0o600)
	os.WriteFile(policy, []byte("nonsense"), 0o600)
	if s.load() == nil {
		t.Error("wrong policies are taken")
	}
	if _, err := login("alice"); err != nil {
		t.Error(err)
	}
	os.WriteFile(policy, []byte("[[policy]]\nname = \"all\"\n"), 0o600)
	if err := s.load(); err != nil {
		t.Fatal(err)
	}
	if g, err := login("carol"); err != nil || g.IdleTimeout != 0 || s.who.count() != 1 {
		t.Errorf("%+v, %v, %d users", g, err, s.who.count())
	}
}

// A radiusServer is one of this library, at two ports that follow each other.
func radiusServer(t *testing.T, a ppp.Authenticator, records chan<- *radius.Record) (addr string) {
	t.Helper()
	srv := &radius.Server{
		Clients: radius.Secrets{netip.MustParsePrefix("127.0.0.0/8"): "s3cret"}.Find, Authenticator: a,
		Account: func(_ context.Context, r *radius.Record) error { records <- r; return nil },
		Accept:  func(p *radius.Packet, g *ppp.Grant) { p.Add(radius.FilterID, []byte("web.in")) },
	}
	for range 100 {
		auth, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		at := auth.LocalAddr().(*net.UDPAddr).AddrPort()
		acct, err := net.ListenPacket("udp", netip.AddrPortFrom(at.Addr(), at.Port()+1).String())
		if err != nil {
			auth.Close()
			continue
		}
		go srv.Serve(auth)
		go srv.Serve(acct)
		t.Cleanup(func() { srv.Close() })
		return at.String()
	}
	t.Fatal("no two ports that follow each other")
	return ""
}

// TestServeRADIUS is the whole of it over loopback: a login by MS-CHAPv2 and one by EAP, accounting, a change of
// authorization, a disconnect.
func TestServeRADIUS(t *testing.T) {
	records := make(chan *radius.Record, 100)
	status := func(want string) *radius.Record {
		t.Helper()
		select {
		case r := <-records:
			if r.Status != want {
				t.Fatalf("accounting has %s, want %s", r.Status, want)
			}
			return r
		case <-time.After(time.Minute):
			t.Fatalf("no accounting record %s", want)
			return nil
		}
	}
	passwords := ppp.PasswordFunc(func(_ context.Context, user string) (ppp.Secret, error) {
		if user == "alice" {
			return "secret", nil
		}
		return "", ppp.ErrNoUser
	})
	addr := radiusServer(t, &eap.Authenticator{Methods: []eap.Method{&eap.MSCHAPv2{}}, Next: ppp.AuthenticatorFunc(func(ctx context.Context, req *ppp.AuthRequest) (*ppp.Grant, error) {
		g, err := passwords.Authenticate(ctx, req)
		if g != nil {
			g.User, g.Class, g.IdleTimeout, g.RateIn = "alice", [][]byte{[]byte("c")}, time.Hour, ppp.Rate{Bits: 5e6}
			g.Addr, g.Prefixes = netip.MustParseAddr("10.8.0.77"), []netip.Prefix{netip.MustParsePrefix("172.16.7.0/24")}
		}
		return g, err
	})}, records)
	policy := secretFile(t, "[[policy]]\nname = \"all\"\nmax-sessions = 1\n[[filter]]\nname = \"web.in\"\nonly = [\"tcp any > any:443\"]\n", 0o600)

	var log logBuffer
	spool := filepath.Join(t.TempDir(), "spool")
	c, err := parse([]string{"-radius", addr, "-radius-secret-file", secretFile(t, "s3cret\n", 0o600), "-coa", "127.0.0.1:0", "-radius-trust-name",
		"-radius-spool", spool, "-policies", policy, "-tun", "netstack", "-eap"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	s := &server{config: c, log: cli.Logger(&log, false), sessions: new(ppp.Sessions)}
	if err := s.load(); err != nil {
		t.Fatal(err)
	}
	if err := s.aaa.listen(c.radius.coa); err != nil {
		t.Fatal(err)
	}
	at, stop := serving(t, s)
	log.wait(t, "msg=ready")
	status("On")
	dial := func(p *ppp.Config) (*ppp.Conn, chan error, error) {
		d := &sstp.Dialer{Pins: [][32]byte{sha256.Sum256(s.cert.Load().Certificate[0])}, PPP: p}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		link, err := d.DialContext(ctx, at)
		ended := make(chan error, 1)
		if err == nil {
			go func() {
				ended <- link.Serve(t.Context(), func(bufs [][]byte, _ int) (int, error) { return len(bufs), nil })
			}()
		}
		return link, ended, err
	}
	asked := byte(0)
	change := func(code, want radius.Code, add func(p *radius.Packet)) {
		t.Helper()
		asker := &radius.Client{Targets: []radius.Target{{Addr: s.aaa.coa.LocalAddr().String(), Secret: "s3cret"}}}
		defer asker.Close()
		p := &radius.Packet{Code: code}
		p.Add(radius.UserName, []byte("alice"))
		p.Add(radius.EventTimestamp, appendTime(time.Now()))
		asked++ // what is the same within a second is the same request
		p.Add(radius.ProxyState, []byte{asked})
		add(p)
		q, err := asker.Exchange(t.Context(), p)
		if err != nil || q.Code != want {
			t.Errorf("%v: %v, %v", code, q, err)
		}
	}

	for _, p := range []*ppp.Config{
		{User: "alice", Password: "secret"},
		{User: "alice", EAP: (&eap.Peer{Identity: "alice", Methods: []eap.PeerMethod{&eap.MSCHAPv2{User: "alice", Password: "secret"}}}).Respond},
	} {
		if _, _, err := dial(&ppp.Config{User: "alice", Password: "wrong", Auth: []ppp.AuthProtocol{ppp.MSCHAPv2}}); !errors.As(err, new(*ppp.AuthError)) {
			t.Errorf("a wrong password: %v", err)
		}
		link, ended, err := dial(p)
		if err != nil {
			t.Fatalf("%v\n%s", err, &log)
		}
		start := status("Start")
		if start.User != "alice" || start.Addr != link.Info().Local || link.Info().Local.String() != "10.8.0.77" {
			t.Errorf("%+v", start)
		}
		own := s.sessions.ID(start.Session)
		if own == nil {
			t.Fatal("the session is not listed")
		}
		g := own.Grant()
		if !slices.Contains(own.Prefixes(), netip.MustParsePrefix("172.16.7.0/24")) || g.RateIn.Bits != 5e6 || g.In == nil || g.Out != nil || g.MaxSessions != 1 {
			t.Errorf("%+v", g)
		}
		if _, over, err := dial(p); err == nil { // the client's end may be open before the server counts
			select {
			case <-over:
			case <-time.After(time.Minute):
				t.Error("a second session of alice, who may have one")
			}
		}
		change(radius.CoARequest, radius.CoAACK, func(p *radius.Packet) { p.Add(radius.IdleTimeout, []byte{0, 0, 0, 77}) })
		if d := own.Grant().IdleTimeout; d != 77*time.Second {
			t.Errorf("Idle-Timeout %v", d)
		}
		change(radius.CoARequest, radius.CoANAK, func(p *radius.Packet) { p.Add(radius.FilterID, []byte("unknown")) })
		change(radius.DisconnectRequest, radius.DisconnectACK, func(p *radius.Packet) {})
		select {
		case <-ended:
		case <-time.After(time.Minute):
			t.Error("the session lives on after its disconnect")
		}
		if end := status("Stop"); end.Cause != ppp.AdminReset || end.Session != start.Session {
			t.Errorf("%+v", end)
		}
	}
	if err := stop(); !errors.Is(err, context.Canceled) {
		t.Errorf("serve: %v", err)
	}
	status("Off")
	if left, err := os.ReadDir(spool); err != nil || len(left) != 0 {
		t.Errorf("left in the spool: %v, %v", left, err)
	}
	if strings.Contains(log.String(), "s3cret") {
		t.Error("the secret is logged")
	}
}

func appendTime(t time.Time) []byte {
	n := uint32(t.Unix())
	return []byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}
}
