package radius

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
)

// A Proxy passes requests on by the realm in their User-Name (RFC 2865 section 2.3); its Handle is a Server's Handler. It
// must not be copied, nor its fields changed, once it is used.
//
//	           Server: verified, in clear              Client: hidden and signed for the home server
//	NAS ─────▶ duplicate? ──▶ realm ──▶ loop? ──▶ Edit ──▶ + Proxy-State ──▶ home server, or the next
//	    ◀───── hidden and signed for the NAS ◀── Edit ◀── − Proxy-State ◀──
//
// Each hop has a secret, a Message-Authenticator and an Authenticator of its own: User-Password, Tunnel-Password and the
// MPPE keys are taken out of hiding and hidden anew, and a CHAP-Password whose challenge was the Request Authenticator gets
// it as CHAP-Challenge. EAP and all else pass as they are. The State of a challenge leads the next round to the same home
// server, also after this process was started again.
//
// A request that no home server answers is not answered: that is no refusal (RFC 5080 section 2.6.2). Status-Server is
// answered here.
//
// Disconnect and CoA requests of home servers go back to the access server that has the session (RFC 5176, RFC 8559), if
// Handle is a Dynamic's Handler, too: the Dynamic that serves UDP, and that of a Realm's Client by RadSec. The access server
// is known by its session's Acct-Session-Id, and by NAS-Identifier, NAS-IP-Address, NAS-IPv6-Address and Operator-Name, of
// requests that were passed on; a Proxy that was just started knows none but those that Back finds by NAS-IP-Address and
// NAS-IPv6-Address. A home server reaches sessions of its own realms alone. Operator-NAS-Identifier (RFC 8559 section 3.4), by
// which a proxy further on knows its access servers again, passes both ways; a Proxy makes none, for it leaves the access
// server's own names in requests.
type Proxy struct {
	// Realms are the ways by realm, without regard to ASCII case: of "user@realm", else of "REALM\user". A key "*.example.com"
	// is for every realm below example.com, "*" for those that are not listed, "" for names without a realm; where there is no
	// "*", "" is for both. What finds no Realm, or one without a Client, stays here. Accounting-On and -Off, which are about an
	// access server, go to all of them.
	Realms map[string]*Realm

	// Edit is the attribute filter: it may change requests before they are sent, and replies before they are given back, with
	// the key of Realms that was found. Secrets are in clear. nil changes nothing.
	Edit func(p *Packet, realm string)

	// Back says where an access server that asks by UDP, from this address, takes Disconnect and CoA requests: Addr, port 3799
	// if it has none, Secret, and TLS if it does so by RadSec. One that asks by RadSec itself has them back over its
	// connection. nil, and false, answer that there is no way (Error-Cause 502).
	Back func(nas netip.Addr) (Target, bool)
	Dial func(ctx context.Context, network, addr string) (net.Conn, error) // as Client.Dial, for Back

	Ways   *Ways        // what is known of access servers; nil means that each Proxy learns anew
	Logger *slog.Logger // nil is silent

	once   sync.Once
	mark   [markLen]byte     // begins this process' Proxy-States
	passed atomic.Uint32     // to access servers
	realms map[string]string // keys of Realms by their lower case
	own    Ways

	_ [0]func()
}

// A Realm is where requests of its users go.
type Realm struct {
	Client *Client // its home servers; nil: requests stay here
	Strip  bool    // cuts the realm off User-Name; where there is EAP, whose identity must be the same name, it stays

	// Spool takes accounting, which is then answered at once, and sends it for as long as it takes. Its Relay must be set,
	// and its Serve be running. nil: accounting is answered when a home server has answered.
	Spool *Accounting

	// MaxPending is how many requests may wait for home servers; more are dropped, so that a realm that does not answer
	// leaves a Server room for the others. 0 means 512, half of what a Server works at.
	MaxPending int

	// Dynamic are addresses from which its Disconnect and CoA requests come by UDP, beside those of Client's Targets.
	Dynamic []netip.Prefix

	waiting atomic.Int32
}

const (
	markLen  = 12
	mostHops = 16 // Proxy-States in a request: RFC 2865 sets no limit, and a loop of other proxies has no end
)

func (p *Proxy) start() {
	rand.Read(p.mark[:])
	p.realms = make(map[string]string, len(p.Realms))
	for key := range p.Realms {
		p.realms[lower(key)] = key
	}
}

// Handle is a Handler, of a Server and of a Dynamic: it passes on Access-Requests and Accounting-Requests of realms that
// have home servers, and what those ask of access servers. It leaves the others to the Server, or Dynamic.
func (p *Proxy) Handle(ctx context.Context, from netip.AddrPort, q *Packet) (*Packet, error) {
	p.once.Do(p.start)
	if q.Code.isDynamic() {
		return p.toAccess(ctx, from, q)
	}
	if q.Code != AccessRequest && q.Code != AccountingRequest {
		return nil, nil
	}
	if concernsAll(q) {
		return p.everywhere(ctx, from, q)
	}
	key, user := p.route(q.text(UserName))
	realm := p.Realms[key]
	if realm == nil || realm.Client == nil {
		return nil, nil
	}
	if err := p.loops(q); err != nil {
		p.log().Error("radius: request not passed on", "from", from, "realm", key, "err", err)
		if q.Code == AccessRequest {
			return refusal(q), nil
		}
		return nil, ErrDrop
	}
	return p.pass(ctx, from, q, realm, key, user)
}

// pass asks a realm's home servers.
func (p *Proxy) pass(ctx context.Context, from netip.AddrPort, q *Packet, realm *Realm, key, user string) (*Packet, error) {
	r := q.clone()
	p.prepare(r, realm, key, user)
	p.ways().learn(ctx, from, r, key)
	if q.Code == AccountingRequest && realm.Spool != nil {
		if err := realm.Spool.Forward(r); err != nil {
			return nil, err
		}
		return &Packet{Code: AccountingResponse}, nil
	}
	if !realm.enter() {
		return nil, fmt.Errorf("realm %q: too many requests wait for its home servers", key)
	}
	defer realm.waiting.Add(-1)
	reply, err := realm.Client.Exchange(ctx, r)
	if err == nil && q.Code == AccountingRequest {
		err = received(reply)
	}
	if err != nil {
		return nil, fmt.Errorf("realm %q: %w", key, err)
	}
	// The Server gives back those that came, in their order.
	reply.Remove(ProxyState)
	if p.Edit != nil {
		p.Edit(reply, key)
	}
	return reply, nil
}

// enter counts a request that waits, if there is room.
func (r *Realm) enter() bool {
	most := r.MaxPending
	if most <= 0 {
		most = 512
	}
	if int(r.waiting.Add(1)) > most {
		r.waiting.Add(-1)
		return false
	}
	return true
}

// concernsAll reports whether a request is Accounting-On or -Off, which ends sessions of everybody (RFC 2866 section 5.1).
func concernsAll(q *Packet) bool {
	status, _ := q.uint32(AcctStatusType)
	return q.Code == AccountingRequest && (status == statusOn || status == statusOff)
}

// everywhere passes a request on to all home servers' realms. It is answered when each has answered, by the Server if a
// realm stays here.
func (p *Proxy) everywhere(ctx context.Context, from netip.AddrPort, q *Packet) (*Packet, error) {
	if err := p.loops(q); err != nil {
		p.log().Error("radius: request not passed on", "from", from, "err", err)
		return nil, ErrDrop
	}
	type way struct {
		client *Client
		spool  *Accounting
	}
	asked := make(map[way]bool)
	stays := false
	var mu sync.Mutex
	var errs []error
	var wg sync.WaitGroup
	for key, realm := range p.Realms {
		if realm == nil || realm.Client == nil {
			stays = true
			continue
		}
		if w := (way{realm.Client, realm.Spool}); !asked[w] {
			asked[w] = true
			wg.Go(func() {
				_, err := p.pass(ctx, from, q, realm, key, "")
				mu.Lock()
				errs = append(errs, err)
				mu.Unlock()
			})
		}
	}
	wg.Wait()
	switch err := errors.Join(errs...); {
	case err != nil:
		return nil, err
	case stays || len(asked) == 0:
		return nil, nil
	}
	return &Packet{Code: AccountingResponse}, nil
}

// prepare makes of a request what the home server is to see.
func (p *Proxy) prepare(r *Packet, realm *Realm, key, user string) {
	if _, ok := r.Get(CHAPPassword); ok {
		if _, ok := r.Get(CHAPChallenge); !ok {
			r.Add(CHAPChallenge, r.Authenticator[:]) // RFC 2865 section 5.3: the next hop's is another
		}
	}
	if _, eap := r.Get(EAPMessage); realm.Strip && !eap {
		r.replace(UserName, []byte(user))
	}
	if p.Edit != nil {
		p.Edit(r, key)
	}
	r.Add(ProxyState, p.mark[:])
}

// loops reports a request that has been here already, or has come a long way.
func (p *Proxy) loops(q *Packet) error {
	hops := 0
	for a, v := range q.All() {
		if a != ProxyState {
			continue
		}
		if hops++; !mayPassOn(hops, strings.HasPrefix(string(v), string(p.mark[:]))) {
			if hops > mostHops {
				return fmt.Errorf("radius: a request that has passed %d proxies: it loops", mostHops)
			}
			return errors.New("radius: a request that has passed here already: it loops")
		}
	}
	return nil
}

// refusal is an Access-Reject that is not an Authenticator's.
func refusal(q *Packet) *Packet {
	eap, _ := q.concat(EAPMessage)
	return eapRejected(eap)
}

func (p *Proxy) log() *slog.Logger {
	if p.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return p.Logger
}
