package tun

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/dialway/dialway/internal/netns"
	"github.com/dialway/dialway/tunnel"
)

// open opens a device in a namespace.
func open(t *testing.T, ns *netns.NS, c Config) *Device {
	t.Helper()
	var d *Device
	var err error
	ns.Do(func() { d, err = Open(c) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// pump carries packets from one queue to another, as lent views with a neighbour on either side.
func pump(from, to tunnel.PacketIO) {
	const offset = 4
	n := from.BatchSize()
	bufs, sizes := make([][]byte, n), make([]int, n)
	for i := range bufs {
		bufs[i] = make([]byte, offset+65535)
	}
	slab := make([]byte, n*65536)
	views := make([][]byte, 0, n)
	for {
		k, err := from.Read(bufs, sizes, offset)
		if err != nil {
			return
		}
		views = views[:0]
		at := 0
		for i := range k {
			size := offset + sizes[i]
			v := slab[at : at+size : at+size]
			copy(v, bufs[i][:size])
			views = append(views, v)
			at += size
		}
		if _, err := to.Write(views, offset); err != nil {
			return
		}
	}
}

func TestTCPThroughTwoDevices(t *testing.T) {
	for _, c := range []Config{{}, {NoOffload: true}, {Queues: 2}} {
		t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) {
			na, nb := netns.New(t), netns.New(t)
			a, b := open(t, na, c), open(t, nb, c)
			if err := a.SetAddrs(netip.MustParsePrefix("10.9.0.1/24")); err != nil {
				t.Fatal(err)
			}
			if err := b.SetAddrs(netip.MustParsePrefix("10.9.0.2/24")); err != nil {
				t.Fatal(err)
			}
			for i := range a.Queues() {
				go pump(a.Queues()[i], b.Queues()[i])
				go pump(b.Queues()[i], a.Queues()[i])
			}
			if c.NoOffload != (a.BatchSize() == 1) {
				t.Errorf("batch of %d", a.BatchSize())
			}
			var l net.Listener
			var err error
			nb.Do(func() { l, err = net.Listen("tcp", "10.9.0.2:80") })
			if err != nil {
				t.Fatal(err)
			}
			data := make([]byte, 8<<20)
			for i := range data {
				data[i] = byte(rand.Uint32())
			}
			go func() {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				conn.Write(data)
				conn.Close()
			}()
			var conn net.Conn
			na.Do(func() { conn, err = net.DialTimeout("tcp", "10.9.0.2:80", 5*time.Second) })
			if err != nil {
				t.Fatal(err)
			}
			conn.SetDeadline(time.Now().Add(time.Minute))
			h := sha256.New()
			if n, err := io.Copy(h, conn); err != nil || n != int64(len(data)) || [32]byte(h.Sum(nil)) != sha256.Sum256(data) {
				t.Fatalf("%d bytes, %v", n, err)
			}
		})
	}
}

func TestRoutesStayInStep(t *testing.T) {
	ns := netns.New(t)
	d := open(t, ns, Config{Name: "vpn7"})
	table := d.Routes(new(tunnel.Table))
	p := netip.MustParsePrefix("172.16.2.0/24")
	table.Insert(p, d, 1)
	table.Insert(p, &d.queue, 2)
	if out := ns.Run("ip", "route", "show", "proto", "201"); !strings.Contains(out, "172.16.2.0/24 dev vpn7") {
		t.Errorf("%q", out)
	}
	if table.Lookup(netip.MustParseAddr("172.16.2.9")) != tunnel.PacketWriter(d) {
		t.Error("not in the table")
	}
	table.Delete(p, d)
	if out := ns.Run("ip", "route", "show", "proto", "201"); out == "" {
		t.Error("the route has gone with the first of two")
	}
	table.Delete(p, &d.queue)
	if out := ns.Run("ip", "route", "show", "proto", "201"); out != "" {
		t.Errorf("%q", out)
	}
}

func TestRoutesSurviveNewAddresses(t *testing.T) {
	ns := netns.New(t)
	d := open(t, ns, Config{Name: "vpn5"})
	table := d.Routes(new(tunnel.Table))
	for _, p := range []string{"172.16.2.0/24", "2001:db8::/32"} {
		table.Insert(netip.MustParsePrefix(p), d, 0)
	}
	for _, addrs := range [][]string{{"192.168.30.10/32"}, {"192.168.30.11/32"}, {"10.9.0.1/24"}, {"10.9.0.2/24", "2001:db8:1::1/64"}, {"10.9.0.3/24"}, nil, {"10.9.0.4/32"}} {
		var list []netip.Prefix
		for _, a := range addrs {
			list = append(list, netip.MustParsePrefix(a))
		}
		if err := d.SetAddrs(list...); err != nil {
			t.Fatal(err)
		}
		if out := ns.Run("ip", "-o", "addr", "show", "dev", "vpn5"); strings.Count(out, "inet") != len(addrs) {
			t.Errorf("%v: %s", addrs, out)
		}
		if out := ns.Run("ip", "route", "show", "proto", "201") + ns.Run("ip", "-6", "route", "show", "proto", "201"); !strings.Contains(out, "172.16.2.0/24 dev vpn5") || !strings.Contains(out, "2001:db8::/32 dev vpn5") {
			t.Errorf("%v: %q", addrs, out)
		}
	}
}

func TestRoutesOfOthersAreNotReplaced(t *testing.T) {
	ns := netns.New(t)
	d := open(t, ns, Config{Name: "vpn4"})
	ns.Run("ip", "route", "add", "blackhole", "172.16.2.0/24")
	table := d.Routes(new(tunnel.Table))
	p := netip.MustParsePrefix("172.16.2.0/24")
	table.Insert(p, d, 0)
	table.Delete(p, d)
	if out := ns.Run("ip", "route"); !strings.Contains(out, "blackhole 172.16.2.0/24") {
		t.Errorf("%q", out)
	}
}

func TestExcludeAndCrash(t *testing.T) {
	na, nb := netns.New(t), netns.New(t)
	netns.Join(na, "va", "192.0.2.1/24", nb, "vb", "192.0.2.2/24")
	na.Run("ip", "route", "add", "default", "via", "192.0.2.2")
	// Left behind by a process that is no more: its number cannot be a living one.
	na.Run("ip", "route", "add", "198.51.100.9/32", "via", "192.0.2.2", "proto", "201", "realm", "4194303")
	d := open(t, na, Config{Name: "vpn8"})
	if err := d.Exclude(netip.MustParseAddr("198.51.100.1")); err != nil {
		t.Fatal(err)
	}
	if out := na.Run("ip", "route", "show", "proto", "201"); !strings.Contains(out, "198.51.100.1 via 192.0.2.2 dev va") || strings.Contains(out, "198.51.100.9") {
		t.Errorf("%q", out)
	}
	d.Close()
	if out := na.Run("ip", "route", "show", "proto", "201"); out != "" {
		t.Errorf("left behind: %q", out)
	}
}

func TestFailedOpenLeaksNoDescriptor(t *testing.T) {
	ns := netns.New(t)
	open(t, ns, Config{Name: "vpn9"})
	count := func() int {
		list, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	before := count()
	for range 100 {
		ns.Do(func() {
			if _, err := Open(Config{Name: "vpn9"}); err == nil {
				t.Error("opened twice")
			}
		})
	}
	if after := count(); after > before {
		t.Errorf("%d descriptors, %d before", after, before)
	}
}

func TestReadAfterCloseAndMTURaised(t *testing.T) {
	ns := netns.New(t)
	d := open(t, ns, Config{Name: "vpn6", MTU: 1300})
	if d.MTU() != 1300 {
		t.Error(d.MTU())
	}
	ended := make(chan error, 1)
	go func() {
		bufs, sizes := make([][]byte, d.BatchSize()), make([]int, d.BatchSize())
		for i := range bufs {
			bufs[i] = make([]byte, 1300)
		}
		for {
			if _, err := d.Read(bufs, sizes, 0); err != nil {
				ended <- err
				return
			}
		}
	}()
	d.SetAddrs(netip.MustParsePrefix("10.9.0.1/24"))
	ns.Run("ip", "link", "set", "vpn6", "mtu", "9000")
	ns.Try("ping", "-c", "1", "-W", "1", "-s", "8000", "-M", "do", "10.9.0.2")
	d.Close()
	if err := <-ended; !errors.Is(err, net.ErrClosed) && !errors.Is(err, os.ErrClosed) {
		t.Error(err)
	}
}
