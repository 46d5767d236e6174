package radius

import (
	"errors"
	"time"

	"github.com/dialway/dialway/internal/mschap"
	"github.com/dialway/dialway/ppp"
)

// accept makes an Access-Accept of a Grant: what Client.grant reads is what is written here, so that a Grant arrives at an
// access server of this package as the Authenticator gave it. It is an error if it cannot.
func (s *Server) accept(req *ppp.AuthRequest, g *ppp.Grant) (*Packet, error) {
	p := &Packet{Code: AccessAccept}
	p.addText(UserName, g.User) // the proven one, which accounting is to have: RFC 2865 section 5.1
	if g.Callback == "" {
		p.addUint32(ServiceType, serviceFramed)
	} else {
		p.addUint32(ServiceType, serviceCallback) // RFC 2865 section 5.19
		p.addText(CallbackNumber, g.Callback)
	}
	p.addUint32(FramedProtocol, protocolPPP)
	if g.Message != "" {
		p.addLong(ReplyMessage, []byte(g.Message))
	}
	for _, v := range g.Class {
		p.Add(Class, v)
	}
	addNetwork(p, g)
	addLimits(p, g)
	if req.Protocol == ppp.MSCHAPv2 {
		// The far side verifies it: without, it takes the server for one that does not know the password.
		v := mschap.AppendProof([]byte{req.Identifier}, g.Proof)
		p.AddVendor(Microsoft, msCHAP2Success, v)
	}
	if len(g.SendKey) > 0 && len(g.RecvKey) > 0 {
		p.AddVendor(Microsoft, msMPPESendKey, g.SendKey)
		p.AddVendor(Microsoft, msMPPERecvKey, g.RecvKey)
		// RFC 2548 section 2.4.4: encryption is allowed, of 40 and 128 bits.
		p.addVendorUint32(Microsoft, 7, 1)
		p.addVendorUint32(Microsoft, 8, 6)
	}
	// Last, so that it may replace anything of the above, and add what stands for filters.
	if s.Accept != nil {
		s.Accept(p, g)
	}
	_, named := p.Get(FilterID)
	if !maySendAccept(g.In != nil || g.Out != nil, named) {
		return nil, errors.New("radius: the Grant has filters, which cannot be sent: Server.Accept adds a Filter-Id")
	}
	return p, nil
}

// addNetwork adds addresses and routes. Each prefix goes by the attribute that says what it is for: a route behind the far
// side (RFC 2865 section 5.22), its own address (RFC 6911), the link's prefix (RFC 3162), one that it may give on (RFC 4818).
func addNetwork(p *Packet, g *ppp.Grant) {
	if a := g.Addr.Unmap(); a.Is4() {
		p.Add(FramedIPAddress, a.AsSlice())
	}
	p.addText(FramedPool, g.Pool)
	p.addText(FramedIPv6Pool, g.Pool6)
	p.addText(DelegatedIPv6Pool, g.PoolDelegated)
	for _, x := range g.Prefixes {
		switch {
		case !x.IsValid():
		case x.Addr().Is4():
			p.addText(FramedRoute, x.Masked().String()+" 0.0.0.0 1") // by way of the user
		case x.Bits() == 128:
			p.Add(FramedIPv6Address, x.Addr().AsSlice())
		case x.Bits() == 64:
			p.Add(FramedIPv6Prefix, appendIPv6Prefix(nil, x))
		default:
			p.Add(DelegatedIPv6Prefix, appendIPv6Prefix(nil, x))
		}
	}
	// Microsoft's attributes have room for two of each; further ones would not be asked for by IPCP either.
	dns, nbns := byte(msPrimaryDNS), byte(msPrimaryNBNS)
	for _, a := range g.DNS {
		switch a = a.Unmap(); {
		case a.Is6():
			p.Add(DNSServerIPv6, a.AsSlice())
		case a.Is4() && dns <= msSecondaryDNS:
			p.AddVendor(Microsoft, dns, a.AsSlice())
			dns++
		}
	}
	for _, a := range g.NBNS {
		if a = a.Unmap(); a.Is4() && nbns <= msSecondaryNBNS {
			p.AddVendor(Microsoft, nbns, a.AsSlice())
			nbns++
		}
	}
}

// addLimits adds times, in whole seconds: rounded up, since zero would mean no limit at all.
func addLimits(p *Packet, g *ppp.Grant) {
	for _, x := range [...]struct {
		attr Attr
		d    time.Duration
	}{{SessionTimeout, g.SessionTimeout}, {IdleTimeout, g.IdleTimeout}, {AcctInterimInterval, g.Interim}} {
		if x.d > 0 {
			p.addUint32(x.attr, uint32(min(int64((x.d+time.Second-1)/time.Second), 1<<32-1)))
		}
	}
	if g.MaxSessions > 0 {
		p.addUint32(PortLimit, uint32(g.MaxSessions))
	}
	addRates(p, g)
}
