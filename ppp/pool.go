package ppp

import (
	"context"
	"errors"
	"net/netip"
)

// ErrPoolExhausted says that every address of a pool is given.
var ErrPoolExhausted = errors.New("ppp: address pool exhausted")

// A Pool hands out addresses of Prefixes, the least recently used first, the same one to the same user where it can.
type Pool struct {
	Name     string         // which Grant.Pool it serves; empty serves all
	Prefixes []netip.Prefix // IPv4: single addresses are given, never the network's and the broadcast address; IPv6: /64s are
	Exclude  []netip.Prefix
	File     string // remembers users over a restart; empty does not
}

func (p *Pool) Get(ctx context.Context, pool, user string) ([]netip.Prefix, error) {
	return nil, errors.ErrUnsupported
}                                           // as AddrPool
func (p *Pool) Put(assigned []netip.Prefix) {} // as AddrPool

// Free returns the IPv4 addresses left.
func (p *Pool) Free() int { return 0 }
