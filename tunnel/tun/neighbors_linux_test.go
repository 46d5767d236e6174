package tun

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/dialway/dialway/internal/netns"
	"github.com/dialway/dialway/tunnel"
)

// Proxy entries come and go with the routes, for addresses of the interface's network only; a LAN host finds the client.
func TestNeighbors(t *testing.T) {
	gw, lan := netns.New(t), netns.New(t)
	netns.Join(gw, "lan", "192.0.2.1/24", lan, "eth0", "192.0.2.2/24")
	gw.Run("ip", "addr", "add", "2001:db8::1/64", "dev", "lan", "nodad")
	lan.Run("ip", "addr", "add", "2001:db8::2/64", "dev", "eth0", "nodad")
	gw.Run("sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding")
	gw.Run("ip", "neigh", "add", "proxy", "192.0.2.200", "dev", "lan") // somebody else's
	d := open(t, gw, Config{Name: "vpn7"})
	var table tunnel.RouteTable
	var err error
	neighbors := func(d *Device) {
		t.Helper()
		gw.Do(func() { table, err = d.Neighbors(d.Routes(new(tunnel.Table)), "lan") })
		if err != nil {
			t.Fatal(err)
		}
	}
	neighbors(d)
	list := func() string {
		return gw.Run("ip", "neigh", "show", "proxy") + gw.Run("ip", "-6", "neigh", "show", "proxy")
	}
	here := func(want bool, what ...string) {
		t.Helper()
		for _, w := range what {
			if strings.Contains(list(), w+" dev lan") != want {
				t.Errorf("%s there: %v\n%s", w, !want, list())
			}
		}
	}
	one, two := new(tunnel.Router), new(tunnel.Router)
	four, six := netip.MustParsePrefix("192.0.2.50/32"), netip.MustParsePrefix("2001:db8::50/128")
	for _, p := range []string{"192.0.2.1/32", "192.0.2.64/26", "10.8.0.7/32", "2001:db8:0:7::/64", "fe80::1/128"} {
		table.Insert(netip.MustParsePrefix(p), one, 0)
	}
	here(false, "192.0.2.1", "192.0.2.64", "10.8.0.7", "2001:db8:0:7::", "fe80::1")
	table.Insert(four, one, 0)
	table.Insert(four, two, 1)
	table.Insert(six, one, 0)
	here(true, "192.0.2.50", "2001:db8::50", "192.0.2.200")
	if out := gw.Run("ip", "-d", "neigh", "show", "proxy"); !strings.Contains(out, "proto 201") && !strings.Contains(out, "proto") {
		t.Logf("ip says no protocol: %s", out)
	}

	// The device's far side is the client: it answers.
	go echo(d)
	for _, a := range []string{"192.0.2.50", "2001:db8::50"} {
		if out, err := lan.Try("ping", "-c", "1", "-W", "5", a); err != nil {
			t.Errorf("%s is not found on the LAN: %v\n%s\n%s", a, err, out, list())
		}
	}

	table.Delete(four, one)
	here(true, "192.0.2.50")
	table.Delete(four, two)
	table.Delete(six, one)
	here(false, "192.0.2.50", "2001:db8::50")
	here(true, "192.0.2.200")

	// What a process leaves that is killed goes when the next one starts; what lives stays.
	table.Insert(six, one, 0)
	gw.Run("ip", "neigh", "add", "proxy", "192.0.2.77", "dev", "lan", "protocol", "201")
	d2 := open(t, gw, Config{Name: "vpn8"})
	neighbors(d2)
	here(false, "192.0.2.77")
	here(true, "2001:db8::50", "192.0.2.200")
	table.Insert(four, one, 0)
	here(true, "192.0.2.50")
	if err := d2.Close(); err != nil {
		t.Error(err)
	}
	here(false, "192.0.2.50")
	table.Delete(four, one) // after Close: nothing is left to do
	d.Close()
	here(false, "2001:db8::50")

	if _, err := d.Neighbors(new(tunnel.Table), "lan"); err == nil {
		t.Error("a closed device proxies")
	}
	d3 := open(t, gw, Config{Name: "vpn9"})
	if _, err := d3.Neighbors(new(tunnel.Table), "none"); err == nil || !strings.Contains(err.Error(), `"none"`) {
		t.Errorf("%v", err)
	}
}

// echo answers pings behind the device, until it is closed.
func echo(d *Device) {
	n := d.BatchSize()
	bufs, sizes := make([][]byte, n), make([]int, n)
	for i := range bufs {
		bufs[i] = make([]byte, 64+65535)
	}
	const offset = 64
	for {
		k, err := d.Read(bufs, sizes, offset)
		if err != nil {
			return
		}
		for i := range k {
			b := bufs[i][:offset+sizes[i]]
			p := b[offset:]
			switch {
			case len(p) >= 28 && p[0]>>4 == 4 && p[9] == 1 && p[20] == 8:
				var src [4]byte
				copy(src[:], p[12:])
				copy(p[12:16], p[16:20])
				copy(p[16:20], src[:])
				p[20] = 0
				sum := uint32(p[22])<<8 | uint32(p[23])
				sum += 0x0800
				sum = sum&0xffff + sum>>16
				p[22], p[23] = byte(sum>>8), byte(sum)
			case len(p) >= 48 && p[0]>>4 == 6 && p[6] == 58 && p[40] == 128:
				var src [16]byte
				copy(src[:], p[8:])
				copy(p[8:24], p[24:40])
				copy(p[24:40], src[:])
				p[40] = 129
				sum := uint32(^(uint16(p[42])<<8 | uint16(p[43]))) + 0x0100
				sum = sum&0xffff + sum>>16
				p[42], p[43] = byte(^sum>>8), byte(^sum)
			default:
				continue
			}
			d.Write([][]byte{b}, offset)
		}
	}
}
