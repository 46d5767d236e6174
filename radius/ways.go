package radius

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Ways are where access servers are, and which sessions they have, as their requests have shown a Proxy. It lets a Proxy
// that takes another's place go on with what that knew. The zero Ways knows nothing. It remembers some thousands of access
// servers and the last hundred thousand sessions.
type Ways struct {
	mu       sync.Mutex
	servers  generations[serverKey]
	sessions generations[string] // by Acct-Session-Id
}

// A serverKey is one of the names of an access server.
type serverKey struct {
	attr  Attr
	value string
}

// namesOfServers are attributes that name access servers, RFC 5176 section 3, or the network that they are in, RFC 8559
// section 3.1.
var namesOfServers = [...]Attr{NASIdentifier, NASIPAddress, NASIPv6Address, OperatorName}

const (
	mostServers  = 4096  // in a generation
	mostSessions = 50000 // the same
	mostWays     = 8     // under one name
	forgetAfter  = time.Hour
)

// A backway leads to an access server.
type backway struct {
	addr   netip.Addr // from which it asks by UDP
	server *Server    // by RadSec
	name   string     // of its certificate
}

// A wayback is what was seen of a way.
type wayback struct {
	backway
	realm string // whose session it is
	heard time.Time
}

// learn notes where a request came from that is passed on.
func (w *Ways) learn(ctx context.Context, from netip.AddrPort, r *Packet, realm string) {
	way := wayback{backway: backway{addr: from.Addr()}, heard: time.Now()}
	if a, ok := ctx.Value(stateKey{}).(*arrival); ok {
		i := slices.IndexFunc(certificateNames(a.state), func(s string) bool { return s != "" })
		if i < 0 {
			return // it cannot be called
		}
		way.backway = backway{server: a.server, name: certificateNames(a.state)[i]}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range namesOfServers {
		if v, ok := r.Get(a); ok {
			w.servers.add(serverKey{a, string(v)}, way, mostServers)
		}
	}
	id, ok := r.Get(AcctSessionID)
	way.realm = realm
	switch status, _ := r.uint32(AcctStatusType); {
	case !ok || status == statusOn || status == statusOff:
	case status == statusStop:
		w.sessions.remove(string(id), way)
	default:
		w.sessions.add(string(id), way, mostSessions)
	}
}

// access returns the ways to the access server that a request names; ok: one of its names is known.
func (w *Ways) access(q *Packet) (list []backway, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range namesOfServers {
		v, there := q.Get(a)
		if !there {
			continue
		}
		seen := w.servers.get(serverKey{a, string(v)})
		if len(seen) == 0 {
			continue // the access server itself looks whether it is meant
		}
		var these []backway
		for _, x := range seen {
			if !ok || slices.Contains(list, x.backway) {
				these = append(these, x.backway)
			}
		}
		list, ok = these, true
	}
	return list, ok
}

// session returns the session of one of some realms whose id a request has, if there is one alone.
func (w *Ways) session(q *Packet, realms map[string]*Realm) (s wayback, ok bool) {
	id, ok := q.Get(AcctSessionID)
	if !ok {
		return s, false
	}
	servers, named := w.access(q)
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, x := range w.sessions.get(string(id)) {
		if realms[x.realm] != nil && (!named || slices.Contains(servers, x.backway)) {
			s = x
			n++
		}
	}
	return s, n == 1
}

// generations keep what was added of late: what the older one has goes when the younger is full.
type generations[K comparable] struct{ young, old map[K][]wayback }

func (g *generations[K]) get(key K) []wayback {
	if list, ok := g.young[key]; ok {
		return list
	}
	return g.old[key]
}

// add puts a way under a key. Others under it that were not heard of for long are where the access server was before.
func (g *generations[K]) add(key K, way wayback, most int) {
	list := []wayback{way}
	for _, x := range g.get(key) {
		if (x.backway != way.backway || x.realm != way.realm) && way.heard.Sub(x.heard) < forgetAfter && len(list) < mostWays {
			list = append(list, x)
		}
	}
	if _, ok := g.young[key]; !ok && len(g.young) >= most || g.young == nil {
		g.young, g.old = make(map[K][]wayback), g.young
	}
	g.young[key] = list
}

// remove takes a way out from under a key.
func (g *generations[K]) remove(key K, way wayback) {
	list := slices.DeleteFunc(slices.Clone(g.get(key)), func(x wayback) bool { return x.backway == way.backway && x.realm == way.realm })
	delete(g.old, key)
	if len(list) > 0 {
		g.young[key] = list
		return
	}
	delete(g.young, key)
}
