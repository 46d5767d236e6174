package ppp

import (
	"context"
	"net/netip"
)

// An AddrPool assigns addresses: a /32 at most, and IPv6 prefixes, of which a /64 is the link's own and shorter ones are
// for the networks behind the far side. It names only std types, so that any package can be one. Get may wait: it has a
// goroutine of its own.
type AddrPool interface {
	Get(ctx context.Context, pool, user string) ([]netip.Prefix, error)
	Put(assigned []netip.Prefix) // called once for each Get that succeeded, however the session ended
}
