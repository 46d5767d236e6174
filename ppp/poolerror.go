package ppp

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// What a PoolError wraps.
var (
	// ErrPoolExhausted says that every address of a pool is given, or rests.
	ErrPoolExhausted = errors.New("ppp: address pool exhausted")
	// ErrUnknownPool says that there is no pool of the name that a Grant has.
	ErrUnknownPool = errors.New("ppp: no such address pool")
	// ErrAddressInUse says that the address which a Grant names is somebody else's.
	ErrAddressInUse = errors.New("ppp: address is somebody else's")
)

// The kinds of addresses that a Pool has, as PoolError.Kind names them.
const (
	kindIPv4      = "IPv4"
	kindIPv6      = "IPv6"
	kindDelegated = "delegated"
)

// A PoolError says why a pool gave nothing. It unwraps to ErrPoolExhausted, ErrUnknownPool or ErrAddressInUse.
type PoolError struct {
	Pool  string     // the pool that was asked for, or that was asked
	User  string     // for whom
	Kind  string     // "IPv4", "IPv6" or "delegated"; empty: all
	Addr  netip.Addr // of ErrAddressInUse
	Total uint64     // of ErrPoolExhausted: how many addresses, /64s or delegated prefixes the pool has
	Err   error
}

// Error returns all of it, and what to do.
func (e *PoolError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v: pool %q, user %q", e.Err, e.Pool, e.User)
	if e.Kind != "" {
		fmt.Fprintf(&b, ", %s", e.Kind)
	}
	if e.Addr.IsValid() {
		fmt.Fprintf(&b, ", %v", e.Addr)
	}
	switch {
	case errors.Is(e.Err, ErrPoolExhausted) && e.Total > 0:
		fmt.Fprintf(&b, ", all %d in use or resting (give the pool more, or sessions a time limit)", e.Total)
	case errors.Is(e.Err, ErrUnknownPool):
		b.WriteString(" (RADIUS says it as Framed-Pool, an account as its pool)")
	case errors.Is(e.Err, ErrAddressInUse):
		b.WriteString(" (exclude what Grants name from the pool, or put it into Fixed)")
	}
	return b.String()
}

// Unwrap returns Err.
func (e *PoolError) Unwrap() error { return e.Err }
