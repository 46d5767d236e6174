package ppp

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// A Range is addresses of one family from First to Last, both included.
type Range struct{ First, Last netip.Addr }

// ParseRange reads "10.8.0.10-10.8.0.99", or a single address.
func ParseRange(s string) (r Range, err error) {
	first, last, two := strings.Cut(s, "-")
	if r.First, err = netip.ParseAddr(first); err == nil {
		r.Last = r.First
		if two {
			r.Last, err = netip.ParseAddr(last)
		}
	}
	if err == nil {
		err = r.check()
	}
	if err != nil {
		return Range{}, fmt.Errorf("ppp: address range %q: %w", s, err)
	}
	return r, nil
}

var errNoRange = errors.New("not two addresses of one family, the lower first")

func (r Range) check() error {
	if !r.First.IsValid() || r.First.BitLen() != r.Last.BitLen() || r.First.Zone() != "" || r.Last.Zone() != "" || r.Last.Less(r.First) {
		return errNoRange
	}
	return nil
}

// String is what ParseRange reads.
func (r Range) String() string {
	if r.First == r.Last {
		return r.First.String()
	}
	return r.First.String() + "-" + r.Last.String()
}

// Prefixes returns the fewest prefixes that hold the range and nothing else, as Pool.Exclude takes them; none of a range
// that is not one.
func (r Range) Prefixes() (list []netip.Prefix) {
	if r.check() != nil {
		return nil
	}
	for first := r.First; ; {
		best := netip.PrefixFrom(first, first.BitLen())
		for bits := first.BitLen() - 1; bits >= 0; bits-- {
			q := netip.PrefixFrom(first, bits)
			if q.Masked().Addr() != first || r.Last.Less(lastOf(q)) {
				break
			}
			best = q
		}
		list = append(list, best)
		if lastOf(best) == r.Last {
			return list
		}
		first = lastOf(best).Next()
	}
}

// lastOf returns the last address of a prefix.
func lastOf(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// A poolLayout is what a Pool has to give, as numbers.
type poolLayout struct {
	v4, v6, delegated   spans
	bits6, delegateBits int
	shared              uint64 // the upper half of the /64 that is shared
	hasShared           bool
}

// layout checks what a Pool was told.
func (p *Pool) layout() (l poolLayout, err error) {
	fail := func(format string, args ...any) (poolLayout, error) {
		return poolLayout{}, fmt.Errorf("ppp: address pool %q: "+format, append([]any{p.Name}, args...)...)
	}
	l.bits6, l.delegateBits = 64, DefaultDelegateBits
	if p.Share {
		l.bits6 = 128
	}
	if p.DelegateBits != 0 {
		l.delegateBits = p.DelegateBits
	}
	if l.delegateBits < 1 || l.delegateBits > 63 {
		return fail("delegated prefixes of %d bits: 1 to 63, since a /64 is a link's own", p.DelegateBits)
	}
	var edges spans
	for _, q := range p.Prefixes {
		q, err := poolPrefix(q)
		switch {
		case err != nil:
			return l, err
		case q.Addr().Is4():
			l.v4 = append(l.v4, cut(q, 32))
			if q.Bits() < 31 { // a /31 has neither network nor broadcast address (RFC 3021)
				s := cut(q, 32)
				edges = append(edges, span{s.first, s.first}, span{s.last, s.last})
			}
		case p.Share:
			if err := l.share(q.Addr(), lastOf(q)); err != nil {
				return fail("%v: %w", q, err)
			}
		case q.Bits() > 64:
			return fail("%v is smaller than the /64 that a session gets, unless they Share it", q)
		default:
			l.v6 = append(l.v6, cut(q, 64))
		}
	}
	l.v4 = l.v4.merged()
	for _, e := range edges {
		l.v4 = l.v4.without(e)
	}
	for _, r := range p.Ranges {
		r.First, r.Last = r.First.Unmap(), r.Last.Unmap()
		switch err := r.check(); {
		case err != nil:
			return fail("%v: %w", r, err)
		case r.First.Is4():
			l.v4 = append(l.v4, span{number(r.First, 32), number(r.Last, 32)})
		case !p.Share:
			return fail("%v: a range of IPv6 addresses without Share", r)
		default:
			if err := l.share(r.First, r.Last); err != nil {
				return fail("%v: %w", r, err)
			}
		}
	}
	for _, q := range p.Delegate {
		q, err := poolPrefix(q)
		switch {
		case err != nil:
			return l, err
		case q.Addr().Is4() || q.Bits() > l.delegateBits:
			return fail("%v cannot be cut into prefixes of %d bits", q, l.delegateBits)
		}
		l.delegated = append(l.delegated, cut(q, l.delegateBits))
	}
	l.v4, l.v6, l.delegated = l.v4.merged(), l.v6.merged(), l.delegated.merged()
	if p.Share && l.hasShared {
		// The routers' anycast address (RFC 4291 section 2.6.1) and the reserved ones (RFC 2526 section 2) are nobody's.
		l.v6 = l.v6.without(span{0, 0}).without(span{0xfdffffffffffff80, 0xfdffffffffffffff})
	}
	return l, l.exclude(p)
}

// exclude takes out what is not given: of a /64, or of a prefix to be delegated, in which something is excluded, nothing is.
func (l *poolLayout) exclude(p *Pool) error {
	for _, q := range p.Exclude {
		q, err := poolPrefix(q)
		switch {
		case err != nil:
			return err
		case q.Addr().Is4():
			l.v4 = l.v4.without(cut(q, 32))
			continue
		case !p.Share:
			l.v6 = l.v6.without(cut(q, 64))
		case q.Bits() >= 64 && number(q.Addr(), 64) == l.shared:
			l.v6 = l.v6.without(span{number(q.Addr(), 128), number(lastOf(q), 128)})
		case q.Bits() < 64 && cut(q, 64).first <= l.shared && l.shared <= cut(q, 64).last:
			l.v6 = nil
		}
		l.delegated = l.delegated.without(cut(q, l.delegateBits))
	}
	return nil
}

var errManyShared = errors.New("what sessions Share is in one /64")

// share adds addresses of the shared /64.
func (l *poolLayout) share(first, last netip.Addr) error {
	upper := number(first, 64)
	if number(last, 64) != upper || l.hasShared && upper != l.shared {
		return errManyShared
	}
	l.shared, l.hasShared = upper, true
	l.v6 = append(l.v6, span{number(first, 128), number(last, 128)})
	return nil
}

// poolPrefix checks a prefix, masks it, and takes IPv4 out of IPv6.
func poolPrefix(q netip.Prefix) (netip.Prefix, error) {
	if q.IsValid() && q.Addr().Is4In6() && q.Bits() >= 96 {
		q = netip.PrefixFrom(q.Addr().Unmap(), q.Bits()-96)
	}
	if !q.IsValid() || q.Addr().Is4In6() {
		return q, fmt.Errorf("ppp: address pool: %v is not a prefix", q)
	}
	return q.Masked(), nil
}

// cut returns the numbers of all pieces of a prefix that are bits long, or of the one that a longer prefix is in.
func cut(p netip.Prefix, bits int) span {
	first := number(p.Addr(), bits)
	if p.Bits() >= bits {
		return span{first, first}
	}
	return span{first, first | (1<<(bits-p.Bits()) - 1)}
}
