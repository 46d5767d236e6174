package interop

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/dialway/dialway/internal/netns"
)

// The servers lease 10.77.1.0 to 10.77.2.255 of 10.77.0.0/16, on the device lan, and keep their leases in a directory, so
// that they can be restarted.

// StartLeasingDnsmasq starts dnsmasq, whose leases last for two minutes, its least.
func StartLeasingDnsmasq(t testing.TB, ns *netns.NS, dir string) *Program {
	t.Helper()
	Need(t, "dnsmasq:dnsmasq-base")
	config := configFile(t, dir, `port=0
keep-in-foreground
user=root
pid-file=
log-facility=-

no-resolv
no-hosts
no-ping
bind-interfaces
interface=lan
dhcp-authoritative
dhcp-leasefile=`+filepath.Join(dir, "leases")+`
dhcp-range=10.77.1.0,10.77.2.255,255.255.0.0,120
`)
	return startDHCP(t, ns, "DHCP, sockets bound", nil, "dnsmasq", "-C", config)
}

// StartLeasingKea starts Kea, whose leases last for so many seconds.
func StartLeasingKea(t testing.TB, ns *netns.NS, dir string, seconds int) *Program {
	t.Helper()
	Need(t, "kea-dhcp4:kea-dhcp4-server")
	type m = map[string]any
	config, err := json.Marshal(m{"Dhcp4": m{
		"interfaces-config": m{"interfaces": []string{"lan"}, "dhcp-socket-type": "raw"},
		"lease-database":    m{"type": "memfile", "persist": true, "name": filepath.Join(dir, "leases.csv"), "lfc-interval": 0},
		"authoritative":     true,
		"valid-lifetime":    seconds,
		"renew-timer":       seconds / 2,
		"rebind-timer":      seconds * 3 / 4,
		"subnet4":           []m{{"id": 1, "subnet": "10.77.0.0/16", "pools": []m{{"pool": "10.77.1.0 - 10.77.2.255"}}}},
		"loggers":           []m{{"name": "kea-dhcp4", "severity": "INFO", "output_options": []m{{"output": "stdout"}}}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	env := []string{"KEA_PIDFILE_DIR=" + dir, "KEA_LOCKFILE_DIR=none", fmt.Sprintf("KEA_DHCP_DATA_DIR=%s", dir)}
	return startDHCP(t, ns, "DHCP4_STARTED", env, "kea-dhcp4", "-c", configFile(t, dir, string(config)))
}

// StartLeasingISC starts ISC dhcpd, whose leases last for so many seconds.
func StartLeasingISC(t testing.TB, ns *netns.NS, dir string, seconds int) *Program {
	t.Helper()
	Need(t, "dhcpd:isc-dhcp-server")
	leases := filepath.Join(dir, "leases")
	f, err := os.OpenFile(leases, os.O_CREATE, 0o644) // it wants one, be it empty
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	config := configFile(t, dir, fmt.Sprintf(`authoritative;
ping-check false;
default-lease-time %d;
max-lease-time %[1]d;
subnet 10.77.0.0 netmask 255.255.0.0 {
	range 10.77.1.0 10.77.2.255;
}
`, seconds))
	return startDHCP(t, ns, "Server starting service", nil, "dhcpd", "-4", "-f", "-d", "-cf", config, "-lf", leases, "-pf", filepath.Join(dir, "pid"), "lan")
}
