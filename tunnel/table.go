package tunnel

import (
	"iter"
	"net/netip"
)

// A Table is a RouteTable. The zero Table is empty and ready. Link-local and multicast prefixes are not taken: such
// packets never leave their link.
type Table struct{}

func (t *Table) Lookup(dst netip.Addr) PacketWriter                    { return nil }   // as RouteTable; lock-free
func (t *Table) Insert(dst netip.Prefix, via PacketWriter, metric int) {}               // as RouteTable
func (t *Table) Delete(dst netip.Prefix, via PacketWriter) bool        { return false } // as RouteTable

// All yields every route, also those that a lower metric hides.
func (t *Table) All() iter.Seq[Route] { return func(func(Route) bool) {} }

// A Route is one line of a Table.
type Route struct {
	Prefix netip.Prefix
	Via    PacketWriter
	Metric int
}
