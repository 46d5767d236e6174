package ppp

import (
	"container/list"
	"encoding/binary"
	"net/netip"
	"slices"
	"time"
)

// An lruPool gives numbers of a set, each of which is a prefix of one length: those that were never given first, then those
// that were given back longest ago. It has an entry for what was ever given, up to maxFree of those that are free; nothing
// for the rest of the set.
//
//	              take ┌────────┐ put                  ┌───────────────┐
//	never given ──────►│ in use ├─────────────────────►│ free, in order├──► take, by its user at once
//	                   └┬───▲──┬┘                      └───────────────┘         by others the oldest, rested
//	  of its user alone │   │  │ put, of a claimed one ┌───────────────┐
//	  ┌───────┐ put     │   │  └──────────────────────►│ kept, in order├──► claim; take, when nothing else is left
//	  │ fixed │◄────────┘   │ take                     └───────────────┘
//	  └───────┴─────────────┘
type lruPool struct {
	kind  string // kindIPv4, kindIPv6 or kindDelegated
	bits  int    // of the prefixes that are given: 32, or up to 64, or 128 of one /64
	upper uint64 // of that /64
	set   spans
	total uint64 // without those that are fixed
	used  uint64 // without those that are fixed

	span    int    // where the numbers begin that were never given
	next    uint64 // in set[span]
	entries map[uint64]*poolEntry
	free    *list.List // of *poolEntry, the least recently used in front
	held    *list.List // of *poolEntry that was in use when an earlier process ended
	kept    *list.List // of *poolEntry that Grants gave
	users   map[string][]*poolEntry
	fixedOf map[string][]*poolEntry
}

// maxFree is how many free entries are remembered before the oldest is given again in place of a number that was never
// given.
const maxFree = 1 << 16

// maxPerUser is how many entries are found by one user's name.
const maxPerUser = 8

// A poolEntry is a number that was given, or is fixed.
type poolEntry struct {
	pool    *lruPool
	number  uint64
	users   int           // sessions that have it; several only if it was claimed
	fixed   bool          // its user's alone
	claimed bool          // a Grant gave it
	user    string        // who has it, or had it last; empty: not remembered
	place   *list.Element // in free or kept, when not used
	since   time.Time     // when it was given back
}

func newLRUPool(kind string, set spans, bits int) lruPool {
	l := lruPool{
		kind: kind, bits: bits, set: set, total: set.size(), free: list.New(), held: list.New(), kept: list.New(),
		entries: make(map[uint64]*poolEntry), users: make(map[string][]*poolEntry), fixedOf: make(map[string][]*poolEntry),
	}
	if len(set) > 0 {
		l.next = set[0].first
	}
	return l
}

// take gives user a number: one that is fixed, else one it had, else one never given, else the one given back longest ago
// if that has rested. nil: there is none.
func (l *lruPool) take(user string, now time.Time, rest time.Duration) *poolEntry {
	if user != "" {
		for _, e := range l.fixedOf[user] {
			if e.users == 0 {
				e.users = 1
				return e
			}
		}
	}
	e := l.had(user)
	if e == nil && l.free.Len() < maxFree {
		e = l.fresh()
	}
	if e == nil {
		e = l.rested(l.free, now, rest)
	}
	if e == nil {
		e = l.fresh() // so many rest that the oldest does, too
	}
	if e == nil {
		e = l.rested(l.held, now, rest)
	}
	if e == nil {
		e = l.rested(l.kept, now, rest)
	}
	if e == nil {
		return nil
	}
	e.claimed = false
	l.use(e, user)
	return e
}

func (l *lruPool) use(e *poolEntry, user string) {
	l.leave(e)
	e.users = 1
	l.used++
	l.own(e, user)
}

// lists are the lists of what is not in use, in the order in which it is given.
func (l *lruPool) lists() [3]*list.List { return [3]*list.List{l.free, l.held, l.kept} }

// leave takes e out of the list that it is in.
func (l *lruPool) leave(e *poolEntry) {
	if e.place != nil {
		for _, x := range l.lists() {
			x.Remove(e.place) // does nothing to another list's
		}
		e.place = nil
	}
}

// rested returns the entry in front if it may be another's by now.
func (l *lruPool) rested(from *list.List, now time.Time, rest time.Duration) *poolEntry {
	front := from.Front()
	if front == nil {
		return nil
	}
	e := front.Value.(*poolEntry)
	if now.Sub(e.since) < rest {
		return nil
	}
	return e
}

// claim gives user a number that a Grant names. nil: somebody else has it.
func (l *lruPool) claim(a netip.Prefix, user string) *poolEntry {
	n, _ := l.number(a)
	e := l.entries[n]
	switch {
	case e == nil:
		e = l.enter(n)
	case e.users > 0 || e.fixed:
		if user == "" || e.user != user {
			return nil
		}
		e.users++
		return e
	}
	e.claimed = true
	l.use(e, user)
	return e
}

// had returns a free number that user had before.
func (l *lruPool) had(user string) *poolEntry {
	for _, e := range l.users[user] {
		if e.users == 0 {
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
	l.disown(e)
	if user != "" && len(l.users[user]) < maxPerUser {
		e.user = user
		l.users[user] = append(l.users[user], e)
	}
}

// disown makes e nobody's.
func (l *lruPool) disown(e *poolEntry) {
	if e.user != "" {
		rest := slices.DeleteFunc(l.users[e.user], func(x *poolEntry) bool { return x == e })
		if len(rest) == 0 {
			delete(l.users, e.user)
		} else {
			l.users[e.user] = rest
		}
	}
	e.user = ""
}

// put takes a number back from one session.
func (l *lruPool) put(e *poolEntry, now time.Time) {
	if e.users--; e.users > 0 || e.fixed {
		return
	}
	e.since = now
	l.used--
	switch {
	case !l.set.has(e.number):
		l.forget(e) // was fixed when it was given
	case e.claimed:
		e.place = l.kept.PushBack(e)
	default:
		e.place = l.free.PushBack(e)
	}
}

// forget drops an entry that is in no list.
func (l *lruPool) forget(e *poolEntry) {
	l.disown(e)
	delete(l.entries, e.number)
}

// restore remembers that user had a until since, which is zero or, if it was in use when an earlier process ended, to come.
func (l *lruPool) restore(a netip.Prefix, user string, since time.Time) {
	to := l.free
	if !since.IsZero() {
		to = l.held
	}
	n, ok := l.number(a)
	if !ok || !l.set.has(n) || l.entries[n] != nil || to == l.free && to.Len() >= maxFree {
		return
	}
	e := l.enter(n)
	e.since = since
	e.place = to.PushBack(e)
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

// holds reports whether a can be given here.
func (l *lruPool) holds(a netip.Prefix) bool {
	n, ok := l.number(a)
	return ok && (l.set.has(n) || l.entries[n] != nil)
}

// number returns what number a has in this pool.
func (l *lruPool) number(a netip.Prefix) (n uint64, ok bool) {
	if a.Bits() != l.bits || a.Addr().Is4() != (l.kind == kindIPv4) || a != a.Masked() {
		return 0, false
	}
	if l.bits == 128 && number(a.Addr(), 64) != l.upper {
		return 0, false
	}
	return number(a.Addr(), l.bits), true
}

// number is the first bits of an address, of an IPv6 address up to 64; of a whole one, its interface identifier.
func number(a netip.Addr, bits int) uint64 {
	if a.Is4() {
		b := a.As4()
		return uint64(binary.BigEndian.Uint32(b[:]))
	}
	b := a.As16()
	if bits == 128 {
		return binary.BigEndian.Uint64(b[8:])
	}
	return binary.BigEndian.Uint64(b[:]) >> (64 - bits)
}

func (e *poolEntry) prefix() netip.Prefix {
	l := e.pool
	if l.kind == kindIPv4 {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], uint32(e.number))
		return netip.PrefixFrom(netip.AddrFrom4(b), 32)
	}
	var b [16]byte
	if l.bits == 128 {
		binary.BigEndian.PutUint64(b[:], l.upper)
		binary.BigEndian.PutUint64(b[8:], e.number)
	} else {
		binary.BigEndian.PutUint64(b[:], e.number<<(64-l.bits))
	}
	return netip.PrefixFrom(netip.AddrFrom16(b), l.bits)
}
