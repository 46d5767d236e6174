package ppp

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"sync"
)

// A Sessions is the set of open links, by user, ID and address. The zero Sessions is empty and ready; its methods may be
// called from any goroutine. A Conn is in it from before Open returns until the link is over. What an iterator gives is
// what was open when it began; links may come and go meanwhile.
type Sessions struct {
	mu    sync.Mutex
	seq   uint64
	conns map[*Conn]*session
	ids   map[string]*session
	users map[string][]*session       // by poolUser's rule: ASCII case does not count
	addrs map[netip.Prefix][]*session // the newest last: it is who has the address
	sizes map[int]int                 // how many of addrs have which length; IPv6's from 200 on
}

// A session is what Sessions knows of a Conn.
type session struct {
	conn    *Conn
	seq     uint64
	id      string
	user    string
	addrs   []netip.Prefix
	leaving bool // it was ended to make room
}

// All gives every open link, in the order of their opening.
func (s *Sessions) All() iter.Seq[*Conn] {
	return func(yield func(*Conn) bool) {
		s.mu.Lock()
		list := make([]*session, 0, len(s.conns))
		for _, x := range s.conns {
			list = append(list, x)
		}
		s.mu.Unlock()
		slices.SortFunc(list, func(a, b *session) int { return cmp.Compare(a.seq, b.seq) })
		each(list, yield)
	}
}

// User gives the open links of one Grant.User, in the order of their opening. The case of ASCII letters does not count.
func (s *Sessions) User(name string) iter.Seq[*Conn] {
	return func(yield func(*Conn) bool) {
		s.mu.Lock()
		list := slices.Clone(s.users[lowerASCII(name)])
		s.mu.Unlock()
		each(list, yield)
	}
}

func each(list []*session, yield func(*Conn) bool) {
	for _, x := range list {
		if !yield(x.conn) {
			return
		}
	}
}

// ID returns the open link with a Call.ID; nil: none.
func (s *Sessions) ID(id string) *Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ids[id].get()
}

func (x *session) get() *Conn {
	if x == nil {
		return nil
	}
	return x.conn
}

// Addr returns the open link whose far side has an address, or, at a server, the smallest prefix with it; nil: none. If
// several have it, the newest counts.
func (s *Sessions) Addr(a netip.Addr) *Conn {
	a = a.Unmap().WithZone("")
	s.mu.Lock()
	defer s.mu.Unlock()
	for bits := a.BitLen(); bits >= 0; bits-- {
		if p, err := a.Prefix(bits); err == nil && s.sizes[sizeKey(p)] > 0 {
			if list := s.addrs[p]; len(list) > 0 {
				return list[len(list)-1].conn
			}
		}
	}
	return nil
}

// sizeKey tells lengths of both families apart.
func sizeKey(p netip.Prefix) int {
	if p.Addr().Is4() {
		return p.Bits()
	}
	return 200 + p.Bits()
}

// Len returns how many links are open.
func (s *Sessions) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// add and remove are called by Conn: add when the link is open (it applies Grant.MaxSessions and Replace, and refuses
// with an *AuthError), remove once, when it ends.
func (s *Sessions) add(c *Conn) error {
	info := c.Info()
	x := &session{conn: c, id: info.Call.ID, user: lowerASCII(info.User), addrs: peerPrefixes(c, &info)}
	leave, err := s.enter(x, c.Grant())
	for _, old := range leave {
		old.conn.Terminate(AdminReset, "replaced by a newer session of the same user")
	}
	return err
}

// peerPrefixes is by what addresses a Conn is found. A client's far side may send from anywhere, but has one address.
func peerPrefixes(c *Conn, i *Info) (list []netip.Prefix) {
	if i.Peer.IsValid() {
		list = append(list, netip.PrefixFrom(i.Peer, i.Peer.BitLen()))
	}
	if !c.server {
		return list
	}
	for _, p := range c.Prefixes() {
		if p = p.Masked(); p.IsValid() && !slices.Contains(list, p) {
			list = append(list, p)
		}
	}
	return list
}

// enter lists x, unless its user has too many sessions; leave is who has to go for it.
func (s *Sessions) enter(x *session, g *Grant) (leave []*session, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if g != nil && g.MaxSessions > 0 {
		if x.user == "" {
			return nil, &AuthError{Err: errors.New("Grant.MaxSessions cannot be kept: nobody has proved a user name")}
		}
		var stay []*session
		for _, o := range s.users[x.user] {
			if !o.leaving {
				stay = append(stay, o)
			}
		}
		many := len(stay) + 1 - g.MaxSessions
		if many > 0 && !g.Replace {
			return nil, &AuthError{Err: fmt.Errorf("%q has %d sessions, and may have %d", x.user, len(stay), g.MaxSessions)}
		}
		for _, o := range stay[:max(many, 0)] {
			o.leaving = true
			leave = append(leave, o)
		}
	}
	s.list(x)
	return leave, nil
}

func (s *Sessions) list(x *session) {
	if s.conns == nil {
		s.conns, s.ids, s.sizes = make(map[*Conn]*session), make(map[string]*session), make(map[int]int)
		s.users, s.addrs = make(map[string][]*session), make(map[netip.Prefix][]*session)
	}
	s.seq++
	x.seq = s.seq
	s.conns[x.conn] = x
	s.ids[x.id] = x
	if x.user != "" {
		s.users[x.user] = append(s.users[x.user], x)
	}
	for _, p := range x.addrs {
		s.addrs[p] = append(s.addrs[p], x)
		s.sizes[sizeKey(p)]++
	}
}

func (s *Sessions) remove(c *Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := s.conns[c]
	if x == nil {
		return
	}
	delete(s.conns, c)
	if s.ids[x.id] == x {
		delete(s.ids, x.id)
	}
	without(s.users, x.user, x)
	for _, p := range x.addrs {
		without(s.addrs, p, x)
		s.sizes[sizeKey(p)]--
	}
}

// without takes x out of a list in a map, and the list out of the map when nothing is left.
func without[K comparable](m map[K][]*session, key K, x *session) {
	list := slices.DeleteFunc(m[key], func(o *session) bool { return o == x })
	if len(list) == 0 {
		delete(m, key)
		return
	}
	m[key] = list
}
