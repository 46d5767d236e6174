package radius

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"

	"github.com/dialway/dialway/ppp"
)

// A Client asks RADIUS servers. It is a ppp.Authenticator. The zero Client has no Targets and refuses everybody. It must
// not be copied, nor its fields changed, once it is used.
type Client struct {
	Targets []Target   // the load is shared by weight; those that do not answer are asked last
	NAS     string     // NAS-Identifier; empty means the host name
	NASAddr netip.Addr // NAS-IP-Address or NAS-IPv6-Address; zero means the call's local address

	// Filter returns what a Filter-Id names: which packets pass. An id that ends in ".in" is for packets from the far side,
	// one in ".out" for those to it, another for both; of several, all must let a packet pass. nil, and an error, refuse an
	// Access-Accept with a Filter-Id.
	Filter func(id string) (func(packet []byte) bool, error)

	Request func(p *Packet, req *ppp.AuthRequest)                     // may add attributes; nil adds none
	Accept  func(g *ppp.Grant, p *Packet, req *ppp.AuthRequest) error // may read attributes of one's own; an error refuses; nil reads none

	// Dynamic answers Disconnect and CoA requests that come back over RadSec connections; its Clients is not asked. nil
	// refuses them (Error-Cause 406, RFC 6614 section 2.5).
	Dynamic *Dynamic

	// Dial opens a connection: network is "udp", which keeps datagrams apart, and "tcp" below TLS. nil means net.Dialer's.
	Dial   func(ctx context.Context, network, addr string) (net.Conn, error)
	Logger *slog.Logger // nil is silent

	mu   sync.Mutex
	auth []*server // as Targets
	acct []*server

	_ [0]func()
}

// A Target is one server.
type Target struct {
	Addr   string // host:port; port 1812 if it has none, 2083 with TLS
	Acct   string // host:port for accounting; empty means Addr's host and port 1813. With TLS all goes to Addr
	Secret Secret // with TLS empty means "radsec", which RFC 6614 has
	Weight int    // share of the load; 0 means 1

	// TLS asks by RadSec (RFC 6614), with the client certificate that it has. An empty ServerName means Addr's host. It must
	// not be changed once it is used. nil asks by UDP.
	TLS *tls.Config

	// Unsigned accepts replies without Message-Authenticator, which whoever can change packets on the way can forge
	// (CVE-2024-3596): only for servers that cannot send it, on a network of their own. The Logger is warned.
	Unsigned bool

	// TrustUserName takes the User-Name of an Access-Accept for EAP as proven. Many servers repeat the outer identity
	// there, which is only claimed: without it, a session by EAP has no user name.
	TrustUserName bool
}

var (
	// ErrNoAnswer says that no server answered: not a refusal.
	ErrNoAnswer = errors.New("radius: no server answers")

	errNoTargets = errors.New("radius: the Client has no Targets")
	errClosed    = errors.New("radius: the Client was closed")
	errBroken    = errors.New("radius: the connection broke")
)

// TargetStats counts one target's exchanges.
type TargetStats struct {
	Addr    string
	Dead    bool   // it did not answer, and is asked last
	Sent    uint64 // requests
	Resent  uint64
	Replies uint64 // that count
	Bad     uint64 // replies that are forged, malformed, unsigned, or late
	Lost    uint64 // requests that got no answer
}

// Exchange sends p to a server that answers and returns the verified reply: authentication's servers for Access-Request
// and Status-Server, accounting's for Accounting-Request. Identifier, Authenticator and Message-Authenticator are made;
// p is not changed. The State of a reply leads the request that repeats it to the same server.
//
// A Disconnect-Request or CoA-Request (RFC 5176) goes to a Target that is an access server, whose Addr has the port for it,
// 3799. One without Event-Timestamp gets it.
//
// Passwords and MPPE keys are in clear in p and in the reply. ErrNoAnswer says that nobody answered within 30 seconds or
// ctx.
func (c *Client) Exchange(ctx context.Context, p *Packet) (*Packet, error) {
	if p.Code.isDynamic() {
		reply, _, err := c.exchange(ctx, dated(p), nil)
		return reply, err
	}
	only, p, err := c.unwrapState(p)
	if err != nil {
		return nil, err
	}
	reply, s, err := c.exchange(ctx, p, only)
	if err != nil {
		return nil, err
	}
	return reply, c.wrapState(reply, s)
}

// servers returns the targets' ports, made at the first call.
func (c *Client) servers(accounting bool) []*server {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.auth == nil {
		for i := range c.Targets {
			t := &c.Targets[i]
			if t.TLS != nil {
				s := c.newServer(i, withPort(t.Addr, "2083"))
				c.auth, c.acct = append(c.auth, s), append(c.acct, s)
				continue
			}
			acct := t.Acct
			if acct == "" {
				host, _, err := net.SplitHostPort(t.Addr)
				if err != nil {
					host = t.Addr
				}
				acct = withPort(host, "1813")
			}
			c.auth = append(c.auth, c.newServer(i, withPort(t.Addr, "1812")))
			if t.Unsigned {
				c.log().Warn("radius: Target.Unsigned: replies without Message-Authenticator are taken, which can be forged (CVE-2024-3596)", "server", t.Addr)
			}
			c.acct = append(c.acct, c.newServer(i, withPort(acct, "1813")))
		}
	}
	if accounting {
		return c.acct
	}
	return c.auth
}

func (c *Client) newServer(i int, addr string) *server {
	return &server{client: c, target: &c.Targets[i], index: i, addr: addr, dialling: make(chan struct{}, 1)}
}

func withPort(addr, port string) string {
	if _, _, err := net.SplitHostPort(addr); err == nil {
		return addr
	}
	if n := len(addr); n > 1 && addr[0] == '[' && addr[n-1] == ']' {
		addr = addr[1 : n-1]
	}
	return net.JoinHostPort(addr, port)
}

// Close closes the sockets; exchanges under way end. The next call opens them again.
func (c *Client) Close() error {
	for _, list := range [][]*server{c.servers(false), c.servers(true)} {
		for _, s := range list {
			s.close()
		}
	}
	return nil
}

// Stats returns counts per target: authentication's, then accounting's, each in the order of Targets. One with TLS has the
// same counts in both, of all that it is asked.
func (c *Client) Stats() []TargetStats {
	var all []TargetStats
	for _, list := range [][]*server{c.servers(false), c.servers(true)} {
		for _, s := range list {
			all = append(all, s.snapshot())
		}
	}
	return all
}

func (c *Client) log() *slog.Logger {
	if c.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return c.Logger
}
