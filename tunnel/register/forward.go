package register

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// A Record is a name that is registered, or should be.
type Record struct {
	Kind   string // A, AAAA, PTR, or NetBIOS
	Name   string // in DNS with a dot at its end; of NetBIOS with its suffix, as PC1<20>
	Addr   netip.Addr
	Server netip.AddrPort // that has taken it
	Err    error          // why it is not registered; nil: it is
}

// An updater sends updates for one Registrar.
type updater struct {
	client
	r       *Registrar
	servers []netip.AddrPort // to ask for zones
}

// send sends an update to a zone's servers, one after the other while there is reason to. It returns which one has decided,
// and an *UpdateError if against it.
func (u *updater) send(ctx context.Context, z zone, name string, m *update) (server netip.AddrPort, err error) {
	m.zone = z.name
	for i, s := range z.servers {
		bad := u.sendTo(ctx, s, z, name, m)
		var said *UpdateError
		switch {
		case bad == nil, ctx.Err() != nil:
			return s, bad
		case errors.As(bad, &said):
			// That it may not is the primary's to say: another server may just not pass the update on.
			if said.Code != rcodeServFail && (i == 0 || !said.Permanent()) {
				return s, bad
			}
		case permanent(bad): // the key is the same for all of them
			return s, bad
		}
		if err == nil {
			server, err = s, bad
		}
	}
	return server, err
}

func (u *updater) sendTo(ctx context.Context, server netip.AddrPort, z zone, name string, m *update) error {
	msg, err := m.pack(newID())
	if err != nil {
		return err
	}
	var verify func([]byte) error
	if u.r.Signer != nil {
		if msg, verify, err = u.r.Signer.Sign(ctx, server, msg); err != nil {
			return err
		}
	}
	b, err := u.exchange(ctx, server, msg, verify)
	if err != nil {
		return err
	}
	if code := codeOf(b); code != rcodeOK {
		return &UpdateError{Server: server, Zone: z.name, Name: name, Code: code}
	}
	return nil
}

// claim registers name for addrs, in the place of those that it has had of us before (RFC 4703 section 5.3.1, 5.3.2):
//
//	            name not in use ─── yes ──► A, AAAA (and DHCID) added
//	                   │ YXDOMAIN
//	with an ID ┌───────┴───────┐ without
//	           ▼               ▼
//	its DHCID is ours?   no DHCID, and its addresses are ours? ── yes ──► addresses replaced
//	           │ NXRRSET       │
//	           └───────┬───────┘
//	                   ▼
//	       Take? replaced, else *TakenError
//
// Each question is a prerequisite of the update that it leads to, so nothing changes in between.
func (u *updater) claim(ctx context.Context, z zone, addrs, before []netip.Addr) (server netip.AddrPort, err error) {
	name, ttl := z.owner, u.r.ttl()
	var mine []byte
	if len(u.r.ID) > 0 {
		if mine, err = dhcid(u.r.ID, name); err != nil {
			return server, err
		}
	}
	fill := func(m *update) *update {
		for _, a := range addrs {
			typ, data := addrData(a)
			m.add(name, typ, ttl, data)
		}
		if mine != nil {
			m.add(name, typeDHCID, ttl, mine)
		}
		return m
	}
	replace := func(m *update) *update {
		m.removeSet(name, typeA)
		m.removeSet(name, typeAAAA)
		return fill(m)
	}
	for range 3 { // a name may come and go between the questions
		m := new(update)
		m.nameUnused(name)
		server, err = u.send(ctx, z, name, fill(m))
		if codeIn(err) != rcodeYXDomain {
			return server, err
		}
		owned := [][]netip.Addr{addrs}
		if len(before) > 0 && !slices.Equal(before, addrs) {
			owned = [][]netip.Addr{before, addrs}
		}
		if mine != nil {
			owned = owned[:1] // the addresses do not matter
		}
		for _, set := range owned {
			m := new(update)
			if mine != nil {
				m.equals(name, typeDHCID, mine)
			} else {
				m.noRRSet(name, typeDHCID)
				m.equalAddrs(name, set)
			}
			server, err = u.send(ctx, z, name, replace(m))
			if c := codeIn(err); c != rcodeNXRRSet && c != rcodeYXRRSet && c != rcodeNXDomain {
				return server, err
			}
		}
		if u.r.Take {
			m := new(update)
			m.removeSet(name, typeDHCID)
			m.removeSet(name, typeCNAME) // beside which there is no address
			return u.send(ctx, z, name, replace(m))
		}
		holders, used := u.holders(ctx, z)
		if used {
			return server, &TakenError{Name: name, Addrs: holders}
		}
	}
	return server, err
}

// equalAddrs makes it a prerequisite that the addresses of a name are these.
func (m *update) equalAddrs(name string, addrs []netip.Addr) {
	var has [2]bool
	for _, a := range addrs {
		typ, data := addrData(a)
		m.equals(name, typ, data)
		has[b2i(a.Is4())] = true
	}
	if !has[1] {
		m.noRRSet(name, typeA)
	}
	if !has[0] {
		m.noRRSet(name, typeAAAA)
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// codeIn returns the code of an UpdateError; rcodeOK if err is none.
func codeIn(err error) RCode {
	var e *UpdateError
	if errors.As(err, &e) {
		return e.Code
	}
	return rcodeOK
}

// holders returns the addresses of a name, and whether it is in use at all, as far as can be found out.
func (u *updater) holders(ctx context.Context, z zone) (list []netip.Addr, used bool) {
	for _, typ := range []uint16{typeA, typeAAAA} {
		a, _, err := u.ask(ctx, z.servers, z.owner, typ)
		if err != nil || a.code != rcodeNXDomain {
			used = true
		}
		if err == nil {
			list = append(list, a.addrs...)
		}
	}
	return list, used
}

// release removes what claim has registered, and what says that the name is ours if it has no other address then
// (RFC 4703 section 5.5).
func (u *updater) release(ctx context.Context, z zone, addrs []netip.Addr) error {
	m := new(update)
	if len(u.r.ID) > 0 {
		mine, err := dhcid(u.r.ID, z.owner)
		if err != nil {
			return err
		}
		m.equals(z.owner, typeDHCID, mine)
	}
	for _, a := range addrs {
		typ, data := addrData(a)
		m.remove(z.owner, typ, data) // these values only
	}
	_, err := u.send(ctx, z, z.owner, m)
	if c := codeIn(err); c == rcodeNXRRSet || c == rcodeNXDomain {
		return nil // it is another's by now
	}
	if err != nil || len(u.r.ID) == 0 {
		return err
	}
	return u.removeID(ctx, z)
}

// removeID removes the DHCID of a name that has no address.
func (u *updater) removeID(ctx context.Context, z zone) error {
	m := new(update)
	m.noRRSet(z.owner, typeA)
	m.noRRSet(z.owner, typeAAAA)
	m.removeSet(z.owner, typeDHCID)
	_, err := u.send(ctx, z, z.owner, m)
	if codeIn(err) == rcodeYXRRSet {
		return nil
	}
	return err
}

// point makes an address lead to name. The address is ours, so it is asked for nothing.
func (u *updater) point(ctx context.Context, a netip.Addr, name string) (z zone, server netip.AddrPort, err error) {
	if z, err = u.findZone(ctx, u.servers, u.r.Server, reverse(a), true); err != nil {
		return z, server, err
	}
	if isTop(z.name) {
		return z, server, fmt.Errorf("register: %v: its reverse zone is nobody's nearer than %s: %w", a, z.name, ErrNoZone)
	}
	data, err := appendName(nil, name)
	if err != nil {
		return z, server, err
	}
	m := new(update)
	m.removeSet(z.owner, typePTR)
	m.add(z.owner, typePTR, u.r.ttl(), data)
	server, err = u.send(ctx, z, z.owner, m)
	return z, server, err
}

// unpoint removes a PTR, if it leads to name.
func (u *updater) unpoint(ctx context.Context, z zone, name string) error {
	data, err := appendName(nil, name)
	if err != nil {
		return err
	}
	m := new(update)
	m.remove(z.owner, typePTR, data)
	_, err = u.send(ctx, z, z.owner, m)
	return err
}

// isTop reports whether a zone is one of those that everybody's names are below: an update to its primary would go to the
// root servers. RFC 8499; what a VPN gives away is never delegated there.
func isTop(zone string) bool {
	switch lower(zone) {
	case ".", "arpa.", "in-addr.arpa.", "ip6.arpa.":
		return true
	}
	return false
}

const (
	// DefaultTTL is how long others may keep what they have asked: 20 minutes, as Windows has it.
	DefaultTTL = 20 * time.Minute
	// DefaultRefresh is when what is registered is registered again: every 24 hours, as Windows does, since zones are
	// scavenged.
	DefaultRefresh = 24 * time.Hour
)
