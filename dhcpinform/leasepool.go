package dhcpinform

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// DefaultBlock is how many addresses are leased at once, as RRAS leases them.
	DefaultBlock = 10

	// DefaultMaxLeases bounds what a LeasePool leases.
	DefaultMaxLeases = 10_000

	// DefaultLeaseWait is how long Get waits for a server: clients of PPP give up after half a minute.
	DefaultLeaseWait = 20 * time.Second

	maxAsking = 64 // leases that are being asked for at once: servers have small buffers
)

// ErrNoLease says that no DHCP server has given an address.
var ErrNoLease = errors.New("dhcpinform: no address leased")

// ErrLeaseLost says that a server does not extend a lease, or that none has answered for as long as it lasted.
var ErrLeaseLost = errors.New("dhcpinform: lease lost")

// A LeaseError says what became of an address, or of the wish for one. It unwraps to ErrNoLease or ErrLeaseLost.
type LeaseError struct {
	Addr   netip.Addr // of ErrLeaseLost
	Server netip.Addr // who leased it, or refuses to
	Why    string
	Err    error
}

// Error returns all of it.
func (e *LeaseError) Error() string {
	var b strings.Builder
	b.WriteString(e.Err.Error())
	if e.Addr.IsValid() {
		fmt.Fprintf(&b, ": %v", e.Addr)
	}
	if e.Server.IsValid() {
		fmt.Fprintf(&b, " of server %v", e.Server)
	}
	return b.String() + ": " + e.Why
}

// Unwrap returns Err.
func (e *LeaseError) Unwrap() error { return e.Err }

// A LeasePool is a ppp.AddrPool of addresses that DHCP servers lease: clients of the VPN get addresses of the network that
// the server is in, as RRAS gives them. It leases a block when it is needed, the very first address for the server's own
// end (Own); renews each lease at T1, by any server at T2; returns at T1 what is one block too many, and all of it when
// Serve ends. What servers say beside the address and its time is thrown away. It must not be copied, nor modified after
// Serve or Get has been called; its methods may be called from any goroutine.
//
// For each address it is a client of its own, whose identifier (RFC 2132 section 9.14) is the same after a restart: a
// process that was killed gets back what it had, and leaks nothing. Two pools that lease of the same servers need different
// IDs, or Hardware.
//
// The packets pass through the net.PacketConn of Serve, in one of two ways:
//
//	ListenInterface(name)   broadcast on a network, by Servers there or by all; needs no address of it (Linux)
//	a UDP socket of Addr:67 with Addr set, as a relay's: Servers may be anywhere, and choose the subnet by Addr
type LeasePool struct {
	Servers []netip.AddrPort // who is asked, and believed; port 0 means 67; none means whoever is on the network
	Addr    netip.Addr       // giaddr: the address of the socket; zero: it is ListenInterface's

	ID       string           // what client identifiers begin with; empty means "dialway-" and the hardware address
	Hardware net.HardwareAddr // nil means that of the interface, or one made of Addr
	Block    int              // 0 means DefaultBlock
	Max      int              // leases at once; 0 means DefaultMaxLeases
	Wait     time.Duration    // how long Get waits for a server; 0 means DefaultLeaseWait
	Exclude  []netip.Prefix   // declined when they are offered

	// InUse asks the network whether somebody has an address that was leased; then it is declined. It has a goroutine of its
	// own and ends with ctx. ProbeARP makes one. nil does not ask.
	InUse func(ctx context.Context, a netip.Addr) bool

	// Lost is told of an address in use, or of the server's own, whose lease is over: its session has to end, since
	// somebody else may get the address. It is called by Serve and must not wait for Put. nil is silent.
	Lost func(a netip.Addr, err error)

	// File remembers leases and who has them, over a restart; empty does not. A restarted pool asks for what it had, and
	// keeps what was in use from others for 30 seconds, in which the old process may not have ended quite. One process has
	// it at a time: who opens it takes it over, and then the old one returns nothing of what the new one has.
	File string

	Logger *slog.Logger // nil is silent; each grant is a record of level Debug

	once    sync.Once
	wake    chan struct{}
	mu      sync.Mutex
	slots   []*lease // by number; nil: free
	due     leases
	queue   []*lease // those whose first message has yet to be sent
	asking  int      // of those that are active
	single  bool     // the servers do not keep apart what they offer at once
	byXID   map[uint32]*lease
	byAddr  map[netip.Addr]*lease // of those that hold an address, or ask for it
	byUser  map[string]*lease
	used    map[netip.Addr]string // what sessions have, and whose it is; also what is lost
	free    *list.List            // of *lease: held and not used, the least recently used in front
	wait    []*leaseWaiter
	own     chan struct{} // closed while there is an own address
	writer  leaseWriter
	file    leaseFile
	counts  LeaseStats
	loading error // of File
	out     []leaseMessage
	lost    []lostLease
	probes  []leaseProbe
}

// A leaseWaiter is a Get that waits.
type leaseWaiter struct {
	user string
	got  chan *lease // of capacity 1
}

// LeaseStats counts what a LeasePool has and what became of it.
type LeaseStats struct {
	Leased   int    // addresses, the server's own among them
	Used     int    // of sessions
	Asked    int    // leases that no server has given yet
	Waiting  int    // Gets that wait
	Granted  uint64 // to sessions
	Refused  uint64 // Gets that got nothing
	Renewed  uint64
	Returned uint64
	Lost     uint64
	NAKs     uint64
	Declined uint64
	Strange  uint64 // packets that answer nothing that was asked
	Unsaved  uint64 // how often File could not be written
}

// Stats returns the counts so far.
func (p *LeasePool) Stats() LeaseStats {
	p.start()
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.counts
	s.Waiting, s.Used = len(p.wait), len(p.used)
	for _, l := range p.slots {
		switch {
		case l == nil:
		case l.holds():
			s.Leased++
		default:
			s.Asked++
		}
	}
	return s
}

func (p *LeasePool) start() {
	p.once.Do(func() {
		p.wake = make(chan struct{}, 1)
		p.byXID, p.byAddr, p.byUser = make(map[uint32]*lease), make(map[netip.Addr]*lease), make(map[string]*lease)
		p.used, p.free, p.own = make(map[netip.Addr]string), list.New(), make(chan struct{})
		p.loading = p.file.load(p)
	})
}

func (p *LeasePool) poke() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// Own returns the address of the server's own end, which is the first that is leased; it waits for it, within ctx.
func (p *LeasePool) Own(ctx context.Context) (netip.Addr, error) {
	p.start()
	if p.loading != nil {
		return netip.Addr{}, p.loading
	}
	for {
		p.mu.Lock()
		p.needFirst()
		if l := p.slots[0]; l.holds() {
			p.mu.Unlock()
			return l.addr, nil
		}
		ready := p.own
		p.mu.Unlock()
		p.poke()
		select {
		case <-ready:
		case <-ctx.Done():
			return netip.Addr{}, &LeaseError{Why: p.why() + ": " + context.Cause(ctx).Error(), Err: ErrNoLease}
		}
	}
}

// Get gives a leased address to a session of user: the one that the user had, if it is free, else the one that is free for
// longest, else the first of a new block, for which it waits. pool is not looked at: ppp.Pools does. A *LeaseError says
// that no server gave one within Wait.
func (p *LeasePool) Get(ctx context.Context, pool, user string) ([]netip.Prefix, error) {
	p.start()
	if p.loading != nil {
		return nil, p.loading
	}
	user = leaseUser(user)
	p.mu.Lock()
	if l := p.pick(user); l != nil {
		defer p.mu.Unlock()
		return p.give(l, user), nil
	}
	w := &leaseWaiter{user: user, got: make(chan *lease, 1)}
	p.wait = append(p.wait, w)
	asked := p.askForWaiting()
	p.mu.Unlock()
	if !asked {
		if l := p.leave(w); l != nil {
			return []netip.Prefix{netip.PrefixFrom(l.addr, 32)}, nil // it came back meanwhile
		}
		return nil, &LeaseError{Why: fmt.Sprintf("all %d that the pool may have are in use", p.max()), Err: ErrNoLease}
	}
	p.poke()
	timeout := p.Wait
	if timeout <= 0 {
		timeout = DefaultLeaseWait
	}
	t := time.NewTimer(timeout)
	defer t.Stop()
	var why string
	select {
	case l := <-w.got:
		return []netip.Prefix{netip.PrefixFrom(l.addr, 32)}, nil
	case <-t.C:
		why = fmt.Sprintf("%s within %v", p.why(), timeout)
	case <-ctx.Done():
		why = p.why() + ": " + context.Cause(ctx).Error()
	}
	if l := p.leave(w); l != nil {
		return []netip.Prefix{netip.PrefixFrom(l.addr, 32)}, nil // it came meanwhile
	}
	return nil, &LeaseError{Why: why, Err: ErrNoLease}
}

// leaseUser is by what a user is remembered; a name that is too long is nobody's.
func leaseUser(user string) string {
	if len(user) > 255 {
		return ""
	}
	return strings.ToLower(user)
}

// why says what a Get waited for.
func (p *LeasePool) why() string {
	if len(p.Servers) == 0 {
		return "no DHCP server on the network has given one"
	}
	return fmt.Sprintf("of the DHCP servers %v none has given one", p.Servers)
}

// leave ends the wait of w. It returns what w has got.
func (p *LeasePool) leave(w *leaseWaiter) *lease {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case l := <-w.got:
		return l
	default:
	}
	p.wait = slices.DeleteFunc(p.wait, func(x *leaseWaiter) bool { return x == w })
	p.counts.Refused++
	return nil
}

// Claim takes an address that a Grant names out of those that are given to others, if it is one of the pool's. It fails if
// it is in use; of an address that is not leased here it knows nothing, and gives nothing.
func (p *LeasePool) Claim(ctx context.Context, pool, user string, addr netip.Addr) ([]netip.Prefix, error) {
	p.start()
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.byAddr[addr]
	user = leaseUser(user)
	if _, used := p.used[addr]; used || l != nil && (l.slot == 0 || p.file.keeps(l, time.Now()) && l.user != user) {
		return nil, &LeaseError{Addr: addr, Why: "it is in use", Err: ErrNoLease}
	}
	if l == nil || !l.holds() {
		return nil, nil
	}
	return p.give(l, user), nil
}

// Put gives back what Get gave. What is not in use is ignored.
func (p *LeasePool) Put(assigned []netip.Prefix) {
	p.start()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range assigned {
		if _, used := p.used[a.Addr()]; !used || !a.IsSingleIP() {
			continue
		}
		delete(p.used, a.Addr())
		p.file.dirty = true
		if l := p.byAddr[a.Addr()]; l != nil && l.holds() {
			p.hand(l)
		}
	}
	p.poke()
}

// pick returns what is free for user.
func (p *LeasePool) pick(user string) *lease {
	if l := p.byUser[user]; l != nil && user != "" && l.holds() {
		if _, used := p.used[l.addr]; !used {
			return l
		}
	}
	if front := p.free.Front(); front != nil {
		return front.Value.(*lease)
	}
	return nil
}

// give makes l a session's.
func (p *LeasePool) give(l *lease, user string) []netip.Prefix {
	if l.place != nil {
		p.free.Remove(l.place)
		l.place = nil
	}
	p.used[l.addr] = user
	if p.byUser[l.user] == l {
		delete(p.byUser, l.user)
	}
	if l.user = user; user != "" {
		p.byUser[user] = l
	}
	p.counts.Granted++
	p.file.dirty = true
	p.log().Debug("address given", "addr", l.addr, "user", user, "server", l.server)
	return []netip.Prefix{netip.PrefixFrom(l.addr, 32)}
}

// hand gives what has become free to who waits for longest, or keeps it.
func (p *LeasePool) hand(l *lease) {
	if l.slot == 0 {
		return
	}
	if p.file.keeps(l, time.Now()) {
		// Only the one who had it gets it for now.
		for i, w := range p.wait {
			if w.user != "" && w.user == l.user {
				p.wait = slices.Delete(p.wait, i, i+1)
				p.give(l, w.user)
				w.got <- l
				return
			}
		}
		return
	}
	if len(p.wait) > 0 {
		w := p.wait[0]
		p.wait = slices.Delete(p.wait, 0, 1)
		p.give(l, w.user)
		w.got <- l
		return
	}
	l.place = p.free.PushBack(l)
}

func (p *LeasePool) max() int {
	if p.Max > 0 {
		return p.Max
	}
	return DefaultMaxLeases
}

func (p *LeasePool) block() int {
	if p.Block > 0 {
		return p.Block
	}
	return DefaultBlock
}

// askForWaiting sees to it that as many leases are being asked for as there are Gets that wait. It reports false if the
// pool may have no more, and none is on its way.
func (p *LeasePool) askForWaiting() bool {
	p.needFirst()
	asking := 0
	for _, l := range p.slots[1:] {
		if l != nil && !l.holds() {
			asking++
		}
	}
	if n := len(p.wait) - asking; n > 0 {
		asking += p.add((n + p.block() - 1) / p.block() * p.block())
	}
	return asking > 0 || p.file.keeping(p, time.Now())
}

// needFirst asks for the first block, whose first is the server's own.
func (p *LeasePool) needFirst() {
	if len(p.slots) == 0 || p.slots[0] == nil {
		p.enter(0, leaseSelecting)
		if len(p.slots) < p.block() {
			p.add(p.block() - len(p.slots))
		}
	}
}

// add asks for n more leases, as far as the pool may have them, and returns how many. The numbers are the lowest that are
// free: they make the client identifiers.
func (p *LeasePool) add(n int) (added int) {
	for slot := 1; added < n && slot < p.max(); slot++ {
		if slot >= len(p.slots) || p.slots[slot] == nil {
			p.enter(slot, leaseSelecting)
			added++
		}
	}
	return added
}

// enter makes a lease, which waits for its turn.
func (p *LeasePool) enter(slot int, s leaseState) *lease {
	for slot >= len(p.slots) {
		p.slots = append(p.slots, nil)
	}
	l := &lease{slot: slot, state: s, at: -1}
	p.slots[slot] = l
	p.queue = append(p.queue, l)
	return l
}

// drop forgets a lease.
func (p *LeasePool) drop(l *lease) {
	p.unlist(l)
	l.state = leaseGone
	p.slots[l.slot] = nil
	for n := len(p.slots); n > 0 && p.slots[n-1] == nil; n-- {
		p.slots = p.slots[:n-1]
	}
}

// unlist takes a lease out of all lists but slots.
func (p *LeasePool) unlist(l *lease) {
	p.due.schedule(l, time.Time{})
	p.calm(l)
	if p.byXID[l.xid] == l {
		delete(p.byXID, l.xid)
	}
	if p.byAddr[l.addr] == l {
		delete(p.byAddr, l.addr)
	}
	if p.byUser[l.user] == l {
		delete(p.byUser, l.user)
	}
	if l.place != nil {
		p.free.Remove(l.place)
		l.place = nil
	}
	if l.slot == 0 && l.holds() {
		p.own = make(chan struct{}) // Own waits again
	}
	l.user, l.kept = "", false
	p.file.dirty = true
}
