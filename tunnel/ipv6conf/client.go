package ipv6conf

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dialway/dialway/tunnel"
)

// A Client is a Link whose far side configures it: it solicits router advertisements through the link that it wraps, makes
// addresses of the prefixes that are advertised, asks by DHCPv6 what there is to know besides, and for a prefix if it is to.
// It must not be copied.
//
//	                            solicitation, each 4 s and more until answered (RFC 7559)
//	Serve ──► the far side ◄────────────────────────────────────────────────────────────── Client
//	               │ advertisement: prefixes, name servers, routes, MTU, flags
//	               ├──────────────► O: information-request ──► M or Delegate: solicit ─► request ─► bound ─► renew T1, rebind T2
//	               ▼
//	            Changed, after each change, and when something has expired
//
// What it has got is in its Addrs and DNS besides the Link's. A Link that has a method Own([]netip.Prefix), as a *ppp.Conn,
// is told. A link without IPv6 stays as it is.
type Client struct {
	tunnel.Link

	// Delegate asks for a prefix to be delegated, of this length if the server can; a length of 0 leaves that to it. It is
	// asked for whatever advertisements say (RFC 7084 section 4.3).
	Delegate bool
	Length   int

	// NoAddrs makes no addresses: for a router that has its own in front of the link, and for tests.
	NoAddrs bool

	DUID []byte // identifies the client (RFC 8415 section 11); nil means a DUID-LL made of the link-local address

	// Changed is told what there is, each time it changes, on a goroutine of the Client's, one call at a time. It is called
	// within Serve, so it must return when ctx ends. nil is told nothing.
	Changed func(ctx context.Context, now Config)

	Logger *slog.Logger // nil is silent

	now atomic.Pointer[Config]

	mu       sync.Mutex
	watchers chan struct{} // closed at each change
}

// A Config is what a Client has got. It is not changed any more.
type Config struct {
	Addrs     []netip.Addr   // of advertised prefixes, and of DHCPv6
	Prefixes  []netip.Prefix // that are advertised; this end's address in each is in Addrs
	Delegated []netip.Prefix // to this end, for its networks
	Router    netip.Addr     // the far side, if it is a default router; zero if it is not
	Routes    []netip.Prefix // what else leads to it (RFC 4191)
	DNS       []netip.Addr
	Search    []string
	SNTP      []netip.Addr
	MTU       int // of the link for IPv6; 0: not said
}

// Unwrap returns the link that was wrapped.
func (c *Client) Unwrap() tunnel.Link { return c.Link }

// Config returns what there is.
func (c *Client) Config() Config {
	if x := c.now.Load(); x != nil {
		return *x
	}
	return Config{}
}

// Addrs returns the Link's addresses and those that the Client has got.
func (c *Client) Addrs() []netip.Addr { return join(c.Link.Addrs(), c.Config().Addrs) }

// DNS returns the Link's name servers and those that the Client was told.
func (c *Client) DNS() []netip.Addr { return join(c.Link.DNS(), c.Config().DNS) }

func join(a, b []netip.Addr) []netip.Addr {
	a = slices.Clone(a)
	for _, x := range b {
		if !slices.Contains(a, x) {
			a = append(a, x)
		}
	}
	return a
}

// Wait waits, while somebody serves the Client, until enough says that what there is is enough, and returns it.
func (c *Client) Wait(ctx context.Context, enough func(Config) bool) (Config, error) {
	for {
		c.mu.Lock()
		if c.watchers == nil {
			c.watchers = make(chan struct{})
		}
		changed := c.watchers
		c.mu.Unlock()
		if now := c.Config(); enough(now) {
			return now, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return c.Config(), context.Cause(ctx)
		}
	}
}

// A heard is what the far side said: an advertisement, or a DHCPv6 message, whose bytes are the hearer's.
type heard struct {
	from   netip.Addr
	advert *advert
	dhcp   []byte
}

// Serve is the Link's, without what the far side says to configure this end.
func (c *Client) Serve(ctx context.Context, to func(bufs [][]byte, offset int) (n int, err error)) error {
	own := linkLocalOf(c.Link.Addrs())
	if !own.IsValid() {
		return c.Link.Serve(ctx, to)
	}
	said := make(chan heard, 8)
	inner, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	running, end := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		m := newMachine(c, own)
		m.run(running, said)
		cancel(context.Cause(ctx)) // the goodbye of the link comes behind what the machine gives back
	})
	err := c.Link.Serve(inner, func(bufs [][]byte, offset int) (int, error) {
		return c.sift(bufs, offset, own, said, to)
	})
	end()
	wg.Wait()
	cancel(nil)
	return err
}

// sift takes what is for the Client out of a batch, and hands on the rest in its order.
func (c *Client) sift(bufs [][]byte, offset int, own netip.Addr, said chan<- heard, to func(bufs [][]byte, offset int) (int, error)) (n int, err error) {
	run := 0
	for i, b := range bufs {
		if len(b) <= offset || !onLink(b[offset:]) || !c.take(b[offset:], own, said) {
			continue
		}
		if run < i {
			m, err := to(bufs[run:i], offset)
			if n += m; err != nil {
				return n, err
			}
		}
		n, run = n+1, i+1
	}
	if run < len(bufs) {
		m, err := to(bufs[run:], offset)
		return n + m, err
	}
	return n, nil
}

// onLink is all that most packets are asked: whether they come from a link-local address.
func onLink(b []byte) bool {
	return len(b) >= headerLen && b[0]>>4 == 6 && b[8] == 0xfe && b[9]&0xc0 == 0x80
}

// take reports whether a packet is for the Client. What it has no time for it drops: the far side says it again.
func (c *Client) take(b []byte, own netip.Addr, said chan<- heard) bool {
	var h heard
	if m, ok := parseND(b); ok {
		switch {
		case m.typ == routerAdvertisement && mayAdvertise(m, own):
			a, ok := parseAdvert(m.body)
			if !ok {
				return true
			}
			h = heard{from: m.src, advert: &a}
		case m.typ == neighbourSolicitation && isAskedFor(m, own):
			c.reply(m, own)
			return true
		default:
			return false
		}
	} else if m, ok := parseUDP(b); ok && m.to == clientPort && m.dst == own && m.src != own {
		h = heard{from: m.src, dhcp: slices.Clone(m.body)}
	} else {
		return false
	}
	select {
	case said <- h:
	default:
	}
	return true
}

// reply answers a neighbour solicitation: RFC 4861 section 7.2.4.
func (c *Client) reply(m message, own netip.Addr) {
	b := append(newICMP(own, m.src, neighbourAdvert), 0x40, 0, 0, 0)
	c.Link.Write([][]byte{sealICMP(append(b, own.AsSlice()...))}, headroom)
}

// set makes x what there is, if it is something else.
func (c *Client) set(ctx context.Context, x Config) {
	if old := c.Config(); x.equal(&old) {
		return
	}
	c.now.Store(&x)
	if l, ok := tunnel.As[interface{ Own(prefixes []netip.Prefix) }](c.Link); ok {
		var list []netip.Prefix
		for _, a := range x.Addrs {
			list = append(list, netip.PrefixFrom(a, a.BitLen()))
		}
		l.Own(append(list, x.Delegated...))
	}
	c.mu.Lock()
	if c.watchers != nil {
		close(c.watchers)
		c.watchers = nil
	}
	c.mu.Unlock()
	if c.Logger != nil {
		c.Logger.Debug("IPv6 configured", "addrs", x.Addrs, "delegated", x.Delegated, "dns", x.DNS, "search", x.Search)
	}
	if c.Changed != nil && ctx.Err() == nil {
		c.Changed(ctx, x)
	}
}

func (x *Config) equal(y *Config) bool {
	return slices.Equal(x.Addrs, y.Addrs) && slices.Equal(x.Prefixes, y.Prefixes) && slices.Equal(x.Delegated, y.Delegated) &&
		x.Router == y.Router && slices.Equal(x.Routes, y.Routes) && slices.Equal(x.DNS, y.DNS) && slices.Equal(x.Search, y.Search) &&
		slices.Equal(x.SNTP, y.SNTP) && x.MTU == y.MTU
}

// A timed is something that is believed until a time; the zero time is for ever.
type timed[T comparable] struct {
	what  T
	until time.Time
}

// learn puts something into a list that is kept no longer than most, or extends it; a life of 0 takes it out.
func learn[T comparable](list []timed[T], what T, until time.Time, gone bool, most int) []timed[T] {
	at := slices.IndexFunc(list, func(x timed[T]) bool { return x.what == what })
	switch {
	case gone && at >= 0:
		return slices.Delete(list, at, at+1)
	case gone || at < 0 && len(list) >= most:
		return list
	case at >= 0:
		list[at].until = until
		return list
	}
	return append(list, timed[T]{what, until})
}

// expire takes out what is over, and returns when the next thing is.
func expire[T comparable](list []timed[T], now time.Time, next *time.Time) []timed[T] {
	return slices.DeleteFunc(list, func(x timed[T]) bool {
		if x.until.IsZero() {
			return false
		}
		if !x.until.After(now) {
			return true
		}
		sooner(next, x.until)
		return false
	})
}

// sooner makes next t if that is before it, or if next is not set.
func sooner(next *time.Time, t time.Time) {
	if !t.IsZero() && (next.IsZero() || t.Before(*next)) {
		*next = t
	}
}

func whats[T comparable](list []timed[T]) (out []T) {
	for _, x := range list {
		out = append(out, x.what)
	}
	return out
}
