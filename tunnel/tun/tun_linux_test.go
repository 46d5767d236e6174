package tun

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dialway/dialway/internal/netns"
	"github.com/dialway/dialway/tunnel"
	"golang.org/x/sys/unix"
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
			if a.BatchSize() < 64 {
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

// IPv6, and datagrams that the kernel hands over as one (UDP_SEGMENT), through two real devices and back to single ones.
func TestOffloadThroughTwoDevices(t *testing.T) {
	na, nb := netns.New(t), netns.New(t)
	a, b := open(t, na, Config{}), open(t, nb, Config{})
	for i, d := range []*Device{a, b} {
		four, six := netip.AddrFrom4([4]byte{10, 9, 0, byte(i + 1)}), netip.MustParseAddr(fmt.Sprintf("fd00::%d", i+1))
		if err := d.SetAddrs(netip.PrefixFrom(four, 24), netip.PrefixFrom(six, 64)); err != nil {
			t.Fatal(err)
		}
	}
	go pump(a, b)
	go pump(b, a)
	data := make([]byte, 4<<20)
	for i := range data {
		data[i] = byte(rand.Uint32())
	}
	var l net.Listener
	var err error
	nb.Do(func() { l, err = net.Listen("tcp", "[fd00::2]:80") })
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		if conn, err := l.Accept(); err == nil {
			conn.Write(data)
			conn.Close()
		}
	}()
	var conn net.Conn
	na.Do(func() { conn, err = net.DialTimeout("tcp", "[fd00::2]:80", 5*time.Second) })
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(time.Minute))
	if got, err := io.ReadAll(conn); err != nil || !bytes.Equal(got, data) {
		t.Errorf("TCP over IPv6: %d bytes, %v", len(got), err)
	}
	for _, host := range []string{"10.9.0.2:9", "[fd00::2]:9"} {
		var far net.PacketConn
		nb.Do(func() { far, err = net.ListenPacket("udp", host) })
		if err != nil {
			t.Fatal(err)
		}
		na.Do(func() { conn, err = net.Dial("udp", host) })
		if err != nil {
			t.Fatal(err)
		}
		raw, err := conn.(*net.UDPConn).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.IPPROTO_UDP, unix.UDP_SEGMENT, 1000) })
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write(data[:9500]); err != nil {
			t.Fatal(err)
		}
		far.SetReadDeadline(time.Now().Add(time.Minute))
		for i := 0; i < 9500; i += 1000 {
			buf := make([]byte, 2000)
			n, _, err := far.ReadFrom(buf)
			if want := data[i:min(i+1000, 9500)]; err != nil || !bytes.Equal(buf[:n], want) {
				t.Fatalf("%s: datagram at %d: %d bytes, %v", host, i, n, err)
			}
		}
		conn.Close()
		far.Close()
	}
}

func TestRoutesStayInStep(t *testing.T) {
	ns := netns.New(t)
	d := open(t, ns, Config{Name: "vpn7"})
	table := d.Routes(new(tunnel.Table))
	for prefix, look := range map[string]string{"172.16.2.0/24": "172.16.2.9", "2001:db8:2::/48": "2001:db8:2::9"} {
		p := netip.MustParsePrefix(prefix)
		shown := func() string {
			return ns.Run("ip", "route", "show", "proto", "201") + ns.Run("ip", "-6", "route", "show", "proto", "201")
		}
		table.Insert(p, d, 1)
		table.Insert(p, d, 3) // another metric, not another route
		table.Insert(p, &d.queue, 2)
		if out := shown(); !strings.Contains(out, prefix+" dev vpn7") {
			t.Errorf("%q", out)
		}
		if table.Lookup(netip.MustParseAddr(look)) != tunnel.PacketWriter(&d.queue) {
			t.Error("not in the table")
		}
		if n := testing.AllocsPerRun(100, func() { table.Lookup(p.Addr()) }); n != 0 {
			t.Errorf("Lookup: %v allocations", n)
		}
		if !table.Delete(p, d) || table.Delete(p, d) {
			t.Error("Delete")
		}
		if out := shown(); out == "" {
			t.Error("the route has gone with the first of two")
		}
		table.Delete(p, &d.queue)
		if out := shown(); out != "" {
			t.Errorf("%q", out)
		}
	}
	table.Insert(netip.MustParsePrefix("fe80::5/128"), d, 0)
	table.Insert(netip.MustParsePrefix("ff02::/16"), d, 0)
	if out := ns.Run("ip", "-6", "route", "show", "proto", "201"); out != "" {
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

func TestRoutesOfOthersAreLeftAlone(t *testing.T) {
	na, nb := netns.New(t), netns.New(t)
	netns.Join(na, "va", "192.0.2.1/24", nb, "vb", "192.0.2.2/24")
	na.Run("ip", "route", "add", "default", "via", "192.0.2.2")
	na.Run("ip", "route", "add", "172.16.2.0/24", "via", "192.0.2.2")
	na.Run("ip", "route", "add", "blackhole", "172.16.3.0/24")
	show := func() string { return strings.ReplaceAll(na.Run("ip", "route"), " linkdown", "") } // a cable takes a moment
	before := show()
	var log bytes.Buffer
	d := open(t, na, Config{Name: "vpn7", Logger: slog.New(slog.NewTextHandler(&log, nil))})
	table := d.Routes(new(tunnel.Table))
	for _, p := range []string{"172.16.2.0/24", "172.16.3.0/24", "0.0.0.0/0"} {
		table.Insert(netip.MustParsePrefix(p), d, 0)
		if !strings.Contains(log.String(), p) {
			t.Errorf("%s: %s", p, &log)
		}
	}
	if table.Lookup(netip.MustParseAddr("172.16.2.1")) == nil {
		t.Error("not in the table")
	}
	table.Insert(netip.MustParsePrefix("0.0.0.0/1"), d, 0)
	if out := na.Run("ip", "route", "get", "10.1.1.1"); !strings.Contains(out, "dev vpn7") {
		t.Errorf("%q", out)
	}
	for _, p := range []string{"172.16.2.0/24", "172.16.3.0/24", "0.0.0.0/0", "0.0.0.0/1"} {
		table.Delete(netip.MustParsePrefix(p), d)
	}
	if after := show(); after != before {
		t.Errorf("%s\n%s", before, after)
	}
	d.Close()
	table.Insert(netip.MustParsePrefix("10.0.0.0/8"), d, 0) // the table outlives the device
}

func TestExclude(t *testing.T) {
	na, nb := netns.New(t), netns.New(t)
	netns.Join(na, "va", "192.0.2.1/24", nb, "vb", "192.0.2.2/24")
	na.Run("ip", "addr", "add", "2001:db8:1::1/64", "dev", "va", "nodad")
	na.Run("ip", "route", "add", "default", "via", "192.0.2.2")
	na.Run("ip", "-6", "route", "add", "default", "via", "2001:db8:1::2")
	show := func() string {
		return na.Run("ip", "route", "show", "proto", "201") + na.Run("ip", "-6", "route", "show", "proto", "201")
	}
	// Left behind by a process that is no more: its number cannot be a living one. And somebody else's.
	gone := fmt.Sprint(metricMark<<24 | 4194303)
	na.Run("ip", "route", "add", "198.51.100.9/32", "via", "192.0.2.2", "proto", "201", "metric", gone)
	na.Run("ip", "-6", "route", "add", "2001:db8:9::9/128", "via", "2001:db8:1::2", "proto", "201", "metric", gone)
	na.Run("ip", "route", "add", "198.51.100.8/32", "via", "192.0.2.2", "proto", "201", "metric", "4194303")
	d := open(t, na, Config{Name: "vpn8"})
	if out := show(); strings.Contains(out, "100.9") || strings.Contains(out, "9::9") || !strings.Contains(out, "100.8") {
		t.Errorf("%q", out)
	}
	na.Run("ip", "route", "del", "198.51.100.8/32")

	table := d.Routes(new(tunnel.Table))
	four, six := netip.MustParseAddr("198.51.100.1"), netip.MustParseAddr("2001:db8:9::1")
	exclude := func(via4, via6 string) {
		t.Helper()
		for _, a := range []netip.Addr{four, six} {
			if err := d.Exclude(a); err != nil {
				t.Error(err)
			}
		}
		if out := na.Run("ip", "route", "get", "198.51.100.1"); !strings.Contains(out, "via "+via4+" dev va") {
			t.Errorf("%q", out)
		}
		if out := na.Run("ip", "route", "get", "2001:db8:9::1"); !strings.Contains(out, "via "+via6+" dev va") {
			t.Errorf("%q", out)
		}
		if out := show(); strings.Count(out, " dev va") != 2 {
			t.Errorf("%q", out)
		}
	}
	exclude("192.0.2.2", "2001:db8:1::2")
	for _, p := range []string{"0.0.0.0/1", "128.0.0.0/1", "::/1", "8000::/1"} { // everything through the tunnel
		table.Insert(netip.MustParsePrefix(p), d, 0)
	}
	exclude("192.0.2.2", "2001:db8:1::2")
	// The way there changes.
	na.Run("ip", "route", "replace", "default", "via", "192.0.2.3")
	na.Run("ip", "-6", "route", "del", "default")
	na.Run("ip", "-6", "route", "add", "default", "via", "2001:db8:1::3")
	exclude("192.0.2.3", "2001:db8:1::3")
	if err := d.Exclude(netip.MustParseAddr("192.0.2.1")); err != nil { // this machine
		t.Error(err)
	}
	if err := d.Exclude(netip.MustParseAddr("192.0.2.2")); err != nil { // on the link
		t.Error(err)
	}
	na.Run("ip", "route", "del", "default")
	if err := d.Exclude(netip.MustParseAddr("203.0.113.1")); !errors.Is(err, syscall.ENETUNREACH) {
		t.Error(err)
	}
	d.Close()
	if out := show(); out != "" {
		t.Errorf("left behind: %q", out)
	}
	if err := d.Exclude(four); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}

func TestAProcessThatWaitsForItsParentIsGone(t *testing.T) {
	cmd := exec.Command("sleep", "1000")
	if err := cmd.Start(); err != nil {
		t.Skip(err)
	}
	if !lives(cmd.Process.Pid) || !lives(os.Getpid()) {
		t.Error("a process that runs is gone")
	}
	cmd.Process.Kill()
	for end := time.Now().Add(time.Minute); lives(cmd.Process.Pid); time.Sleep(time.Millisecond) { // nobody has waited for it
		if time.Now().After(end) {
			t.Fatal("it lives")
		}
	}
	cmd.Wait()
	if lives(cmd.Process.Pid) {
		t.Error("it lives again")
	}
}

// A link has what Configure looks at.
type link struct {
	tunnel.Link
	addrs []netip.Addr
	mtu   int
}

func (l *link) Addrs() []netip.Addr { return l.addrs }
func (l *link) MTU() int            { return l.mtu }

func TestConfigure(t *testing.T) {
	ns := netns.New(t)
	d := open(t, ns, Config{Name: "vpn5"})
	d.Routes(new(tunnel.Table)).Insert(netip.MustParsePrefix("2001:db8:7::/48"), d, 0)
	for _, c := range []struct {
		addrs []string
		mtu   int
		want  []string
	}{
		{[]string{"10.8.0.2", "fe80::5", "2001:db8::5"}, 1400, []string{"mtu 1400", "inet 10.8.0.2/32", "inet6 fe80::5/64", "inet6 2001:db8::5/128"}},
		{[]string{"10.8.0.2", "fe80::6"}, 1350, []string{"mtu 1350", "inet 10.8.0.2/32", "inet6 fe80::6/64"}},
		{[]string{"10.8.0.3", "fe80::6"}, 1000, []string{"mtu 1000", "inet 10.8.0.3/32"}}, // too small for IPv6
		{[]string{"10.8.0.3", "fe80::6"}, 1400, []string{"mtu 1400", "inet 10.8.0.3/32", "inet6 fe80::6/64"}},
		{nil, 0, []string{"mtu 1400"}},
	} {
		l := &link{mtu: c.mtu}
		for _, a := range c.addrs {
			l.addrs = append(l.addrs, netip.MustParseAddr(a))
		}
		if err := d.Configure(t.Context(), l); err != nil {
			t.Error(err)
		}
		out := ns.Run("ip", "addr", "show", "dev", "vpn5")
		for _, w := range c.want {
			if !strings.Contains(out, w+" ") {
				t.Errorf("no %q in %s", w, out)
			}
		}
		if n := strings.Count(out, "inet"); n != len(c.want)-1 {
			t.Errorf("%d addresses: %s", n, out)
		}
		if c.mtu > 0 && d.MTU() != c.mtu {
			t.Error(d.MTU())
		}
		if routed := strings.Contains(ns.Run("ip", "-6", "route"), "2001:db8:7::/48 dev vpn5"); routed != (c.mtu != 1000) {
			t.Errorf("%+v: IPv6 routed: %v", c, routed)
		}
	}
	d.Close()
	if err := d.SetAddrs(netip.MustParsePrefix("10.8.0.1/24")); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
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
	for _, c := range []Config{{Name: "vpn6", MTU: 1300}, {Name: "vpn6", MTU: 1300, NoOffload: true}} {
		d := open(t, ns, c)
		if d.MTU() != 1300 {
			t.Error(d.MTU())
		}
		read := make(chan string, 100)
		ended := make(chan error, 1)
		go func() { // as a Router reads
			bufs, sizes := make([][]byte, d.BatchSize()), make([]int, d.BatchSize())
			for {
				for i := range bufs {
					bufs[i] = make([]byte, d.MTU())
				}
				n, err := d.Read(bufs, sizes, 0)
				if err != nil {
					ended <- err
					return
				}
				for i := range n {
					if sizes[i] > 5000 {
						read <- string(bufs[i][:sizes[i]])
					}
				}
			}
		}()
		d.SetAddrs(netip.MustParsePrefix("10.9.0.1/24"))
		ns.Run("ip", "link", "set", "vpn6", "mtu", "9000")
		var conn net.Conn
		var err error
		ns.Do(func() { conn, err = net.Dial("udp", "10.9.0.2:9") })
		if err != nil {
			t.Fatal(err)
		}
		for got, tries := false, 0; !got; tries++ {
			if tries > 1200 { // a minute
				t.Fatalf("%+v: nothing read", c)
			}
			conn.Write(make([]byte, 6000))
			select {
			case <-read:
				got = true
			case <-time.After(50 * time.Millisecond):
			case err := <-ended:
				t.Fatal(err)
			}
		}
		conn.Close()
		if d.MTU() != 9000 {
			t.Error(d.MTU())
		}
		d.Close()
		if err := <-ended; !errors.Is(err, net.ErrClosed) && !errors.Is(err, os.ErrClosed) {
			t.Error(err)
		}
	}
}
