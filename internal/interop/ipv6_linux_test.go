package interop

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/dialway/dialway/internal/netns"
)

// TestIPv6: Debian's sstpc and pppd dial examples/sstpd, and what the guest has beside them asks for more than PPP says:
// its kernel, rdisc6 and dhcp6c for IPv6, and a DHCP codec of others on its own socket for DHCPInform.
func TestIPv6(t *testing.T) {
	t.Parallel()
	NeedLinuxClient(t)
	Need(t, "openssl:openssl", "rdisc6:ndisc6", "dhcp6c:wide-dhcpv6-client")
	// The server's network, with a host that is also its DHCP server.
	ns, host := netns.New(t), netns.New(t)
	netns.Join(ns, "lan", "192.0.2.2/24", host, "lan", "192.0.2.1/24")
	ns.Run("ip", "addr", "add", "2001:db8:50::1/64", "dev", "lan", "nodad")
	host.Run("ip", "addr", "add", "2001:db8:50::2/64", "dev", "lan", "nodad")
	host.Run("ip", "-6", "route", "add", "default", "via", "2001:db8:50::1")
	host.Run("ip", "route", "add", "10.8.0.1/32", "via", "192.0.2.2")
	ns.Run("sh", "-c", "echo 1 >/proc/sys/net/ipv6/conf/all/forwarding")
	dir := t.TempDir()
	cert, key := certificate(t, dir, "sstp.test")
	users := writeFile(t, filepath.Join(dir, "users"), "alice:secret\n")
	serve := func(args ...string) *Program {
		p := StartProgram(t, ns, "sstpd", append([]string{"-listen", ":443", "-cert", cert, "-key", key, "-users", users, "-tun", "vpn0",
			"-pool", "10.8.0.0/29"}, args...)...)
		p.Await(20*time.Second, "ready", 1)
		return p
	}
	g := StartGuest(t, ns, 0)
	dial := func() *Session {
		s := g.Dial(Call{Server: g.Gateway.String() + ":443", Host: "sstp.test", CA: cert, User: "alice", Password: "secret", Auth: "mschap-v2", IPv6: true})
		if s.Refused != "" {
			t.Fatalf("refused: %s\n%s", s.Refused, last(s.PPPLog(), 3000))
		}
		return s
	}
	informer := filepath.Join(g.dir, "informer")
	build := exec.Command("go", "build", "-o", informer, "./informer")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	inform := func(t *testing.T, s *Session, want ...string) {
		t.Helper()
		out, status := g.Run(30*time.Second, fmt.Sprintf("/mnt/informer %v 02:00:0a:08:00:02", s.Local))
		if status != 0 {
			t.Fatalf("no answer: %s", out)
		}
		for _, w := range want {
			if !strings.Contains(out, w) {
				t.Errorf("the answer lacks %q:\n%s", w, out)
			}
		}
	}

	server := serve("-dns", "10.8.0.1,2001:db8:50::53", "-ipv6", "2001:db8:8::/48", "-delegate", "2001:db8:f000::/40,56", "-inform", "domain=vpn.test,search=vpn.test,search=corp.test,route=10.88.0.0/16")
	s := dial()

	t.Run("router advertisement", func(t *testing.T) {
		out := g.Must(30*time.Second, "for ((n = 0; n < 100; n++)); do ip -6 addr show dev ppp0 scope global | grep -q inet6 && break; nap 0.1; done; ip -6 addr show dev ppp0; ip -6 route")
		addr := regexp.MustCompile(`inet6 (2001:db8:8:[0-9a-f:]+)/64`).FindStringSubmatch(out)
		if addr == nil || !strings.Contains(out, "default via fe80:") || strings.Contains(out, "2001:db8:8:1::/64 dev") {
			t.Fatalf("no address, or no default route, or the prefix is on link:\n%s", out)
		}
		PingFrom(t, host, addr[1], 3)
		if routes := ns.Run("ip", "-6", "route"); !strings.Contains(routes, "2001:db8:8:1::/64 dev vpn0") {
			t.Errorf("no route to the session's prefix:\n%s", routes)
		}
		// An address that was not given does not get through.
		out, status := g.Run(30*time.Second, "ip -6 addr add 2001:db8:8:99::9/128 dev ppp0 nodad; ping -n -c 2 -W 1 -I 2001:db8:8:99::9 2001:db8:50::2; s=$?; ip -6 addr del 2001:db8:8:99::9/128 dev ppp0; exit $s")
		if status == 0 {
			t.Errorf("a stolen address gets through:\n%s", out)
		}
	})

	t.Run("rdisc6", func(t *testing.T) {
		out := g.Must(30*time.Second, "rdisc6 -1 ppp0")
		for _, want := range []string{
			`Prefix +: 2001:db8:8:1::/64`, `On-link +: +No`, `Autonomous address conf.: +Yes`, `Recursive DNS server +: 2001:db8:50::53`,
			`DNS search list +: vpn.test corp.test`, `MTU +: +1400`, `Stateful other conf. +: +Yes`, `Router lifetime +: +1800`,
		} {
			if !regexp.MustCompile(want).MatchString(out) {
				t.Errorf("no %q in\n%s", want, out)
			}
		}
	})

	t.Run("dhcp6c", func(t *testing.T) {
		out := g.Must(60*time.Second, `mount -t tmpfs tmpfs /var/lib && mkdir /var/lib/dhcpv6
cat >/tmp/dhcp6c.conf <<E
interface ppp0 { send ia-pd 0; send rapid-commit; request domain-name-servers; request domain-name; script "/tmp/dhcp6.sh"; };
id-assoc pd 0 { prefix-interface vec0 { sla-id 1; sla-len 8; }; };
E
printf '#!/bin/bash\nenv >/tmp/dhcp6.new; mv /tmp/dhcp6.new /tmp/dhcp6.env\n' >/tmp/dhcp6.sh; chmod 755 /tmp/dhcp6.sh
dhcp6c -f -D -c /tmp/dhcp6c.conf ppp0 >/tmp/dhcp6.log 2>&1 &
for ((n = 0; n < 200; n++)); do [ -e /tmp/dhcp6.env ] && ip -6 addr show dev vec0 | grep 2001:db8:f0 | grep -qv tentative && break; nap 0.1; done
cat /tmp/dhcp6.env /tmp/dhcp6.log; ip -6 addr show dev vec0`)
		addr := regexp.MustCompile(`inet6 (2001:db8:f0[0-9a-f:]+)/64`).FindStringSubmatch(out)
		for _, want := range []string{"new_domain_name_servers=2001:db8:50::53", "new_domain_name=vpn.test. corp.test.", "REASON=NBI"} {
			if addr == nil || !strings.Contains(out, want) {
				t.Fatalf("no delegated prefix, or no %q:\n%s", want, last(out, 6000))
			}
		}
		server.Await(5*time.Second, "given by DHCPv6\" prefix=2001:db8:f0", 1)
		if routes := ns.Run("ip", "-6", "route"); !regexp.MustCompile(`2001:db8:f0[0-9a-f]*::/56 dev vpn0`).MatchString(routes) {
			t.Errorf("no route to the delegated prefix:\n%s", routes)
		}
		PingFrom(t, host, addr[1], 3) // a network behind the client
		g.Must(30*time.Second, "/bin/busybox killall dhcp6c; for ((n = 0; n < 100; n++)); do ip -6 addr show dev vec0 | grep -q 2001:db8:f0 || exit 0; nap 0.1; done; cat /tmp/dhcp6.log; exit 1")
		server.Await(5*time.Second, "given back by DHCPv6\" prefix=2001:db8:f0", 1)
	})

	t.Run("inform, answered", func(t *testing.T) {
		inform(t, s, "vpn.test", "corp.test", "10.88.0.0/16", "10.8.0.1", "Domain Name: vpn.test", "Server Identifier: 10.8.0.1")
		server.Await(5*time.Second, "msg=inform client="+s.Local.String()+" user=alice", 1)
	})

	s.Hangup()
	server.Await(10*time.Second, "session ended", 1)
	if routes := ns.Run("ip", "-6", "route"); strings.Contains(routes, "2001:db8:8:1::/64") || strings.Contains(routes, "2001:db8:f0") {
		t.Errorf("routes are left:\n%s", routes)
	}
	server.Stop()

	t.Run("inform, relayed", func(t *testing.T) {
		d := StartDnsmasq(t, host)
		server := serve("-dhcp-relay", "192.0.2.1,192.0.2.77")
		s := dial()
		inform(t, s, "vpn.test", "eng.vpn.test", "10.88.0.0/16", "192.0.2.53", "Server Identifier: 192.0.2.1")
		d.Await(5*time.Second, "DHCPINFORM(lan) "+s.Local.String(), 1)
		server.Await(5*time.Second, "msg=\"inform relayed\" client="+s.Local.String()+" user=alice", 1)
		s.Hangup()
		server.Stop()
		server.Await(5*time.Second, "Answered:1", 1)
	})
}
