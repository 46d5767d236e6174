package dhcpinform

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"
)

// A leasePacket is what came from a server.
type leasePacket struct {
	b    []byte
	from net.Addr
}

// A leaseMessage is what is to be sent.
type leaseMessage struct {
	b  []byte
	to netip.AddrPort
}

// A lostLease is what Lost is to be told.
type lostLease struct {
	addr netip.Addr
	err  error
}

// Serve leases, extends and returns, through pc, until ctx ends or pc fails, and closes pc. When ctx ends it returns all
// leases: that should be when the sessions have ended. When pc fails it has to be called again, with another, before the
// leases end. Once at a time; the error is never nil.
func (p *LeasePool) Serve(ctx context.Context, pc net.PacketConn) error {
	defer pc.Close()
	p.start()
	if err := p.setUp(pc); err != nil {
		return err
	}
	reading, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer pc.Close()
	defer stop()
	packets, failed := make(chan leasePacket), make(chan error, 1)
	wg.Go(func() { failed <- readLeases(reading, pc, packets) })
	timer := time.NewTimer(0)
	defer timer.Stop()
	probe := func(l *lease, xid uint32, a netip.Addr) {
		wg.Go(func() { p.probed(l, xid, p.InUse(reading, a)) })
	}
	for {
		next := p.turn(ctx, pc, probe)
		timer.Reset(next)
		select {
		case <-ctx.Done():
			p.bye(pc)
			return fmt.Errorf("dhcpinform: %w", context.Cause(ctx))
		case err := <-failed:
			return fmt.Errorf("dhcpinform: %w", err)
		case <-timer.C:
		case <-p.wake:
		case x := <-packets:
			p.receive(x.b, addrPortOf(x.from))
		}
	}
}

// setUp looks whether the pool can work, and how it is called.
func (p *LeasePool) setUp(pc net.PacketConn) error {
	if p.loading != nil {
		return p.loading
	}
	for _, s := range p.Servers {
		if !s.Addr().Unmap().Is4() {
			return fmt.Errorf("dhcpinform: DHCP server %v has no IPv4 address", s)
		}
	}
	hw := p.Hardware
	if x, ok := pc.(interface{ HardwareAddr() net.HardwareAddr }); ok && hw == nil {
		hw = x.HardwareAddr()
	}
	giaddr := p.Addr.Unmap()
	if hw == nil && giaddr.Is4() {
		a := giaddr.As4()
		hw = append(net.HardwareAddr{2, 0}, a[:]...) // locally administered
	}
	if len(hw) == 0 || len(hw) > 16 || p.Addr.IsValid() && !giaddr.Is4() {
		return fmt.Errorf("dhcpinform: a pool that leases needs ListenInterface's socket, or an IPv4 Addr, not %v and hardware %v", p.Addr, hw)
	}
	if len(p.ID) > 200 || p.max() < 2 {
		return fmt.Errorf("dhcpinform: a pool of %d leases, the first of which is the server's own, with an ID of %d bytes", p.max(), len(p.ID))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.writer = leaseWriter{giaddr: giaddr}
	p.writer.hw = hardware{kind: 1, n: byte(len(hw))}
	copy(p.writer.hw.addr[:], hw)
	p.needFirst()
	return nil
}

// clientID makes the identifier of a lease: of no hardware type (RFC 2132 section 9.14), and the same at each start.
func (p *LeasePool) clientID(slot int) []byte {
	name := p.ID
	if name == "" {
		name = "dialway-" + hex.EncodeToString(p.writer.hw.addr[:p.writer.hw.n])
	}
	return fmt.Appendf([]byte{0}, "%s-%d", name, slot)
}

func (p *LeasePool) log() *slog.Logger {
	if p.Logger != nil {
		return p.Logger
	}
	return slog.New(slog.DiscardHandler)
}

// readLeases reads until ctx ends or pc fails.
func readLeases(ctx context.Context, pc net.PacketConn, to chan<- leasePacket) error {
	buf := make([]byte, 1<<16)
	for failures := 0; ; {
		n, from, err := pc.ReadFrom(buf)
		if err != nil {
			// A server that is down may show in the next read.
			if failures++; errors.Is(err, net.ErrClosed) || failures > 10 {
				return err
			}
			continue
		}
		failures = 0
		select {
		case to <- leasePacket{bytes.Clone(buf[:n]), from}:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func addrPortOf(a net.Addr) netip.AddrPort {
	if u, ok := a.(*net.UDPAddr); ok {
		x := u.AddrPort()
		return netip.AddrPortFrom(x.Addr().Unmap(), x.Port())
	}
	return netip.AddrPort{}
}

// turn does all that is due, and returns how long there is nothing more to do.
func (p *LeasePool) turn(ctx context.Context, pc net.PacketConn, probe func(*lease, uint32, netip.Addr)) time.Duration {
	now := time.Now()
	p.mu.Lock()
	window := maxAsking
	if p.single {
		window = 1
	}
	for len(p.queue) > 0 && p.asking < window {
		l := p.queue[0]
		p.queue = p.queue[1:]
		if l.state == leaseSelecting || l.state == leaseRebooting {
			p.begin(l, l.state, now)
		}
	}
	for len(p.due) > 0 && !p.due[0].due.After(now) {
		p.expire(p.due[0], now)
	}
	p.file.turn(p, now)
	next := p.file.next(p, now)
	if len(p.due) > 0 {
		next = min(next, p.due[0].due.Sub(now))
	}
	out, lost, probes := p.out, p.lost, p.probes
	p.out, p.lost, p.probes = nil, nil, nil
	p.mu.Unlock()
	for _, m := range out {
		if _, err := pc.WriteTo(m.b, net.UDPAddrFromAddrPort(m.to)); err != nil && ctx.Err() == nil {
			p.log().Warn("lease: not sent", "to", m.to, "err", err)
		}
	}
	for _, x := range lost {
		p.log().Warn("lease lost while in use", "addr", x.addr, "why", x.err)
		if p.Lost != nil {
			p.Lost(x.addr, x.err)
		}
	}
	for _, l := range probes {
		probe(l.l, l.xid, l.addr)
	}
	return next
}

// A leaseProbe is an address that InUse is to be asked about.
type leaseProbe struct {
	l    *lease
	xid  uint32
	addr netip.Addr
}

// begin starts an exchange, whose first message is due at once.
func (p *LeasePool) begin(l *lease, s leaseState, now time.Time) {
	if p.byXID[l.xid] == l {
		delete(p.byXID, l.xid)
	}
	for {
		l.begin(s, now)
		if p.byXID[l.xid] == nil {
			break
		}
	}
	l.id = p.clientID(l.slot)
	l.asked = now
	p.byXID[l.xid] = l
	if !l.active && !l.holds() {
		l.active = true
		p.asking++
	}
	p.due.schedule(l, now)
}

// calm says that l asks for nothing now.
func (p *LeasePool) calm(l *lease) {
	if l.active {
		l.active = false
		p.asking--
	}
}

// expire does what is due with l.
func (p *LeasePool) expire(l *lease, now time.Time) {
	switch l.state {
	case leaseSelecting:
		if l.tries >= spareTries && len(p.wait) == 0 && l.slot >= p.block() {
			p.drop(l)
			return
		}
		p.try(l, typeDiscover, now)
		p.due.schedule(l, now.Add(l.backoff()))
	case leaseRequesting:
		if l.tries >= leaseTries {
			p.restart(l, now, now)
			return
		}
		p.try(l, typeRequest, now)
		p.due.schedule(l, now.Add(l.backoff()))
	case leaseRebooting:
		if l.tries >= leaseTries { // the lease goes on although no server says so: RFC 2131 section 3.2, step 4
			if !l.ends.After(now) {
				p.restart(l, now, now)
				return
			}
			p.calm(l)
			l.state = leaseRebinding
			p.bound(l)
			p.due.schedule(l, now)
			return
		}
		p.try(l, typeRequest, now)
		p.due.schedule(l, now.Add(l.backoff()))
	case leaseDeclined:
		p.restart(l, now, now)
	case leaseBound:
		if l.place != nil && p.free.Len() > p.block() {
			p.giveUp(l, now)
			return
		}
		p.begin(l, leaseRenewing, now)
	case leaseRenewing:
		if !now.Before(l.t2) {
			l.state = leaseRebinding
			p.due.schedule(l, now)
			return
		}
		p.try(l, typeRequest, now)
		p.due.schedule(l, now.Add(again(l.t2.Sub(now), l.length)))
	case leaseRebinding:
		if !now.Before(l.ends) {
			p.lose(l, "no server has extended it", now)
			return
		}
		p.try(l, typeRequest, now)
		p.due.schedule(l, now.Add(again(l.ends.Sub(now), l.length)))
	}
}

// try sends a message of an exchange once more.
func (p *LeasePool) try(l *lease, kind byte, now time.Time) {
	l.tries++
	p.send(l, kind, now)
}

func (p *LeasePool) send(l *lease, kind byte, now time.Time) {
	b := p.writer.message(l, kind, now)
	for _, to := range p.targets(l, kind) {
		p.out = append(p.out, leaseMessage{b, to})
	}
}

// targets says where a message goes. The first REQUEST goes to all servers: it also tells the others that their offers are
// declined (RFC 2131 section 3.1, step 3).
func (p *LeasePool) targets(l *lease, kind byte) (list []netip.AddrPort) {
	direct := !p.writer.giaddr.IsValid()
	switch {
	case direct && kind == typeRelease:
		return []netip.AddrPort{netip.AddrPortFrom(l.server, serverPort)}
	case !direct && l.to.IsValid() && (kind == typeRelease || kind == typeDecline || l.state == leaseRenewing):
		return []netip.AddrPort{l.to}
	case direct || len(p.Servers) == 0:
		return []netip.AddrPort{netip.AddrPortFrom(broadcast, serverPort)}
	}
	for _, s := range p.Servers {
		list = append(list, withPort(s))
	}
	return list
}

// restart asks for any address, at a time.
func (p *LeasePool) restart(l *lease, now, at time.Time) {
	p.unlist(l)
	l.addr, l.server, l.to = netip.Addr{}, netip.Addr{}, netip.AddrPort{}
	p.begin(l, leaseSelecting, now)
	p.due.schedule(l, at)
	if at.After(now) {
		p.calm(l) // others need not wait for it
	}
}

// postpone asks for l when nothing else is being asked for.
func (p *LeasePool) postpone(l *lease) {
	p.unlist(l)
	l.state = leaseSelecting
	p.queue = append(p.queue, l)
	p.single = true
}

// giveUp returns a lease.
func (p *LeasePool) giveUp(l *lease, now time.Time) {
	p.send(l, typeRelease, now)
	p.counts.Returned++
	p.log().Debug("lease returned", "addr", l.addr, "server", l.server)
	p.drop(l)
}

// lose ends a lease that a server ends, or that nobody has extended.
func (p *LeasePool) lose(l *lease, why string, now time.Time) {
	p.counts.Lost++
	p.log().Info("lease lost", "addr", l.addr, "server", l.server, "why", why)
	if _, used := p.used[l.addr]; used || l.slot == 0 {
		p.lost = append(p.lost, lostLease{l.addr, &LeaseError{Addr: l.addr, Server: l.server, Why: why, Err: ErrLeaseLost}})
	}
	if l.slot == 0 {
		p.restart(l, now, now)
		return
	}
	p.drop(l)
}

// bound makes the address usable.
func (p *LeasePool) bound(l *lease) {
	p.file.dirty = true
	if l.slot == 0 {
		close(p.own)
		return
	}
	if l.user != "" && p.byUser[l.user] == nil {
		p.byUser[l.user] = l
	}
	if _, used := p.used[l.addr]; !used { // else it was lost, and its session has yet to end
		p.hand(l)
	}
}

// How fast leases are returned: 400 a second, but no longer than five seconds.
const (
	byeBurst = 16
	byePause = 40 * time.Millisecond
	byeTime  = 5 * time.Second
)

// bye returns all leases.
func (p *LeasePool) bye(pc net.PacketConn) {
	now := time.Now()
	p.mu.Lock()
	p.out = nil
	p.queue = nil
	taken := p.file.isTaken(p)
	for _, l := range p.slots {
		switch {
		case l == nil:
		case l.holds() && !taken:
			p.giveUp(l, now)
		default:
			p.drop(l)
		}
	}
	p.file.write(p, now)
	out := p.out
	p.out = nil
	p.mu.Unlock()
	for i, m := range out {
		if i%byeBurst == byeBurst-1 { // nobody says that a RELEASE has come: more than fit a server's buffer would be lost
			time.Sleep(min(byePause, byeTime*byeBurst/time.Duration(len(out))))
		}
		if _, err := pc.WriteTo(m.b, net.UDPAddrFromAddrPort(m.to)); err != nil {
			p.log().Warn("lease: not returned", "to", m.to, "err", err)
		}
	}
}
