package radius

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"
)

// Disconnect and CoA requests go against the stream (RFC 5176, RFC 8559): from a home server to the access server that has
// the session. Where that is, requests of access servers have shown.
//
//	home server ──▶ of whose realm? ──▶ its user's, or its session? ──▶ which access server? ──▶ Edit ──▶ + Proxy-State ──▶
//	                  │ nobody's                │ neither                  │ unknown, or several
//	                  └▶ not ours               └▶ none, or NAK 402        └▶ NAK 502
//
// One that asks by RadSec is sent to over its own connection, one that asks by UDP where Proxy.Back says.

// toAccess passes a request on, and gives back what the access server answers.
func (p *Proxy) toAccess(ctx context.Context, from netip.AddrPort, q *Packet) (*Packet, error) {
	realms := p.realmsOf(ctx, from.Addr())
	if len(realms) == 0 {
		return nil, nil
	}
	if err := p.loops(q); err != nil {
		p.log().Error("radius: request not passed on", "from", from, "err", err)
		return nil, ErrDrop
	}
	session, known := p.ways().session(q, realms)
	key, of := p.userOf(q, realms)
	if known {
		key = session.realm
	}
	if !mayGoBack(of, known) {
		if _, named := q.Get(UserName); named {
			// RFC 5176 section 6.1, the check of the reverse path: silently.
			return nil, fmt.Errorf("%v for %q, who is no user of the home server that sends it", q.Code, q.text(UserName))
		}
		return p.refuse(from, q, nakMissing, "it has no User-Name, and no Acct-Session-Id that has passed here"), nil
	}
	way := session.backway
	if !known {
		list, ok := p.ways().access(q)
		if !ok {
			list = p.addressed(q)
		}
		if len(list) != 1 {
			return p.refuse(from, q, nakNotRoutable, fmt.Sprintf("%d access servers fit what it says of one", len(list))), nil
		}
		way = list[0]
	}
	r := q.clone()
	if realm := p.Realms[key]; realm != nil && realm.Strip {
		r.Remove(UserName) // the access server knows it with its realm; the session is named without
	}
	if p.Edit != nil {
		p.Edit(r, key)
	}
	// Two that ask the same within a second must not be the same packet, which would act once.
	r.Add(ProxyState, binary.BigEndian.AppendUint32(clone(p.mark[:]), p.passed.Add(1)))
	reply, err := p.send(ctx, way, r)
	switch {
	case errors.Is(err, ErrNotConnected) || errors.Is(err, errNoWay):
		return p.refuse(from, q, nakNotRoutable, err.Error()), nil
	case err != nil:
		return nil, fmt.Errorf("realm %q: %w", key, err)
	}
	reply.Remove(ProxyState)
	if p.Edit != nil {
		p.Edit(reply, key)
	}
	return reply, nil
}

// refuse is a NAK of the Proxy's own.
func (p *Proxy) refuse(from netip.AddrPort, q *Packet, cause nak, why string) *Packet {
	p.log().Warn("radius: request not passed on to an access server", "from", from, "code", q.Code.String(), "user", q.text(UserName), "why", why)
	r := &Packet{Code: DisconnectNAK}
	if q.Code == CoARequest {
		r.Code = CoANAK
	}
	r.addUint32(ErrorCause, uint32(cause))
	return r
}

// realmsOf returns the realms, by key, of which one is a home server.
func (p *Proxy) realmsOf(ctx context.Context, from netip.Addr) map[string]*Realm {
	over, _ := ctx.Value(clientKey{}).(*Client)
	realms := make(map[string]*Realm)
	for key, r := range p.Realms {
		if r == nil || r.Client == nil {
			continue
		}
		home := over == r.Client
		if over == nil {
			home = slices.ContainsFunc(r.Dynamic, func(x netip.Prefix) bool { return x.Contains(from) }) || r.Client.asks(ctx, from)
		}
		if home {
			realms[key] = r
		}
	}
	return realms
}

// asks reports whether an address is a Target's.
func (c *Client) asks(ctx context.Context, from netip.Addr) bool {
	for _, s := range c.servers(false) {
		host, _, err := net.SplitHostPort(s.addr)
		if err != nil {
			continue
		}
		if a, err := netip.ParseAddr(host); err == nil {
			if a.Unmap() == from {
				return true
			}
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, lookUpTime)
		list, _ := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		cancel()
		for _, a := range list {
			if a.Unmap() == from {
				return true
			}
		}
	}
	return false
}

const lookUpTime = 5 * time.Second

// userOf returns the key of the realm whose user a request names, if that is one of these. A name whose realm was cut off
// might be anybody's.
func (p *Proxy) userOf(q *Packet, realms map[string]*Realm) (key string, ok bool) {
	name, named := q.Get(UserName)
	if !named {
		return "", false
	}
	key, _ = p.route(string(name))
	r := realms[key]
	return key, r != nil && !r.Strip
}

// addressed is an access server of which nothing was heard yet, at the address by which it is named.
func (p *Proxy) addressed(q *Packet) []backway {
	for _, a := range [...]Attr{NASIPAddress, NASIPv6Address} {
		v, _ := q.Get(a)
		addr, ok := netip.AddrFromSlice(v)
		if !ok || p.Back == nil {
			continue
		}
		if _, ok := p.Back(addr.Unmap()); ok {
			return []backway{{addr: addr.Unmap()}}
		}
	}
	return nil
}

var errNoWay = errors.New("radius: the access server takes no requests by UDP")

// send sends a request to an access server.
func (p *Proxy) send(ctx context.Context, w backway, r *Packet) (*Packet, error) {
	if w.server != nil {
		return w.server.Send(ctx, w.name, r)
	}
	if p.Back == nil {
		return nil, errNoWay
	}
	t, ok := p.Back(w.addr)
	if !ok {
		return nil, errNoWay
	}
	if t.TLS == nil {
		t.Addr = withPort(t.Addr, "3799")
	}
	c := &Client{Targets: []Target{t}, Dial: p.Dial}
	defer c.Close()
	return c.Exchange(ctx, r)
}

func (p *Proxy) ways() *Ways {
	if p.Ways != nil {
		return p.Ways
	}
	return &p.own
}
