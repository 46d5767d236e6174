package ppp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// control makes an LCP frame of n bytes.
func control(n int) []byte { return append([]byte{0xff, 3, 0xc0, 0x21}, make([]byte, n-headerLen)...) }

// TestEchoFlood: a far side sends what has to be answered, for ever, and never reads. The session ends by the bound on
// control frames; memory stays bounded meanwhile.
func TestEchoFlood(t *testing.T) {
	for _, trust := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			a, b := memPair(8 << 10)
			ca, cb := tlsPair(t, a, b, 0)
			attacker, s := NewStream(ca, lengthFraming{}), NewStream(cb, lengthFraming{})
			if trust {
				s.Trust()
			}
			flood := make(chan error)
			go func() {
				for {
					if err := attacker.WriteControl(control(1000)); err != nil {
						flood <- err
						return
					}
					time.Sleep(time.Millisecond)
				}
			}()
			answers, most := 0, 0
			var err error
			for err == nil {
				var frames [][]byte
				frames, err = s.ReadFrames()
				for range frames {
					answers++
					s.WriteControl(control(1000)) // its error ends the next read, too
				}
				s.mu.Lock()
				most = max(most, len(s.control))
				s.mu.Unlock()
			}
			if !errors.Is(err, ErrPeerStalled) || answers > 200 || most > maxControlWaiting {
				t.Errorf("%v after %d answers; %d bytes waited", err, answers, most)
			}
			s.Close()
			if err := <-flood; err == nil {
				t.Error("the attacker goes on")
			}
			attacker.Close()
			attacker.ReadFrames()
			wantBuffersBack(t)
		})
	}
}

// TestPeerThatNeverReadsPackets: packets are dropped, one by one, and the session ends when nothing moved for the time
// that a stranger or a friend has.
func TestPeerThatNeverReadsPackets(t *testing.T) {
	for _, trust := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			a, b := memPair(8 << 10)
			ca, cb := tlsPair(t, a, b, 0)
			s := NewStream(ca, lengthFraming{})
			patience := strangerPatience
			if trust {
				patience = friendPatience
				s.Bind(nil, nil) // as much as Trust
			}
			start := time.Now()
			read := make(chan error)
			go func() {
				_, err := s.ReadFrames()
				read <- err
			}()
			bufs := make([][]byte, 46)
			for i := range bufs {
				bufs[i] = udp(uint16(i), 0, 1400)
			}
			var err error
			for err == nil {
				var n int
				if n, err = s.WriteFrames(ipv4Header[:], bufs, 0); err == nil && n != len(bufs) {
					t.Errorf("%d of %d", n, len(bufs))
				}
				s.mu.Lock()
				if s.flows != nil && s.flows.memory > flowLimit {
					t.Errorf("%d bytes wait", s.flows.memory)
				}
				s.mu.Unlock()
				time.Sleep(5 * time.Millisecond)
			}
			if !errors.Is(err, ErrPeerStalled) {
				t.Error(err)
			}
			if err := <-read; !errors.Is(err, ErrPeerStalled) {
				t.Errorf("read: %v", err)
			}
			if d := time.Since(start); d < patience || d > patience+10*time.Millisecond {
				t.Errorf("after %v", d)
			}
			if n, _ := s.Dropped(); n == 0 {
				t.Error("nothing dropped")
			}
			s.Close()
			cb.Close()
			wantBuffersBack(t)
		})
	}
}

// TestEveryStreamOperationFails: the Nth read or write of the connection fails, for every N. Both ends end with an error,
// nothing hangs, every buffer comes back.
func TestEveryStreamOperationFails(t *testing.T) {
	for _, direction := range []string{"read", "write"} {
		for n := 1; n <= 15; n++ {
			t.Run(fmt.Sprint(direction, " ", n), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					a, b := memPair(16 << 10)
					ca, cb := tlsPair(t, a, b, 0)
					sa, sb := NewStream(ca, lengthFraming{}), NewStream(cb, lengthFraming{})
					if direction == "read" {
						b.FailRead(n)
					} else {
						a.FailWrite(n)
					}
					ended := make(chan error, 2)
					for _, s := range []*Stream{sa, sb} {
						go func() {
							var err error
							for err == nil {
								var frames [][]byte
								if frames, err = s.ReadFrames(); len(frames) > 0 {
									s.WriteControl(control(20))
								}
							}
							s.Close()
							ended <- err
						}()
					}
					for range 1000 {
						if _, err := sa.WriteFrames(ipv4Header[:], [][]byte{udp(1, 0, 1400), udp(2, 0, 1400)}, 0); err != nil {
							break
						}
						time.Sleep(time.Millisecond)
					}
					for range 2 {
						err := <-ended
						if err == nil || errors.Is(err, ErrPeerStalled) {
							t.Errorf("ends by %v", err)
						}
					}
					if err := sa.WriteControl(control(20)); err == nil {
						t.Error("goes on writing")
					}
					wantBuffersBack(t)
				})
			})
		}
	}
}

// TestGoodbyeIsReadBeforeAWriteError: what a far side said before it left is told, though writing to it has failed; also when
// it had said something before, and nothing was known to be left.
func TestGoodbyeIsReadBeforeAWriteError(t *testing.T) {
	for _, before := range []string{"", "hello"} {
		synctest.Test(t, func(t *testing.T) {
			a, b := memPair(0)
			s := NewStream(a, lengthFraming{})
			say := func(text string) {
				b.Write(lengthFraming{}.AppendFrame(nil, []byte{0xff, 3, 0xc0, 0x21}, []byte(text)))
			}
			if before != "" {
				say(before)
				if frames, err := s.ReadFrames(); len(frames) != 1 || err != nil {
					t.Errorf("%q, %v", frames, err)
				}
			}
			say("goodbye")
			b.Close()
			if _, err := s.WriteFrames(ipv4Header[:], [][]byte{udp(1, 0, 1400)}, 0); err == nil {
				t.Error("no error")
			}
			frames, err := s.ReadFrames()
			if len(frames) != 1 || string(frames[0][headerLen:]) != "goodbye" {
				t.Errorf("%q, %v", frames, err)
			}
			if _, err := s.ReadFrames(); err == nil {
				t.Error("no error")
			}
			s.Close()
			wantBuffersBack(t)
		})
	}
}

// TestCloseFlushes: the goodbye gets there though there is a backlog, if the far side reads.
func TestCloseFlushes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := memPair(4 << 10)
		ca, cb := tlsPair(t, a, b, 0)
		sa, sb := NewStream(ca, lengthFraming{}), NewStream(cb, lengthFraming{})
		for i := range 20 {
			sa.WriteFrames(ipv4Header[:], [][]byte{udp(1, uint32(i), 1400)}, 0)
		}
		sa.WriteControl(control(100))
		sa.WriteRaw(lengthFraming{}.AppendFrame(nil, []byte{0xff, 3, 0xc0, 0x21}, []byte("goodbye")))
		go func() {
			time.Sleep(500 * time.Millisecond)
			sa.Close()
		}()
		time.Sleep(time.Second)
		var got [][]byte
		for {
			frames, err := sb.ReadFrames()
			for _, f := range frames {
				got = append(got, bytes.Clone(f))
			}
			if err != nil {
				if err != io.EOF {
					t.Error(err)
				}
				break
			}
		}
		controls := 0
		for _, f := range got {
			if f[2] == 0xc0 {
				if controls++; controls == 2 && string(f[headerLen:]) != "goodbye" {
					t.Errorf("%q", f)
				}
			}
		}
		if len(got) != 22 || controls != 2 {
			t.Errorf("%d frames, %d of control", len(got), controls)
		}
		if _, err := sa.WriteFrames(ipv4Header[:], [][]byte{udp(1, 0, 1400)}, 0); err != net.ErrClosed {
			t.Errorf("a write after Close: %v", err)
		}
		if _, err := sa.ReadFrames(); err != net.ErrClosed {
			t.Errorf("a read after Close: %v", err)
		}
		sb.Close()
		wantBuffersBack(t)
	})
}

// TestCloseWaitsOneSecond at most, also for a rate that lets nothing pass, and twice.
func TestCloseWaitsOneSecond(t *testing.T) {
	for _, rate := range []Rate{{}, {Bits: 8}} {
		synctest.Test(t, func(t *testing.T) {
			a, b := memPair(4 << 10)
			ca, cb := tlsPair(t, a, b, 0)
			s := NewStream(ca, lengthFraming{})
			s.SetRate(rate)
			for i := range 50 {
				s.WriteFrames(ipv4Header[:], [][]byte{udp(1, uint32(i), 1400)}, 0)
			}
			start := time.Now()
			s.Close()
			if d := time.Since(start); d != closePatience {
				t.Errorf("took %v", d)
			}
			s.Close()
			cb.Close()
			wantBuffersBack(t)
		})
	}
}

// TestPokeAgainstArming: R arms a deadline, then looks at the flag; who wakes it sets the flag, then moves the deadline. No
// order of the two loses the wake.
func TestPokeAgainstArming(t *testing.T) {
	a, b := tcpPair(t)
	s := NewStream(a, lengthFraming{})
	defer b.Close()
	defer s.Close()
	var asked, done atomic.Int64
	const rounds = 2000
	go func() {
		for i := int64(1); i <= rounds; i++ {
			asked.Store(i)
			s.SetReadDeadline(longAgo)
			for done.Load() < i {
				runtime.Gosched()
			}
		}
	}()
	for done.Load() < rounds {
		s.SetReadDeadline(time.Now().Add(time.Minute))
		if asked.Load() > done.Load() {
			done.Add(1)
			continue
		}
		if _, err := s.ReadFrames(); !isTimeout(err) {
			t.Fatal(err)
		}
	}
}

// TestFramesInAnyPieces: what a framing finds does not depend on how bytes arrive.
func TestFramesInAnyPieces(t *testing.T) {
	for _, piece := range []int{1, 2, 3, 7, 100, 1399, 4096, 100000, 1 << 20} {
		frames := min(300, 10+piece)
		var line []byte
		for i := range frames {
			line = lengthFraming{}.AppendFrame(line, ipv4Header[:], udp(1, uint32(i), 32+i*13%4000))
		}
		synctest.Test(t, func(t *testing.T) {
			a, b := memPair(1 << 20)
			s := NewStream(b, lengthFraming{})
			go func() {
				for p := line; len(p) > 0; {
					n := min(piece, len(p))
					a.Write(p[:n])
					p = p[n:]
					synctest.Wait()
				}
				a.Close()
			}()
			for want := 0; ; {
				fs, err := s.ReadFrames()
				for _, f := range fs {
					if got := int(binary.BigEndian.Uint32(f[headerLen+28:])); got != want || len(f) != headerLen+32+want*13%4000 {
						t.Fatalf("frame %d of %d bytes comes instead of %d", got, len(f), want)
					}
					if cap(f) != len(f) {
						t.Fatal("a view reaches into the next frame")
					}
					want++
				}
				if err == io.EOF {
					if want != frames {
						t.Errorf("%d frames", want)
					}
					break
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			s.Close()
			wantBuffersBack(t)
		})
	}
}

// TestFramesOfAllSizes: very many small ones are more than a batch, parts of large ones more than the small buffer.
func TestFramesOfAllSizes(t *testing.T) {
	for _, size := range []int{32, 60000} {
		for _, piece := range []int{10001, 1 << 20} {
			synctest.Test(t, func(t *testing.T) {
				a, b := memPair(1 << 20)
				s := NewStream(b, largeFraming{})
				frames := 600000 / size
				var line []byte
				for i := range frames {
					line = largeFraming{}.AppendFrame(line, ipv4Header[:], udp(1, uint32(i), size))
				}
				go func() {
					for p := line; len(p) > 0; {
						n := min(piece, len(p))
						a.Write(p[:n])
						p = p[n:]
						synctest.Wait()
					}
					a.Close()
				}()
				for want := 0; ; {
					fs, err := s.ReadFrames()
					for _, f := range fs {
						if got := int(binary.BigEndian.Uint32(f[headerLen+28:])); got != want || len(f) != headerLen+size {
							t.Fatalf("frame %d of %d bytes comes instead of %d", got, len(f), want)
						}
						want++
					}
					if err != nil {
						if err != io.EOF || want != frames {
							t.Errorf("%v after %d frames", err, want)
						}
						break
					}
				}
				s.Close()
				wantBuffersBack(t)
			})
		}
	}
}

type largeFraming struct{ lengthFraming }

func (largeFraming) NextFrame(b []byte) ([]byte, int, error) {
	if len(b) < 2 {
		return nil, 0, nil
	}
	n := 2 + int(binary.BigEndian.Uint16(b))
	if len(b) < n {
		return nil, 0, nil
	}
	return b[2:n], n, nil
}

func (largeFraming) MaxFrame() int { return 2 + 65535 }

// TestFrameThatNeverEnds: a framing that asks for more than its largest frame does not fill memory.
func TestFrameThatNeverEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := memPair(1 << 20)
		s := NewStream(b, greedyFraming{})
		a.Write(make([]byte, 5000))
		if _, err := s.ReadFrames(); err == nil || isTimeout(err) {
			t.Error(err)
		}
		s.Close()
		a.Close()
		wantBuffersBack(t)
	})
}

type greedyFraming struct{ lengthFraming }

func (greedyFraming) NextFrame([]byte) ([]byte, int, error) { return nil, 0, nil }

// TestLentFramesAreSpoiled, under the race detector, when they are taken back.
func TestLentFramesAreSpoiled(t *testing.T) {
	if !raceEnabled {
		t.Skip("only under the race detector")
	}
	a, b := memPair(0)
	s := NewStream(b, lengthFraming{})
	a.Write(lengthFraming{}.AppendFrame(nil, ipv4Header[:], udp(1, 0, 100)))
	frames, err := s.ReadFrames()
	if err != nil {
		t.Fatal(err)
	}
	kept := frames[0]
	s.SetReadDeadline(longAgo)
	s.ReadFrames()
	for _, v := range kept {
		if v != 0xdb {
			t.Fatalf("% x", kept)
		}
	}
	over(s)
}

var _ FrameConn = (*Stream)(nil)

// TestStatsCountWhatAQueueDrops: a packet that the queue took and dropped is not counted as sent.
func TestStatsCountWhatAQueueDrops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := memPair(16 << 10)
		c := Client(NewStream(a, lengthFraming{}), Call{Tunnel: "test", Verified: true}, &Config{})
		s := Server(NewStream(b, lengthFraming{}), Call{Tunnel: "test"}, &Config{NoAuth: true, Addr: serverAddr, Pool: &onePool{addr: clientAddr}})
		openBoth(t, c, s)
		const packets = 3000
		for i := range packets {
			if n, err := c.Write([][]byte{udp(1, uint32(i), 1400)}, 0); n != 1 || err != nil {
				t.Fatal(n, err)
			}
		}
		st := c.Stats()
		if st.TxDropped == 0 || st.TxPackets+st.TxDropped != packets || st.TxBytes != 1400*st.TxPackets {
			t.Errorf("%+v", st)
		}
		for _, end := range []*Conn{c, s} {
			end.Close()
			<-end.Context().Done()
			end.fc.ReadFrames() // gives back what R had
		}
		wantBuffersBack(t)
	})
}
