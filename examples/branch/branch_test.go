package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dialway/dialway/demanddial"
	"github.com/dialway/dialway/examples/internal/cli"
	"github.com/dialway/dialway/examples/internal/conf"
	"github.com/dialway/dialway/ppp"
	"github.com/dialway/dialway/tunnel"
)

func write(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "branch.toml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestTheSampleIsRight(t *testing.T) {
	c, err := readConfig("branch.toml")
	if err != nil {
		t.Fatal(err)
	}
	i := c.interfaces[0]
	if i.Name != "DD_NewYork" || i.Password != `7%uQv45l?p!kWy9*` || i.DialInPassword != `h8#dW@93z~[Fc6$Q` || len(i.Routes) != 2 ||
		!i.Routes[1].Connected || i.demand == nil || len(c.clients) != 1 || c.addr.String() != "10.1.0.1" {
		t.Errorf("%+v", i)
	}
	// Every line that is commented out is right as well, but for files that are not here.
	b, err := os.ReadFile("branch.toml")
	if err != nil {
		t.Fatal(err)
	}
	all := regexp.MustCompile(`(?m)^#! `).ReplaceAllString(string(b), "")
	all = regexp.MustCompile(`(?m)^(certificate|key|ca|fingerprint) = .*`).ReplaceAllString(all, "")
	all = strings.Replace(all, "ask-address = false", "ask-address = true", 1)
	if c, err = readConfig(write(t, all)); err != nil {
		t.Fatal(err)
	}
	if i = c.interfaces[0]; i.deadPeer != 100*time.Second || i.lockOut != [2]time.Duration{10 * time.Minute, 6 * time.Hour} || i.auth[0] != ppp.MSCHAPv2 ||
		i.holdFor != 30*time.Second || i.source != netip.MustParseAddr("131.107.21.178") || c.ports != 128 || !c.clients[0].askAddr {
		t.Errorf("%+v", i)
	}
}

func TestCheckTellsEverythingByLine(t *testing.T) {
	file := write(t, `listen = "nowhere"
pool = "10.1.0.0/31"
dns = ["x"]
bogus = 1
ports = "many"
certificate = "missing.pem"

[[interface]]
name = "DD_NewYork"
to = ["172.16.2.9"]
dial-in-password = "x"
user = "DD_Seattle"
password = "y"
idle = 5
backoff = "often"
hours = "Mon 08:00-18:00 Mars/X"
demand = { only = [] }
out = { only = ["tcp somewhere"] }
auth = ["psk"]
attempts = 100
persistent = "yes"
lock-out = ["1h", "1m", "2m"]

[[interface.route]]
prefix = "172.16.2.0/24"
metric = 1
via = "eth0"

[[interface]]
name = "dd_newyork"
to = ["192.0.2.1"]
user = "DD_Seattle"
password = "y"
connection = "modem"

[[interface.route]]
prefix = "172.16.2.0/25"
metric = 1

[[interface]]
name = "DD_Boston"
to = ["192.0.2.1"]
user = "DD_Seattle"
password = "y"
dial-in-password = "z"

[[interface.route]]
prefix = "172.16.2.0/25"
metric = 1

[[client]]
name = "alice"

[[client]]
name = "DD_BOSTON"
password = "y"

[[interface]]
name = "C"
to = ["https://x.example/", "1.2.3.4:99999"]
user = "u"
password = "p"

[[client]]
name = "carol"
password = "y"
address = "192.0.2.1"

[[client]]
name = "dave"
password = "y"
address = "192.0.2.1"
`)
	var out bytes.Buffer
	err := run(t.Context(), []string{"-config", file, "-check"}, &out, io.Discard)
	var p conf.Problems
	if !errors.As(err, &p) {
		t.Fatalf("%v", err)
	}
	got := strings.ReplaceAll(err.Error(), file+":", "")
	for _, want := range []string{
		"1: listen:", "2: pool:", "3: dns:", "4: bogus: there is no such key", "5: ports: want a number", "6: certificate: a certificate needs a key",
		"10: interface \"DD_NewYork\": its own route 172.16.2.0/24 covers", "14: idle: want a time", "15: backoff:", "16: hours:", "17: demand: the filter is empty",
		"18: only:", "19: auth:", "20: attempts: 100 is not between", "21: persistent: want true or false", "22: lock-out: want the first and the most",
		"27: via: there is no such key", "34: interface \"dd_newyork\": \"modem\"", "47: interface \"DD_Boston\": 172.16.2.0/25 overlaps with 172.16.2.0/24",
		"51: password:", "41: name: there is a client",
		`60: to: "https://x.example/": want a host`, `60: to: "1.2.3.4:99999": "99999" is no port`, `72: address: client "carol" has 192.0.2.1 already`,
	} {
		if !strings.Contains("\n"+got, "\n"+want) {
			t.Errorf("not told: %s", want)
		}
	}
	if t.Failed() {
		t.Log(got)
	}
	for text, want := range map[string]string{"x = [": ":1:", "[[interface]]\nname = 1\nname = 2": ":3:",
		"pool = \"10.1.0.0/16\"\n[[interface]]\nname = \"A\"\ndial-in-password = \"x\"\n[[interface.route]]\nprefix = \"10.1.2.0/24\"": `:5: interface "A": 10.1.2.0/24 is of this router's own pool, 10.1.0.0/16`,
		"[[interface]]\nname = \"A\"\ndial-in-password = \"x\"\ndefault-route = true":                                                  ":4: default-route: it would lead to the far router itself, too: it needs exclude = true",
		"pool = \"10.1.0.0/16\"\n[[client]]\nname = \"a\"\npassword = \"x\"\naddress = \"10.1.0.1\"":                                   `:5: address: this router has 10.1.0.1 already`,
	} {
		if _, err := readConfig(write(t, text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if err := run(t.Context(), []string{"-config", "branch.toml", "-check"}, &out, io.Discard); err != nil || !strings.Contains(out.String(), "nothing is wrong: 1 interfaces, 1 clients") {
		t.Errorf("%v %s", err, &out)
	}
}

func TestNoSecretIsTold(t *testing.T) {
	c, err := readConfig("branch.toml")
	if err != nil {
		t.Fatal(err)
	}
	if s := fmt.Sprintf("%+v %v", c.interfaces, c.clients); strings.Contains(s, "7%uQ") || strings.Contains(s, "h8#d") || strings.Contains(s, "change me") {
		t.Errorf("%s", s)
	}
}

func TestExplainWithoutARouterThatRuns(t *testing.T) {
	b, err := os.ReadFile("branch.toml")
	if err != nil {
		t.Fatal(err)
	}
	text := regexp.MustCompile(`(?m)^hours .*`).ReplaceAllString(string(b), "hours = \"daily 00:00-24:00\"")
	file := write(t, "control = \""+filepath.Join(t.TempDir(), "none")+"\"\n"+text)
	for where, want := range map[string]string{
		"172.16.2.7":     "dials (DD_NewYork)",
		"172.16.2.7:445": "dials (DD_NewYork)",
		"172.16.9.7":     "while that is connected",
		"192.0.2.1":      "routed nowhere",
		"2001:db8::1":    "routed nowhere",
	} {
		var out bytes.Buffer
		if err := run(t.Context(), []string{"-config", file, "-explain", where}, &out, io.Discard); err != nil || !strings.Contains(out.String(), want) {
			t.Errorf("%s: %v\n%s", where, err, &out)
		}
	}
	if err := run(t.Context(), []string{"-config", file, "-explain", "home"}, io.Discard, io.Discard); err == nil {
		t.Error("home is no address")
	}
}

// TestControl asks a site whose interfaces nobody answers.
func TestControl(t *testing.T) {
	s := &site{log: cli.Logger(io.Discard, false), set: &demanddial.Set{Router: &tunnel.Router{Routes: new(tunnel.Table)}}, addr: netip.MustParseAddr("10.1.0.1")}
	err := s.set.Add(&demanddial.Interface{
		Name: "DD_NewYork", User: "u", Attempts: 1, Routes: []demanddial.Route{{Prefix: netip.MustParsePrefix("172.16.2.0/24")}},
		Dial: func(context.Context, string) (tunnel.Link, error) { return nil, errors.New("nobody answers") },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	path := filepath.Join(t.TempDir(), "control")
	l, err := listenControl(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := listenControl(path); err == nil {
		t.Error("two on one socket")
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(path), ".control*")); err != nil || len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	ended := make(chan error, 2)
	go func() { ended <- s.serveControl(ctx, l) }()
	go func() { ended <- s.set.Serve(ctx) }()
	ctl := func(words ...string) string {
		var out bytes.Buffer
		if err := run(ctx, append([]string{"-control", path, "ctl"}, words...), &out, io.Discard); err != nil {
			return "error: " + err.Error()
		}
		return out.String()
	}
	for _, c := range []struct{ words, want string }{
		{"explain 172.16.2.7", "dials (DD_NewYork)"},
		{"list", "DD_NewYork"},
		{"connect dd_newyork", "error: nobody answers"},
		{"list", "Unreachable"},
		{"list", "previous attempt failed; last: nobody answers; next "},
		{"disable DD_NewYork", ""},
		{"connect DD_NewYork", "disabled"},
		{"enable DD_NewYork", ""},
		{"list", "Disconnected"},
		{"disconnect DD_NewYork", ""},
		{"redial DD_NewYork", ""},
		{"pause", ""},
		{"connect DD_NewYork", "paused"},
		{"resume", ""},
		{"connect DD_Nobody", "there is no interface"},
		{"dance DD_NewYork", "want one of"},
		{"dance", "want one of"},
		{"explain home", "no address"},
	} {
		got := ctl(strings.Fields(c.words)...)
		if c.words == "list" { // what was said before has its effect soon
			for end := time.Now().Add(5 * time.Second); !strings.Contains(got, c.want) && time.Now().Before(end); got = ctl("list") {
				time.Sleep(time.Millisecond)
			}
		}
		if !strings.Contains(got, c.want) || c.want == "" && got != "" {
			t.Errorf("%s: %q, want %q", c.words, got, c.want)
		}
	}
	cancel()
	<-ended
	<-ended
	if _, err := os.Stat(path); !os.IsNotExist(err) {
		t.Error("the socket is still there")
	}
	if _, err := net.Dial("unix", path); err == nil {
		t.Error("somebody answers")
	}
	if got := ctl(); !strings.Contains(got, "want one of") {
		t.Error(got)
	}
}

// TestTheControlSocketIsFoundInAFileThatIsWrong: somebody edits the file while the program runs.
func TestTheControlSocketIsFoundInAFileThatIsWrong(t *testing.T) {
	path := filepath.Join(t.TempDir(), "control")
	l, err := listenControl(path)
	if err != nil {
		t.Fatal(err)
	}
	s := &site{log: cli.Logger(io.Discard, false), set: &demanddial.Set{Router: &tunnel.Router{Routes: new(tunnel.Table)}}}
	if err := s.set.Add(&demanddial.Interface{Name: "DD New York", User: "u", Dial: func(context.Context, string) (tunnel.Link, error) { return nil, errNoAccount }, Attempts: 1}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 2)
	go func() { ended <- s.serveControl(ctx, l) }()
	go func() { ended <- s.set.Serve(ctx) }()
	file := write(t, fmt.Sprintf("control = %q\nbogus = 1\n", path))
	var out bytes.Buffer
	if err := run(ctx, []string{"-config", file, "ctl", "list"}, &out, io.Discard); err != nil || !strings.Contains(out.String(), "DD New York") {
		t.Errorf("%v %s", err, &out)
	}
	if err := run(ctx, []string{"-config", file, "ctl", "connect", "dd", "new", "york"}, &out, io.Discard); err == nil || err.Error() != "no account" {
		t.Errorf("a name with spaces: %v", err)
	}
	if err := run(ctx, []string{"-config", write(t, "x = ["), "ctl", "list"}, &out, io.Discard); err == nil || !strings.Contains(err.Error(), "-control PATH") {
		t.Error(err)
	}
	cancel()
	<-ended
	<-ended
	if err := run(t.Context(), []string{"-config", file, "ctl", "list"}, &out, io.Discard); err == nil || !strings.Contains(err.Error(), "branch does not run") {
		t.Error(err)
	}
}

func TestDestinations(t *testing.T) {
	for to, ok := range map[string]bool{
		"vpn.example.com": true, "vpn.example.com:8443": true, "router2": true, "ROUTER_2.example.": true, "münchen.example": true, "157.60.234.17": true, "157.60.234.17:444": true,
		"2001:db8::1": true, "[2001:db8::1]": true, "[2001:db8::1]:443": true,
		"https://vpn.example.com/": false, "a b": false, "1.2.3.4:99999": false, "1.2.3.4:0": false, "1.2.3.4:https": false, "host:": false, ":443": false, "1.2.3": false, "1.2.3.400": false,
		"a..b": false, "[2001:db8::1": false, "user@host": false, strings.Repeat("x", 64): false, "2001:db8::1:zz": false,
	} {
		if err := checkDestination(to); (err == nil) != ok {
			t.Errorf("%q: %v", to, err)
		}
	}
}

func TestSourceIsDialledFrom(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c := &ifaceConfig{source: netip.MustParseAddr("127.0.0.9")}
	b := builder{config: new(config)}
	conn, err := b.dialer(c, demanddial.Credentials{}).NetDial(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Skip(err) // not every system has more than one loopback address
	}
	defer conn.Close()
	if from := conn.LocalAddr().(*net.TCPAddr).AddrPort().Addr().Unmap(); from != c.source {
		t.Errorf("dialled from %v", from)
	}
}

func TestFamiliesAreThoseOfTheRoutes(t *testing.T) {
	four, six := netip.MustParsePrefix("172.16.2.0/24"), netip.MustParsePrefix("2001:db8:2::/48")
	for _, c := range []struct {
		routes   []netip.Prefix
		no4, no6 bool
	}{{nil, false, false}, {[]netip.Prefix{four}, false, true}, {[]netip.Prefix{six}, true, false}, {[]netip.Prefix{four, six}, false, false}} {
		x := new(ifaceConfig)
		for _, p := range c.routes {
			x.Routes = append(x.Routes, demanddial.Route{Prefix: p})
		}
		b := builder{config: new(config)}
		if d := b.dialer(x, demanddial.Credentials{}); d.PPP.NoIPv4 != c.no4 || d.PPP.NoIPv6 != c.no6 {
			t.Errorf("%v: no IPv4 %v, no IPv6 %v", c.routes, d.PPP.NoIPv4, d.PPP.NoIPv6)
		}
	}
}

func TestDefaultRouteIsInHalves(t *testing.T) {
	for routes, want := range map[string]string{
		"": "0.0.0.0/1 128.0.0.0/1", "172.16.2.0/24": "0.0.0.0/1 128.0.0.0/1", "2001:db8:2::/48": "::/1 8000::/1",
		"172.16.2.0/24 2001:db8:2::/48": "0.0.0.0/1 128.0.0.0/1 ::/1 8000::/1",
	} {
		var others []demanddial.Route
		for p := range strings.FieldsSeq(routes) {
			others = append(others, demanddial.Route{Prefix: netip.MustParsePrefix(p)})
		}
		var got []string
		for _, r := range defaultRoute(others) {
			got = append(got, r.Prefix.String())
			if !r.Connected {
				t.Errorf("%v dials", r.Prefix)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%q: %q", routes, got)
		}
	}
}

func TestAForeignDomainIsKept(t *testing.T) {
	a := &accounts{domains: []string{"EXAMPLE", "example.com"}}
	set := &demanddial.Set{Router: &tunnel.Router{Routes: new(tunnel.Table)}, Domains: a.domains}
	if err := set.Add(&demanddial.Interface{Name: "DD_NewYork"}); err != nil {
		t.Fatal(err)
	}
	auth := a.keepDomain(ppp.AuthenticatorFunc(func(_ context.Context, req *ppp.AuthRequest) (*ppp.Grant, error) {
		return &ppp.Grant{User: "DD_NewYork", Groups: []string{req.User}}, nil
	}))
	for user, router := range map[string]bool{
		"DD_NewYork": true, `example\dd_newyork`: true, `EXAMPLE.COM\DD_NewYork`: true, "DD_NewYork@example.com": true, `EVIL\DD_NewYork`: false, `EVIL\DD_NewYork@example.com`: false,
	} {
		g, err := auth.Authenticate(t.Context(), &ppp.AuthRequest{User: user})
		if err != nil || (set.Match(g.User) != nil) != router || g.Groups[0] != user {
			t.Errorf("%s: %+v %v", user, g, err)
		}
	}
}

func TestChangedClientsAndSettings(t *testing.T) {
	old := &config{clients: []clientConfig{{name: "alice", Password: "a"}, {name: "bob", Password: "b"}, {name: "carol", Password: "c"}}}
	now := &config{clients: []clientConfig{{name: "carol", Password: "other"}, {name: "alice", Password: "a"}}}
	if got := old.clientsNotIn(now); !slices.Equal(got, []string{"bob", "carol"}) {
		t.Errorf("%v", got)
	}
	if got := (*config)(nil).clientsNotIn(now); got != nil {
		t.Errorf("%v", got)
	}
	a, b := global{listen: ":443", domains: []string{"a"}}, global{listen: ":444", domains: []string{"a"}, mtu: 1300}
	if got := changed(a, b); !slices.Equal(got, []string{"listen", "mtu"}) {
		t.Errorf("%v", got)
	}
}

func TestAccountsAreFoundByAllTheirNames(t *testing.T) {
	c, err := readConfig("branch.toml")
	if err != nil {
		t.Fatal(err)
	}
	a := &accounts{domains: c.domains}
	a.set(c, []*demanddial.Account{{User: "DD_NewYork", Password: "x"}})
	for name, want := range map[string]bool{
		"DD_NewYork": true, "dd_newyork": true, "DD_NewYork@example.com": true, "DD_NewYork@EXAMPLE": true, "alice": true,
		"DD_NewYork@evil.example": false, "bob": false, "": false,
	} {
		x, err := a.Account(t.Context(), name)
		if err != nil || (x != nil) != want {
			t.Errorf("%q: %v %v", name, x, err)
		}
		if x != nil && x.Grant.AskAddr != (x.User == "DD_NewYork") {
			t.Errorf("%q: %+v", name, x.Grant)
		}
	}
	if a.SetSecret(t.Context(), "alice", "x") == nil {
		t.Error("a password was changed")
	}
}
