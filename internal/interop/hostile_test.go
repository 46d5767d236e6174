package interop

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"github.com/dialway/dialway/dhcpinform"
	"github.com/dialway/dialway/internal/packet"
	"github.com/dialway/dialway/ppp"
	"github.com/dialway/dialway/sstp"
	"github.com/dialway/dialway/sstp/sstptest"
	"github.com/dialway/dialway/tunnel"
)

// A dhcpStub is a DHCP server that answers what reaches it, and counts that.
type dhcpStub struct {
	pc     net.PacketConn
	asked  atomic.Int64
	forged atomic.Int64 // what a client said in the relay's place
	giaddr netip.Addr
}

func (d *dhcpStub) serve() {
	b := make([]byte, 1500)
	for {
		n, from, err := d.pc.ReadFrom(b)
		if err != nil {
			return
		}
		m, err := dhcpv4.FromBytes(b[:n])
		if err != nil {
			d.forged.Add(1)
			continue
		}
		d.asked.Add(1)
		info := m.RelayAgentInfo()
		if !m.GatewayIPAddr.Equal(d.giaddr.AsSlice()) || info == nil || string(info.Get(dhcpv4.AgentCircuitIDSubOption)) != "ppp-"+m.ClientIPAddr.String() || m.HopCount != 1 {
			d.forged.Add(1)
		}
		r, err := dhcpv4.NewReplyFromRequest(m, dhcpv4.WithMessageType(dhcpv4.MessageTypeAck), dhcpv4.WithOption(dhcpv4.OptDomainName("vpn.test")),
			dhcpv4.WithOption(dhcpv4.OptServerIdentifier(net.IPv4(127, 0, 0, 1))))
		if err == nil {
			r.ClientIPAddr = m.ClientIPAddr
			d.pc.WriteTo(r.ToBytes(), from)
		}
	}
}

// An echoing is a host behind the Router that sends every packet back to who sent it.
type echoing struct{ rt *tunnel.Router }

func (e *echoing) Write(bufs [][]byte, offset int) (int, error) {
	for _, b := range bufs {
		p := b[offset:]
		src, dst := [4]byte(p[12:16]), [4]byte(p[16:20])
		copy(p[12:16], dst[:])
		copy(p[16:20], src[:])
	}
	return e.rt.Write(bufs, offset)
}

// TestHostileInforms: over live sessions, one client floods the Responder or the Relay with informs, 10,000 a second, forged
// in every way there is; the server and another session do not notice.
func TestHostileInforms(t *testing.T) {
	for _, relayed := range []bool{false, true} {
		name := "Responder"
		if relayed {
			name = "Relay"
		}
		t.Run(name, func(t *testing.T) { hostileInforms(t, relayed) })
	}
}

func hostileInforms(t *testing.T, relayed bool) {
	const (
		rate   = 10000
		length = 3 * time.Second
	)
	own := netip.MustParseAddr("10.8.0.1")
	rt := &tunnel.Router{Routes: new(tunnel.Table), Local: new(tunnel.Table)}
	echo := &echoing{rt}
	rt.Uplink = echo
	var responder *dhcpinform.Responder
	var relay *dhcpinform.Relay
	var dhcp tunnel.Receiver
	wrap := func(l tunnel.Link) tunnel.Link { return l }
	stub := &dhcpStub{giaddr: own}
	if relayed {
		var err error
		if stub.pc, err = net.ListenPacket("udp4", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		pc, err := net.ListenPacket("udp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		relay = &dhcpinform.Relay{
			Servers: []netip.AddrPort{stub.pc.LocalAddr().(*net.UDPAddr).AddrPort()}, Addr: stub.giaddr, Next: echo,
			Agent: func(client netip.Addr, _ tunnel.PacketWriter) dhcpinform.AgentInfo {
				return dhcpinform.AgentInfo{CircuitID: "ppp-" + client.String()}
			},
		}
		dhcp, wrap = relay, relay.Link
		ended := make(chan struct{}, 2)
		ctx, stop := context.WithCancel(t.Context())
		go func() { stub.serve(); ended <- struct{}{} }()
		go func() { relay.Serve(ctx, pc); ended <- struct{}{} }()
		defer func() { stop(); stub.pc.Close(); <-ended; <-ended }()
	} else {
		responder = &dhcpinform.Responder{Next: echo, Options: func(netip.Addr, tunnel.PacketWriter) *dhcpinform.Options {
			return &dhcpinform.Options{Domain: "vpn.test"}
		}}
		dhcp = responder
	}
	rt.Local.Insert(netip.MustParsePrefix("255.255.255.255/32"), dhcp, 0)
	rt.Local.Insert(netip.PrefixFrom(own, 32), dhcp, 0)
	srv := sstptest.NewServer(&sstp.Server{
		PPP: &ppp.Config{
			Authenticator: ppp.PasswordFunc(func(context.Context, string) (ppp.Secret, error) { return "secret", nil }),
			Addr:          own,
			Pool:          &ppp.Pool{Prefixes: []netip.Prefix{netip.MustParsePrefix("10.8.0.0/28")}, Exclude: []netip.Prefix{netip.PrefixFrom(own, 32)}},
		},
		Handler: func(ctx context.Context, c *ppp.Conn) error { return rt.ServeLink(ctx, wrap(c)) },
	})
	defer srv.Close()
	dial := func(user string) *ppp.Conn {
		link, err := srv.Dialer(&ppp.Config{User: user, Password: "secret"}).DialContext(t.Context(), srv.Addr())
		if err != nil {
			t.Fatal(err)
		}
		return link
	}

	// The bystander sends an echo each 5 ms, and asks now and then.
	bystander := dial("alice")
	back := make(chan time.Duration, 1<<16)
	asker := &dhcpinform.Client{Link: bystander, Timeout: time.Second}
	served := make(chan error, 2)
	began := time.Now()
	go func() {
		served <- asker.Serve(context.Background(), func(bufs [][]byte, offset int) (int, error) {
			for _, b := range bufs {
				if p := b[offset:]; len(p) == 36 {
					back <- time.Since(began) - time.Duration(binary.BigEndian.Uint64(p[28:]))
				}
			}
			return len(bufs), nil
		})
	}()
	addr := bystander.Info().Local
	measure := func(d time.Duration) (sent int, rtt []time.Duration) {
		for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
			b := append(make([]byte, 32), datagram(netip.AddrPortFrom(addr, 7), netip.MustParseAddrPort("192.0.2.7:7"), binary.BigEndian.AppendUint64(nil, uint64(time.Since(began))))...)
			bystander.Write([][]byte{b}, 32)
			sent++
		}
		for end := time.After(2 * time.Second); len(rtt) < sent; {
			select {
			case d := <-back:
				rtt = append(rtt, d)
			case <-end:
				return sent, rtt
			}
		}
		return sent, rtt
	}
	inform(t, asker) // the session is routed
	_, calm := measure(time.Second)

	mallory := dial("mallory")
	go func() {
		served <- mallory.Serve(context.Background(), func(bufs [][]byte, _ int) (int, error) { return len(bufs), nil })
	}()
	packets := forgedInforms(t, mallory.Info().Local, addr)
	flooded := flood(t, mallory, packets, rate, length)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	sent, busy := measure(length - 500*time.Millisecond)
	asked := time.Now()
	o, err := asker.Inform(t.Context(), nil)
	answered := time.Since(asked)
	n := <-flooded
	runtime.GC()
	runtime.ReadMemStats(&after)
	if err != nil || o.Domain != "vpn.test" || answered > time.Second {
		t.Errorf("the bystander's inform: %+v, %v after %v", o, err, answered)
	}
	s := stats(responder, relay)
	t.Logf("%d informs in %v: %+v", n, length, s)
	t.Logf("echo: median %v, 99%% %v; during the flood median %v, 99%% %v, %d of %d back; inform answered in %v; heap %d KiB, then %d KiB",
		quantile(calm, 0.5), quantile(calm, 0.99), quantile(busy, 0.5), quantile(busy, 0.99), len(busy), sent, answered.Round(time.Microsecond), before.HeapAlloc>>10, after.HeapAlloc>>10)
	if n < rate*int(length/time.Second)/2 { // a busy machine
		t.Errorf("only %d informs sent", n)
	}
	if len(busy) < sent*95/100 || quantile(busy, 0.5) > 50*time.Millisecond {
		t.Errorf("the bystander notices: %d of %d echoes back, median %v", len(busy), sent, quantile(busy, 0.5))
	}
	if after.HeapAlloc > before.HeapAlloc+16<<20 {
		t.Errorf("memory grew by %d KiB", (after.HeapAlloc-before.HeapAlloc)>>10)
	}
	// What is right in the flood is held to a burst and one a second; all else is refused.
	if most := uint64(8 + int(length/time.Second) + 2 + 8); s.Asked > most || s.Refused == 0 || s.Limited == 0 || s.Strange != 0 {
		t.Errorf("%+v, want at most %d asked", s, most)
	}
	if relayed && (stub.forged.Load() != 0 || stub.asked.Load() > int64(s.Asked)) {
		t.Errorf("the DHCP server was asked %d times, %d of them forged", stub.asked.Load(), stub.forged.Load())
	}
	for _, c := range []*ppp.Conn{bystander, mallory} {
		c.Close()
		if err := <-served; !errors.As(err, new(*ppp.TerminatedError)) {
			t.Error(err)
		}
	}
}

// flood writes packets to a link, so many a second, and tells how many when the time is over.
func flood(t *testing.T, link tunnel.PacketWriter, packets [][]byte, rate int, length time.Duration) <-chan int {
	ctx, stop := context.WithTimeout(t.Context(), length)
	flooded := make(chan int, 1)
	go func() {
		defer stop()
		n := 0
		for begin := time.Now(); ctx.Err() == nil; time.Sleep(time.Millisecond) {
			for due := int(time.Since(begin).Seconds() * float64(rate)); n < due; {
				batch := make([][]byte, 0, 64)
				for ; n < due && len(batch) < cap(batch); n++ {
					batch = append(batch, append(make([]byte, 32), packets[n%len(packets)]...))
				}
				link.Write(batch, 32)
			}
		}
		flooded <- n
	}()
	return flooded
}

func stats(responder *dhcpinform.Responder, relay *dhcpinform.Relay) dhcpinform.Stats {
	if relay != nil {
		return relay.Stats()
	}
	return responder.Stats()
}

func quantile(list []time.Duration, q float64) time.Duration {
	if len(list) == 0 {
		return 0
	}
	list = slices.Clone(list)
	slices.Sort(list)
	return list[min(int(q*float64(len(list))), len(list)-1)].Round(time.Microsecond)
}

// forgedInforms are what a hostile client sends: its own informs, and those that are somebody else's, or say that a relay
// has had them.
func forgedInforms(t *testing.T, own, victim netip.Addr) (list [][]byte) {
	t.Helper()
	server := netip.MustParseAddrPort("10.8.0.1:67")
	everybody := netip.MustParseAddrPort("255.255.255.255:67")
	add := func(src netip.Addr, to netip.AddrPort, f func(m *dhcpv4.DHCPv4)) {
		m, err := dhcpv4.NewInform(net.HardwareAddr{2, 0, 0, 0, 0, 9}, own.AsSlice())
		if err != nil {
			t.Fatal(err)
		}
		if f != nil {
			f(m)
		}
		list = append(list, datagram(netip.AddrPortFrom(src, 68), to, m.ToBytes()))
	}
	add(own, server, nil)
	add(own, everybody, nil)
	add(own, server, func(m *dhcpv4.DHCPv4) { m.ClientIPAddr = victim.AsSlice() })
	add(own, everybody, func(m *dhcpv4.DHCPv4) { m.ClientIPAddr = victim.AsSlice() })
	add(victim, everybody, func(m *dhcpv4.DHCPv4) { m.ClientIPAddr = victim.AsSlice() }) // the source check takes it
	add(own, server, func(m *dhcpv4.DHCPv4) { m.GatewayIPAddr = net.IPv4(127, 0, 0, 1) })
	add(own, server, func(m *dhcpv4.DHCPv4) { m.GatewayIPAddr = victim.AsSlice(); m.HopCount = 1 })
	add(own, everybody, func(m *dhcpv4.DHCPv4) {
		m.UpdateOption(dhcpv4.OptRelayAgentInfo(dhcpv4.OptGeneric(dhcpv4.AgentCircuitIDSubOption, []byte("ppp-"+victim.String()))))
	})
	add(own, server, func(m *dhcpv4.DHCPv4) { m.HopCount = 200 })
	for _, typ := range []dhcpv4.MessageType{dhcpv4.MessageTypeDiscover, dhcpv4.MessageTypeRequest, dhcpv4.MessageTypeRelease, dhcpv4.MessageTypeDecline, dhcpv4.MessageTypeAck} {
		add(own, server, func(m *dhcpv4.DHCPv4) { m.UpdateOption(dhcpv4.OptMessageType(typ)) })
	}
	list = append(list, datagram(netip.AddrPortFrom(own, 68), server, make([]byte, 300)), datagram(netip.AddrPortFrom(own, 68), server, nil))
	for _, p := range list {
		if _, ok := packet.ParseIPv4(p); !ok {
			t.Fatal(fmt.Errorf("no packet: %x", p))
		}
	}
	return list
}
