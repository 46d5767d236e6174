package register

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dialway/dialway/dhcpinform"
)

// A wire joins sockets in memory: what is sent to an address that nobody has is lost.
type wire struct {
	mu      sync.Mutex
	sockets map[netip.AddrPort]*socket
	taken   bool // port 137 is not to be had
}

type socket struct {
	wire   *wire
	addr   netip.AddrPort
	in     chan datagram
	closed chan struct{}
	once   sync.Once
}

type datagram struct {
	from netip.AddrPort
	b    []byte
}

func (w *wire) ListenPacket(_, address string) (net.PacketConn, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	a := netip.MustParseAddrPort(address)
	if a.Port() == nbPort && w.taken {
		return nil, os.ErrExist
	}
	if a.Port() == 0 {
		a = netip.AddrPortFrom(a.Addr(), 40000)
	}
	s := &socket{wire: w, addr: a, in: make(chan datagram, 100), closed: make(chan struct{})}
	if w.sockets == nil {
		w.sockets = make(map[netip.AddrPort]*socket)
	}
	w.sockets[a] = s
	return s, nil
}

func (s *socket) ReadFrom(b []byte) (int, net.Addr, error) {
	select {
	case d := <-s.in:
		return copy(b, d.b), net.UDPAddrFromAddrPort(d.from), nil
	case <-s.closed:
		return 0, nil, net.ErrClosed
	}
}

func (s *socket) WriteTo(b []byte, to net.Addr) (int, error) {
	s.wire.mu.Lock()
	defer s.wire.mu.Unlock()
	if x := s.wire.sockets[netip.MustParseAddrPort(to.String())]; x != nil {
		x.in <- datagram{s.addr, slices.Clone(b)}
	}
	return len(b), nil
}

func (s *socket) Close() error {
	s.once.Do(func() {
		close(s.closed)
		s.wire.mu.Lock()
		delete(s.wire.sockets, s.addr)
		s.wire.mu.Unlock()
	})
	return nil
}

func (s *socket) LocalAddr() net.Addr              { return net.UDPAddrFromAddrPort(s.addr) }
func (s *socket) SetDeadline(time.Time) error      { return nil }
func (s *socket) SetReadDeadline(time.Time) error  { return nil }
func (s *socket) SetWriteDeadline(time.Time) error { return nil }

// A winsServer gives names to who asks first, for ttl seconds.
type winsServer struct {
	*socket
	ttl uint32

	mu     sync.Mutex
	names  map[string]netip.Addr
	log    []string
	answer func(m nbMessage) []datagram // in the place of its own, if not nil; to where it came from
}

func startWINS(t *testing.T, w *wire, addr string) *winsServer {
	pc, err := w.ListenPacket("udp4", addr+":137")
	if err != nil {
		t.Fatal(err)
	}
	s := &winsServer{socket: pc.(*socket), ttl: 6 * 3600, names: make(map[string]netip.Addr)}
	go func() {
		for {
			select {
			case d := <-s.in:
				s.take(d)
			case <-s.closed:
				return
			}
		}
	}()
	t.Cleanup(func() { s.Close() })
	return s
}

var nbOps = map[uint16]string{nbQuery: "query", nbRegister: "register", nbRelease: "release", nbRefresh: "refresh"}

func (s *winsServer) take(d datagram) {
	m, err := parseNBNS(d.b)
	if err != nil {
		panic(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if m.response() {
		s.log = append(s.log, fmt.Sprintf("answer %v %d", m.name, m.rcode()))
		return
	}
	s.log = append(s.log, fmt.Sprintf("%s %v", nbOps[m.opcode()], m.name))
	var out []datagram
	if s.answer != nil {
		out = s.answer(m)
	} else {
		out = s.own(m)
	}
	for _, o := range out {
		x := s.socket
		if o.from.IsValid() {
			x = &socket{wire: s.wire, addr: o.from}
		}
		x.WriteTo(o.b, net.UDPAddrFromAddrPort(d.from))
	}
}

func (s *winsServer) own(m nbMessage) []datagram {
	name := m.name.String()
	holder, has := s.names[name]
	group := binary.BigEndian.Uint16(m.data)&nbGroup != 0
	switch m.opcode() {
	case nbRegister, nbRefresh:
		if has && holder != m.owner() && !group {
			return []datagram{{b: reply(m, nbActive|nbRecursive, 0, holder)}}
		}
		s.names[name] = m.owner()
	case nbRelease:
		delete(s.names, name)
	}
	return []datagram{{b: reply(m, nbRecursive, s.ttl, m.owner())}}
}

// reply answers a request.
func reply(m nbMessage, flags uint16, ttl uint32, owner netip.Addr) []byte {
	b, _ := m.name.append(nbHeader(nil, m.id, nbResponse|nbAuthoritative|nbRecursion|m.opcode()<<11|flags, 0, 1, 0))
	return nbRecord(b, ttl, 0x6000, owner)
}

func wack(m nbMessage, ttl uint32) []byte {
	b, _ := m.name.append(nbHeader(nil, m.id, nbResponse|nbAuthoritative|nbWACK<<11, 0, 1, 0))
	b = append(b, 0, nbTypeNB, 0, classIN)
	b = binary.BigEndian.AppendUint32(b, ttl)
	return append(b, 0, 2, 0x29, 0)
}

func (s *winsServer) did() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	slices.Sort(s.log)
	all := strings.Join(s.log, ", ")
	s.log = nil
	return all
}

func (s *winsServer) has() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []string
	for n, a := range s.names {
		list = append(list, n+" "+a.String())
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}

// netbios returns a Registrar that registers with WINS only.
func netbios(w *wire) *Registrar {
	return &Registrar{Host: "Reception-Desk-12.vpn.test", NetBIOS: true, Workgroup: "office", WINS: addrs("192.0.2.9", "192.0.2.10"),
		DNS: dnsAt("192.0.2.99:53"), Dial: new(network).DialContext, ListenPacket: w.ListenPacket}
}

const (
	allNames   = "OFFICE<00> 10.8.0.2, RECEPTION-DESK-<00> 10.8.0.2, RECEPTION-DESK-<20> 10.8.0.2"
	threeTimes = "%[1]s OFFICE<00>, %[1]s RECEPTION-DESK-<00>, %[1]s RECEPTION-DESK-<20>"
)

func three(op string) string { return fmt.Sprintf(threeTimes, op) }

// TestNBNSWire: bytes that were computed by hand from RFC 1002 section 4.2.2.
func TestNBNSWire(t *testing.T) {
	b, err := nbRequest(0x1234, nbRegister<<11|nbRecursion, nbName{name: "VPNCLIENT"}, 300000, 0x6000, netip.MustParseAddr("172.16.1.10"))
	const want = "1234290000010000000000012046474641454f4544454d454a4546454f464543414341434143414341434141410000200001c00c00200001000493e000066000ac10010a"
	if got := hex.EncodeToString(b); err != nil || len(b) != 68 || got != want {
		t.Errorf("%v\n%s, want\n%s", err, got, want)
	}
	m, err := parseNBNS(b)
	if err != nil || m.name.String() != "VPNCLIENT<00>" || m.owner() != netip.MustParseAddr("172.16.1.10") || m.opcode() != nbRegister || m.ttl != 300000 {
		t.Errorf("%+v %v", m, err)
	}
	b, _ = nbName{name: "A", suffix: 0x20, scope: "corp.test"}.append(make([]byte, headerSize))
	if n, _, err := parseNBName(b, headerSize); err != nil || n.scope != "corp.test" || n.String() != "A<20>" {
		t.Errorf("%+v %v", n, err)
	}
}

func TestWINSRegisterRefreshRelease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := new(wire)
		s := startWINS(t, w, "192.0.2.9")
		watch, stop := start(t, netbios(w), connect(t, told))
		time.Sleep(time.Second)
		if s.has() != allNames || s.did() != three("register") || !strings.Contains(watch.text(), "NetBIOS RECEPTION-DESK-<00>, NetBIOS RECEPTION-DESK-<20>, NetBIOS OFFICE<00>") {
			t.Errorf("%s; %s", s.has(), watch.text())
		}
		time.Sleep(3*time.Hour - 10*time.Second)
		if did := s.did(); did != "" {
			t.Errorf("before TTL/2: %s", did)
		}
		time.Sleep(20 * time.Second)
		if did := s.did(); did != three("refresh") {
			t.Errorf("at TTL/2: %s", did)
		}
		if err := stop(errBye); err != errBye || s.has() != "" || s.did() != three("release") {
			t.Errorf("%v: %s", err, s.has())
		}
	})
}

func TestWINSNameForEverIsNotRefreshed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := new(wire)
		s := startWINS(t, w, "192.0.2.9")
		s.ttl = 0
		_, stop := start(t, netbios(w), connect(t, told))
		time.Sleep(1000 * time.Hour)
		if did := s.did(); did != three("register") {
			t.Error(did)
		}
		stop(errBye)
	})
}

// TestWACKIsWaitedFor, as long as it says, without asking again; but not for ever.
func TestWACKIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := new(wire)
		s := startWINS(t, w, "192.0.2.9")
		r := netbios(w)
		s.answer = func(m nbMessage) []datagram {
			if m.opcode() != nbRegister {
				return s.own(m)
			}
			time.AfterFunc(50*time.Second, func() {
				s.mu.Lock()
				b := s.own(m)[0].b
				s.mu.Unlock()
				s.WriteTo(b, net.UDPAddrFromAddrPort(netip.MustParseAddrPort("10.8.0.2:137")))
			})
			return []datagram{{b: wack(m, 60)}, {b: wack(m, 60)}}
		}
		watch, stop := start(t, r, connect(t, told))
		time.Sleep(49 * time.Second)
		if s.has() != "" || strings.Contains(watch.text(), "NetBIOS") {
			t.Error(watch.text())
		}
		time.Sleep(2 * time.Second)
		if s.has() != allNames || s.did() != three("register") || strings.Count(watch.text(), "no NetBIOS") != 0 {
			t.Error(watch.text())
		}
		stop(errBye)
	})
	synctest.Test(t, func(t *testing.T) {
		w := new(wire)
		s := startWINS(t, w, "192.0.2.9")
		s.answer = func(m nbMessage) []datagram { return []datagram{{b: wack(m, 1<<31)}} }
		watch, stop := start(t, netbios(w), connect(t, told))
		time.Sleep(3*(nbMaxWait+2*nbRetryTimeout) + 20*time.Second)
		if !strings.Contains(watch.text(), "no NetBIOS RECEPTION-DESK-<00>") {
			t.Error(watch.text())
		}
		stop(errBye)
	})
}

func TestWINSNameOfAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := new(wire)
		s := startWINS(t, w, "192.0.2.9")
		other := netip.MustParseAddr("192.0.2.80")
		s.names["RECEPTION-DESK-<00>"], s.names["OFFICE<00>"] = other, other
		watch, stop := start(t, netbios(w), connect(t, told))
		time.Sleep(time.Second)
		if got := watch.text(); !strings.HasSuffix(got, "no NetBIOS RECEPTION-DESK-<00>, NetBIOS RECEPTION-DESK-<20>, NetBIOS OFFICE<00>") {
			t.Error(got)
		}
		for _, r := range watch.status().Records {
			if e, ok := r.Err.(*TakenError); ok && (e.Addrs[0] != other || r.Server != netip.MustParseAddrPort("192.0.2.9:137")) {
				t.Errorf("%+v", r)
			}
		}
		s.did()
		time.Sleep(24 * time.Hour)
		if n := strings.Count(s.did(), "register RECEPTION-DESK-<00>"); n < 20 || n > 60 {
			t.Errorf("asked %d times in a day", n)
		}
		stop(errBye)
		if s.has() != "RECEPTION-DESK-<00> 192.0.2.80" {
			t.Errorf("another's name was released: %s", s.has())
		}
	})
}

func TestSecondServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := new(wire)
		second := startWINS(t, w, "192.0.2.10")
		_, stop := start(t, netbios(w), connect(t, told))
		time.Sleep(14 * time.Second)
		if second.has() != "" {
			t.Error("the second is asked before the first was, three times")
		}
		time.Sleep(2 * time.Second)
		if second.has() != allNames {
			t.Error(second.has())
		}
		// The second goes, the first comes.
		second.did()
		second.Close()
		first := startWINS(t, w, "192.0.2.9")
		time.Sleep(3*time.Hour + time.Minute)
		if first.has() != allNames || second.did() != "" {
			t.Error(first.has())
		}
		stop(errBye)
		if first.has() != "" {
			t.Error(first.has())
		}
	})
}

// TestEndNodeChallenge: a server that lets the node ask the owner itself, RFC 1002 section 4.2.7.
func TestEndNodeChallenge(t *testing.T) {
	for name, there := range map[string]bool{"the owner is there": true, "the owner is gone": false} {
		synctest.Test(t, func(t *testing.T) {
			w := new(wire)
			s := startWINS(t, w, "192.0.2.9")
			owner := netip.MustParseAddr("10.8.0.9")
			if there {
				o := startWINS(t, w, owner.String())
				o.answer = func(m nbMessage) []datagram { return []datagram{{b: reply(m, 0, 1, owner)}} }
			}
			s.answer = func(m nbMessage) []datagram {
				if m.opcode() == nbRegister && m.flags&nbRecursion != 0 {
					return []datagram{{b: reply(m, 0, 0, owner)}}
				}
				return s.own(m)
			}
			watch, stop := start(t, netbios(w), connect(t, told))
			time.Sleep(20 * time.Second)
			if there != strings.Contains(watch.text(), "no NetBIOS RECEPTION-DESK-<00>") || there != (s.has() == "") {
				t.Errorf("%s: %s; %s", name, watch.text(), s.has())
			}
			stop(errBye)
		})
	}
}

// TestNamesAreNotLostToStrangers: answers and demands count only of servers that were asked.
func TestNamesAreNotLostToStrangers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := new(wire)
		s := startWINS(t, w, "192.0.2.9")
		stranger := netip.MustParseAddrPort("10.8.0.66:137")
		s.answer = func(m nbMessage) []datagram {
			wrong := m
			wrong.name.name = "OTHER"
			return append([]datagram{{from: stranger, b: reply(m, nbActive, 0, stranger.Addr())}, {b: reply(wrong, nbActive, 0, stranger.Addr())}}, s.own(m)...)
		}
		watch, stop := start(t, netbios(w), connect(t, told))
		time.Sleep(time.Second)
		if s.has() != allNames || strings.Contains(watch.text(), "no NetBIOS") {
			t.Error(watch.text())
		}
		demand := func(from netip.AddrPort, name nbName) {
			b, _ := name.append(nbHeader(nil, 99, nbResponse|nbAuthoritative|nbRegister<<11|nbConflict, 0, 1, 0))
			(&socket{wire: w, addr: from}).WriteTo(nbRecord(b, 0, 0, stranger.Addr()), net.UDPAddrFromAddrPort(netip.MustParseAddrPort("10.8.0.2:137")))
			synctest.Wait()
		}
		name := nbName{name: "RECEPTION-DESK-", suffix: 0x20}
		demand(stranger, name)
		if strings.Contains(watch.text(), "no NetBIOS") {
			t.Error("a stranger took a name away")
		}
		demand(s.addr, name)
		if strings.Count(watch.text(), "no NetBIOS") != 1 {
			t.Error(watch.text())
		}
		s.did()
		time.Sleep(2 * time.Minute)
		if s.did() != "register RECEPTION-DESK-<20>" || strings.Contains(watch.text(), "no NetBIOS") {
			t.Errorf("not registered again: %s", watch.text())
		}
		stop(errBye)
	})
}

// TestNodeAnswersForItsNames, and only for them.
func TestNodeAnswersForItsNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := new(wire)
		s := startWINS(t, w, "192.0.2.9")
		_, stop := start(t, netbios(w), connect(t, told))
		time.Sleep(time.Second)
		s.did()
		query := func(name nbName, typ byte) {
			b, _ := name.append(nbHeader(nil, 7, 0, 1, 0, 0))
			s.WriteTo(append(b, 0, typ, 0, classIN), net.UDPAddrFromAddrPort(netip.MustParseAddrPort("10.8.0.2:137")))
			synctest.Wait()
		}
		query(nbName{name: "RECEPTION-DESK-", suffix: 0x20}, nbTypeNB)
		query(nbName{name: "RECEPTION-DESK-", suffix: 0x1b}, nbTypeNB)
		query(nbName{name: "*"}, nbTypeStat)
		query(nbName{name: "*"}, 1)
		if did := s.did(); did != "answer *<00> 0, answer RECEPTION-DESK-<1B> 3, answer RECEPTION-DESK-<20> 0" {
			t.Error(did)
		}
		stop(errBye)
	})
}

// TestPort137IsNotToBeHad: another port serves.
func TestPort137IsNotToBeHad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := new(wire)
		s := startWINS(t, w, "192.0.2.9")
		w.taken = true
		_, stop := start(t, netbios(w), connect(t, told))
		time.Sleep(time.Second)
		if s.has() != allNames {
			t.Error(s.has())
		}
		stop(errBye)
		if s.has() != "" {
			t.Error(s.has())
		}
	})
}

// TestNetBIOSIsNotWanted: by the node type, by Microsoft's vendor option, or since nobody serves it.
func TestNetBIOSIsNotWanted(t *testing.T) {
	for name, o := range map[string]*dhcpinform.Options{
		"broadcast node":      {NodeType: 1, WINS: addrs("192.0.2.9")},
		"off by vendor":       {NodeType: 8, WINS: addrs("192.0.2.9"), Vendor: []byte{1, 4, 0, 0, 0, 2}},
		"no server":           {NodeType: 8},
		"on":                  {NodeType: 8, WINS: addrs("192.0.2.9"), Vendor: []byte{1, 4, 0, 0, 0, 1}},
		"on, vendor is noise": {NodeType: 2, WINS: addrs("192.0.2.9"), Vendor: []byte{1, 200}},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := new(wire)
			s := startWINS(t, w, "192.0.2.9")
			r := netbios(w)
			r.WINS = nil
			_, stop := start(t, r, connect(t, o))
			time.Sleep(time.Minute)
			if got := s.has() == allNames; got != strings.HasPrefix(name, "on") {
				t.Errorf("%s: %q", name, s.has())
			}
			stop(errBye)
		})
	}
}
