package interop

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dialway/dialway/internal/netns"
)

// startDHCP starts a server on the device lan of a namespace and waits until it logs ready.
func startDHCP(t testing.TB, ns *netns.NS, ready string, env []string, name string, args ...string) *Program {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), env...)
	p := startCommand(t, ns, name, cmd)
	p.Await(10*time.Second, ready, 1)
	return p
}

func configFile(t testing.TB, dir, text string) string {
	t.Helper()
	file := filepath.Join(dir, "config")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

// The servers say the same: the network 10.8.0.0/24, name servers 192.0.2.53 and .54, vpn.test with a search list, WINS,
// node type 8, time, the routes of dhcpRoutes by 121 and 249, and WPAD.
var dhcpRoutes = []byte{16, 10, 88, 10, 8, 0, 1, 24, 10, 89, 0, 10, 8, 0, 1}

// StartDnsmasq starts dnsmasq, which answers to giaddr.
func StartDnsmasq(t testing.TB, ns *netns.NS) *Program {
	t.Helper()
	Need(t, "dnsmasq:dnsmasq-base")
	dir := scratch(t)
	config := configFile(t, dir, `port=0
keep-in-foreground
user=root
pid-file=
log-facility=-
log-dhcp
no-resolv
no-hosts
no-ping
bind-interfaces
interface=lan
dhcp-authoritative
dhcp-leasefile=`+filepath.Join(dir, "leases")+`
dhcp-range=10.8.0.100,10.8.0.199,255.255.255.0,120
dhcp-option=option:dns-server,192.0.2.53,192.0.2.54
dhcp-option=option:domain-name,vpn.test
dhcp-option=option:domain-search,vpn.test,eng.vpn.test,corp.test
dhcp-option=option:netbios-ns,192.0.2.9
dhcp-option=option:netbios-nodetype,8
dhcp-option=option:ntp-server,192.0.2.123
dhcp-option=option:classless-static-route,10.88.0.0/16,10.8.0.1,10.89.0.0/24,10.8.0.1
dhcp-option=249,10.88.0.0/16,10.8.0.1,10.89.0.0/24,10.8.0.1
dhcp-option=252,http://wpad.vpn.test/wpad.dat
`)
	return startDHCP(t, ns, "DHCP, sockets bound", nil, "dnsmasq", "-C", config)
}

// StartISC starts ISC dhcpd, which answers to ciaddr, port 68.
func StartISC(t testing.TB, ns *netns.NS) *Program {
	t.Helper()
	Need(t, "dhcpd:isc-dhcp-server")
	dir := scratch(t)
	leases := filepath.Join(dir, "leases")
	if err := os.WriteFile(leases, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	routes := strings.ReplaceAll(strings.Trim(fmt.Sprint(dhcpRoutes), "[]"), " ", ",")
	config := configFile(t, dir, `authoritative;
option routes-121 code 121 = array of unsigned integer 8;
option routes-249 code 249 = array of unsigned integer 8;
option wpad code 252 = text;
option domain-name-servers 192.0.2.53, 192.0.2.54;
option domain-name "vpn.test";
option domain-search "vpn.test", "eng.vpn.test", "corp.test";
option netbios-name-servers 192.0.2.9;
option netbios-node-type 8;
option ntp-servers 192.0.2.123;
option routes-121 `+routes+`;
option routes-249 `+routes+`;
option wpad "http://wpad.vpn.test/wpad.dat";
subnet 192.0.2.0 netmask 255.255.255.0 { }
subnet 10.8.0.0 netmask 255.255.255.0 { }
`)
	return startDHCP(t, ns, "Server starting service", nil, "dhcpd", "-4", "-f", "-d", "-cf", config, "-lf", leases, "-pf", filepath.Join(dir, "pid"), "lan")
}

// StartKea starts Kea, which answers to ciaddr, port 67.
func StartKea(t testing.TB, ns *netns.NS) *Program {
	t.Helper()
	Need(t, "kea-dhcp4:kea-dhcp4-server")
	dir := scratch(t)
	type m = map[string]any
	config, err := json.Marshal(m{"Dhcp4": m{
		"interfaces-config": m{"interfaces": []string{"lan"}, "dhcp-socket-type": "udp"},
		"lease-database":    m{"type": "memfile", "persist": false},
		"authoritative":     true,
		"option-def": []m{
			{"name": "routes-121", "code": 121, "type": "binary"},
			{"name": "routes-249", "code": 249, "type": "binary"},
			{"name": "wpad", "code": 252, "type": "string"},
		},
		"option-data": []m{
			{"name": "domain-name-servers", "data": "192.0.2.53, 192.0.2.54"},
			{"name": "domain-name", "data": "vpn.test"},
			{"name": "domain-search", "data": "vpn.test, eng.vpn.test, corp.test"},
			{"name": "netbios-name-servers", "data": "192.0.2.9"},
			{"name": "netbios-node-type", "data": "8"},
			{"name": "ntp-servers", "data": "192.0.2.123"},
			{"name": "routes-121", "csv-format": false, "data": fmt.Sprintf("%X", dhcpRoutes)},
			{"name": "routes-249", "csv-format": false, "data": fmt.Sprintf("%X", dhcpRoutes)},
			{"name": "wpad", "data": "http://wpad.vpn.test/wpad.dat"},
		},
		"subnet4": []m{{"id": 1, "subnet": "10.8.0.0/24"}, {"id": 2, "subnet": "192.0.2.0/24"}},
		"loggers": []m{{"name": "kea-dhcp4", "severity": "DEBUG", "debuglevel": 50, "output_options": []m{{"output": "stdout"}}}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return startDHCP(t, ns, "DHCP4_STARTED", []string{"KEA_PIDFILE_DIR=" + dir, "KEA_LOCKFILE_DIR=none"}, "kea-dhcp4", "-c", configFile(t, dir, string(config)))
}
