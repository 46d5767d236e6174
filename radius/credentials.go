package radius

import (
	"fmt"

	"github.com/dialway/dialway/ppp"
)

// Lengths of MS-CHAPv2's values, RFC 2759 sections 4 and 7, and RFC 2548 section 2.3.
const (
	msResponseLen  = 49  // peer's challenge, 8 reserved, NT-Response, flags
	msChangeLen    = 582 // password, hash, peer's challenge, 8 reserved, NT-Response, 2 of flags
	msBlockLen     = 516
	msEncPWPart    = maxVendor - 4 // of the password in one MS-CHAP-NT-Enc-PW
	msResponseAttr = 50
	msCPWAttr      = 68
)

// addCredentials adds what the far side has answered.
func addCredentials(p *Packet, req *ppp.AuthRequest) error {
	switch req.Protocol {
	case ppp.PAP:
		p.Add(UserPassword, []byte(req.Password))
	case ppp.CHAP:
		// Always as an attribute: the Request Authenticator, which could carry it, is random here (RFC 2865 section 5.3).
		p.Add(CHAPPassword, append([]byte{req.Identifier}, req.Response...))
		p.Add(CHAPChallenge, req.Challenge)
	case ppp.MSCHAPv2:
		// RFC 2548 section 2.3.2: identifier and flags first, where PPP has the flags last and the identifier in its header.
		p.AddVendor(Microsoft, msCHAPChallenge, req.Challenge)
		if len(req.Change) > 0 {
			return addChange(p, req)
		}
		r := req.Response
		if len(r) != msResponseLen {
			return fmt.Errorf("radius: an MS-CHAPv2 response of %d bytes", len(r))
		}
		v := append(make([]byte, 0, msResponseAttr), req.Identifier, r[48])
		p.AddVendor(Microsoft, msCHAP2Response, append(v, r[:48]...))
	case ppp.EAP:
		// As it came, in order: RFC 3579 section 3.1.
		p.addLong(EAPMessage, req.EAP)
	default:
		return fmt.Errorf("radius: a server cannot be asked without credentials (%v)", req.Protocol)
	}
	return nil
}

// addChange splits a Change-Password as RFC 2548 section 2.3 wants it: MS-CHAP2-CPW, and the new password in as many
// MS-CHAP-NT-Enc-PW as it takes.
func addChange(p *Packet, req *ppp.AuthRequest) error {
	c := req.Change
	if len(c) != msChangeLen {
		return fmt.Errorf("radius: a Change-Password of %d bytes", len(c))
	}
	v := append(make([]byte, 0, msCPWAttr), 7, req.Identifier)
	p.AddVendor(Microsoft, msCHAP2CPW, append(v, c[msBlockLen:]...))
	block := c[:msBlockLen]
	for n := 1; len(block) > 0; n++ {
		part := block[:min(len(block), msEncPWPart)]
		block = block[len(part):]
		p.AddVendor(Microsoft, msCHAPNTEncPW, append([]byte{6, req.Identifier, byte(n >> 8), byte(n)}, part...))
	}
	return nil
}

// msCredentials is the inverse: Response or Change of a request, whichever it has.
func msCredentials(p *Packet) (id byte, response, change []byte, err error) {
	if v, ok := p.getVendor(Microsoft, msCHAP2CPW); ok {
		if len(v) != msCPWAttr || v[0] != 7 {
			return 0, nil, nil, fmt.Errorf("radius: an MS-CHAP2-CPW of %d bytes", len(v))
		}
		n := 0
		for t, part := range p.Vendor(Microsoft) {
			if t != msCHAPNTEncPW {
				continue
			}
			if n++; len(part) < 4 || part[0] != 6 || part[1] != v[1] || int(part[2])<<8|int(part[3]) != n {
				return 0, nil, nil, fmt.Errorf("radius: MS-CHAP-NT-Enc-PW %d is out of order", n)
			}
			change = append(change, part[4:]...)
		}
		if len(change) != msBlockLen {
			return 0, nil, nil, fmt.Errorf("radius: MS-CHAP-NT-Enc-PW of %d bytes in all", len(change))
		}
		return v[1], nil, append(change, v[2:]...), nil
	}
	v, ok := p.getVendor(Microsoft, msCHAP2Response)
	if !ok || len(v) != msResponseAttr {
		return 0, nil, nil, fmt.Errorf("radius: an MS-CHAP2-Response of %d bytes", len(v))
	}
	return v[0], append(append(make([]byte, 0, msResponseLen), v[2:]...), v[1]), nil, nil
}
