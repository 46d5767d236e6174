package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dialway/dialway/examples/internal/cli"
	"github.com/dialway/dialway/ppp"
)

func usersFile(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDefaults(t *testing.T) {
	c, err := parse([]string{"-users", usersFile(t, "alice:secret\n")}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if c.listen != ":443" || c.pool.String() != "10.8.0.0/24" || c.addr.String() != "10.8.0.1" || !slices.Equal(c.auth, []ppp.AuthProtocol{ppp.MSCHAPv2}) ||
		c.mtu != 1400 || c.legacyTLS || c.verbose || len(c.dns)+len(c.proxies) != 0 {
		t.Errorf("%+v", c)
	}
	c, err = parse(strings.Fields("-listen 127.0.0.1:8443 -pool 172.16.9.7/20 -dns 192.0.2.1,192.0.2.2 -tun netstack -auth mschapv2,chap,pap -mtu 1300 "+
		"-proxy-protocol 127.0.0.0/8 -proxy-protocol 10.0.0.1 -web . -legacy-tls -v -users "+usersFile(t, "a:b")), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if c.addr.String() != "172.16.0.1" || c.tun != "netstack" || c.dns.String() != "192.0.2.1,192.0.2.2" || c.proxies.String() != "127.0.0.0/8,10.0.0.1/32" ||
		!slices.Equal(c.auth, []ppp.AuthProtocol{ppp.MSCHAPv2, ppp.CHAP, ppp.PAP}) || !c.legacyTLS || !c.verbose {
		t.Errorf("%+v", c)
	}
}

func TestEAPIsAskedForFirst(t *testing.T) {
	c, err := parse([]string{"-users", usersFile(t, "alice:x\n"), "-tun", "netstack", "-eap", "-auth", "mschapv2"}, io.Discard)
	if err != nil || !slices.Equal(c.auth, []ppp.AuthProtocol{ppp.EAP, ppp.MSCHAPv2}) {
		t.Errorf("%+v, %v", c, err)
	}
}

func TestAllThatIsWrongIsTold(t *testing.T) {
	_, err := parse(strings.Fields("-listen x -cert a -pool 10.0.0.0/31 -dns 2001:db8::1,10.0.0.1,10.0.0.2,10.0.0.3 -auth ntlm -mtu 9 -web /does/not/exist -tun a-name-that-is-too-long"), io.Discard)
	var usage cli.UsageError
	if !errors.As(err, &usage) {
		t.Fatal(err)
	}
	for _, want := range []string{"-listen", "-key", "-users", "-pool", "-dns", "tells two", "IPv4 name servers only", "ntlm", "-mtu", "-web", "-tun"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v\ndoes not tell %s", err, want)
		}
	}
	if _, err := parse([]string{"-h"}, io.Discard); !errors.Is(err, flag.ErrHelp) {
		t.Error(err)
	}
}

func TestUsersFile(t *testing.T) {
	u, err := readUsers(usersFile(t, "# who\nalice: a:b # c \n\nBob:x\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]ppp.Secret{"alice": " a:b # c ", "ALICE": " a:b # c ", `EXAMPLE\bob`: "x", "bob": "x"} {
		if got, err := u.password(t.Context(), name); err != nil || got != want {
			t.Errorf("%s: %q %v, want %q", name, string(got), err, string(want))
		}
	}
	for _, name := range []string{"", "carol", `alice\`, "alice "} {
		if _, err := u.password(t.Context(), name); !errors.Is(err, ppp.ErrNoUser) {
			t.Errorf("%q: %v", name, err)
		}
	}
	_, err = readUsers(usersFile(t, "alice\n:x\nbob:\ncarol:hidden\nCarol:other\nE\\dave:x\n"))
	for _, want := range []string{"line 1: no colon", "line 2: no name", `line 3: "bob" has no password`, `line 5: "Carol" is there`, "line 6"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not tell %q", err, want)
		}
	}
	if strings.Contains(err.Error(), "hidden") || strings.Contains(err.Error(), "other") {
		t.Errorf("passwords are told: %v", err)
	}
	if _, err := readUsers(usersFile(t, "# nobody\n")); err == nil {
		t.Error("a file without users is taken")
	}
}

func TestReloadKeepsWhatWasReadWhenTheNewOneIsWrong(t *testing.T) {
	path := usersFile(t, "alice:one\n")
	s := &server{config: &config{users: path, listen: ":443"}, log: cli.Logger(io.Discard, false)}
	if err := s.load(); err != nil {
		t.Fatal(err)
	}
	cert := s.cert.Load()
	check := func(want ppp.Secret) {
		t.Helper()
		if got, err := s.who.(*userList).now.Load().password(t.Context(), "alice"); err != nil || got != want {
			t.Errorf("%q %v", string(got), err)
		}
		if s.cert.Load() != cert {
			t.Error("the certificate that was made has changed: clients that know its fingerprint are locked out")
		}
	}
	check("one")
	os.WriteFile(path, []byte("alice\n"), 0o600)
	if s.load() == nil {
		t.Error("a wrong file is taken")
	}
	check("one")
	os.WriteFile(path, []byte("alice:two\n"), 0o600)
	if err := s.load(); err != nil {
		t.Error(err)
	}
	check("two")
}

func TestPROXYHeadersAreTakenFromProxiesOnly(t *testing.T) {
	for _, c := range []struct {
		trusted, send, remote string
	}{
		{"127.0.0.0/8", "PROXY TCP4 192.0.2.7 192.0.2.1 4711 443\r\nhello\n", "192.0.2.7:4711"},
		{"127.0.0.0/8", "hello, no header\n", ""},
		{"10.0.0.0/8", "PROXY TCP4 192.0.2.7 192.0.2.1 4711 443\r\nhello\n", "127.0.0.1"},
	} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		var from cli.Prefixes
		from.Set(c.trusted)
		out, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer out.Close()
		in, err := proxyListener{l, from}.Accept() // does not wait for a header that has not been sent
		if err != nil {
			t.Fatal(err)
		}
		defer in.Close()
		io.WriteString(out, c.send)
		remote := in.RemoteAddr().String()
		line, err := bufio.NewReader(in).ReadString('\n')
		switch {
		case c.remote == "":
			if err == nil {
				t.Errorf("%q from a proxy is read as %q", c.send, line)
			}
		case c.trusted == "10.0.0.0/8":
			if !strings.HasPrefix(remote, c.remote) || !strings.HasPrefix(line, "PROXY") {
				t.Errorf("a stranger's header is believed: %s %q", remote, line)
			}
		case remote != c.remote || line != "hello\n" || err != nil:
			t.Errorf("%s %q %v", remote, line, err)
		}
	}
}

func TestForwardDialsFromHere(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := &server{log: cli.Logger(io.Discard, false)}
	addr := l.Addr().(*net.TCPAddr).AddrPort()
	c, err := s.forward(context.Background(), "tcp", addr, addr)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
}

func TestAccountsInThePlaceOfUsers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "accounts")
	write := func(text string) {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(`{"user":"alice","secret":"clear:secret"}` + "\n" + `{"user":"bob","secret":"clear:secret","disabled":true}`)
	c, err := parse([]string{"-accounts", path, "-tun", "netstack"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	s := &server{config: c, log: cli.Logger(io.Discard, false)}
	if err := s.load(); err != nil {
		t.Fatal(err)
	}
	login := func(user string) error {
		_, err := s.who.Authenticate(t.Context(), &ppp.AuthRequest{Call: new(ppp.Call), Protocol: ppp.PAP, User: user, Password: "secret"})
		return err
	}
	if err := login("alice"); err != nil {
		t.Error(err)
	}
	if err := login("bob"); err == nil {
		t.Error("a disabled account may log in")
	}
	write(`{"user":"bob","secret":"clear:secret"}`)
	if err := s.load(); err != nil || login("bob") != nil || login("alice") == nil || s.who.count() != 1 {
		t.Errorf("after a reload: %v, %d accounts", err, s.who.count())
	}
	write("nonsense")
	if err := s.load(); err == nil || login("bob") != nil {
		t.Error("a bad file has replaced the accounts")
	}
	if _, err := parse([]string{"-accounts", path, "-users", path}, io.Discard); err == nil {
		t.Error("-users and -accounts together")
	}
}
