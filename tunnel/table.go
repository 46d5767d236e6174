package tunnel

import (
	"cmp"
	"iter"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/gaissmai/bart"
)

// A Table is a RouteTable. The zero Table is empty and ready. Link-local and multicast prefixes are not taken: such
// packets never leave their link, and a default route does not lead there either. A single multicast group is taken, but
// no Lookup leads there: only Router.Local is asked for it. IPv4-mapped addresses are IPv4's.
//
// Lookups take no lock and see each change whole. Single addresses, as sessions have, are looked for first, in a hash table:
// a change there is one store. A change of a longer prefix copies its path through a trie, some microseconds and 10 KB at
// 100,000 routes, and swaps the root.
type Table struct {
	mu    sync.Mutex // writers
	hosts hosts
	root  atomic.Pointer[bart.Table[hop]] // of what is no single address
}

// A hop is what a prefix leads to: most often one route of metric 0. It is not changed once readers can see it.
type hop struct {
	via PacketWriter // of the route in use
	all *[]alternate // every route, best first; nil: the one in use, of metric 0
}

type alternate struct {
	via    PacketWriter
	metric int
}

// Lookup returns the next hop of the longest prefix that holds dst.
func (t *Table) Lookup(dst netip.Addr) PacketWriter {
	dst = dst.Unmap()
	if staysOnLink(dst) {
		return nil
	}
	if h := t.hosts.get(dst); h.via != nil {
		return h.via
	}
	if root := t.root.Load(); root != nil {
		h, _ := root.Lookup(dst)
		return h.via
	}
	return nil
}

// exact returns the next hop of the route to dst alone, whatever shorter prefixes say.
func (t *Table) exact(dst netip.Addr) PacketWriter { return t.hosts.get(dst.Unmap()).via }

// at returns what a prefix itself leads to.
func (t *Table) at(dst netip.Prefix) (h hop) {
	if dst.IsSingleIP() {
		return t.hosts.get(dst.Addr())
	}
	if root := t.root.Load(); root != nil {
		h, _ = root.Get(dst)
	}
	return h
}

// put makes h what a prefix leads to.
func (t *Table) put(dst netip.Prefix, h hop) {
	root := t.root.Load()
	switch {
	case dst.IsSingleIP():
		t.hosts.set(dst.Addr(), h)
		return
	case root == nil:
		root = new(bart.Table[hop])
	}
	if h.via == nil {
		root = root.DeletePersist(dst)
	} else {
		root = root.InsertPersist(dst, h)
	}
	t.root.Store(root)
}

// Insert adds a route, or gives the one through via a new metric and the rank of the newest. Bits of dst beyond its
// length do not count. An invalid prefix and a nil via are ignored.
func (t *Table) Insert(dst netip.Prefix, via PacketWriter, metric int) {
	dst = canonical(dst)
	if via == nil || !takesPrefix(dst) {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.put(dst, t.at(dst).with(via, metric))
}

// Delete removes the route through via, if there is one.
func (t *Table) Delete(dst netip.Prefix, via PacketWriter) bool {
	dst = canonical(dst)
	if via == nil || !dst.IsValid() {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	h, ok := t.at(dst).without(via)
	if ok {
		t.put(dst, h)
	}
	return ok
}

// All yields every route, also those that a lower metric hides: by prefix, and for one prefix the route in use first. It
// yields the routes of the moment at which it was started.
func (t *Table) All() iter.Seq[Route] {
	return func(yield func(Route) bool) {
		for _, l := range t.lines() {
			for _, a := range l.hop.list() {
				if !yield(Route{l.prefix, a.via, a.metric}) {
					return
				}
			}
		}
	}
}

// A line is a prefix and what it leads to.
type line struct {
	prefix netip.Prefix
	hop    hop
}

// lines returns what is here at this moment, in order.
func (t *Table) lines() (list []line) {
	t.mu.Lock()
	hosts, root := t.hosts.all(), t.root.Load()
	t.mu.Unlock()
	for _, h := range hosts {
		a := h.addr.addr()
		list = append(list, line{netip.PrefixFrom(a, a.BitLen()), h.hop})
	}
	if root != nil {
		for p, h := range root.All() {
			list = append(list, line{p, h})
		}
	}
	slices.SortFunc(list, func(a, b line) int { return a.prefix.Compare(b.prefix) })
	return list
}

// with returns h with a route more. The newest stands before its equals.
func (h hop) with(via PacketWriter, metric int) hop {
	if h, _ = h.without(via); h.via == nil && metric == 0 {
		return hop{via: via}
	}
	all := h.list()
	at, _ := slices.BinarySearchFunc(all, metric, func(a alternate, m int) int { return cmp.Compare(a.metric, m) })
	return hopOf(slices.Insert(all, at, alternate{via, metric}))
}

// without returns h with a route less.
func (h hop) without(via PacketWriter) (hop, bool) {
	if h.all == nil {
		if h.via == via {
			return hop{}, via != nil
		}
		return h, false
	}
	all := h.list()
	at := slices.IndexFunc(all, func(a alternate) bool { return a.via == via })
	if at < 0 {
		return h, false
	}
	return hopOf(slices.Delete(all, at, at+1)), true
}

// list returns all routes of h, best first, in a slice of its own.
func (h hop) list() []alternate {
	switch {
	case h.via == nil:
		return nil
	case h.all == nil:
		return []alternate{{via: h.via}}
	}
	return slices.Clone(*h.all)
}

func hopOf(all []alternate) hop {
	if len(all) == 0 {
		return hop{}
	}
	h := hop{via: all[0].via}
	if len(all) > 1 || all[0].metric != 0 {
		h.all = &all
	}
	return h
}

// canonical returns p without host bits, an IPv4-mapped prefix as IPv4's.
func canonical(p netip.Prefix) netip.Prefix {
	if a := p.Addr(); a.Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
	}
	return p.Masked()
}

// A Route is one line of a Table.
type Route struct {
	Prefix netip.Prefix
	Via    PacketWriter
	Metric int
}
