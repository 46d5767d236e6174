package dhcpinform

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	mrand "math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dialway/dialway/tunnel"
)

const (
	// DefaultTimeout is how long the first try of Inform waits. Each of the next waits twice as long as the one before,
	// a minute in all (RFC 2131 sections 4.1 and 4.4.3).
	DefaultTimeout = 4 * time.Second

	tries = 4
)

// ErrNoAnswer says that nobody answered any of the tries of Inform.
var ErrNoAnswer = errors.New("dhcpinform: no answer")

// A Client is a Link that can ask: it sends informs through the link that it wraps and takes the answers out of what it
// serves. It must not be copied.
//
//	        Inform                             Serve
//	┌───────────────────┐ try 1..4 ┌──────┐  67 > 68, the ask's xid ┌────────┐
//	│ ask: xid, address ├─────────►│ Link ├────────────────────────►│ the ask│──► Options
//	└───────────────────┘          └──────┴────────────────────────►└────────┘
//	                                        all else: to
type Client struct {
	tunnel.Link

	Server   netip.Addr       // whom to ask; zero means everybody, by 255.255.255.255
	Hostname string           // option 12; "" sends none
	Class    string           // option 60; "" means "MSFT 5.0", as Windows: servers and relays may go by it
	Hardware net.HardwareAddr // nil means a locally administered one made of the address, which no other client of the server has
	Timeout  time.Duration    // of the first try; 0 means DefaultTimeout
	Logger   *slog.Logger     // nil is silent

	open atomic.Int32 // asks; Serve looks at packets while it is not zero
	mu   sync.Mutex
	asks map[uint32]*ask // by xid
}

// An ask is one Inform that waits.
type ask struct {
	xid    uint32
	addr   netip.Addr
	hw     hardware
	answer chan *Options // of capacity 1; closed when the link has ended
}

// windowsAsks is the parameter request list of Windows, and at its end the time servers, for which it has other ways.
var windowsAsks = [...]byte{1, 3, 6, 15, 31, 33, 43, 44, 46, 47, 119, 121, 249, 252, optNTP}

// Inform asks, while somebody serves the Client, and returns the first answer. It tries four times within ctx; an error
// is ErrNoAnswer, ctx's, or net.ErrClosed if the link ended. request lists the options that are asked for; nil means as
// Windows asks. Several may ask at once.
func (c *Client) Inform(ctx context.Context, request []byte) (*Options, error) {
	a := &ask{answer: make(chan *Options, 1)}
	for _, x := range c.Addrs() {
		if x.Is4() && !x.IsUnspecified() {
			a.addr = x
			break
		}
	}
	if !a.addr.IsValid() {
		return nil, fmt.Errorf("dhcpinform: link has no IPv4 address, but %v", c.Addrs())
	}
	if request == nil {
		request = windowsAsks[:]
	}
	if len(request) == 0 || len(request) > 255 {
		return nil, fmt.Errorf("dhcpinform: %d options requested, not 1 to 255", len(request))
	}
	if len(c.Hardware) > 16 || len(c.Hostname) > 255 || len(c.Class) > 255 {
		return nil, fmt.Errorf("dhcpinform: hardware address, host name or class of %d, %d, %d bytes is too long", len(c.Hardware), len(c.Hostname), len(c.Class))
	}
	a.hw = c.hardware(a.addr)
	c.add(a)
	defer c.remove(a)
	start, timeout := time.Now(), c.Timeout
	if timeout <= 0 {
		timeout = DefaultTimeout
	}
	for i := range tries {
		secs := uint16(min(time.Since(start)/time.Second, 0xffff))
		if _, err := c.Write([][]byte{c.inform(a, secs, request)}, headroom); err != nil {
			return nil, fmt.Errorf("dhcpinform: %w", err)
		}
		if c.Logger != nil {
			c.Logger.Debug("inform sent", "addr", a.addr, "try", i+1)
		}
		// A second more or less, so that clients which were cut off together do not ask together (RFC 2131 section 4.1).
		wait := timeout<<i - timeout/4 + mrand.N(timeout/2+1)
		select {
		case o, ok := <-a.answer:
			if !ok {
				return nil, fmt.Errorf("dhcpinform: link ended: %w", net.ErrClosed)
			}
			return o, nil
		case <-ctx.Done():
			return nil, fmt.Errorf("dhcpinform: %w", context.Cause(ctx))
		case <-time.After(wait):
		}
	}
	return nil, fmt.Errorf("%w to %d tries from %v", ErrNoAnswer, tries, a.addr)
}

// hardware returns what the client says of its hardware. PPP has none; of htype and hlen that say so, servers make
// different things, so it is an Ethernet address.
func (c *Client) hardware(addr netip.Addr) hardware {
	hw := hardware{kind: 1, n: 6}
	if len(c.Hardware) > 0 {
		hw.n = byte(copy(hw.addr[:], c.Hardware))
		return hw
	}
	a := addr.As4()
	hw.addr[0] = 2
	copy(hw.addr[2:], a[:])
	return hw
}

// inform makes one try.
func (c *Client) inform(a *ask, secs uint16, request []byte) []byte {
	const start = headroom + headers
	b := make([]byte, start, start+600)
	// Without the broadcast flag: a client of PPP takes unicast (RFC 1542 section 3.1.1). Options in the order of Windows;
	// neither 50 nor 51 may be in an inform (RFC 2131 Table 5).
	b = appendHeader(b, 1, a.hw, a.xid, secs, 0, a.addr)
	b = appendOption(b, optType, []byte{typeInform})
	b = appendOption(b, optClient, append([]byte{a.hw.kind}, a.hw.addr[:a.hw.n]...))
	if c.Hostname != "" {
		b = appendOption(b, optHostName, []byte(c.Hostname))
	}
	class := c.Class
	if class == "" {
		class = windowsClass
	}
	b = appendOption(b, optClass, []byte(class))
	if size := c.MTU(); size >= minPacket {
		b = appendOption(b, optMaxSize, binary.BigEndian.AppendUint16(nil, uint16(min(size, 1500))))
	}
	b = appendOption(b, optRequest, request)
	b = finish(b, start)
	to := c.Server
	if !to.Is4() {
		to = broadcast
	}
	return sealPacket(b, headroom, netip.AddrPortFrom(a.addr, clientPort), netip.AddrPortFrom(to, serverPort))
}

const (
	windowsClass = "MSFT 5.0" // [MS-DHCPE] section 2.2.3
	minPacket    = 576        // what every host takes: RFC 2131 section 2
)

func (c *Client) add(a *ask) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.asks == nil {
		c.asks = make(map[uint32]*ask)
	}
	for {
		var x [4]byte
		rand.Read(x[:]) // nobody guesses it
		a.xid = binary.BigEndian.Uint32(x[:])
		if c.asks[a.xid] == nil {
			break
		}
	}
	c.asks[a.xid] = a
	c.open.Add(1)
}

func (c *Client) remove(a *ask) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.asks[a.xid] == a {
		delete(c.asks, a.xid)
		c.open.Add(-1)
	}
}

// Unwrap returns the link that was wrapped.
func (c *Client) Unwrap() tunnel.Link { return c.Link }

// Serve is the Link's, without the answers to Inform.
func (c *Client) Serve(ctx context.Context, to func(bufs [][]byte, offset int) (n int, err error)) error {
	defer c.end()
	return c.Link.Serve(ctx, func(bufs [][]byte, offset int) (n int, err error) {
		if c.open.Load() == 0 {
			return to(bufs, offset)
		}
		return sift(bufs, offset, c.take, to)
	})
}

// take reports whether a packet is for an ask that waits.
func (c *Client) take(b []byte) bool {
	// Port 67 too: Kea answers there when it was asked by a relay, and not every relay puts that right.
	d, ok := parseUDP(b)
	if !ok || d.dstPort != clientPort && d.dstPort != serverPort {
		return false
	}
	m, ok := parseMessage(d.payload)
	if !ok {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	a := c.asks[m.xid()]
	if a == nil || !isAnswer(d, m, a) {
		return false
	}
	o, ok := parseOptions(m)
	if !ok {
		return false
	}
	if !o.Server.IsValid() {
		o.Server = d.src
	}
	delete(c.asks, a.xid)
	c.open.Add(-1)
	a.answer <- o
	return true
}

// end tells those who wait that nothing will come.
func (c *Client) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for xid, a := range c.asks {
		close(a.answer)
		delete(c.asks, xid)
		c.open.Add(-1)
	}
}
