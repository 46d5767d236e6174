package register

import (
	"context"
	"errors"
	"net/netip"
	"strconv"
	"strings"
	"sync"
)

// maxWalked bounds what is looked for in one prefix: addresses, each of which costs 256 questions, 16 at a time.
const maxWalked = 8

// walk returns the addresses of a /64 for which there is something in DNS. Nobody knows which of them a client has made
// itself, but DNS does: a name does not exist if nothing is below it either (RFC 8020), so what exists is found digit by
// digit. A prefix for which nothing is there costs one question, and so does one whose zone nobody has. A server that
// makes up records for whatever is asked ends it, as does one that denies names that have others below them.
func (u *updater) walk(ctx context.Context, p netip.Prefix) ([]netip.Addr, error) {
	const digits = 64 / 4
	top := reverse(p.Masked().Addr())
	list := []string{top[2*digits:]}
	for depth := range digits + 1 {
		there, err := u.existing(ctx, list, depth == digits)
		if err != nil || len(there) == 0 {
			return nil, err
		}
		if list = there[:min(len(there), maxWalked)]; depth == digits {
			break
		}
		var below []string
		for _, n := range list {
			for d := range int64(16) {
				below = append(below, strconv.FormatInt(d, 16)+"."+n)
			}
		}
		list = below
	}
	var addrs []netip.Addr
	for _, n := range list {
		if a, ok := unreverse(n); ok && p.Contains(a) {
			addrs = append(addrs, a)
		}
	}
	return addrs, nil
}

// existing returns which of some names exist. Those above whole addresses have no PTR of their own.
func (u *updater) existing(ctx context.Context, names []string, whole bool) (there []string, err error) {
	yes, errs := make([]bool, len(names)), make([]error, len(names))
	for first := 0; first < len(names); first += 16 {
		var asking sync.WaitGroup
		for i := first; i < min(first+16, len(names)); i++ {
			asking.Go(func() {
				a, _, err := u.ask(ctx, u.servers, names[i], typePTR)
				var none *UpdateError
				switch {
				case errors.As(err, &none): // it has no such zone
				case err != nil:
					errs[i] = err
				default:
					yes[i] = a.code == rcodeOK && (whole || len(a.names) == 0)
				}
			})
		}
		asking.Wait()
	}
	for i, n := range names {
		if yes[i] {
			there = append(there, n)
		}
	}
	return there, errors.Join(errs...)
}

// unreverse is the inverse of reverse, for IPv6.
func unreverse(name string) (a netip.Addr, ok bool) {
	digits := strings.Split(strings.TrimSuffix(name, ".ip6.arpa."), ".")
	if len(digits) != 32 {
		return a, false
	}
	var b [16]byte
	for i, d := range digits {
		n, err := strconv.ParseUint(d, 16, 4)
		if err != nil {
			return a, false
		}
		b[15-i/2] |= byte(n) << (i % 2 * 4)
	}
	return netip.AddrFrom16(b), true
}
