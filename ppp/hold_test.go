package ppp

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dialway/dialway/internal/memnet"
)

// What is held goes by one write when R reads, in order and ahead of packets, and when holding ends.
func TestHeldControlFrames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := memPair(1 << 20)
		s, far := NewStream(a, lengthFraming{}), NewStream(b, lengthFraming{})
		wrote := func(n int, lengths ...int) {
			t.Helper()
			_, before := a.Ops()
			if before != n {
				t.Errorf("%d writes, want %d", before, n)
			}
			for len(lengths) > 0 {
				frames, err := far.ReadFrames()
				if err != nil {
					t.Fatal(err)
				}
				for _, f := range frames {
					if len(lengths) == 0 || len(f) != lengths[0] {
						t.Fatalf("a frame of %d bytes, want %v", len(f), lengths)
					}
					lengths = lengths[1:]
				}
			}
		}
		s.Hold()
		s.WriteControl(control(10))
		s.WriteControl(control(11))
		wrote(0)
		s.SetReadDeadline(longAgo)
		s.ReadFrames()
		wrote(1, len(control(10)), len(control(11)))
		s.WriteControl(control(12))
		s.WriteFrames(ipv4Header[:], [][]byte{udp(1, 0, 100)}, 0)
		wrote(3, len(control(12)), headerLen+100)
		for range 5 {
			s.WriteControl(control(1000))
		}
		wrote(4, len(control(1000)), len(control(1000)), len(control(1000)), len(control(1000)), len(control(1000))) // too much to hold
		s.WriteControl(control(13))
		s.Release()
		wrote(5, len(control(13)))
		s.WriteControl(control(14))
		wrote(6, len(control(14)))
		s.Hold()
		s.SetReadDeadline(time.Time{})
		go s.ReadFrames()
		synctest.Wait()
		s.WriteControl(control(16)) // R waits: nobody else would send it
		wrote(7, len(control(16)))
		far.WriteControl(control(10))
		synctest.Wait()
		s.WriteControl(control(15))
		s.Close()
		wrote(8, len(control(15)))
		s.Release()
		over(s)
		over(far)
		wantBuffersBack(t)
	})
}

// A link that is open and that nobody serves yet holds no buffer, and each turn of its opening was one write.
func TestOpenLinkHoldsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := memPair(1 << 20)
		client := Client(NewStream(a, lengthFraming{}), Call{Tunnel: "test", Verified: true}, &Config{User: "alice", Password: "secret"})
		server := Server(NewStream(b, lengthFraming{}), Call{Tunnel: "test"}, &Config{
			Authenticator: PasswordFunc(func(context.Context, string) (Secret, error) { return "secret", nil }),
			Addr:          serverAddr, Pool: &onePool{addr: clientAddr},
		})
		done := make(chan error)
		go func() { done <- server.Open(t.Context()) }()
		if err := client.Open(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		wantBuffersBack(t)
		for name, nc := range map[string]*memnet.Conn{"client": a, "server": b} {
			if _, writes := nc.Ops(); writes > 9 {
				t.Errorf("the %s wrote %d times", name, writes)
			} else {
				t.Log(name, writes)
			}
		}
		client.Close()
		server.Close()
		time.Sleep(time.Minute)
		wantBuffersBack(t)
	})
}
