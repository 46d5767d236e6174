package tunnel

import (
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
	"net/netip"
	"sync/atomic"
)

// A hosts is the routes to single addresses, which are what sessions have. The zero hosts is empty.
//
//	hash of the address ──▶ slots: ... nil │ host │ host, of which no route is left │ nil ...
//
// Readers take no lock: a slot is nil, or leads to a host that is not changed any more. A search ends at the first nil, so a
// slot never becomes nil again: an address without routes keeps its own, for when it is given to the next session, until the
// slots are laid out anew.
type hosts struct {
	slots atomic.Pointer[slots] // nil: none yet
	used  int                   // slots that are not nil; of writers
	live  int                   // those with a route
}

// A slots is a hash table, at most a quarter full: most searches for an address that has no route of its own look at one slot,
// and at nothing behind it.
type slots struct {
	seed [2]uint64 // an address's owner may choose it: not where it lands
	list []atomic.Pointer[host]
}

// A host is an address and what leads there.
type host struct {
	addr key
	hop  hop
}

// A key is an address as a number, IPv4's in ::ffff:0:0/96, where Unmap leaves nothing else.
type key struct{ high, low uint64 }

func keyOf(a netip.Addr) key {
	b := a.As16()
	return key{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

func (k key) addr() netip.Addr {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], k.high)
	binary.BigEndian.PutUint64(b[8:], k.low)
	return netip.AddrFrom16(b).Unmap()
}

// find returns an address's slot, or the one that it would have.
func (s *slots) find(k key) *atomic.Pointer[host] {
	high, low := bits.Mul64(k.high^s.seed[0], k.low^s.seed[1])
	for i := high ^ low; ; i++ {
		slot := &s.list[i&uint64(len(s.list)-1)]
		if h := slot.Load(); h == nil || h.addr == k {
			return slot
		}
	}
}

// get returns what leads to an address, which is not IPv4-mapped.
func (t *hosts) get(a netip.Addr) hop {
	if s := t.slots.Load(); s != nil && a.IsValid() {
		if h := s.find(keyOf(a)).Load(); h != nil {
			return h.hop
		}
	}
	return hop{}
}

// set makes h what leads to an address.
func (t *hosts) set(a netip.Addr, h hop) {
	s, k := t.slots.Load(), keyOf(a)
	if s == nil || t.used >= len(s.list)/4 {
		s = t.layOut()
	}
	slot := s.find(k)
	switch old := slot.Load(); {
	case old == nil && h.via == nil:
		return
	case old == nil:
		t.used++
		t.live++
	case old.hop.via == nil && h.via != nil:
		t.live++
	case old.hop.via != nil && h.via == nil:
		t.live--
	}
	slot.Store(&host{k, h})
}

// layOut makes new slots for those that have routes, with room for as many more.
func (t *hosts) layOut() *slots {
	s := &slots{
		seed: [2]uint64{rand.Uint64(), rand.Uint64()},
		list: make([]atomic.Pointer[host], max(16, 8<<bits.Len(uint(t.live)))),
	}
	for _, h := range t.all() {
		s.find(h.addr).Store(h)
	}
	t.used = t.live
	t.slots.Store(s)
	return s
}

// all returns those that have routes, in no order.
func (t *hosts) all() []*host {
	s := t.slots.Load()
	if s == nil {
		return nil
	}
	list := make([]*host, 0, t.live)
	for i := range s.list {
		if h := s.list[i].Load(); h != nil && h.hop.via != nil {
			list = append(list, h)
		}
	}
	return list
}
