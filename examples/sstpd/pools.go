package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/dialway/dialway/dhcpinform"
	"github.com/dialway/dialway/examples/internal/cli"
	"github.com/dialway/dialway/ppp"
	"github.com/dialway/dialway/tunnel"
	"github.com/dialway/dialway/tunnel/tun"
)

// A poolsConfig is what the flags about addresses say, beside -pool and IPv6.
type poolsConfig struct {
	named     namedPools
	exclude   spans
	state     string
	rest      time.Duration
	fromDHCP  string // an interface
	neighbors string // an interface
}

func (c *poolsConfig) register(fs *flag.FlagSet) {
	c.named = make(namedPools)
	fs.Var(c.named, "pool-named", "`NAME=PREFIX,FIRST-LAST,...` of a pool for those whose account, or RADIUS by Framed-Pool, names it; may be repeated")
	fs.Var(&c.exclude, "pool-exclude", "`PREFIX,FIRST-LAST,...` of addresses that no pool gives")
	fs.StringVar(&c.state, "pool-state", "", "`FILE` that remembers who had which address, over restarts; those of -pool-named are FILE.NAME")
	fs.DurationVar(&c.rest, "pool-rest", 0, "`TIME` for which an address that came back is given to nobody but who had it")
	fs.StringVar(&c.fromDHCP, "pool-from-dhcp", "", "`IFACE` at which a DHCP server leases the clients' addresses, and the server's own, in the place of -pool; Linux, root")
	fs.StringVar(&c.neighbors, "neighbors", "", "`IFACE` at whose network clients with addresses of it are answered for; with -pool-from-dhcp that one")
}

func (c *poolsConfig) check(fs *flag.FlagSet, p *cli.Problems, device string) {
	if c.rest < 0 {
		p.Add("-pool-rest", fmt.Errorf("%v is negative", c.rest))
	}
	if c.fromDHCP != "" {
		fs.Visit(func(f *flag.Flag) {
			if f.Name == "pool" {
				p.Add("-pool", errors.New("and -pool-from-dhcp do not go together: the DHCP server says which addresses there are"))
			}
		})
		if c.neighbors == "" {
			c.neighbors = c.fromDHCP
		}
	}
	for name, iface := range map[string]string{"-pool-from-dhcp": c.fromDHCP, "-neighbors": c.neighbors} {
		switch _, err := net.InterfaceByName(iface); {
		case iface == "":
		case runtime.GOOS != "linux":
			p.Add(name, errors.ErrUnsupported)
		case device == "netstack":
			p.Add(name, errors.New("needs a TUN device: with -tun netstack nobody reaches clients by their addresses"))
		case err != nil:
			p.Add(name, fmt.Errorf("%q: %w", iface, err))
		}
	}
}

// spans are prefixes and ranges of IPv4 addresses.
type spans struct {
	prefixes []netip.Prefix
	ranges   []ppp.Range
}

// String is what Set reads.
func (s *spans) String() string {
	var list []string
	for _, p := range s.prefixes {
		list = append(list, p.String())
	}
	for _, r := range s.ranges {
		list = append(list, r.String())
	}
	return strings.Join(list, ",")
}

// Set adds a comma-separated list.
func (s *spans) Set(text string) error {
	for f := range strings.SplitSeq(text, ",") {
		if strings.Contains(f, "/") {
			p, err := netip.ParsePrefix(f)
			if err == nil && (!p.Addr().Is4() || p != p.Masked()) {
				err = fmt.Errorf("%v is no IPv4 prefix such as 10.8.0.0/24", p)
			}
			if err != nil {
				return err
			}
			s.prefixes = append(s.prefixes, p)
			continue
		}
		r, err := ppp.ParseRange(f)
		if err == nil && !r.First.Is4() {
			err = fmt.Errorf("%v is not of IPv4", r)
		}
		if err != nil {
			return err
		}
		s.ranges = append(s.ranges, r)
	}
	return nil
}

// all returns everything as prefixes.
func (s *spans) all() []netip.Prefix {
	list := slices.Clone(s.prefixes)
	for _, r := range s.ranges {
		list = append(list, r.Prefixes()...)
	}
	return list
}

// namedPools are what -pool-named says.
type namedPools map[string]*spans

// String is what Set reads.
func (n namedPools) String() string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(n)) {
		list = append(list, name+"="+n[name].String())
	}
	return strings.Join(list, " ")
}

// A pool's name is a part of a file's.
var poolName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$`)

// Set adds a pool, or to a pool.
func (n namedPools) Set(text string) error {
	name, what, ok := strings.Cut(text, "=")
	if !ok || !poolName.MatchString(name) {
		return fmt.Errorf("%q is not NAME=PREFIX", text)
	}
	s := n[name]
	if s == nil {
		s = new(spans)
		n[name] = s
	}
	return s.Set(what)
}

// pools is where clients' addresses come from.
type pools struct {
	all    ppp.AddrPool
	static []*ppp.Pool
	leased *dhcpinform.LeasePool // nil: no -pool-from-dhcp
}

// openPools makes the pools. With -pool-from-dhcp it leases the server's own address, which may take a while. The func that
// it returns gives all back, when the sessions have ended. ended is called if the server can no longer be what it is.
func (s *server) openPools(ctx context.Context, ended context.CancelCauseFunc) (stop func(), err error) {
	giveBack := func() {}
	if s.fromDHCP != "" {
		if giveBack, err = s.lease(ctx, ended); err != nil {
			return nil, err
		}
	}
	if err := s.makePools(); err != nil {
		giveBack()
		return nil, err
	}
	return func() { giveBack(); s.tellPools() }, nil
}

// makePools makes what the flags say, beside leases, and looks whether it can work.
func (s *server) makePools() error {
	exclude := append(s.exclude.all(), netip.PrefixFrom(s.addr, 32))
	pool := func(name string, of spans) *ppp.Pool {
		p := &ppp.Pool{Name: name, Prefixes: of.prefixes, Ranges: of.ranges, Exclude: exclude, Rest: s.rest, File: s.state}
		if p.File != "" && name != "" {
			p.File += "." + name
		}
		s.pools.static = append(s.pools.static, p)
		return p
	}
	var rest ppp.AddrPool = s.pools.leased
	var six []ppp.AddrPool // apart from IPv4, where several pools are to have it
	if s.pools.leased == nil {
		p := pool("", spans{prefixes: []netip.Prefix{s.pool}})
		if rest = p; len(s.named) == 0 {
			s.ipv6.extend(p)
		}
	}
	if s.ipv6.has() && (s.pools.leased != nil || len(s.named) > 0) {
		p := s.ipv6.extend(pool("", spans{}))
		if p.File != "" {
			p.File += "-ipv6" // no name of -pool-named makes that
		}
		six = append(six, p)
	}
	both := func(four ppp.AddrPool) ppp.AddrPool {
		if len(six) == 0 {
			return four
		}
		return append(ppp.PoolGroup{four}, six...)
	}
	list := &ppp.Pools{Default: both(rest), Named: make(map[string]ppp.AddrPool)}
	for name, of := range s.named {
		list.Named[name] = both(pool(name, *of))
	}
	for _, p := range s.pools.static {
		if err := p.SetFixed(nil); err != nil {
			return err
		}
	}
	s.pools.all = list
	s.fixAddresses()
	return nil
}

// fixAddresses takes what accounts have as their own out of the pools.
func (s *server) fixAddresses() {
	if s.accounts == "" || s.pools.all == nil {
		return
	}
	fixed := make(map[string][]netip.Prefix)
	for a := range s.accountsFile().All() {
		if a.Grant.Addr.Is4() {
			fixed[a.User] = []netip.Prefix{netip.PrefixFrom(a.Grant.Addr, 32)}
		}
	}
	for _, p := range s.pools.static {
		if p.Stats().IPv4.Total == 0 {
			continue // of IPv6 alone
		}
		if err := p.SetFixed(fixed); err != nil {
			s.log.Warn("addresses of accounts are not kept for them", "pool", p.Name, "why", err)
		}
	}
}

// tellPools tells how full the pools were.
func (s *server) tellPools() {
	for _, p := range s.pools.static {
		s.log.Info("pool", "counts", fmt.Sprintf("%+v", p.Stats()))
	}
	if s.pools.leased != nil {
		s.log.Info("leases", "counts", fmt.Sprintf("%+v", s.pools.leased.Stats()))
	}
}

// lease starts to lease, and waits for the server's own address.
func (s *server) lease(ctx context.Context, ended context.CancelCauseFunc) (stop func(), err error) {
	pc, err := dhcpinform.ListenInterface(s.fromDHCP)
	if err != nil {
		return nil, fmt.Errorf("-pool-from-dhcp: %w", err)
	}
	p := &dhcpinform.LeasePool{InUse: dhcpinform.ProbeARP(s.fromDHCP), Exclude: s.exclude.all(), File: s.state, Logger: s.log}
	p.Lost = func(a netip.Addr, err error) {
		if a == s.addr {
			ended(err)
		} else if c := s.sessions.Addr(a); c != nil {
			c.Terminate(ppp.NASError, err.Error())
		}
	}
	leasing, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			err := p.Serve(leasing, pc)
			for leasing.Err() == nil { // the interface may come back before the leases end
				s.log.Error("leasing: again in 5 s", "why", err)
				select {
				case <-time.After(5 * time.Second):
				case <-leasing.Done():
				}
				if pc, err = dhcpinform.ListenInterface(s.fromDHCP); err == nil {
					break
				}
			}
			if leasing.Err() != nil {
				return
			}
		}
	})
	stop = func() { cancel(); wg.Wait() }
	owning, enough := context.WithTimeout(ctx, time.Minute)
	defer enough()
	if s.addr, err = p.Own(owning); err != nil {
		stop()
		return nil, fmt.Errorf("-pool-from-dhcp: %w", err)
	}
	s.pool = netip.PrefixFrom(s.addr, 32)
	s.pools.leased = p
	s.log.Info("leases addresses", "interface", s.fromDHCP, "own", s.addr)
	return stop, nil
}

// routes is where packets to clients go. The system, too, learns the way to what a session has beside its address in the
// pool: the networks of a client that is a router, an address of RADIUS. Hosts of a LAN learn that clients with addresses of
// it are here.
func (s *server) routes(host tunnel.PacketIO) (tunnel.RouteTable, error) {
	dev, ok := host.(*tun.Device)
	if !ok {
		return new(tunnel.Table), nil
	}
	t := dev.Routes(new(tunnel.Table))
	if s.neighbors == "" {
		return t, nil
	}
	t, err := dev.Neighbors(t, s.neighbors)
	if err != nil {
		return nil, fmt.Errorf("-neighbors: %w", err)
	}
	return t, nil
}
