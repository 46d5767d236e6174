package ppp

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// network brings a far side up to the network phase without authentication.
func network(t *testing.T, server bool, config *Config) (*far, *Conn, chan error) {
	t.Helper()
	config.NoAuth = true
	f, c := farOf(t, server, config)
	done := open(t, c)
	f.openLCP()
	return f, c, done
}

// quad is an option of four bytes.
func quad(typ byte, a string) []byte {
	v := netip.MustParseAddr(a).As4()
	return appendOption(nil, typ, v[:])
}

func join(lists ...[]byte) []byte { return bytes.Join(lists, nil) }

// What Windows asks, in its order: five zeros, then the address again with what it got.
func TestIPCPServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dns := []netip.Addr{netip.MustParseAddr("10.8.0.53"), netip.MustParseAddr("2001:db8::53")} // IPCP cannot say the second
		nbns := []netip.Addr{netip.MustParseAddr("10.8.0.137"), netip.MustParseAddr("10.8.0.138")}
		f, c, done := network(t, true, &Config{NoIPv6: true, Addr: serverAddr, Pool: &onePool{addr: clientAddr}, DNS: dns, NBNS: nbns})
		p := f.ack(protoIPCP)
		if !bytes.Equal(p.data, quad(3, "10.8.0.1")) {
			t.Errorf("a server asks %v", p)
		}
		zero := join(quad(3, "0.0.0.0"), quad(129, "0.0.0.0"), quad(130, "0.0.0.0"), quad(131, "0.0.0.0"), quad(132, "0.0.0.0"))
		vj := []byte{2, 6, 0, 0x2d, 15, 1}
		f.send(protoIPCP, codeConfigureRequest, join(vj, zero)...)
		if p := f.want(protoIPCP, codeConfigureReject); !bytes.Equal(p.data, join(vj, quad(131, "0.0.0.0"))) {
			t.Errorf("%v", p)
		}
		f.send(protoIPCP, codeConfigureRequest, join(quad(3, "0.0.0.0"), quad(129, "0.0.0.0"), quad(130, "0.0.0.0"), quad(132, "0.0.0.0"))...)
		nak := join(quad(3, "10.8.0.77"), quad(129, "10.8.0.53"), quad(130, "10.8.0.137"), quad(132, "10.8.0.138"))
		if p := f.want(protoIPCP, codeConfigureNak); !bytes.Equal(p.data, nak) {
			t.Errorf("%v", p)
		}
		f.request(protoIPCP, nak...)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if p := c.Prefixes(); len(p) != 1 || p[0] != netip.PrefixFrom(clientAddr, 32) {
			t.Errorf("%v", p)
		}
		c.Close()
		f.bye()
	})
}

// A peer that wants another address, or none, gets the one that is given or nothing.
func TestIPCPStubbornAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, _, done := network(t, true, &Config{NoIPv6: true, Addr: serverAddr, Pool: &onePool{addr: clientAddr}})
		f.ack(protoIPCP)
		for range maxFailure {
			f.send(protoIPCP, codeConfigureRequest, quad(3, "192.168.9.9")...)
			f.want(protoIPCP, codeConfigureNak)
		}
		f.send(protoIPCP, codeConfigureRequest, quad(3, "192.168.9.9")...)
		f.want(protoLCP, codeProtocolReject)
		f.bye()
		var n *NegotiationError
		if err := <-done; !errors.As(err, &n) || n.Phase != "IPCP" || !n.Remote || n.Theirs != "192.168.9.9" {
			t.Errorf("%v", err)
		}
	})
	synctest.Test(t, func(t *testing.T) { // it says nothing of an address: it is told, and stays without if it insists
		f, c, done := network(t, true, &Config{NoIPv6: true, Addr: serverAddr, Pool: &onePool{addr: clientAddr}})
		f.ack(protoIPCP)
		for range maxFailure {
			f.send(protoIPCP, codeConfigureRequest)
			if p := f.want(protoIPCP, codeConfigureNak); !bytes.Equal(p.data, quad(3, "10.8.0.77")) {
				t.Errorf("%v", p)
			}
		}
		f.request(protoIPCP)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if i := c.Info(); i.Peer.IsValid() || len(c.Prefixes()) != 0 {
			t.Errorf("%+v", i)
		}
		c.Close()
		f.bye()
	})
}

// A server that has no address refuses who asks for one; who has its own stays without one that counts.
func TestIPCPServerWithoutAddresses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, _, done := network(t, true, &Config{NoIPv6: true, Addr: serverAddr})
		f.ack(protoIPCP)
		f.send(protoIPCP, codeConfigureRequest, quad(3, "0.0.0.0")...)
		f.want(protoLCP, codeProtocolReject)
		f.bye()
		var n *NegotiationError
		if err := <-done; !errors.As(err, &n) || n.Phase != "IPCP" || n.Remote || !errors.Is(err, errNoAddress) {
			t.Errorf("%v", err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		f, c, done := network(t, true, &Config{NoIPv6: true, Addr: serverAddr})
		f.ack(protoIPCP)
		f.send(protoIPCP, codeConfigureRequest, quad(3, "192.168.9.9")...)
		f.want(protoIPCP, codeConfigureReject)
		f.request(protoIPCP)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if i := c.Info(); i.Peer.IsValid() {
			t.Errorf("%+v", i)
		}
		c.Close()
		f.bye()
	})
}

func TestPoolExhausted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := &onePool{err: ErrPoolExhausted}
		f, _, done := network(t, true, &Config{Addr: serverAddr, Pool: pool})
		f.bye()
		var n *NegotiationError
		if err := <-done; !errors.As(err, &n) || n.Remote || !errors.Is(err, ErrPoolExhausted) {
			t.Errorf("%v", err)
		}
		if pool.puts != 0 {
			t.Error("what was not given is put back")
		}
	})
}

// A client asks, takes what it is given, and lives with servers that reject or say zero.
func TestIPCPClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c, done := network(t, false, &Config{NoIPv6: true})
		p := f.want(protoIPCP, codeConfigureRequest)
		zero := join(quad(3, "0.0.0.0"), quad(129, "0.0.0.0"), quad(130, "0.0.0.0"), quad(131, "0.0.0.0"), quad(132, "0.0.0.0"))
		if !bytes.Equal(p.data, zero) {
			t.Errorf("%v", p)
		}
		f.answer(protoIPCP, codeConfigureReject, p.id, join(quad(130, "0.0.0.0"), quad(132, "0.0.0.0"))...)
		p = f.want(protoIPCP, codeConfigureRequest)
		f.answer(protoIPCP, codeConfigureNak, p.id, join(quad(3, "10.8.0.77"), quad(129, "10.8.0.53"), quad(131, "0.0.0.0"))...)
		p = f.want(protoIPCP, codeConfigureRequest)
		if !bytes.Equal(p.data, join(quad(3, "10.8.0.77"), quad(129, "10.8.0.53"))) {
			t.Errorf("%v", p)
		}
		f.answer(protoIPCP, codeConfigureAck, p.id, p.data...)
		f.request(protoIPCP, quad(3, "10.8.0.1")...)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if d := c.DNS(); len(d) != 1 || d[0] != netip.MustParseAddr("10.8.0.53") || len(c.NBNS()) != 0 {
			t.Errorf("%v %v", d, c.NBNS())
		}
		if a := c.Addrs(); len(a) != 1 || a[0] != clientAddr {
			t.Errorf("%v", a)
		}
		if p := c.Prefixes(); len(p) != 1 || p[0] != netip.MustParsePrefix("0.0.0.0/0") {
			t.Errorf("%v", p)
		}
		c.Close()
		f.bye()
	})
}

func TestIPCPClientThatGetsNoAddress(t *testing.T) {
	for name, play := range map[string]func(f *far, p told){
		"zeros": func(f *far, p told) { f.answer(protoIPCP, codeConfigureNak, p.id, quad(3, "0.0.0.0")...) },
		"an Ack": func(f *far, p told) {
			f.answer(protoIPCP, codeConfigureAck, p.id, p.data...)
			f.send(protoIPCP, codeConfigureRequest)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, _, done := network(t, false, &Config{NoIPv6: true})
				for {
					p := f.next()
					if p.code == codeTerminateRequest && p.proto == protoLCP {
						f.answer(protoLCP, codeTerminateAck, p.id)
						break
					}
					if p.code == codeConfigureRequest {
						play(f, p)
					}
				}
				var n *NegotiationError
				if err := <-done; !errors.As(err, &n) || n.Phase != "IPCP" || !n.Remote {
					t.Errorf("%v", err)
				}
			})
		})
	}
}

func TestIPCPUnnumbered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c, done := network(t, false, &Config{NoIPv6: true})
		p := f.want(protoIPCP, codeConfigureRequest)
		f.answer(protoIPCP, codeConfigureReject, p.id, p.data...)
		if p = f.ack(protoIPCP); len(p.data) != 0 {
			t.Errorf("%v", p)
		}
		f.request(protoIPCP, quad(3, "10.8.0.1")...)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if i := c.Info(); i.Local.IsValid() || i.Peer != serverAddr {
			t.Errorf("%+v", i)
		}
		c.Close()
		f.bye()
	})
}

// Config.Addr of a client is its own: another is not taken.
func TestIPCPFixedAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, _, done := network(t, false, &Config{NoIPv6: true, Addr: clientAddr})
		p := f.want(protoIPCP, codeConfigureRequest)
		if a := optionsOf(p.data)[3]; !bytes.Equal(a, clientAddr.AsSlice()) {
			t.Errorf("%v", p)
		}
		f.answer(protoIPCP, codeConfigureNak, p.id, quad(3, "10.8.0.99")...)
		f.bye()
		var n *NegotiationError
		if err := <-done; !errors.As(err, &n) || n.Ours != "10.8.0.77" || n.Theirs != "10.8.0.99" || n.Hint == "" {
			t.Errorf("%v", err)
		}
	})
}

// Two routers: each asks the other for its address, in the same session, and each is given one.
func TestTwoRoutersAskEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p1, p2 := &onePool{addr: netip.MustParseAddr("10.1.0.9"), delay: time.Second}, &onePool{addr: netip.MustParseAddr("10.2.0.9"), delay: 2 * time.Second}
		c, s := ends(t, &Config{Pool: p1}, &Config{NoAuth: true, Pool: p2})
		if i := c.Info(); i.Local != p2.addr || i.Peer != p1.addr {
			t.Errorf("caller: %+v", i)
		}
		if i := s.Info(); i.Local != p1.addr || i.Peer != p2.addr {
			t.Errorf("called: %+v", i)
		}
		_, e1 := serve(c)
		_, e2 := serve(s)
		s.Close()
		<-e1
		<-e2
		for _, p := range []*onePool{p1, p2} {
			if p.gets != 1 || p.puts != 1 {
				t.Errorf("%d gets, %d puts", p.gets, p.puts)
			}
		}
	})
	synctest.Test(t, func(t *testing.T) { // pools that overlap
		a, b := newPipe()
		c := Client(a, Call{}, &Config{Pool: &onePool{addr: clientAddr}, NoIPv6: true})
		s := Server(b, Call{}, &Config{NoAuth: true, Pool: &onePool{addr: clientAddr}, NoIPv6: true})
		d1, d2 := open(t, c), open(t, s)
		for _, err := range []error{<-d1, <-d2} {
			if err == nil {
				t.Error("two ends with one address")
			}
		}
	})
}

// Addresses in Info do not change: a network protocol may be negotiated again, to the same end.
func TestIPCPAgain(t *testing.T) {
	for _, same := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			f, c, done := network(t, false, &Config{NoIPv6: true})
			f.openIPCP(serverAddr.As4(), clientAddr.As4())
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			_, ended := serve(c)
			list := quad(3, "10.8.0.1")
			if !same {
				list = quad(3, "10.8.0.2")
			}
			f.send(protoIPCP, codeConfigureRequest, list...)
			f.ack(protoIPCP)
			f.want(protoIPCP, codeConfigureAck)
			synctest.Wait()
			if same {
				if n, _ := c.Write([][]byte{ipv4(clientAddr, serverAddr, 64)}, 0); n != 1 {
					t.Error("not open again")
				}
				f.read(time.Second)
				c.Close()
			}
			began := time.Now()
			f.bye()
			cause := UserError
			if same {
				cause = UserRequest
			}
			var e *TerminatedError
			if err := <-ended; !errors.As(err, &e) || e.Remote == same || e.Cause != cause || time.Since(began) > goodbyeTime {
				t.Errorf("%v after %v", err, time.Since(began))
			}
		})
	}
}

func TestIPV6CP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c, done := network(t, true, &Config{NoIPv4: true})
		p := f.want(protoIPV6CP, codeConfigureRequest)
		id := [8]byte(optionsOf(p.data)[optInterfaceID])
		if id == [8]byte{} || id[0]&2 != 0 {
			t.Errorf("identifier %x", id)
		}
		f.answer(protoIPV6CP, codeConfigureAck, p.id, p.data...)
		f.send(protoIPV6CP, codeConfigureRequest, 1, 10, 1, 2, 3, 4, 5, 6, 7, 8, 2, 4, 0, 0x4f)
		if p := f.want(protoIPV6CP, codeConfigureReject); !bytes.Equal(p.data, []byte{2, 4, 0, 0x4f}) {
			t.Errorf("%v", p)
		}
		for _, bad := range [][8]byte{{}, id} { // zero, and this end's own
			f.send(protoIPV6CP, codeConfigureRequest, appendOption(nil, 1, bad[:])...)
			n := [8]byte(optionsOf(f.want(protoIPV6CP, codeConfigureNak).data)[1])
			if n == [8]byte{} || n == id || n[0]&2 != 0 {
				t.Errorf("Nak with %x", n)
			}
		}
		f.request(protoIPV6CP, 1, 10, 1, 2, 3, 4, 5, 6, 7, 8)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if i := c.Info(); i.Peer6 != netip.MustParseAddr("fe80::102:304:506:708") || i.Local6 != linkLocal(id) || i.Local.IsValid() {
			t.Errorf("%+v", i)
		}
		if a := c.Addrs(); len(a) != 1 || a[0] != linkLocal(id) {
			t.Errorf("%v", a)
		}
		c.Close()
		f.bye()
	})
}

func TestIPV6CPNakAndReject(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c, done := network(t, false, &Config{NoIPv4: true})
		p := f.want(protoIPV6CP, codeConfigureRequest)
		f.answer(protoIPV6CP, codeConfigureNak, p.id, 1, 10, 8, 7, 6, 5, 4, 3, 2, 1)
		p = f.want(protoIPV6CP, codeConfigureRequest)
		if !bytes.Equal(p.data, []byte{1, 10, 8, 7, 6, 5, 4, 3, 2, 1}) {
			t.Errorf("%v", p)
		}
		f.answer(protoIPV6CP, codeConfigureNak, p.id, 1, 10, 0, 0, 0, 0, 0, 0, 0, 0) // means: another one
		if q := f.want(protoIPV6CP, codeConfigureRequest); bytes.Equal(q.data, p.data) {
			t.Errorf("%v", q)
		} else {
			f.answer(protoIPV6CP, codeConfigureReject, q.id, q.data...)
		}
		f.ack(protoIPV6CP)
		f.send(protoIPV6CP, codeConfigureRequest, 1, 10, 0, 0, 0, 0, 0, 0, 0, 0)
		f.want(protoIPV6CP, codeConfigureReject) // both have none: RFC 5072 section 4.1
		f.request(protoIPV6CP)
		f.bye()
		var n *NegotiationError
		if err := <-done; !errors.As(err, &n) || n.Phase != "IPV6CP" {
			t.Errorf("%v", err)
		}
		_ = c
	})
}

// The other protocol gets a moment; what opens later stays away, since Info is fixed.
func TestOneNetworkProtocolIsEnough(t *testing.T) {
	for name, play := range map[string]func(f *far, p told){
		"silence":         func(f *far, p told) {},
		"Protocol-Reject": func(f *far, p told) { f.send(protoLCP, codeProtocolReject, 0x80, 0x57, 1, p.id, 0, 4) },
		"Terminate":       func(f *far, p told) { f.send(protoIPV6CP, codeTerminateRequest) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, c, done := network(t, false, &Config{})
				p := f.want(protoIPCP, codeConfigureRequest)
				q := f.want(protoIPV6CP, codeConfigureRequest)
				play(f, q)
				began := time.Now()
				f.answer(protoIPCP, codeConfigureNak, p.id, quad(3, "10.8.0.77")...)
				p = f.wait(protoIPCP, codeConfigureRequest)
				f.answer(protoIPCP, codeConfigureAck, p.id, p.data...)
				f.send(protoIPCP, codeConfigureRequest, quad(3, "10.8.0.1")...)
				if err := <-done; err != nil {
					t.Fatal(err)
				}
				if d := time.Since(began); d > settleTime || name == "Protocol-Reject" && d != 0 {
					t.Errorf("open after %v", d)
				}
				_, ended := serve(c)
				f.wait(protoIPCP, codeConfigureAck)
				f.send(protoIPV6CP, codeConfigureRequest, 1, 10, 1, 2, 3, 4, 5, 6, 7, 8)
				f.want(protoLCP, codeProtocolReject)
				if a := c.Addrs(); len(a) != 1 {
					t.Errorf("%v", a)
				}
				c.Close()
				f.bye()
				<-ended
			})
		})
	}
}

// A pool gives IPv6 prefixes, too, and a slow one is waited for even where IPV6CP alone is open.
func TestPrefixesOfThePool(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		want := netip.MustParsePrefix("2001:db8:7::/64")
		pool := &prefixPool{list: []netip.Prefix{want}, delay: 20 * time.Second}
		f, c, done := network(t, true, &Config{NoIPv4: true, Pool: pool})
		f.ack(protoIPV6CP)
		f.request(protoIPV6CP, 1, 10, 1, 2, 3, 4, 5, 6, 7, 8)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if p := c.Prefixes(); len(p) != 1 || p[0] != want {
			t.Errorf("%v", p)
		}
		c.Close()
		f.bye()
	})
}

type prefixPool struct {
	list  []netip.Prefix
	delay time.Duration
}

func (p *prefixPool) Get(context.Context, string, string) ([]netip.Prefix, error) {
	time.Sleep(p.delay)
	return p.list, nil
}
func (p *prefixPool) Put([]netip.Prefix) {}

// Grant.AskAddr: a server that has an address of its own asks a router for one all the same, and uses its own where the
// router has none to give.
func TestServerAsksARouterForItsAddress(t *testing.T) {
	router := &Grant{User: "u", Addr: clientAddr, AskAddr: true}
	config := &Config{Authenticator: says(router, nil), Auth: []AuthProtocol{}, Addr: serverAddr, NoIPv6: true}
	synctest.Test(t, func(t *testing.T) {
		pool := &onePool{addr: netip.MustParseAddr("10.1.0.9")}
		c, s := ends(t, &Config{Pool: pool, NoIPv6: true}, config)
		if i := s.Info(); i.Local != pool.addr || i.Peer != clientAddr {
			t.Errorf("called: %+v", i)
		}
		if a, b := c.PeerAddrs(), s.Addrs(); len(a) != 1 || a[0] != pool.addr || len(b) != 1 || b[0] != a[0] {
			t.Errorf("%v %v", a, b)
		}
		if c.ID() == "" || s.ID() == "" {
			t.Error("no ID")
		}
		_, e1 := serve(c)
		_, e2 := serve(s)
		s.Close()
		<-e1
		<-e2
	})
	for _, code := range []byte{codeConfigureNak, codeConfigureReject} {
		synctest.Test(t, func(t *testing.T) {
			f, c, done := network(t, true, config)
			p := f.want(protoIPCP, codeConfigureRequest)
			if a := optionsOf(p.data)[3]; !bytes.Equal(a, []byte{0, 0, 0, 0}) {
				t.Errorf("%v", p)
			}
			f.answer(protoIPCP, code, p.id, quad(3, "0.0.0.0")...)
			p = f.want(protoIPCP, codeConfigureRequest)
			if a := optionsOf(p.data)[3]; !bytes.Equal(a, serverAddr.AsSlice()) {
				t.Errorf("after %d: %v", code, p)
			}
			f.answer(protoIPCP, codeConfigureAck, p.id, p.data...)
			f.send(protoIPCP, codeConfigureRequest, quad(3, clientAddr.String())...)
			f.want(protoIPCP, codeConfigureAck)
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			if i := c.Info(); i.Local != serverAddr {
				t.Errorf("%+v", i)
			}
			_, ended := serve(c)
			c.Close()
			f.bye()
			<-ended
		})
	}
}

// Two routers whose pools overlap may give each other the same address: then there is no IPv4, and IPv6 alone must not hide
// that.
func TestAMissingNetworkProtocolIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		config := func() *Config {
			return &Config{
				Authenticator: says(&Grant{User: "u", Addr: clientAddr, AskAddr: true}, nil), Auth: []AuthProtocol{}, Addr: serverAddr,
				Logger: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn})),
			}
		}
		c, s := ends(t, &Config{Pool: &onePool{addr: clientAddr}}, config())
		if i := s.Info(); i.Local.IsValid() || !i.Local6.IsValid() {
			t.Fatalf("%+v", i)
		}
		if !strings.Contains(log.String(), "a network protocol is missing") || !strings.Contains(log.String(), "let their pools not overlap") {
			t.Errorf("logged %s", &log)
		}
		_, e1 := serve(c)
		_, e2 := serve(s)
		s.Close()
		<-e1
		<-e2

		log.Reset()
		c, s = ends(t, &Config{Pool: &onePool{addr: netip.MustParseAddr("10.1.0.9")}, NoIPv6: true}, config())
		if !s.Info().Local.IsValid() || log.Len() > 0 {
			t.Errorf("IPv4 alone: %+v, %s", s.Info(), &log) // a far side without IPv6 is nothing to tell
		}
		_, e1 = serve(c)
		_, e2 = serve(s)
		s.Close()
		<-e1
		<-e2
	})
}

func TestStraysAreTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s, _, atServer, end := linkOf(t, &Grant{})
		defer end()
		var told []string
		s.OnStray(func(src netip.Addr) { told = append(told, src.String()) })
		behind := ipv4(netip.MustParseAddr("172.16.2.7"), serverAddr, 64)
		list := map[string][]byte{"own": ipv4(clientAddr, serverAddr, 64), "stray": behind}
		expectPassed(t, passing(t, c, atServer, list), "own")
		passing(t, c, atServer, list)
		if len(told) != 1 || told[0] != "172.16.2.7" {
			t.Errorf("told %v", told)
		}
		s.Expect([]netip.Prefix{netip.MustParsePrefix("172.16.2.0/24")})
		expectPassed(t, passing(t, c, atServer, list), "own", "stray")
	})
}

func TestALinkThatBrokeIsLostAndOneThatWasHungUpIsNot(t *testing.T) {
	for cause, want := range map[Cause]bool{LostCarrier: true, UserRequest: false, IdleTimeout: false, AdminReset: false} {
		if got := (&TerminatedError{Cause: cause}).Lost(); got != want {
			t.Errorf("%v: %v", cause, got)
		}
	}
}
