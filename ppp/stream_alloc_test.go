package ppp

import (
	"io"
	"net"
	"testing"
	"time"
)

// A sink is a connection that takes everything, and gives the same bytes again and again.
type sink struct {
	give  []byte
	given bool // a batch: then nothing is here, once
}

func (*sink) Read([]byte) (int, error)         { return 0, io.EOF }
func (*sink) Write(b []byte) (int, error)      { return len(b), nil }
func (*sink) SetReadDeadline(time.Time) error  { return nil }
func (*sink) SetWriteDeadline(time.Time) error { return nil }
func (*sink) Close() error                     { return nil }
func (*sink) TryWrite(b []byte) (int, error)   { return len(b), nil }
func (*sink) WaitWrite() error                 { return nil }
func (*sink) WaitRead() error                  { return nil }
func (s *sink) TryRead(b []byte) (int, error) {
	if s.given = !s.given; !s.given {
		return 0, nil
	}
	return copy(b, s.give), nil
}

// testBatch is what a TUN device gives at once.
func testBatch() [][]byte {
	bufs := make([][]byte, 46)
	for i := range bufs {
		bufs[i] = append(make([]byte, 10), udp(7, uint32(i), 1400)...)
	}
	return bufs
}

func newSink(bufs [][]byte) *sink {
	s := new(sink)
	for _, p := range bufs {
		s.give = lengthFraming{}.AppendFrame(s.give, ipv4Header[:], p[10:])
	}
	return s
}

func TestStreamDoesNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("sync.Pool forgets at random under the race detector")
	}
	bufs := testBatch()
	s := NewStream(newSink(bufs), lengthFraming{})
	defer func() {
		s.Close()
		if _, err := s.ReadFrames(); err != net.ErrClosed {
			t.Error(err)
		}
		wantBuffersBack(t)
	}()
	echo := control(20)
	for name, f := range map[string]func(){
		"WriteFrames":  func() { s.WriteFrames(ipv4Header[:], bufs, 10) },
		"WriteControl": func() { s.WriteControl(echo) },
		"WriteRaw":     func() { s.WriteRaw(echo) },
		"ReadFrames": func() {
			if frames, err := s.ReadFrames(); len(frames) != len(bufs) || err != nil {
				t.Fatal(len(frames), err)
			}
		},
	} {
		f()
		if n := testing.AllocsPerRun(100, f); n > 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkWriteFrames(b *testing.B) {
	bufs := testBatch()
	s := NewStream(newSink(bufs), lengthFraming{})
	defer s.Close()
	b.SetBytes(46 * 1400)
	b.ReportAllocs()
	for b.Loop() {
		s.WriteFrames(ipv4Header[:], bufs, 10)
	}
}

func BenchmarkReadFrames(b *testing.B) {
	bufs := testBatch()
	s := NewStream(newSink(bufs), lengthFraming{})
	defer s.Close()
	b.SetBytes(46 * 1400)
	b.ReportAllocs()
	for b.Loop() {
		s.ReadFrames()
	}
}
