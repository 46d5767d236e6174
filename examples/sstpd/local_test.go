package main

import (
	"context"
	"crypto/sha256"
	"io"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/dialway/dialway/dhcpinform"
	"github.com/dialway/dialway/examples/internal/cli"
	"github.com/dialway/dialway/ppp"
	"github.com/dialway/dialway/sstp"
	"github.com/dialway/dialway/tunnel/ipv6conf"
)

// TestServeTellsMore: what a client is told beside what PPP says, by DHCPInform and by IPv6's own ways.
func TestServeTellsMore(t *testing.T) {
	c, err := parse(strings.Fields("-tun netstack -dns 192.0.2.53,2001:db8::53 -ipv6 2001:db8:8::/48 -delegate 2001:db8:f000::/40,60 "+
		"-inform domain=vpn.test,search=vpn.test,search=corp.test,route=10.88.0.0/16,route=2001:db8:88::/48,wins=192.0.2.9,node=h,ntp=192.0.2.123+192.0.2.124 "+
		"-users "+usersFile(t, "alice:secret\n")), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	var log logBuffer
	s := &server{config: c, log: cli.Logger(&log, false), sessions: new(ppp.Sessions)}
	if err := s.load(); err != nil {
		t.Fatal(err)
	}
	addr, stop := serving(t, s)
	log.wait(t, "msg=ready")
	d := &sstp.Dialer{Pins: [][32]byte{sha256.Sum256(s.cert.Load().Certificate[0])}, PPP: &ppp.Config{User: "alice", Password: "secret"}}
	dialling, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	link, err := d.DialContext(dialling, addr)
	if err != nil {
		t.Fatal(err)
	}
	six := &ipv6conf.Client{Link: link, Delegate: true}
	inform := &dhcpinform.Client{Link: six}
	ended := make(chan error, 1)
	go func() {
		ended <- inform.Serve(t.Context(), func(bufs [][]byte, _ int) (int, error) { return len(bufs), nil })
	}()

	o, err := inform.Inform(dialling, nil)
	if err != nil {
		t.Fatalf("%v\n%s", err, &log)
	}
	o.Raw = nil
	four := func(list ...string) (out []netip.Addr) {
		for _, a := range list {
			out = append(out, netip.MustParseAddr(a))
		}
		return out
	}
	want := dhcpinform.Options{
		DNS: four("192.0.2.53"), Domain: "vpn.test", Search: []string{"vpn.test", "corp.test"}, WINS: four("192.0.2.9"), NodeType: 8,
		Routes: []dhcpinform.Route{{Prefix: netip.MustParsePrefix("10.88.0.0/16"), Via: s.addr}},
		NTP:    four("192.0.2.123", "192.0.2.124"), Server: s.addr,
	}
	if !reflect.DeepEqual(*o, want) {
		t.Errorf("got\n%+v, want\n%+v", *o, want)
	}
	got, err := six.Wait(dialling, func(c ipv6conf.Config) bool { return len(c.Addrs) > 0 && len(c.Delegated) > 0 && len(c.Search) > 1 })
	if err != nil {
		t.Fatalf("%v: %+v\n%s", err, got, &log)
	}
	if got.Prefixes[0].String() != "2001:db8:8:1::/64" || got.Delegated[0].Bits() != 60 || !reflect.DeepEqual(got.DNS, four("2001:db8::53")) ||
		!reflect.DeepEqual(got.Routes, []netip.Prefix{netip.MustParsePrefix("2001:db8:88::/48")}) || got.Router.IsValid() {
		t.Errorf("%+v", got)
	}
	stop()
	<-ended
	for _, line := range []string{"answers DHCPInform", "msg=inform client=10.8.0.2 user=alice", "msg=advertised user=alice", "given by DHCPv6", "msg=DHCPInform", "msg=IPv6"} {
		if !strings.Contains(log.String(), line) {
			t.Errorf("%q is not told:\n%s", line, &log)
		}
	}
}

func TestWhatIsWrongWithTellingMore(t *testing.T) {
	users := usersFile(t, "a:b")
	for args, want := range map[string]string{
		"-inform domain":                                    "KEY=VALUE",
		"-inform color=red":                                 "no such key",
		"-inform dns=2001:db8::1":                           "no IPv4 address",
		"-inform route=10.0.0.1/8":                          "bits beyond",
		"-inform route=2001:db8::/32@fe80::1":               "without @ADDR",
		"-inform route=10.0.0.0/8@2001:db8::1":              "no IPv4 address",
		"-inform domain=a..b":                               "no domain",
		"-inform node=x":                                    "not b, p, m or h",
		"-inform domain=a.test -dhcp-relay 192.0.2.1":       "do not go together",
		"-dhcp-relay 192.0.2.1,x":                           "-dhcp-relay",
		"-dhcp-relay [2001:db8::1]:67":                      "no IPv4 address",
		"-ipv6 10.0.0.0/8":                                  "no IPv6 prefix",
		"-ipv6 2001:db8::1/64":                              "no IPv6 prefix",
		"-ipv6 2001:db8::/80":                               "no IPv6 prefix",
		"-ipv6 2001:db8::/48 -mtu 1200":                     "1280",
		"-delegate 2001:db8::/48,40":                        "not between",
		"-delegate 2001:db8::/48,x":                         "-delegate",
		"-delegate 2001:db8::/48 -ipv6 2001:db8:0:100::/56": "part of",
	} {
		_, err := parse(append(strings.Fields(args), "-users", users, "-tun", "netstack"), io.Discard)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v does not tell %q", args, err, want)
		}
	}
	c, err := parse([]string{"-users", users, "-tun", "netstack", "-ipv6", "2001:db8:1::/64", "-dhcp-relay", "192.0.2.1,192.0.2.2:1067"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	pool := c.ipv6.extend(new(ppp.Pool))
	if !pool.Share || c.ipv6.addr.String() != "2001:db8:1::1" || len(c.localConfig.relay) != 2 || c.localConfig.relay[0].Port() != 67 {
		t.Errorf("%+v, %+v", c.localConfig, pool)
	}
}
