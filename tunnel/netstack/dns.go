package netstack

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// SetDNS makes servers be asked for names instead of those that the link names, and search be tried as domains of names
// without a dot, in DialContext. No servers mean those of the link.
func (s *Stack) SetDNS(servers []netip.Addr, search []string) error {
	list := make([]netip.Addr, 0, len(servers))
	for _, a := range servers {
		if a = a.Unmap().WithZone(""); !a.IsValid() || a.IsUnspecified() || a.IsMulticast() {
			return fmt.Errorf("netstack: %v is no name server", a)
		}
		list = append(list, a)
	}
	for _, d := range search {
		if strings.Trim(d, ".") == "" || strings.ContainsAny(d, " \t\r\n") {
			return fmt.Errorf("netstack: %q is no domain", d)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return errClosed
	}
	s.setDNS, s.search = list, slices.Clone(search)
	return nil
}

// A HostResolver is a stack's name resolution in the form of a register.Resolver: what DHCPInform tells is set while a
// register.Registrar runs, and then taken back.
type HostResolver struct{ Stack *Stack }

// Set is SetDNS. The servers are asked for all names: a stack has no others.
func (h HostResolver) Set(_ context.Context, servers []netip.Addr, domains []string) error {
	if len(servers) == 0 {
		return errors.New("netstack: no name server")
	}
	return h.Stack.SetDNS(servers, domains)
}

// Restore makes the stack ask the link's servers.
func (h HostResolver) Restore(context.Context) error { return h.Stack.SetDNS(nil, nil) }

// nameServers are those that are asked. s.mu is held.
func (s *Stack) nameServers() []netip.Addr {
	if len(s.setDNS) > 0 {
		return s.setDNS
	}
	return s.dns
}

// names are what is asked for to find host: itself, or in the domains first if it has no dot.
func (s *Stack) names(host string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if strings.Contains(host, ".") || strings.EqualFold(host, "localhost") { // which is nobody else: RFC 6761 section 6.3
		return []string{host}
	}
	var list []string
	for _, d := range s.search {
		list = append(list, host+"."+strings.TrimSuffix(d, ".")+".")
	}
	return append(list, host)
}
