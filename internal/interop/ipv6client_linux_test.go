package interop

import (
	"context"
	"encoding/json"
	"net/netip"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/dialway/dialway/internal/netns"
	"github.com/dialway/dialway/tunnel/ipv6conf"
	"github.com/dialway/dialway/tunnel/tun"
)

// A deviceLink is a link to the namespace of a TUN device: what is written the namespace receives.
type deviceLink struct {
	dev   *tun.Device
	close sync.Once
}

func (l *deviceLink) Write(bufs [][]byte, offset int) (int, error) { return l.dev.Write(bufs, offset) }

// Serve leaves the device open, so that the router reads the client's last words before its interface goes.
func (l *deviceLink) Serve(ctx context.Context, to func(bufs [][]byte, offset int) (int, error)) error {
	const headroom = 32
	bufs, sizes := make([][]byte, l.dev.BatchSize()), make([]int, l.dev.BatchSize())
	for i := range bufs {
		bufs[i] = make([]byte, headroom+65536)
	}
	ended := make(chan error, 1)
	go func() {
		for {
			n, err := l.dev.Read(bufs, sizes, headroom)
			for i := range n {
				if ctx.Err() == nil {
					to([][]byte{bufs[i][:headroom+sizes[i]]}, headroom)
				}
			}
			if err != nil {
				ended <- err
				return
			}
		}
	}()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (l *deviceLink) Addrs() []netip.Addr      { return []netip.Addr{hostLL} }
func (l *deviceLink) Prefixes() []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix("::/0")} }
func (l *deviceLink) DNS() []netip.Addr        { return nil }
func (l *deviceLink) MTU() int                 { return l.dev.MTU() }
func (l *deviceLink) Close() (err error)       { l.close.Do(func() { err = l.dev.Close() }); return err }

// TestIPv6Client: our Client at the other end of a link from routers that nobody here wrote.
func TestIPv6Client(t *testing.T) {
	t.Parallel()
	Need(t, "dnsmasq:dnsmasq-base", "kea-dhcp6:kea-dhcp6-server")
	open := func(t *testing.T) (*netns.NS, *deviceLink) {
		ns := netns.New(t)
		var dev *tun.Device
		var err error
		ns.Do(func() { dev, err = tun.Open(tun.Config{Name: "six0"}) })
		if err != nil {
			t.Fatal(err)
		}
		l := &deviceLink{dev: dev}
		t.Cleanup(func() { l.Close() })
		ns.Run("ip", "addr", "add", "fe80::1/64", "dev", "six0", "nodad")
		ns.Run("ip", "addr", "add", "2001:db8:1::1/64", "dev", "six0", "nodad")
		return ns, l
	}
	wait := func(t *testing.T, c *ipv6conf.Client, enough func(ipv6conf.Config) bool) ipv6conf.Config {
		t.Helper()
		served := make(chan error, 1)
		ctx, stop := context.WithCancel(context.Background())
		go func() {
			served <- c.Serve(ctx, func(bufs [][]byte, _ int) (int, error) { return len(bufs), nil })
		}()
		waiting, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		got, err := c.Wait(waiting, enough)
		stop()
		<-served
		if err != nil {
			t.Errorf("%v: %+v", err, got)
		}
		return got
	}
	dns, search := addrList("2001:db8::53", "2001:db8::54"), []string{"vpn.test", "corp.test"}

	// Router advertisement with both flags, an address by DHCPv6 beside the one that is made, and information.
	t.Run("dnsmasq", func(t *testing.T) {
		ns, l := open(t)
		dir := scratch(t)
		d := startDHCP(t, ns, "DHCP, sockets bound", nil, "dnsmasq", "-C", configFile(t, dir, `port=0
keep-in-foreground
user=root
pid-file=
log-facility=-
log-dhcp
no-resolv
no-hosts
interface=six0
bind-interfaces
enable-ra
dhcp-duid=9,01:02:03:04:05:06
dhcp-leasefile=`+filepath.Join(dir, "leases")+`
dhcp-range=2001:db8:1::100,2001:db8:1::1ff,slaac,64,600
dhcp-option=option6:dns-server,[2001:db8::53],[2001:db8::54]
dhcp-option=option6:domain-search,vpn.test,corp.test
dhcp-option=option6:sntp-server,[2001:db8::123]
`))
		got := wait(t, &ipv6conf.Client{Link: l}, func(c ipv6conf.Config) bool { return len(c.Addrs) == 2 && len(c.SNTP) > 0 })
		made := netip.MustParseAddr("2001:db8:1:0:2:3:4:5")
		if len(got.Addrs) != 2 || got.Addrs[0] != made || !netip.MustParsePrefix("2001:db8:1::100/120").Contains(got.Addrs[1]) ||
			!slices.Equal(got.DNS, dns) || !slices.Equal(got.Search, search) || !slices.Equal(got.SNTP, addrList("2001:db8::123")) || got.Router != routerLL {
			t.Errorf("%+v", got)
		}
		d.Await(5*time.Second, "DHCPRELEASE(six0)", 1)
	})

	// A delegated prefix, given back at the end.
	t.Run("Kea", func(t *testing.T) {
		ns, l := open(t)
		dir := scratch(t)
		type m = map[string]any
		config, err := json.Marshal(m{"Dhcp6": m{
			"interfaces-config": m{"interfaces": []string{"six0"}},
			"lease-database":    m{"type": "memfile", "persist": false},
			"server-id":         m{"type": "EN", "enterprise-id": 9, "identifier": "0102030405060708", "persist": false}, // a TUN device has no address to make one of
			"option-data":       []m{{"name": "dns-servers", "data": "2001:db8::53, 2001:db8::54"}, {"name": "domain-search", "data": "vpn.test, corp.test"}},
			"subnet6": []m{{"id": 1, "subnet": "2001:db8:1::/64", "interface": "six0", "rapid-commit": false,
				"pd-pools": []m{{"prefix": "2001:db8:a000::", "prefix-len": 40, "delegated-len": 56}}}},
			"loggers": []m{{"name": "kea-dhcp6", "severity": "DEBUG", "debuglevel": 50, "output_options": []m{{"output": "stdout"}}}},
		}})
		if err != nil {
			t.Fatal(err)
		}
		d := startDHCP(t, ns, "DHCP6_STARTED", []string{"KEA_PIDFILE_DIR=" + dir, "KEA_LOCKFILE_DIR=none"}, "kea-dhcp6", "-c", configFile(t, dir, string(config)))
		got := wait(t, &ipv6conf.Client{Link: l, Delegate: true, Length: 56}, func(c ipv6conf.Config) bool { return len(c.Delegated) > 0 })
		if len(got.Delegated) != 1 || got.Delegated[0].Bits() != 56 || !netip.MustParsePrefix("2001:db8:a000::/40").Contains(got.Delegated[0].Addr()) ||
			!slices.Equal(got.DNS, dns) || !slices.Equal(got.Search, search) {
			t.Errorf("%+v", got)
		}
		d.Await(5*time.Second, "DHCP6_RELEASE_PD", 1)
	})
}
