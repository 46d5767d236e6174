package demanddial

import (
	"bytes"
	"context"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dialway/dialway/tunnel"
)

// batch makes one Write's worth of packets.
func batch(numbers ...byte) (bufs [][]byte) {
	for _, n := range numbers {
		bufs = append(bufs, append(make([]byte, 8), datagram(here, there, 53, n)...))
	}
	return bufs
}

func TestFiltersTakePacketsOutOfBatches(t *testing.T) {
	bubble(t, func(t *testing.T) {
		odd := func(p []byte) bool { return p[len(p)-1]&1 == 1 }
		b := serve(t, func(i *Interface) { i.In, i.Out = odd, odd })
		b.write(2)
		b.want(Down, 0) // what may not go out does not dial
		n, err := b.Interface.Write(batch(2, 1, 3, 4, 6, 5), 8)
		synctest.Wait()
		if got := b.far.last().numbers(); n != 3 || err != nil || !slices.Equal(got, []byte{1, 3, 5}) {
			t.Errorf("held %d, %v: %v", n, err, got)
		}
		if n, _ := b.Interface.Write(batch(8, 8, 7, 9, 8, 11, 8), 8); n != 3 {
			t.Errorf("%d passed", n)
		}
		synctest.Wait()
		if got := b.far.last().numbers(); !slices.Equal(got, []byte{1, 3, 5, 7, 9, 11}) {
			t.Errorf("%v", got)
		}
		for _, list := range [][]byte{{2, 1, 4}, {3, 5}, {6}, {8, 7, 9, 10, 11}} {
			for _, n := range list {
				b.far.last().send(datagram(there, here, 53, n))
			}
			synctest.Wait()
		}
		if got := b.numbers(); !slices.Equal(got, []byte{1, 3, 5, 7, 9, 11}) {
			t.Errorf("came in: %v", got)
		}
		if st := b.Status(); st.Filtered != 1+3+4+5 || st.RxPackets != 6 || st.TxPackets != 6 {
			t.Errorf("%+v", st.Counters)
		}
	})
}

// A slowLink has somebody write to the Interface while what was held is delivered.
type slowLink struct {
	sink
	once sync.Once
	more func()
	mu   sync.Mutex
	got  []byte
}

func (s *slowLink) Write(bufs [][]byte, offset int) (int, error) {
	s.once.Do(s.more)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range bufs {
		s.got = append(s.got, b[len(b)-1])
	}
	return len(bufs), nil
}

func TestNothingPassesByWhatIsHeld(t *testing.T) {
	var i *Interface
	written := make(chan struct{})
	l := &slowLink{more: func() {
		go func() {
			defer close(written)
			i.Write(batch(3, 4), 8)
		}()
		for range 1000 {
			runtime.Gosched() // it gets as far as it can
		}
	}}
	open := make(chan struct{})
	i = &Interface{Name: "x", Dial: func(context.Context, string) (tunnel.Link, error) { <-open; return l, nil }}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		i.Serve(ctx, func(bufs [][]byte, _ int) (int, error) { return len(bufs), nil })
	}()
	for i.Status().Since.IsZero() {
		time.Sleep(time.Millisecond)
	}
	i.Write(batch(1, 2), 8)
	close(open)
	<-written
	l.mu.Lock()
	defer l.mu.Unlock()
	if !bytes.Equal(l.got, []byte{1, 2, 3, 4}) {
		t.Errorf("delivered %v", l.got)
	}
	cancel()
	<-ended
}
