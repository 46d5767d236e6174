package radius

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/dialway/dialway/ppp"
)

// A nak says why a request is not obeyed, RFC 5176 section 3.5.
type nak uint32

const (
	nakUnsupported  nak = 401 // attribute
	nakMissing      nak = 402
	nakAnotherNAS   nak = 403
	nakInvalid      nak = 404
	nakService      nak = 405
	nakExtension    nak = 406
	nakInvalidValue nak = 407
	nakNotRoutable  nak = 502
	nakNoSession    nak = 503
)

// act does what a request asks.
func (d *Dynamic) act(from netip.AddrPort, p *Packet) *Packet {
	list, code := d.find(p)
	if p.Code == DisconnectRequest && !onlyNames(p) {
		list, code = nil, nakUnsupported
	}
	what := "radius: disconnect"
	if code == 0 && p.Code == CoARequest {
		what = "radius: change of authorization"
		code = d.change(p, list)
	}
	d.log().Info(what, "from", from, "user", p.text(UserName), "sessions", len(list), "cause", int(code))
	yes, no := DisconnectACK, DisconnectNAK
	if p.Code == CoARequest {
		yes, no = CoAACK, CoANAK
	}
	if code != 0 {
		q := &Packet{Code: no}
		q.addUint32(ErrorCause, uint32(code))
		return q
	}
	if p.Code == DisconnectRequest {
		for _, c := range list {
			c.Terminate(ppp.AdminReset, cmp.Or(replyMessage(p), "disconnected by RADIUS"))
		}
	}
	return &Packet{Code: yes}
}

// isKeyOf reports whether an attribute tells which sessions are meant.
func isKeyOf(a Attr) bool {
	switch a {
	case UserName, AcctSessionID, NASPortID, FramedIPAddress, FramedIPv6Address, FramedIPv6Prefix, FramedInterfaceID, CallingStationID, CalledStationID:
		return true
	}
	return false
}

// onlyNames reports whether a Disconnect has what says whom it means and what goes with any request, and nothing else
// (RFC 5176 sections 3 and 3.6): an attribute that is not understood might name fewer sessions than those that would end.
func onlyNames(p *Packet) bool {
	for a := range p.All() {
		switch a {
		case NASIdentifier, NASIPAddress, NASIPv6Address, OperatorName, NASPortType, EventTimestamp, MessageAuthenticator, ProxyState, State,
			Class, ReplyMessage, AcctTerminateCause:
		default:
			if !isKeyOf(a) {
				return false
			}
		}
	}
	return true
}

// find returns the sessions that a request means.
func (d *Dynamic) find(p *Packet) (list []*ppp.Conn, code nak) {
	keys := 0
	for a, v := range p.All() {
		switch {
		case a == CalledStationID: // everybody's: it only narrows
		case isKeyOf(a):
			keys++
		case a == NASIdentifier && d.NAS != "" && string(v) != d.NAS,
			(a == NASIPAddress || a == NASIPv6Address) && d.NASAddr.IsValid() && !bytes.Equal(v, d.NASAddr.Unmap().AsSlice()):
			return nil, nakAnotherNAS
		}
	}
	if !namesSessions(keys) {
		return nil, nakMissing
	}
	for c := range d.candidates(p) {
		if fits(p, c) {
			list = append(list, c)
		}
	}
	if len(list) == 0 {
		return nil, nakNoSession
	}
	return list, 0
}

// candidates gives the sessions among which those meant are, by the quickest key.
func (d *Dynamic) candidates(p *Packet) func(yield func(*ppp.Conn) bool) {
	id := p.text(AcctSessionID)
	if id == "" {
		id = p.text(NASPortID)
	}
	if id != "" {
		return func(yield func(*ppp.Conn) bool) {
			if c := d.Sessions.ID(id); c != nil {
				yield(c)
			}
		}
	}
	if name := p.text(UserName); name != "" {
		return d.Sessions.User(name)
	}
	return d.Sessions.All()
}

// fits reports whether a session has all keys of a request.
func fits(p *Packet, c *ppp.Conn) bool {
	info, call := c.Info(), new(Packet)
	addCall(call, info.Call) // what was said of it
	for a, v := range p.All() {
		ok := true
		switch a {
		case UserName:
			ok = info.User != "" && strings.EqualFold(string(v), info.User)
		case AcctSessionID, NASPortID, CallingStationID, CalledStationID:
			ok = call.text(a) == string(v)
		case FramedInterfaceID:
			six := info.Peer6.As16()
			ok = info.Peer6.IsValid() && bytes.Equal(v, six[8:])
		case FramedIPAddress:
			ok = info.Peer.IsValid() && bytes.Equal(v, info.Peer.AsSlice())
		case FramedIPv6Address:
			x, valid := netip.AddrFromSlice(v)
			ok = valid && x.Is6() && hasPrefix(c, netip.PrefixFrom(x, 128))
		case FramedIPv6Prefix:
			x, valid := parseIPv6Prefix(v)
			ok = valid && hasPrefix(c, x)
		}
		if !ok {
			return false
		}
	}
	return true
}

func hasPrefix(c *ppp.Conn, x netip.Prefix) bool { return slices.Contains(c.Prefixes(), x) }

// change carries out a CoA: all of it on every session, or nothing.
func (d *Dynamic) change(p *Packet, list []*ppp.Conn) nak {
	grants := make([]*ppp.Grant, len(list))
	for i, c := range list {
		old := c.Grant()
		if old == nil {
			return nakInvalid
		}
		g := *old
		if code := d.edit(&g, p); code != 0 {
			return code
		}
		grants[i] = &g
	}
	for i, c := range list {
		c.SetGrant(grants[i])
	}
	return 0
}

// edit makes a Grant what a CoA asks for.
func (d *Dynamic) edit(g *ppp.Grant, p *Packet) nak {
	changes := 0
	filters := &ppp.Grant{}
	for a, v := range p.All() {
		seconds := time.Duration(0)
		switch a {
		case SessionTimeout, IdleTimeout, AcctInterimInterval:
			if len(v) != 4 {
				return nakInvalidValue
			}
			seconds = time.Duration(binary.BigEndian.Uint32(v)) * time.Second
		}
		changes++
		switch a {
		case SessionTimeout:
			g.SessionTimeout = seconds
		case IdleTimeout:
			g.IdleTimeout = seconds
		case AcctInterimInterval:
			g.Interim = seconds
			if seconds > 0 {
				g.Interim = max(seconds, time.Minute) // RFC 2869 section 5.16
			}
		case FilterID:
			if err := addFilter(filters, string(v), d.Filter); err != nil {
				d.log().Warn("radius: change of authorization refused", "err", err)
				return nakInvalidValue
			}
			g.In, g.Out = filters.In, filters.Out // in the place of those there were
		case VendorSpecific:
			if !onlyRates(v) {
				changes--
				if d.Change == nil {
					return nakUnsupported
				}
			}
		case ServiceType:
			return nakService // Authorize-Only (section 3.2), and all others
		case NASIdentifier, NASIPAddress, NASIPv6Address, OperatorName, EventTimestamp, MessageAuthenticator, ProxyState, State:
			changes--
		default:
			changes--
			if !isKeyOf(a) && d.Change == nil {
				return nakUnsupported // section 3.5: a CoA is not obeyed in part
			}
		}
	}
	readRates(g, p)
	if d.Change != nil {
		if err := d.Change(g, p); err != nil {
			d.log().Warn("radius: change of authorization refused", "err", err)
			return nakInvalid
		}
		return 0
	}
	if changes == 0 {
		return nakMissing
	}
	return 0
}
