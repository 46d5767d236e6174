package register

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// A dnsServer is a server of zones that does what RFC 2136 section 3 says, in memory. What it gets and answers can be
// twisted.
type dnsServer struct {
	addr  netip.AddrPort
	zones []string // apexes
	key   *Key     // nil: updates need no signature
	code  RCode    // of every update, signed; 0: it is done

	mu        sync.Mutex
	records   map[string]rr // by name, type and data
	asked     int           // messages
	updates   int
	primary   string                                  // of all zones; default ns.<zone>
	onMessage func(msg []byte) (drop bool)            // before anything
	onAnswer  func(udp bool, b []byte) (out [][]byte) // what is sent in the place of an answer
}

func key(r rr) string { return fmt.Sprintf("%s %d %x", lower(r.name), r.typ, r.data) }

func newDNSServer(addr string, zones ...string) *dnsServer {
	return &dnsServer{addr: netip.MustParseAddrPort(addr), zones: zones, records: make(map[string]rr)}
}

// put adds a record, given as "name TYPE value".
func (s *dnsServer) put(text string) {
	f := strings.Fields(text)
	r := rr{name: f[0], class: classIN, ttl: 60}
	switch f[1] {
	case "A", "AAAA":
		r.typ, r.data = addrData(netip.MustParseAddr(f[2]))
	case "PTR":
		r.typ = typePTR
		r.data, _ = appendName(nil, f[2])
	case "CNAME":
		r.typ = typeCNAME
		r.data, _ = appendName(nil, f[2])
	case "NS":
		r.typ = typeNS
		r.data, _ = appendName(nil, f[2])
	case "DHCID":
		r.typ, r.data = typeDHCID, []byte(f[2])
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records[key(r)] = r
}

// String lists the records, without DHCIDs' data.
func (s *dnsServer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []string
	for _, r := range s.records {
		switch r.typ {
		case typeA, typeAAAA:
			a, _ := netip.AddrFromSlice(r.data)
			list = append(list, r.name+" "+a.String())
		case typePTR:
			p, _ := wireName(r.data)
			list = append(list, r.name+" "+p)
		case typeDHCID:
			list = append(list, r.name+" DHCID")
		}
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}

func wireName(b []byte) (string, error) {
	var s strings.Builder
	for len(b) > 0 && b[0] != 0 {
		n := int(b[0])
		s.Write(b[1 : 1+n])
		s.WriteByte('.')
		b = b[1+n:]
	}
	return s.String(), nil
}

// twist sets onMessage while the server runs.
func (s *dnsServer) twist(f func(msg []byte) (drop bool)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onMessage = f
}

func (s *dnsServer) counts() (asked, updates int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked, s.updates
}

// handle answers one message; nil answers nothing.
func (s *dnsServer) handle(msg []byte) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	if s.onMessage != nil && s.onMessage(msg) {
		return nil
	}
	var m dnsmessage.Message
	if err := m.Unpack(msg); err != nil {
		return nil
	}
	if m.OpCode == opUpdate {
		s.updates++
		return s.update(msg, &m)
	}
	return s.query(&m)
}

func (s *dnsServer) zoneOf(name string) string {
	best := ""
	for _, z := range s.zones {
		if within(name, z) && len(z) > len(best) {
			best = z
		}
	}
	return best
}

func (s *dnsServer) soa(zone string) dnsmessage.Resource {
	ns := s.primary
	if ns == "" {
		ns = absolute("ns." + strings.TrimPrefix(zone, "."))
	}
	return dnsmessage.Resource{
		Header: dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName(zone), Type: typeSOA, Class: classIN, TTL: 60},
		Body:   &dnsmessage.SOAResource{NS: dnsmessage.MustNewName(ns), MBox: dnsmessage.MustNewName("admin.test.")},
	}
}

func (s *dnsServer) query(m *dnsmessage.Message) []byte {
	q := m.Questions[0]
	name, zone := q.Name.String(), s.zoneOf(q.Name.String())
	a := dnsmessage.Message{Header: dnsmessage.Header{ID: m.ID, Response: true, Authoritative: true}, Questions: m.Questions}
	if zone == "" {
		a.Authoritative, a.RCode = false, dnsmessage.RCodeRefused
		b, _ := a.Pack()
		return b
	}
	used := equal(name, zone)
	for _, r := range s.records {
		used = used || within(r.name, name) // RFC 8020
		if !equal(r.name, name) {
			continue
		}
		if r.typ == uint16(q.Type) || r.typ == typeCNAME {
			a.Answers = append(a.Answers, dnsmessage.Resource{
				Header: dnsmessage.ResourceHeader{Name: q.Name, Type: dnsmessage.Type(r.typ), Class: classIN, TTL: r.ttl},
				Body:   &dnsmessage.UnknownResource{Type: dnsmessage.Type(r.typ), Data: r.data},
			})
		}
	}
	switch {
	case q.Type == typeSOA && equal(name, zone):
		a.Answers = append(a.Answers, s.soa(zone))
	case len(a.Answers) == 0:
		a.Authorities = append(a.Authorities, s.soa(zone))
		if !used {
			a.RCode = dnsmessage.RCodeNameError
		}
	}
	b, err := a.Pack()
	if err != nil {
		panic(err)
	}
	return b
}

// update is RFC 2136 sections 3.1 to 3.4.
func (s *dnsServer) update(msg []byte, m *dnsmessage.Message) []byte {
	answer := func(code RCode) []byte {
		b, _ := (&dnsmessage.Message{Header: dnsmessage.Header{ID: m.ID, Response: true, OpCode: opUpdate, RCode: dnsmessage.RCode(code)}, Questions: m.Questions}).Pack()
		return b
	}
	sign := func(b []byte) []byte { return b }
	if s.key != nil {
		body, t, err := splitTSIG(msg)
		if err != nil {
			return answer(5)
		}
		refuse := func(code uint16) []byte { // unsigned: section 5.3.2 of RFC 8945
			e := tsig{key: t.key, algorithm: t.algorithm, at: t.at, fudge: t.fudge, id: t.id, code: code}
			return e.append(answer(rcodeNotAuth))
		}
		if want, _ := appendName(nil, absolute(s.key.Name)); !bytes.Equal(want, t.key) {
			return refuse(badKey)
		}
		newHash := hashes[s.key.algorithm()]
		if !bytes.Equal(t.sum(newHash, s.key.Secret, nil, body), t.mac) {
			return refuse(badSig)
		}
		sign = func(b []byte) []byte {
			e := tsig{key: t.key, algorithm: t.algorithm, at: uint64(time.Now().Unix()), fudge: t.fudge, id: t.id}
			e.mac = e.sum(newHash, s.key.Secret, t.mac, b)
			return e.append(b)
		}
	}
	if s.code != 0 {
		return sign(answer(s.code))
	}
	zone := m.Questions[0].Name.String()
	if !slices.Contains(s.zones, zone) {
		return sign(answer(rcodeNotAuth))
	}
	data := func(r dnsmessage.Resource) rr {
		x := rr{r.Header.Name.String(), uint16(r.Header.Type), uint16(r.Header.Class), r.Header.TTL, nil}
		// Bodies were unpacked; packed again they are as they came, since nothing was compressed.
		var b []byte
		switch y := r.Body.(type) {
		case *dnsmessage.AResource:
			b = y.A[:]
		case *dnsmessage.AAAAResource:
			b = y.AAAA[:]
		case *dnsmessage.PTRResource:
			b, _ = appendName(nil, y.PTR.String())
		case *dnsmessage.UnknownResource:
			b = y.Data
		}
		x.data = b
		return x
	}
	match := func(name string, typ uint16) (set []rr) {
		for _, r := range s.records {
			if equal(r.name, name) && (typ == typeAny || r.typ == typ) {
				set = append(set, r)
			}
		}
		return set
	}
	values := map[string][]rr{}
	for _, p := range m.Answers {
		r := data(p)
		found := len(match(r.name, r.typ)) > 0
		switch {
		case r.class == classNone && r.typ == typeAny && found:
			return sign(answer(rcodeYXDomain))
		case r.class == classNone && found:
			return sign(answer(rcodeYXRRSet))
		case r.class == classAny && !found:
			return sign(answer(rcodeNXRRSet))
		case r.class == classIN:
			k := fmt.Sprint(lower(r.name), r.typ)
			values[k] = append(values[k], r)
		}
	}
	for _, want := range values {
		have := match(want[0].name, want[0].typ)
		for _, r := range want {
			if !slices.ContainsFunc(have, func(x rr) bool { return bytes.Equal(x.data, r.data) }) || len(have) != len(want) {
				return sign(answer(rcodeNXRRSet))
			}
		}
	}
	for _, p := range m.Authorities {
		switch r := data(p); r.class {
		case classIN:
			s.records[key(r)] = r
		case classNone:
			delete(s.records, key(r))
		case classAny:
			for _, x := range match(r.name, r.typ) {
				delete(s.records, key(x))
			}
		}
	}
	return sign(answer(rcodeOK))
}

// A network has servers in memory, and counts what is sent to them.
type network struct {
	servers []*dnsServer
}

var errUnreachable = errors.New("unreachable")

// DialContext fits Registrar.Dial. Datagrams are one Write each.
func (n *network) DialContext(_ context.Context, kind, address string) (net.Conn, error) {
	for _, s := range n.servers {
		if s.addr.String() != address {
			continue
		}
		near, far := net.Pipe()
		go s.serve(far, kind == "udp")
		return near, nil
	}
	if kind == "udp" { // nobody answers
		near, far := net.Pipe()
		go io.Copy(io.Discard, far)
		return near, nil
	}
	return nil, errUnreachable
}

func (s *dnsServer) serve(c net.Conn, udp bool) {
	defer c.Close()
	buf := make([]byte, 65536)
	for {
		var msg []byte
		if udp {
			n, err := c.Read(buf)
			if err != nil {
				return
			}
			msg = buf[:n]
		} else {
			var size [2]byte
			if _, err := io.ReadFull(c, size[:]); err != nil {
				return
			}
			msg = make([]byte, binary.BigEndian.Uint16(size[:]))
			if _, err := io.ReadFull(c, msg); err != nil {
				return
			}
		}
		b := s.handle(msg)
		out := [][]byte{b}
		if s.onAnswer != nil {
			out = s.onAnswer(udp, b)
		}
		for _, b := range out {
			if b == nil {
				continue
			}
			if !udp {
				b = append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...)
			}
			if _, err := c.Write(b); err != nil {
				return
			}
		}
	}
}

var testKey = &Key{Name: "ddns-key", Secret: "0123456789abcdef0123456789abcdef"}

// office has a server with the zones of a VPN, that wants testKey.
func office(t *testing.T) (*network, *dnsServer) {
	t.Helper()
	s := newDNSServer("192.0.2.53:53", "vpn.test.", "10.in-addr.arpa.", "d.f.ip6.arpa.")
	s.put("ns.vpn.test. A 192.0.2.53")
	s.primary = "ns.vpn.test."
	s.key = testKey
	return &network{servers: []*dnsServer{s}}, s
}

const onlyServer = "ns.vpn.test. 192.0.2.53"
