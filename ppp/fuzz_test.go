package ppp

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net/netip"
	"testing"
	"time"
)

func FuzzFrame(f *testing.F) {
	for _, s := range harmless() {
		f.Add(s)
	}
	for _, form := range [][]byte{{0xff, 3, 0, 0x21, 0x45}, {0, 0x21}, {0x21}, {0xff, 3, 0x57}} {
		f.Add(form)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		proto, n := parseFrame(b)
		if n == 0 {
			return
		}
		if n > len(b) || n > headerLen || proto&1 == 0 || proto>>8&1 == 1 && n < 2 {
			t.Fatalf("protocol %x, header of %d in %x", proto, n, b)
		}
		if again, m := parseFrame(append(appendHeader(nil, proto), b[n:]...)); again != proto || m != headerLen {
			t.Errorf("%x: protocol %x, then %x", b, proto, again)
		}
		code, id, data, ok := parsePacket(b[n:])
		if !ok {
			return
		}
		if p := appendPacket(nil, code, id, data); !bytes.Equal(p, b[n:n+len(p)]) {
			t.Errorf("%x became %x", b[n:], p)
		}
		_ = tracedPacket{proto, b[n:]}.String()
	})
}

func FuzzAddresses(f *testing.F) {
	f.Add(uint16(protoIPv4), ipv4(clientAddr, serverAddr, 40))
	f.Add(uint16(protoIPv6), icmp6(lan6, world6, icmp6EchoAsk, 64))
	f.Fuzz(func(t *testing.T, proto uint16, b []byte) {
		src, dst, size := addresses(proto, b)
		if size == 0 {
			return
		}
		if size > len(b) || size < 20 || src.Is4() != (proto == protoIPv4) || src.Is4() != dst.Is4() {
			t.Errorf("%v to %v, %d of %d bytes", src, dst, size, len(b))
		}
	})
}

// Option lists of each protocol, as request, Nak and Reject: what is acknowledged is acknowledged to the byte, what is
// rejected stands in the request, and what is asked for next can be parsed.
func FuzzOptions(f *testing.F) {
	for _, s := range [][]byte{
		{1, 4, 0x0f, 0xfb, 5, 6, 1, 2, 3, 4, 7, 2, 8, 2, 13, 3, 6, 17, 4, 6, 0x4e, 19, 5, 1, 1, 2},
		{3, 5, 0xc2, 0x23, 0x81}, {3, 4, 0xc0, 0x23}, {2, 6, 0, 0, 0, 0}, zeros, {1, 10, 1, 2, 3, 4, 5, 6, 7, 8}, {1, 1}, {},
	} {
		for i := range byte(12) {
			f.Add(i, s)
		}
	}
	f.Fuzz(func(t *testing.T, how byte, list []byte) {
		if !validOptions(list) || len(list) > 1500 {
			return
		}
		c := newConn(new(loopConn), Call{Verified: true}, &Config{
			User: "u", DNS: []netip.Addr{serverAddr}, Addr: serverAddr, Auth: []AuthProtocol{MSCHAPv2, PAP}, Authenticator: says(nil, nil),
		}, how&1 == 1)
		c.rand = new(steps)
		c.lcp.init(c)
		c.ipcp.init(c)
		c.ipv6cp.init(c)
		c.addr.done, c.addr.addr = true, clientAddr
		var l layer = &c.lcp
		switch how >> 1 % 3 {
		case 1:
			l = &c.ipcp
		case 2:
			l = &c.ipv6cp
		}
		a := answer{noNak: how&64 != 0}
		l.check(list, &a)
		code, out := a.code(list)
		if !validOptions(out) {
			t.Fatalf("answer %d: %x", code, out)
		}
		switch code {
		case codeConfigureAck:
			if !bytes.Equal(out, list) {
				t.Errorf("Ack %x of %x", out, list)
			}
		case codeConfigureReject:
			for o := range options(out) {
				if !bytes.Contains(list, o.raw) {
					t.Errorf("Reject %x of %x", o.raw, list)
				}
			}
		case codeConfigureNak:
			if a.noNak {
				t.Errorf("Nak %x after Max-Failure", out)
			}
		}
		l.naked(list)
		if !validOptions(l.request(nil)) {
			t.Errorf("request after a Nak of %x: %x", list, l.request(nil))
		}
		l.rejected(list)
		if !validOptions(l.request(nil)) {
			t.Errorf("request after a Reject of %x: %x", list, l.request(nil))
		}
		if c.lcp.mru < minMRU || c.lcp.mru > c.maxMRU() || c.lcp.magic == 0 {
			t.Errorf("MRU %d, magic %x", c.lcp.mru, c.lcp.magic)
		}
	})
}

// A scriptConn gives frames one after the other, then its deadlines until nothing is armed, then the end.
type scriptConn struct {
	loopConn
	frames   [][]byte
	controls [][]byte
	bound    bool
	closed   bool
}

func (s *scriptConn) ReadFrames() ([][]byte, error) {
	if len(s.frames) == 0 {
		return nil, io.EOF
	}
	f := s.frames[:1:1]
	s.frames = s.frames[1:]
	return f, nil
}

func (s *scriptConn) WriteControl(f []byte) error {
	if len(s.controls) < 64 {
		s.controls = append(s.controls, bytes.Clone(f))
	}
	return nil
}

func (s *scriptConn) Bound() bool  { return s.bound }
func (s *scriptConn) Binds() bool  { return true }
func (s *scriptConn) Close() error { s.closed = true; return nil }

// A whole Conn, given any frames in any phase: it ends, says what it says in whole frames, and passes nothing that it
// should not. Frames are cut by a length in front of each.
func FuzzConn(f *testing.F) {
	script := func(frames ...[]byte) (b []byte) {
		for _, x := range frames {
			b = append(binary.BigEndian.AppendUint16(b, uint16(len(x))), x...)
		}
		return b
	}
	packetOf := func(proto uint16, code, id byte, data ...byte) []byte {
		return appendPacket(appendHeader(nil, proto), code, id, data)
	}
	opening := [][]byte{
		packetOf(protoLCP, codeConfigureRequest, 1),
		packetOf(protoLCP, codeConfigureAck, 1, 1, 4, 5, 0x78, 3, 4, 0xc0, 0x23, 5, 6, 1, 2, 3, 4),
		packetOf(protoPAP, papRequest, 1, 1, 'u', 1, 'p'),
		packetOf(protoIPCP, codeConfigureRequest, 2, quad(3, "10.8.0.77")...),
		packetOf(protoIPCP, codeConfigureAck, 2, quad(3, "10.8.0.1")...),
		join(appendHeader(nil, protoIPv4), ipv4(clientAddr, serverAddr, 40)),
	}
	f.Add(byte(0), script(opening...))
	f.Add(byte(1), script(opening...))
	f.Add(byte(3), script(harmless()...))
	f.Add(byte(7), script(append(harmless(), opening...)...))
	f.Fuzz(func(t *testing.T, how byte, b []byte) {
		s := &scriptConn{bound: how&2 != 0}
		for len(b) >= 2 && len(s.frames) < 100 {
			n := min(int(binary.BigEndian.Uint16(b)), len(b)-2)
			s.frames = append(s.frames, bytes.Clone(b[2:2+n]))
			b = b[2+n:]
		}
		config := &Config{User: "u", Password: "p", Auth: []AuthProtocol{PAP, CHAP, MSCHAPv2}, Addr: serverAddr, Pool: &onePool{addr: clientAddr}}
		if how&1 == 1 {
			config.Authenticator = says(&Grant{User: "u", Addr: clientAddr}, nil)
		}
		if how&4 != 0 {
			config.Authenticator, config.NoAuth = nil, true
		}
		c := newConn(s, Call{Verified: true}, config, how&1 == 1)
		c.rand = new(steps)
		if how&8 != 0 {
			// Open already, as after an opening.
			c.lcp.init(c)
			c.ipcp.init(c)
			c.ipv6cp.init(c)
			c.lcp.state, c.ipcp.state = stateOpened, stateOpened
			c.ipcp.local, c.ipcp.peer = serverAddr, clientAddr
			c.addr.done, c.addr.addr = true, clientAddr
			c.phase, c.bindCalled, s.bound = phaseNetwork, true, true
			c.ipv6cp.reset()
			c.cfg.NoIPv6 = true
			c.opened(time.Now())
		} else if err := c.Open(context.Background()); err != nil {
			if !s.closed {
				t.Error("not closed")
			}
			check(t, s)
			return
		}
		err := c.Serve(context.Background(), func(bufs [][]byte, offset int) (int, error) {
			for _, p := range bufs {
				if !s.bound || len(p)-offset < 20 {
					t.Errorf("passed %x", p)
				}
			}
			return len(bufs), nil
		})
		if err == nil || !s.closed {
			t.Errorf("%v", err)
		}
		check(t, s)
	})
}

// check parses all that was said.
func check(t *testing.T, s *scriptConn) {
	for _, f := range s.controls {
		proto, n := parseFrame(f)
		if n != headerLen {
			t.Fatalf("said %x", f)
		}
		code, _, data, ok := parsePacket(f[n:])
		if !ok || len(data)+packetHeaderLen+n != len(f) {
			t.Fatalf("said %x", f)
		}
		if (proto == protoLCP || proto == protoIPCP || proto == protoIPV6CP) && code <= codeConfigureReject && !validOptions(data) {
			t.Fatalf("said %x", f)
		}
	}
}

// A steps is a source of numbers that are all different, and the same in every run.
type steps byte

func (c *steps) Read(b []byte) (int, error) {
	for i := range b {
		*c++
		b[i] = byte(*c)
	}
	return len(b), nil
}
