package ppp

import (
	"container/list"
	"encoding/binary"
	"net/netip"
	"slices"
)

// An lruPool gives numbers of a set, which are IPv4 addresses or the upper halves of IPv6 addresses: those that were
// never given first, then those that were given back longest ago. It has an entry for what was ever given, up to
// maxFree of those that are free; nothing for the rest of the set.
type lruPool struct {
	what  string
	bits  int // of the prefixes that are given: 32 or 64
	set   spans
	total uint64
	used  uint64

	span    int    // where the numbers begin that were never given
	next    uint64 // in set[span]
	entries map[uint64]*poolEntry
	free    *list.List // of *poolEntry, the least recently used in front
	users   map[string][]*poolEntry
}

// maxFree is how many free entries are remembered before the oldest is given again in place of a number that was never
// given.
const maxFree = 1 << 16

// maxPerUser is how many entries are found by one user's name.
const maxPerUser = 8

// A poolEntry is a number that was given.
type poolEntry struct {
	pool   *lruPool
	number uint64
	used   bool
	user   string        // who has it, or had it last; empty: not remembered
	place  *list.Element // in free, when not used
}

func newLRUPool(what string, set spans, bits int) lruPool {
	l := lruPool{what: what, bits: bits, set: set, total: set.size()}
	if len(set) > 0 {
		l.next = set[0].first
		l.entries, l.users, l.free = make(map[uint64]*poolEntry), make(map[string][]*poolEntry), list.New()
	}
	return l
}

// take gives user a number: one it had, else one never given, else the one given back longest ago. nil: there is none.
func (l *lruPool) take(user string) *poolEntry {
	e := l.had(user)
	if e == nil && l.free.Len() < maxFree {
		e = l.fresh()
	}
	if e == nil {
		front := l.free.Front()
		if front == nil {
			return nil
		}
		e = front.Value.(*poolEntry)
	}
	if e.place != nil {
		l.free.Remove(e.place)
		e.place = nil
	}
	e.used = true
	l.used++
	l.own(e, user)
	return e
}

// had returns a free number that user had before.
func (l *lruPool) had(user string) *poolEntry {
	for _, e := range l.users[user] {
		if !e.used {
			return e
		}
	}
	return nil
}

// fresh makes an entry for the next number that has none.
func (l *lruPool) fresh() *poolEntry {
	for l.span < len(l.set) {
		n := l.next
		if n == l.set[l.span].last {
			if l.span++; l.span < len(l.set) {
				l.next = l.set[l.span].first
			}
		} else {
			l.next++
		}
		if l.entries[n] == nil {
			return l.enter(n)
		}
	}
	return nil
}

func (l *lruPool) enter(n uint64) *poolEntry {
	e := &poolEntry{pool: l, number: n}
	l.entries[n] = e
	return e
}

// own makes e the user's, and nobody else's.
func (l *lruPool) own(e *poolEntry, user string) {
	if e.user == user {
		return
	}
	if e.user != "" {
		rest := slices.DeleteFunc(l.users[e.user], func(x *poolEntry) bool { return x == e })
		if len(rest) == 0 {
			delete(l.users, e.user)
		} else {
			l.users[e.user] = rest
		}
	}
	e.user = ""
	if user != "" && len(l.users[user]) < maxPerUser {
		e.user = user
		l.users[user] = append(l.users[user], e)
	}
}

// put takes a number back.
func (l *lruPool) put(e *poolEntry) {
	e.used = false
	l.used--
	e.place = l.free.PushBack(e)
}

// restore remembers that user had a.
func (l *lruPool) restore(a netip.Prefix, user string) {
	n, ok := l.number(a)
	if !ok || l.entries[n] != nil || l.free.Len() >= maxFree {
		return
	}
	e := l.enter(n)
	e.place = l.free.PushBack(e)
	l.own(e, user)
}

// find returns the entry of a, nil without.
func (l *lruPool) find(a netip.Prefix) *poolEntry {
	n, ok := l.number(a)
	if !ok {
		return nil
	}
	return l.entries[n]
}

// number returns what number a has in this pool.
func (l *lruPool) number(a netip.Prefix) (n uint64, ok bool) {
	if a.Bits() != l.bits || a.Addr().Is4() != (l.bits == 32) || a != a.Masked() {
		return 0, false
	}
	n = number(a.Addr())
	return n, l.set.has(n)
}

// number is the 32 bits of an IPv4 address, the upper 64 of an IPv6 address.
func number(a netip.Addr) uint64 {
	if a.Is4() {
		b := a.As4()
		return uint64(binary.BigEndian.Uint32(b[:]))
	}
	b := a.As16()
	return binary.BigEndian.Uint64(b[:])
}

func (e *poolEntry) prefix() netip.Prefix {
	if e.pool.bits == 32 {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], uint32(e.number))
		return netip.PrefixFrom(netip.AddrFrom4(b), 32)
	}
	var b [16]byte
	binary.BigEndian.PutUint64(b[:], e.number)
	return netip.PrefixFrom(netip.AddrFrom16(b), 64)
}

// all4 is every address of an IPv4 prefix.
func all4(p netip.Prefix) span {
	first := number(p.Addr())
	return span{first, first | (1<<(32-p.Bits()) - 1)}
}

// nets6 is every /64 of an IPv6 prefix, or the one that a longer prefix is in.
func nets6(p netip.Prefix) span {
	first := number(p.Addr())
	if p.Bits() >= 64 {
		return span{first, first}
	}
	return span{first, first | (1<<(64-p.Bits()) - 1)}
}
