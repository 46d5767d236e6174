package tunnel_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"github.com/dialway/dialway/internal/packet"
	"github.com/dialway/dialway/tunnel"
)

func pfx(s string) netip.Prefix { return netip.MustParsePrefix(s) }
func adr(s string) netip.Addr   { return netip.MustParseAddr(s) }

// headroom is what the tests leave in front of packets.
const headroom = 12

// ip makes a packet of either family with size bytes of payload; the options change it before its checksum is made.
func ip(src, dst string, proto byte, size int, options ...func(b []byte)) []byte {
	s, d := adr(src), adr(dst)
	var b []byte
	if s.Is4() {
		b = make([]byte, 20+size)
		b[0], b[8], b[9] = 0x45, 64, proto
		binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
		copy(b[12:], s.AsSlice())
		copy(b[16:], d.AsSlice())
	} else {
		b = make([]byte, 40+size)
		b[0], b[6], b[7] = 0x60, proto, 64
		binary.BigEndian.PutUint16(b[4:], uint16(size))
		copy(b[8:], s.AsSlice())
		copy(b[24:], d.AsSlice())
	}
	for _, o := range options {
		o(b)
	}
	if s.Is4() {
		packet.IPv4(b).SetChecksum()
	}
	return b
}

func df(b []byte) { b[6] |= 0x40 }

func hops(n byte) func(b []byte) {
	return func(b []byte) {
		if b[0]>>4 == 4 {
			b[8] = n
		} else {
			b[7] = n
		}
	}
}

// syn makes a payload of at least 24 bytes a TCP SYN with an MSS.
func syn(mss uint16) func(b []byte) {
	return func(b []byte) {
		t, src, dst := b[20:], netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20]))
		if b[0]>>4 == 6 {
			t, src, dst = b[40:], netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40]))
		}
		t[12], t[13], t[20], t[21] = 6<<4, 2, 2, 4
		binary.BigEndian.PutUint16(t[22:], mss)
		binary.BigEndian.PutUint16(t[16:], packet.Checksum(t, packet.PseudoSum(src, dst, 6, len(t))))
	}
}

// mssOf returns the MSS of a SYN, and fails if its checksum is wrong.
func mssOf(t *testing.T, b []byte) uint16 {
	t.Helper()
	var i packet.Info
	if !i.Parse(b) || packet.Checksum(b[i.Start:], packet.PseudoSum(i.Src, i.Dst, 6, len(b)-i.Start)) != 0 {
		t.Errorf("no TCP, or a wrong checksum: %x", b)
		return 0
	}
	return binary.BigEndian.Uint16(b[i.Start+22:])
}

// lend returns packets as a batch with headroom.
func lend(packets ...[]byte) [][]byte {
	bufs := make([][]byte, len(packets))
	for i, p := range packets {
		bufs[i] = append(make([]byte, headroom), p...)
	}
	return bufs
}

// A recorder is a next hop that keeps copies of what it is given.
type recorder struct {
	name  string
	mtu   int
	takes int // of each Write; -1 means all
	err   error

	mu  sync.Mutex
	got [][]byte
	n   []int // packets of each Write
}

func newRecorder(name string) *recorder { return &recorder{name: name, takes: -1} }

func (r *recorder) Write(bufs [][]byte, offset int) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.n = append(r.n, len(bufs))
	for i, b := range bufs {
		if r.takes >= 0 && i >= r.takes {
			return i, r.err
		}
		r.got = append(r.got, bytes.Clone(b[offset:]))
		for i := range b {
			b[i] = 0xDB // they are ours until Write returns
		}
	}
	return len(bufs), r.err
}

func (r *recorder) MTU() int       { return r.mtu }
func (r *recorder) String() string { return r.name }

func (r *recorder) take() [][]byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	got := r.got
	r.got, r.n = nil, nil
	return got
}

// A kernel is an Uplink that counts hops itself.
type kernel struct{ recorder }

func (*kernel) Forwards() bool { return true }

func newKernel() *kernel { return &kernel{recorder{name: "kernel", takes: -1}} }

// An addressed is a recorder with addresses, as a link has.
type addressed struct {
	recorder
	addrs []netip.Addr
}

func newAddressed(name string, addrs ...string) *addressed {
	a := &addressed{recorder: recorder{name: name, takes: -1}}
	for _, s := range addrs {
		a.addrs = append(a.addrs, adr(s))
	}
	return a
}

func (a *addressed) Addrs() []netip.Addr { return a.addrs }

// describe prints packets, so that tests compare text.
func describe(packets [][]byte) string {
	var out []string
	for _, p := range packets {
		var i packet.Info
		if !i.Parse(p) {
			out = append(out, fmt.Sprintf("%x", p))
			continue
		}
		s := fmt.Sprintf("%v>%v %d", i.Src, i.Dst, i.Proto)
		if i.ICMP {
			rest := binary.BigEndian.Uint32(p[i.Start+4:])
			s += fmt.Sprintf(" %d/%d/%d", i.Type, i.Code, rest)
		}
		out = append(out, s)
	}
	return strings.Join(out, ", ")
}

func write(t *testing.T, w tunnel.PacketWriter, packets ...[]byte) int {
	t.Helper()
	n, err := w.Write(lend(packets...), headroom)
	if err != nil {
		t.Errorf("Write: %v", err)
	}
	return n
}

func wantGot(t *testing.T, what string, r interface{ take() [][]byte }, want string) {
	t.Helper()
	if got := describe(r.take()); got != want {
		t.Errorf("%s: %v got %q, want %q", what, r, got, want)
	}
}

func wantStats(t *testing.T, rt *tunnel.Router, want tunnel.Stats) {
	t.Helper()
	if got := rt.Stats(); got != want {
		t.Errorf("Stats = %+v, want %+v", got, want)
	}
}
