package radius

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/dialway/dialway/ppp"
)

// A MissingError says which attributes an Access-Accept lacks that the authentication must have.
type MissingError struct{ Attributes []string }

// Error names the attributes.
func (e *MissingError) Error() string {
	return "radius: the server accepts, but sends no " + strings.Join(e.Attributes, ", no ")
}

// refuse is an Access-Accept that is not obeyed, which is a refusal (RFC 2865 section 1).
func refuse(format string, args ...any) error {
	return &ppp.AuthError{Code: ppp.CodeFailed, Err: fmt.Errorf("radius: "+format, args...)}
}

// grant is what an Access-Accept gives. What cannot be obeyed and says what a session may not do refuses it; what is not
// known is ignored.
func (c *Client) grant(req *ppp.AuthRequest, p *Packet, s *server) (*ppp.Grant, error) {
	g := &ppp.Grant{Message: replyMessage(p)}
	service, protocol := serviceOf(p, ServiceType), serviceOf(p, FramedProtocol)
	if !framed(service, protocol) {
		return nil, refuse("the server accepts for Service-Type %d, Framed-Protocol %d", service, protocol)
	}
	if name, ok := p.Get(UserName); ok {
		if provesName(req.Protocol == ppp.EAP, s.target.TrustUserName) {
			g.User = string(name)
		} else {
			c.log().Debug("radius: User-Name of the Access-Accept is not taken as proven", "server", s.addr, "user", string(name))
		}
	}
	if err := readProof(g, p, req.Protocol); err != nil {
		return nil, err
	}
	if err := c.readNetwork(g, p); err != nil {
		return nil, err
	}
	if number := p.text(CallbackNumber); number != "" {
		return nil, refuse("the server wants the user to be called back at %q", number) // RFC 2865 section 5.19
	}
	readLimits(g, p)
	if err := c.readFilters(g, p); err != nil {
		return nil, err
	}
	// Every one, unread and in order: accounting gives them back (RFC 2865 section 5.25).
	for a, v := range p.All() {
		if a == Class {
			g.Class = append(g.Class, append([]byte(nil), v...))
		}
	}
	if c.Accept != nil {
		if err := c.Accept(g, p, req); err != nil {
			return nil, err
		}
	}
	return g, nil
}

// serviceOf returns a number that may be missing, which is 0; one that is malformed, or zero, is no service of ours.
func serviceOf(p *Packet, a Attr) uint32 {
	if _, ok := p.Get(a); !ok {
		return 0
	}
	if n, ok := p.uint32(a); ok && n != 0 {
		return n
	}
	return 0xffffffff
}

// readProof takes what the method needs: a session whose keys are missing would bind with zeros.
func readProof(g *ppp.Grant, p *Packet, protocol ppp.AuthProtocol) error {
	if v, ok := p.getVendor(Microsoft, msMPPESendKey); ok {
		g.SendKey = append([]byte(nil), v...)
	}
	if v, ok := p.getVendor(Microsoft, msMPPERecvKey); ok {
		g.RecvKey = append([]byte(nil), v...)
	}
	var missing []string
	if protocol == ppp.MSCHAPv2 {
		v, _ := p.getVendor(Microsoft, msCHAP2Success)
		message, ok := "", false
		if len(v) > 1 {
			g.Proof, message, ok = parseMSSuccess(string(v[1:]))
		}
		if !ok {
			missing = append(missing, "MS-CHAP2-Success") // RFC 2548 section 2.3.3
		}
		if g.Message == "" {
			g.Message = message
		}
	}
	// EAP methods without keys exist, but the crypto binding of SSTP needs some, and zeros anybody has.
	if protocol == ppp.MSCHAPv2 || protocol == ppp.EAP {
		if len(g.SendKey) == 0 {
			missing = append(missing, "MS-MPPE-Send-Key")
		}
		if len(g.RecvKey) == 0 {
			missing = append(missing, "MS-MPPE-Recv-Key")
		}
	}
	if missing != nil {
		return &ppp.AuthError{Code: ppp.CodeFailed, Err: &MissingError{missing}}
	}
	return nil
}

// readLimits takes time-outs and the like. Zero is no limit, here as in a Grant.
func readLimits(g *ppp.Grant, p *Packet) {
	seconds := func(a Attr) time.Duration {
		n, _ := p.uint32(a)
		return time.Duration(n) * time.Second
	}
	g.SessionTimeout, g.IdleTimeout = seconds(SessionTimeout), seconds(IdleTimeout)
	if d := seconds(AcctInterimInterval); d > 0 {
		g.Interim = max(d, time.Minute) // RFC 2869 section 5.16
	}
	if n, ok := p.uint32(PortLimit); ok {
		g.MaxSessions = int(min(n, 1<<30))
	}
	readRates(g, p)
}

// readFilters resolves names of filters.
func (c *Client) readFilters(g *ppp.Grant, p *Packet) error {
	unknown := 0
	var why error
	for a, v := range p.All() {
		if a != FilterID {
			continue
		}
		if err := addFilter(g, string(v), c.Filter); err != nil {
			unknown++
			why = err
		}
	}
	for t := range p.Vendor(Microsoft) {
		if t == msFilter || t == msIPv6Filter {
			// The layout of IPv4 rules is not published ([MS-RNAS] 2.2.1.6).
			unknown++
			why = errors.New("radius: MS-Filter is not understood: use Filter-Id")
		}
	}
	if !mayPassUnfiltered(unknown) {
		return &ppp.AuthError{Code: ppp.CodeFailed, Err: why}
	}
	return nil
}

// addFilter adds the filter that a Filter-Id names: in, out, or both ways.
func addFilter(g *ppp.Grant, id string, filter func(id string) (func(packet []byte) bool, error)) error {
	if filter == nil {
		return fmt.Errorf("radius: Filter-Id %q, and there is no Filter to resolve it", id)
	}
	f, err := filter(id)
	if err == nil && f == nil {
		err = errors.New("no such filter")
	}
	if err != nil {
		return fmt.Errorf("radius: Filter-Id %q: %w", id, err)
	}
	if !strings.HasSuffix(id, ".out") {
		g.In = both(g.In, f)
	}
	if !strings.HasSuffix(id, ".in") {
		g.Out = both(g.Out, f)
	}
	return nil
}

func both(a, b func([]byte) bool) func([]byte) bool {
	if a == nil {
		return b
	}
	return func(packet []byte) bool { return a(packet) && b(packet) }
}

// Addresses of RFC 2865 section 5.8 that leave the choice to the user or to the access server.
var (
	userChooses = netip.AddrFrom4([4]byte{255, 255, 255, 255})
	nasChooses  = netip.AddrFrom4([4]byte{255, 255, 255, 254})
)

// readNetwork takes addresses, routes and name servers.
func (c *Client) readNetwork(g *ppp.Grant, p *Packet) error {
	for a, v := range p.All() {
		switch a {
		case FramedIPAddress:
			addr, ok := netip.AddrFromSlice(v)
			switch {
			case !ok || !addr.Is4() || addr.IsMulticast() || addr.IsLoopback() || addr.IsUnspecified():
				return refuse("Framed-IP-Address %x", v)
			case addr != userChooses && addr != nasChooses:
				g.Addr = addr
			}
		case FramedPool:
			g.Pool = string(v)
		case FramedIPv6Pool:
			g.Pool6 = string(v)
		case StatefulIPv6Pool: // RFC 6911 section 3.6: of addresses, where Framed-IPv6-Pool is of prefixes; a session gets one of both
			g.Pool6 = cmp.Or(p.text(FramedIPv6Pool), string(v))
		case DelegatedIPv6Pool:
			g.PoolDelegated = string(v)
		case FramedIPv6Prefix, DelegatedIPv6Prefix:
			prefix, ok := parseIPv6Prefix(v)
			if !ok {
				return refuse("attribute %d is no prefix: %x", a, v)
			}
			g.Prefixes = append(g.Prefixes, prefix)
		case FramedIPv6Address:
			if addr, ok := netip.AddrFromSlice(v); ok && addr.Is6() {
				g.Prefixes = append(g.Prefixes, netip.PrefixFrom(addr, 128))
			}
		case DNSServerIPv6:
			if addr, ok := netip.AddrFromSlice(v); ok && addr.Is6() {
				g.DNS = append(g.DNS, addr)
			}
		}
	}
	for t, v := range p.Vendor(Microsoft) {
		addr, ok := netip.AddrFromSlice(v)
		if !ok || !addr.Is4() || addr.IsUnspecified() {
			continue
		}
		switch t {
		case msPrimaryDNS, msSecondaryDNS:
			g.DNS = append(g.DNS, addr)
		case msPrimaryNBNS, msSecondaryNBNS:
			g.NBNS = append(g.NBNS, addr)
		}
	}
	return c.readRoutes(g, p)
}

// readRoutes takes what makes the far side a router, once its address is known.
func (c *Client) readRoutes(g *ppp.Grant, p *Packet) error {
	if v, ok := p.Get(FramedIPNetmask); ok && g.Addr.IsValid() {
		bits, ok := maskBits(v)
		if !ok {
			return refuse("Framed-IP-Netmask %x", v)
		}
		if bits < 32 {
			prefix, _ := g.Addr.Prefix(bits)
			g.Prefixes = append(g.Prefixes, prefix)
		}
	}
	for a, v := range p.All() {
		if a != FramedRoute && a != FramedIPv6Route {
			continue
		}
		r, err := parseRoute(string(v))
		if err != nil {
			return refuse("Framed-Route %q: %w", v, err)
		}
		if r.via.IsValid() && !r.via.IsUnspecified() && r.via.Is4() && g.Addr.IsValid() && r.via != g.Addr {
			return refuse("Framed-Route %q leads through %v, which is not the session's %v", v, r.via, g.Addr)
		}
		g.Prefixes = append(g.Prefixes, r.prefix)
	}
	return nil
}

// maskBits is the length of a netmask.
func maskBits(v []byte) (bits int, ok bool) {
	if len(v) != 4 {
		return 0, false
	}
	m := binary.BigEndian.Uint32(v)
	for bits = 0; bits < 32 && m&(1<<31) != 0; bits++ {
		m <<= 1
	}
	return bits, m == 0
}

// parseIPv6Prefix is RFC 3162 section 2.3: a reserved byte, the length, and as many bytes as it takes.
func parseIPv6Prefix(v []byte) (netip.Prefix, bool) {
	if len(v) < 2 || len(v) > 18 || v[1] > 128 || int(v[1]) > 8*(len(v)-2) {
		return netip.Prefix{}, false
	}
	var a [16]byte
	copy(a[:], v[2:])
	return netip.PrefixFrom(netip.AddrFrom16(a), int(v[1])).Masked(), true
}

// appendIPv6Prefix is the inverse.
func appendIPv6Prefix(b []byte, p netip.Prefix) []byte {
	a := p.Masked().Addr().As16()
	b = append(b, 0, byte(p.Bits()))
	return append(b, a[:(p.Bits()+7)/8]...)
}
