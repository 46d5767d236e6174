package register

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// The numbers of DNS that are used here: RFC 1035, RFC 2136 section 2, RFC 4701, RFC 8945.
const (
	typeA     = 1
	typeNS    = 2
	typeCNAME = 5
	typeSOA   = 6
	typePTR   = 12
	typeAAAA  = 28
	typeDHCID = 49
	typeTSIG  = 250
	typeAny   = 255

	classIN   = 1
	classNone = 254
	classAny  = 255

	opUpdate = 5

	headerSize = 12
	maxUDP     = 512 // RFC 1035 section 4.2.1: what is longer goes by TCP
)

// An RCode is why a server did not do what it was asked: RFC 1035 section 4.1.1, RFC 2136 section 2.2.
type RCode uint8

const (
	rcodeOK       RCode = 0
	rcodeServFail RCode = 2
	rcodeNXDomain RCode = 3
	rcodeYXDomain RCode = 6
	rcodeYXRRSet  RCode = 7
	rcodeNXRRSet  RCode = 8
	rcodeNotAuth  RCode = 9
)

var rcodes = [...]string{"NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET", "NXRRSET", "NOTAUTH", "NOTZONE"}

// String returns the code as DNS programs name it.
func (c RCode) String() string {
	if int(c) < len(rcodes) {
		return rcodes[c]
	}
	return fmt.Sprintf("RCODE%d", uint8(c))
}

// An rr is a resource record with its data as it stands on the wire, without compression.
type rr struct {
	name  string
	typ   uint16
	class uint16
	ttl   uint32
	data  []byte
}

// An update is a message of RFC 2136: what must be, and what is to be done in one zone then, all or nothing.
type update struct {
	zone string
	pre  []rr
	ops  []rr
}

// Prerequisites, RFC 2136 section 2.4.
func (u *update) nameUnused(name string) { u.pre = append(u.pre, rr{name, typeAny, classNone, 0, nil}) }
func (u *update) noRRSet(name string, typ uint16) {
	u.pre = append(u.pre, rr{name, typ, classNone, 0, nil})
}
func (u *update) equals(name string, typ uint16, data []byte) {
	u.pre = append(u.pre, rr{name, typ, classIN, 0, data})
}

// Updates, RFC 2136 section 2.5.
func (u *update) add(name string, typ uint16, ttl time.Duration, data []byte) {
	u.ops = append(u.ops, rr{name, typ, classIN, uint32(ttl / time.Second), data})
}
func (u *update) removeSet(name string, typ uint16) {
	u.ops = append(u.ops, rr{name, typ, classAny, 0, nil})
}
func (u *update) remove(name string, typ uint16, data []byte) {
	u.ops = append(u.ops, rr{name, typ, classNone, 0, data})
}

// pack returns the message.
func (u *update) pack(id uint16) ([]byte, error) {
	return pack(dnsmessage.Header{ID: id, OpCode: opUpdate}, u.zone, typeSOA, u.pre, u.ops)
}

// query returns a question.
func query(id uint16, name string, typ uint16) ([]byte, error) {
	return pack(dnsmessage.Header{ID: id, RecursionDesired: true}, name, typ, nil, nil)
}

func pack(h dnsmessage.Header, name string, typ uint16, answers, authorities []rr) ([]byte, error) {
	n, err := dnsmessage.NewName(name)
	if err != nil {
		return nil, fmt.Errorf("register: name %q: %w", name, err)
	}
	b := dnsmessage.NewBuilder(make([]byte, 0, maxUDP), h)
	err = errors.Join(b.StartQuestions(), b.Question(dnsmessage.Question{Name: n, Type: dnsmessage.Type(typ), Class: classIN}))
	put := func(list []rr) {
		for _, r := range list {
			n, bad := dnsmessage.NewName(r.name)
			err = errors.Join(err, bad, b.UnknownResource(
				dnsmessage.ResourceHeader{Name: n, Type: dnsmessage.Type(r.typ), Class: dnsmessage.Class(r.class), TTL: r.ttl},
				dnsmessage.UnknownResource{Type: dnsmessage.Type(r.typ), Data: r.data}))
		}
	}
	err = errors.Join(err, b.StartAnswers())
	put(answers)
	err = errors.Join(err, b.StartAuthorities())
	put(authorities)
	if err != nil {
		return nil, fmt.Errorf("register: message about %q: %w", name, err)
	}
	return b.Finish()
}

// An answer is what is used of a server's message.
type answer struct {
	code          RCode
	authoritative bool
	soa           *soa         // of the answer or the authority section
	addrs         []netip.Addr // A and AAAA of the answer, of the name that was asked for
	names         []string     // NS or PTR of the answer, likewise
	data          [][]byte     // of any other type that was asked for
	alias         string       // CNAME of the name that was asked for
	glue          []glue       // addresses of the additional section
}

type soa struct{ zone, primary string }

type glue struct {
	name string
	addr netip.Addr
}

// maxRecords bounds what is taken from one section: an answer of 64 KiB may have thousands.
const maxRecords = 64

// parseAnswer reads the answer to a question for name and typ.
func parseAnswer(msg []byte, name string, typ uint16) (*answer, error) {
	var p dnsmessage.Parser
	h, err := p.Start(msg)
	if err != nil {
		return nil, fmt.Errorf("register: answer about %q: %w", name, err)
	}
	a := &answer{code: RCode(h.RCode), authoritative: h.Authoritative}
	fail := func(err error) (*answer, error) {
		return nil, fmt.Errorf("register: answer about %q: %w", name, err)
	}
	if err := p.SkipAllQuestions(); err != nil {
		return fail(err)
	}
	for range maxRecords {
		r, err := p.Answer()
		if err == dnsmessage.ErrSectionDone {
			break
		}
		if err != nil {
			return fail(err)
		}
		if r.Header.Class == classIN && equal(r.Header.Name.String(), name) {
			a.take(r, typ)
		}
	}
	if err := p.SkipAllAnswers(); err != nil {
		return fail(err)
	}
	for range maxRecords {
		r, err := p.Authority()
		if err == dnsmessage.ErrSectionDone {
			break
		}
		if err != nil {
			return fail(err)
		}
		if s, ok := r.Body.(*dnsmessage.SOAResource); ok && a.soa == nil && within(name, r.Header.Name.String()) {
			a.soa = &soa{r.Header.Name.String(), s.NS.String()}
		}
	}
	if err := p.SkipAllAuthorities(); err != nil {
		return fail(err)
	}
	for range maxRecords {
		r, err := p.Additional()
		if err != nil {
			break // the rest is of no use: it is a hint, and a TSIG there has been checked
		}
		switch b := r.Body.(type) {
		case *dnsmessage.AResource:
			a.glue = append(a.glue, glue{r.Header.Name.String(), netip.AddrFrom4(b.A)})
		case *dnsmessage.AAAAResource:
			a.glue = append(a.glue, glue{r.Header.Name.String(), netip.AddrFrom16(b.AAAA)})
		}
	}
	return a, nil
}

// take takes one record of the answer section.
func (a *answer) take(r dnsmessage.Resource, typ uint16) {
	switch b := r.Body.(type) {
	case *dnsmessage.SOAResource:
		a.soa = &soa{r.Header.Name.String(), b.NS.String()}
	case *dnsmessage.AResource:
		a.addrs = append(a.addrs, netip.AddrFrom4(b.A))
	case *dnsmessage.AAAAResource:
		a.addrs = append(a.addrs, netip.AddrFrom16(b.AAAA))
	case *dnsmessage.NSResource:
		a.names = append(a.names, b.NS.String())
	case *dnsmessage.PTRResource:
		a.names = append(a.names, b.PTR.String())
	case *dnsmessage.CNAMEResource:
		a.alias = b.CNAME.String()
	case *dnsmessage.UnknownResource:
		if uint16(r.Header.Type) == typ {
			a.data = append(a.data, b.Data)
		}
	}
}

// answers reports whether msg is a whole reply to what was sent: the same ID, operation and question. A reply to an UPDATE
// may come without its zone section (RFC 2136 section 3.8).
func answers(msg, sent []byte) bool {
	if len(msg) < headerSize || msg[2]&0x80 == 0 || msg[2]&0x78 != sent[2]&0x78 || msg[0] != sent[0] || msg[1] != sent[1] {
		return false
	}
	switch binary.BigEndian.Uint16(msg[4:]) {
	case 0:
		// Servers that cannot read a question repeat none.
		return sent[2]>>3&0xf == opUpdate || RCode(msg[3]&0xf) != rcodeOK
	case 1:
	default:
		return false
	}
	var p, q dnsmessage.Parser
	if _, err := p.Start(msg); err != nil {
		return false
	}
	if _, err := q.Start(sent); err != nil {
		return false
	}
	x, err := p.Question()
	y, err2 := q.Question()
	return err == nil && err2 == nil && x.Type == y.Type && x.Class == y.Class && equal(x.Name.String(), y.Name.String())
}

func truncated(msg []byte) bool { return msg[2]&2 != 0 }
func codeOf(msg []byte) RCode   { return RCode(msg[3] & 0xf) }
