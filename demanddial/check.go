package demanddial

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// A Problem is something wrong with the configuration of an Interface.
type Problem struct {
	Interface string // its name
	Field     string // of Interface or Wizard; empty: the whole
	Index     int    // in Field, if that is a list
	Err       error
}

// Error returns all of it in one line.
func (p *Problem) Error() string {
	s := fmt.Sprintf("demanddial: interface %q", p.Interface)
	if p.Field != "" {
		s += ": " + p.Field
	}
	return s + ": " + p.Err.Error()
}

// Unwrap returns Err.
func (p *Problem) Unwrap() error { return p.Err }

// Problems returns what errors of Add, Update and Wizard.Finish hold.
func Problems(err error) (list []*Problem) {
	var p *Problem
	switch x := err.(type) {
	case nil:
	case interface{ Unwrap() []error }:
		for _, e := range x.Unwrap() {
			list = append(list, Problems(e)...)
		}
	default:
		if errors.As(err, &p) {
			list = append(list, p)
		}
	}
	return list
}

// A complaint collects problems of one interface.
type complaint struct {
	of   *Interface
	list []error
}

func (c *complaint) add(field string, index int, format string, args ...any) {
	c.list = append(c.list, &Problem{Interface: c.of.Name, Field: field, Index: index, Err: fmt.Errorf(format, args...)})
}

// problems returns what is wrong with interfaces, by themselves, with each other, and with those that stay. Set.routes has
// all of them.
func (s *Set) problems(stay []*member, add []*Interface) (wrong []error) {
	if s.Router == nil || s.Router.Routes == nil {
		return []error{errors.New("demanddial: the Set has no Router with Routes")}
	}
	names := map[string]string{}
	for _, m := range stay {
		names[lowerASCII(m.Name)] = m.Name
	}
	for n, i := range add {
		c := &complaint{of: i}
		c.own()
		if other, taken := names[lowerASCII(i.Name)]; taken && i.Name != "" {
			c.add("Name", 0, "there is an interface %q already; case does not tell names apart", other)
		}
		names[lowerASCII(i.Name)] = i.Name
		if i.serving.Load() || i.closed.Load() {
			c.add("", 0, "it is served elsewhere, or was closed")
		}
		c.overlaps(&s.routes, n, add)
		c.swallows(s)
		wrong = append(wrong, c.list...)
	}
	return wrong
}

// own checks an interface by itself.
func (c *complaint) own() {
	c.values()
	i := c.of
	switch {
	case i.Dial == nil && i.NoAnswer:
		c.add("", 0, "it neither calls nor answers")
	case i.Dial == nil && i.Persistent:
		c.add("Persistent", 0, "it only answers: it cannot dial by itself")
	case i.Dial != nil && !i.NoAnswer && i.User == "":
		c.add("User", 0, "where both ends may dial, the names tell calls that cross apart")
	}
}

// maxName is the length of the longest user name that RADIUS carries.
const maxName = 253

// values checks the fields one by one.
func (c *complaint) values() {
	i := c.of
	switch {
	case i.Name == "":
		c.add("Name", 0, "it has none: the far side calls by it")
	case len(i.Name) > maxName:
		c.add("Name", 0, "it has %d bytes: a user name has %d at most (RFC 2865 section 5.1)", len(i.Name), maxName)
	case !utf8.ValidString(i.Name) || strings.ContainsFunc(i.Name, unicode.IsControl) || strings.TrimSpace(i.Name) != i.Name:
		c.add("Name", 0, "no user name has control characters, or space around it")
	case strings.ContainsAny(i.Name, `\@`):
		c.add("Name", 0, `a name is a user's without domain: \ and @ cannot be in it`)
	}
	seen := map[netip.Prefix]bool{}
	for n, r := range i.Routes {
		p := r.Prefix
		switch {
		case !p.IsValid():
			c.add("Routes", n, "route %d is no prefix", n+1)
			continue
		case p != p.Masked():
			c.add("Routes", n, "%v has bits beyond its length: is %v meant?", p, p.Masked())
		case p.Addr().Is4In6():
			c.add("Routes", n, "%v: write it as IPv4", p)
		case p.Addr().IsMulticast() || p.Addr().IsLinkLocalUnicast() || p.Addr().IsLoopback():
			c.add("Routes", n, "%v never leaves its link", p)
		case seen[p]:
			c.add("Routes", n, "%v is there twice", p)
		}
		seen[p] = true
	}
	for n, to := range i.To {
		if strings.TrimSpace(to) != to || to == "" {
			c.add("To", n, "%q is no destination", to)
		}
	}
	for field, d := range map[string]time.Duration{"Timeout": i.Timeout, "AnsweredIdle": i.AnsweredIdle, "HoldFor": i.HoldFor, "DeadPeer": i.DeadPeer, "LockOut": i.LockOut[1]} {
		if d < 0 {
			c.add(field, 0, "%v is negative", d)
		}
	}
	if i.Hold < 0 {
		c.add("Hold", 0, "%d bytes", i.Hold)
	}
	if i.MaxMTU != 0 && i.MaxMTU < 576 {
		c.add("MaxMTU", 0, "%d: every IPv4 host must be able to send 576 (RFC 791)", i.MaxMTU)
	}
	if i.LockOut[0] > orDefault(i.LockOut[1], longLockOut) {
		c.add("LockOut", 0, "the first, %v, is longer than the most, %v", i.LockOut[0], orDefault(i.LockOut[1], longLockOut))
	}
}

// overlaps checks routes against those of other interfaces. Two that overlap are a slip unless their metrics differ: then
// one is meant to be the alternate of the other, or an exception. Default routes, whole or in halves, have exceptions
// always.
func (c *complaint) overlaps(all *routeIndex, n int, add []*Interface) {
	for k, r := range c.of.Routes {
		if !r.Prefix.IsValid() {
			continue
		}
		p := r.Prefix.Masked()
		clash := func(list []owned) bool {
			for _, o := range list {
				q := o.Prefix.Masked()
				switch {
				case o.of == c.of, o.Metric != r.Metric, p != q && (p.Bits() <= 1 || q.Bits() <= 1), before(add, o.of, n):
				default:
					c.add("Routes", k, "%v overlaps with %v of interface %q: give them different metrics if both are meant", p, q, o.of.Name)
				}
			}
			return true
		}
		all.covering(p, clash)
		all.within(p, func(list []owned) { clash(list) })
	}
}

// before reports whether an interface stands among the first n of a list: its clash with a later one is told there, once.
func before(add []*Interface, i *Interface, n int) bool {
	for k, x := range add {
		if x == i {
			return k > n
		}
	}
	return false
}

// swallows checks that the way to a destination does not lead through the tunnel that goes there.
func (c *complaint) swallows(s *Set) {
	named := false
	for n, to := range c.of.To {
		a, ok := literal(to)
		if !ok {
			named = true
			continue
		}
		s.routes.covering(addrPrefix(a), func(list []owned) bool {
			for _, o := range list {
				switch {
				case o.of.Exclude != nil || c.of.Exclude != nil:
				case o.of == c.of:
					c.add("To", n, "its own route %v covers the destination %v: the tunnel would go through itself; set Exclude", o.Prefix, a)
				case s.reaches(c.of, o.of):
					c.add("To", n, "%v is reached through interface %q, whose own destination is reached through this one", a, o.of.Name)
				}
			}
			return true
		})
	}
	if !named || len(s.Resolvers) == 0 {
		return
	}
	for _, a := range s.Resolvers {
		if !s.dialsFor(c.of, a) {
			return
		}
	}
	c.add("To", 0, "names would be asked of %v, through the tunnel that they lead to: give addresses, or another name server", s.Resolvers)
}

// reaches reports whether one of i's routes leads to a destination of another interface.
func (s *Set) reaches(i, other *Interface) (yes bool) {
	for _, to := range other.To {
		if a, ok := literal(to); ok {
			s.routes.covering(addrPrefix(a), func(list []owned) bool {
				yes = yes || slices.ContainsFunc(list, func(o owned) bool { return o.of == i })
				return !yes
			})
		}
	}
	return yes
}

// dialsFor reports whether an address is routed to an interface before it is connected.
func (s *Set) dialsFor(i *Interface, a netip.Addr) (yes bool) {
	s.routes.covering(addrPrefix(a.Unmap()), func(list []owned) bool {
		yes = yes || slices.ContainsFunc(list, func(o owned) bool { return o.of == i && !o.Connected })
		return !yes
	})
	return yes
}
