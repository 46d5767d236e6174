package ppp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// Packets of one header length go to the taker together, and whatever form they come in, they come out as they were.
func TestServeBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c, _, _ := readyUnserved(t)
		forms := [][]byte{{0xff, 3, 0, 0x21}, {0, 0x21}, {0xff, 3, 0x21}, {0x21}}
		frame := func(form, size int, padding ...byte) []byte {
			return join(forms[form], ipv4(clientAddr, serverAddr, size), padding)
		}
		f.end.peer.mu.Lock() // all at once
		f.end.peer.queue = append(f.end.peer.queue, [][]byte{
			frame(0, 100), frame(0, 101, 0, 0), frame(0, 102), // padding behind a packet is none of it
			frame(1, 103), frame(1, 104),
			frame(2, 105),
			frame(3, 106), frame(3, 107),
			join(forms[0], ipv4(other, serverAddr, 99)), // does not pass
			frame(3, 108),
			appendPacket(appendHeader(nil, protoLCP), codeEchoRequest, 1, make([]byte, 4)), // acts in its place
			frame(3, 109),
			{0xff}, {0xff, 3}, {0xff, 3, 0}, {0, 0, 0x21}, {}, // no frames
			frame(0, 20),
		}...)
		f.end.peer.changed()
		f.end.peer.mu.Unlock()
		type batch struct{ n, offset int }
		var got []batch
		size := 100
		ended := make(chan error)
		go func() {
			ended <- c.Serve(context.Background(), func(bufs [][]byte, offset int) (int, error) {
				got = append(got, batch{len(bufs), offset})
				for _, b := range bufs {
					p := b[offset:]
					if size == 110 {
						size = 20
					}
					if len(p) != size || cap(b) != len(b) || !bytes.Equal(p, ipv4(clientAddr, serverAddr, size)) {
						t.Errorf("%d bytes of %d, want %d", len(p), cap(p), size)
					}
					size++
					clear(b[:offset]) // scratch
				}
				return len(bufs), nil
			})
		}()
		f.want(protoLCP, codeEchoReply)
		synctest.Wait()
		want := []batch{{3, 4}, {2, 2}, {1, 3}, {3, 1}, {1, 1}, {1, 4}}
		if len(got) != len(want) {
			t.Fatalf("%v, want %v", got, want)
		}
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("%v, want %v", got, want)
				break
			}
		}
		if st := c.Stats(); st.RxPackets != 11 || st.RxDropped != 6 {
			t.Errorf("%+v", st)
		}
		c.Close()
		f.bye()
		<-ended
	})
}

// readyUnserved is ready, with nobody serving.
func readyUnserved(t *testing.T) (f *far, c *Conn, done chan error, pool *onePool) {
	t.Helper()
	pool = &onePool{addr: clientAddr}
	f, c = farOf(t, true, &Config{NoAuth: true, NoIPv6: true, Addr: serverAddr, Pool: pool})
	done = open(t, c)
	f.openLCP()
	f.openIPCP(clientAddr.As4(), serverAddr.As4())
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	return f, c, done, pool
}

// Runs of one protocol go down together; what may not be sent is left out.
func TestWriteRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := ends(t, &Config{}, &Config{NoAuth: true, Addr: serverAddr, Pool: &onePool{addr: clientAddr}})
		r := &recorder{FrameConn: s.fc}
		s.out.Load().fc = r
		four := func(n int) []byte { return append([]byte("xx"), ipv4(serverAddr, clientAddr, n)...) }
		six := func(n int) []byte { return append([]byte("xx"), ipv6(world6, lan6, n)...) }
		calls := 0
		e := *s.out.Load()
		e.filter = func(p []byte) bool { calls++; return len(p) != 77 }
		s.out.Store(&e)
		n, err := s.Write([][]byte{
			four(20), four(30), // a run
			six(40), six(50), // another
			four(1401),                                      // too large
			[]byte("xx"), []byte("xx\x40"), {}, []byte("x"), // no packets
			append([]byte("xx"), bytes.Repeat([]byte{0x50}, 40)...),
			four(1400), four(77), four(21), six(41), four(22), four(77),
		}, 2)
		if n != 8 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		want := []string{"4:20,30", "6:40,50", "4:1400", "4:21", "6:41", "4:22"}
		if len(r.runs) != len(want) {
			t.Fatalf("%v, want %v", r.runs, want)
		}
		for i := range want {
			if r.runs[i] != want[i] {
				t.Errorf("%v, want %v", r.runs, want)
				break
			}
		}
		if calls != 10 {
			t.Errorf("the filter was asked %d times", calls)
		}
		if st := s.Stats(); st.TxPackets != 8 || st.TxDropped != 8 || st.TxBytes != 20+30+40+50+1400+21+41+22 {
			t.Errorf("%+v", st)
		}
		r.err = errors.New("broken")
		if n, err := s.Write([][]byte{four(20), six(40)}, 2); n != 0 || err != r.err {
			t.Errorf("%d, %v", n, err)
		}
		_, e1 := serve(c)
		_, e2 := serve(s)
		c.Close()
		<-e1
		<-e2
	})
}

// A recorder notes what WriteFrames is given.
type recorder struct {
	FrameConn
	runs []string
	err  error
}

func (r *recorder) WriteFrames(header []byte, bufs [][]byte, offset int) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	s := "4:"
	if bytes.Equal(header, ipv6Header[:]) {
		s = "6:"
	} else if !bytes.Equal(header, ipv4Header[:]) {
		s = "?:"
	}
	for i, b := range bufs {
		if i > 0 {
			s += ","
		}
		n := len(b) - offset
		var d []byte
		for ; n > 0; n /= 10 {
			d = append([]byte{byte('0' + n%10)}, d...)
		}
		s += string(d)
	}
	r.runs = append(r.runs, s)
	return len(bufs), nil
}

// A loopConn gives the same frames again and again, and takes what is written.
type loopConn struct {
	frames [][]byte
	lent   [][]byte
	left   int
	wrote  int
}

func (l *loopConn) ReadFrames() ([][]byte, error) {
	if l.left == 0 {
		return nil, io.EOF
	}
	l.left--
	return append(l.lent[:0], l.frames...), nil
}

func (l *loopConn) WriteFrames(header []byte, bufs [][]byte, offset int) (int, error) {
	l.wrote += len(bufs)
	return len(bufs), nil
}
func (l *loopConn) WriteControl([]byte) error         { return nil }
func (l *loopConn) SetReadDeadline(t time.Time) error { return nil }
func (l *loopConn) Bind(send, recv []byte) error      { return nil }
func (l *loopConn) Bound() bool                       { return true }
func (l *loopConn) Binds() bool                       { return false }
func (l *loopConn) MaxFrame() int                     { return 4091 }
func (l *loopConn) Close() error                      { return nil }

// openedOn is an end that is open on fc, as by an opening.
func openedOn(fc FrameConn, server bool, g *Grant) *Conn {
	c := newConn(fc, Call{ID: "x"}, &Config{Echo: -1}, server)
	c.lcp.init(c)
	c.ipcp.init(c)
	c.ipv6cp.init(c)
	for _, a := range []*automaton{&c.lcp.automaton, &c.ipcp.automaton, &c.ipv6cp.automaton} {
		a.state = stateOpened
	}
	c.ipcp.local, c.ipcp.peer = serverAddr, clientAddr
	if !server {
		c.ipcp.local, c.ipcp.peer = clientAddr, serverAddr
	}
	if g != nil {
		c.grant.Store(g)
	}
	c.phase = phaseNetwork
	c.opened(time.Now())
	return c
}

func loopOf(n, size int) *loopConn {
	l := new(loopConn)
	for range n {
		l.frames = append(l.frames, append(bytes.Clone(ipv4Header[:]), ipv4(clientAddr, serverAddr, size)...))
	}
	l.lent = make([][]byte, 0, n)
	return l
}

func limits() *Grant {
	return &Grant{
		User: "u", IdleTimeout: time.Hour, RateIn: Rate{Bits: 1 << 40}, RateOut: Rate{Bits: 1 << 40},
		In: func(p []byte) bool { return p[0] != 0 }, Out: func(p []byte) bool { return p[0] != 0 },
		Prefixes: []netip.Prefix{netip.MustParsePrefix("2001:db8:2::/64")},
	}
}

func TestServeDoesNotAllocate(t *testing.T) {
	for name, g := range map[string]*Grant{"plain": nil, "limited": limits()} {
		l := loopOf(40, 1400)
		l.frames = append(l.frames, append(bytes.Clone(ipv6Header[:]), ipv6(lan6, world6, 1400)...))
		l.lent = make([][]byte, 0, len(l.frames))
		c := openedOn(l, true, g)
		n := 0
		c.to = func(bufs [][]byte, offset int) (int, error) { n += len(bufs); return len(bufs), nil }
		l.left = 1 << 30
		if a := testing.AllocsPerRun(200, func() { c.turn() }); a != 0 {
			t.Errorf("%s: %v allocations", name, a)
		}
		want := 40
		if g != nil {
			want++
		}
		if n != 201*want {
			t.Errorf("%s: %d packets passed, %+v", name, n, c.Stats())
		}
	}
}

func TestWriteDoesNotAllocate(t *testing.T) {
	for name, g := range map[string]*Grant{"plain": nil, "limited": limits()} {
		l := new(loopConn)
		c := openedOn(l, true, g)
		bufs := [][]byte{ipv4(serverAddr, clientAddr, 1400), ipv4(serverAddr, clientAddr, 40), ipv6(world6, lan6, 1400)}
		if a := testing.AllocsPerRun(200, func() { c.Write(bufs, 0) }); a != 0 {
			t.Errorf("%s: %v allocations", name, a)
		}
		if l.wrote != 201*3 {
			t.Errorf("%s: %d packets", name, l.wrote)
		}
	}
}

func BenchmarkServe(b *testing.B) {
	for name, g := range map[string]*Grant{"plain": nil, "limited": limits()} {
		for _, n := range []int{1, 40} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				l := loopOf(n, 1400)
				c := openedOn(l, true, g)
				l.left = b.N/n + 1
				b.SetBytes(1400)
				b.ReportAllocs()
				if err := c.Serve(context.Background(), nothing); !errors.Is(err, io.EOF) {
					b.Fatal(err)
				}
			})
		}
	}
}

func BenchmarkWrite(b *testing.B) {
	for name, g := range map[string]*Grant{"plain": nil, "limited": limits()} {
		b.Run(name, func(b *testing.B) {
			c := openedOn(new(loopConn), true, g)
			bufs := make([][]byte, 40)
			for i := range bufs {
				bufs[i] = ipv4(serverAddr, clientAddr, 1400)
			}
			b.SetBytes(1400)
			b.ReportAllocs()
			for i := 0; i < b.N; i += len(bufs) {
				c.Write(bufs, 0)
			}
		})
	}
}

// The pipe of the tests behaves as a transport does.
func TestPipeIsAsATransport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newPipe()
		b.WriteControl([]byte{1})
		a.SetReadDeadline(longAgo)
		if _, err := a.ReadFrames(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a deadline that is past: %v", err)
		}
		a.SetReadDeadline(time.Time{})
		frames, err := a.ReadFrames()
		if err != nil || len(frames) != 1 || frames[0][0] != 1 {
			t.Errorf("%v %v", frames, err)
		}
		b.Close()
		if _, err := a.ReadFrames(); err == nil || frames[0][0] != 0xdb {
			t.Errorf("%v %v", frames, err)
		}
	})
}
