package sstp

import (
	"errors"
	"io"
	"net"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestNegotiationTimeout(t *testing.T) {
	for _, server := range []bool{false, true} {
		for s := connecting; s <= held; s++ {
			bubble(t, func(t *testing.T) {
				start := time.Now()
				c, f := testConn(server, s)
				r := startReader(c)
				time.Sleep(30 * time.Second)
				f.push(dataPacket(lcpFrame...)) // packets do not restart it
				<-r.done
				sent := f.take()
				var se *StatusError
				if len(sent) != 1 || parseEnd(parseControl(sent[0])).status != StatusNegotiationTimeout {
					t.Errorf("server %v, %v: sent %x", server, s, sent)
				}
				if !errors.As(r.err(), &se) || se.Status != StatusNegotiationTimeout || time.Since(start) != time.Minute {
					t.Errorf("server %v, %v: %v after %v", server, s, r.err(), time.Since(start))
				}
			})
		}
	}
}

func TestServerRestartsNegotiationAtRequest(t *testing.T) {
	bubble(t, func(t *testing.T) {
		start := time.Now()
		c, f := testConn(true, connecting)
		r := startReader(c)
		time.Sleep(59 * time.Second)
		f.push(appendConnectRequest(nil))
		<-r.done
		if d := time.Since(start); d != 119*time.Second {
			t.Errorf("%v after %v", r.err(), d)
		}
	})
}

func TestNegotiationEndsWhenOpen(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, f := testConn(true, authenticating)
		c.hello = time.Hour
		c.Bind(keyRecv, keySend)
		r := startReader(c)
		time.Sleep(59 * time.Second)
		f.push(goodConnected(keySend, keyRecv))
		time.Sleep(50 * time.Minute)
		synctest.Wait()
		if r.err() != nil || len(f.take()) != 0 {
			t.Error(r.err())
		}
		f.fail(io.EOF)
		<-r.done
	})
}

// Silence for a Hello interval brings an Echo Request, another one the end, without a Call Abort.
func TestHello(t *testing.T) {
	bubble(t, func(t *testing.T) {
		start := time.Now()
		c, f := testConn(true, open)
		r := startReader(c)
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := f.types(); !slices.Equal(got, []message{msgEchoRequest}) {
			t.Fatalf("after one minute: sent %v", got)
		}
		<-r.done
		if r.err() != errSilent || time.Since(start) != 2*time.Minute || len(f.take()) != 0 || c.state != down {
			t.Errorf("%v after %v", r.err(), time.Since(start))
		}
	})
}

// Anything that comes is a sign of life: SoftEther never answers an Echo Request, but has its own.
func TestAnyPacketRestartsHello(t *testing.T) {
	for name, p := range map[string][]byte{
		"Echo Response": appendPlain(nil, msgEchoResponse),
		"Echo Request":  appendPlain(nil, msgEchoRequest),
		"data":          dataPacket(ipFrame...),
		"PPP control":   dataPacket(lcpFrame...),
	} {
		bubble(t, func(t *testing.T) {
			c, f := testConn(false, open)
			r := startReader(c)
			requests := 0
			for range 20 {
				time.Sleep(59 * time.Second)
				synctest.Wait()
				f.push(p)
				synctest.Wait()
				for _, m := range f.types() {
					if m == msgEchoRequest {
						requests++
					}
				}
			}
			if r.err() != nil || requests != 0 {
				t.Errorf("%s: %v, %d requests", name, r.err(), requests)
			}
			// And after a request, the next interval begins again.
			time.Sleep(119 * time.Second)
			synctest.Wait()
			f.push(p)
			time.Sleep(59 * time.Second)
			synctest.Wait()
			if got := f.types(); r.err() != nil || got[0] != msgEchoRequest || slices.Contains(got[1:], msgEchoRequest) {
				t.Errorf("%s: %v, sent %v", name, r.err(), got)
			}
			f.fail(io.EOF)
			<-r.done
		})
	}
}

// A busy call arms no timer for each read.
func TestHelloIsLazy(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, f := testConn(true, open)
		r := startReader(c)
		for range 1000 {
			f.push(dataPacket(ipFrame...))
			time.Sleep(time.Millisecond)
		}
		synctest.Wait()
		if f.armings > 2 || len(r.frames()) != 1000 {
			t.Errorf("%d deadlines set for %d packets", f.armings, len(r.frames()))
		}
		f.fail(io.EOF)
		<-r.done
	})
}

func TestTimeToEnd(t *testing.T) {
	bubble(t, func(t *testing.T) {
		for _, tt := range []struct {
			s    state
			want time.Duration
		}{
			{authenticating, disconnectT1}, {open, disconnectT1}, {abortSent, abortT1}, {abortDone, abortT2},
			{disconnectSent, disconnectT1}, {disconnectDone, disconnectT2}, {down, 0},
		} {
			c, f := testConn(true, tt.s)
			start := time.Now()
			c.Close()
			if d := time.Since(start); d != tt.want || !f.closed || c.state != down {
				t.Errorf("%v: closed after %v, want %v", tt.s, d, tt.want)
			}
			sent := f.types()
			if tt.s.live() && !slices.Equal(sent, []message{msgDisconnect}) || !tt.s.live() && len(sent) != 0 {
				t.Errorf("%v: sent %v", tt.s, sent)
			}
		}
	})
}

// The answer of the far side ends the goodbye at once; what it sends meanwhile does not prolong it.
func TestGoodbyeIsAnswered(t *testing.T) {
	for name, tt := range map[string]struct {
		s       state
		packets [][]byte
		want    time.Duration
		sent    []message
	}{
		"Ack":     {open, [][]byte{appendPlain(nil, msgDisconnectAck)}, time.Second, []message{msgDisconnect}},
		"crossed": {open, [][]byte{appendEnd(nil, msgDisconnect, statusInfo{})}, time.Second + disconnectT2, []message{msgDisconnect, msgDisconnectAck}},
		"Abort":   {open, [][]byte{appendEnd(nil, msgAbort, statusInfo{})}, time.Second + abortT2, []message{msgDisconnect, msgAbort}},
		"noise": {open, [][]byte{dataPacket(ipFrame...), appendPlain(nil, msgEchoRequest), appendPlain(nil, 99)}, disconnectT1,
			[]message{msgDisconnect}},
		"Abort answered": {abortSent, [][]byte{appendEnd(nil, msgAbort, statusInfo{})}, time.Second + abortT2, nil},
		"Abort, noise":   {abortSent, [][]byte{appendPlain(nil, msgEchoRequest), appendEnd(nil, msgDisconnect, statusInfo{})}, abortT1, nil},
	} {
		bubble(t, func(t *testing.T) {
			c, f := testConn(true, tt.s)
			start := time.Now()
			time.AfterFunc(time.Second, func() { f.push(tt.packets...) })
			c.Close()
			if d := time.Since(start); d != tt.want {
				t.Errorf("%s: closed after %v, want %v", name, d, tt.want)
			}
			if got := f.types(); !slices.Equal(got, tt.sent) {
				t.Errorf("%s: sent %v, want %v", name, got, tt.sent)
			}
		})
	}
}

func TestGoodbyeEndsWhenConnectionIsLost(t *testing.T) {
	bubble(t, func(t *testing.T) {
		for _, broken := range []string{"read", "write"} {
			c, f := testConn(true, open)
			start := time.Now()
			if broken == "read" {
				f.fail(io.EOF)
			} else {
				f.writeErr = io.ErrClosedPipe
			}
			c.Close()
			if time.Since(start) != 0 || !f.closed {
				t.Errorf("%s: %v", broken, time.Since(start))
			}
		}
	})
}

func TestCloseWakesReader(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, f := testConn(true, open)
		r := startReader(c)
		synctest.Wait()
		time.AfterFunc(time.Second, func() { f.push(appendPlain(nil, msgDisconnectAck)) })
		c.Close()
		<-r.done
		if !errors.Is(r.err(), net.ErrClosed) || r.at != time.Now().Add(-time.Second) {
			t.Errorf("%v at %v", r.err(), r.at)
		}
	})
}

// A wake of another goroutine is not lost, wherever R is: before it arms, in the middle of arming, after.
func TestWakeIsNotLost(t *testing.T) {
	past := time.Unix(1, 0)
	for name, wake := range map[string]func(c *conn){
		"deadline": func(c *conn) { c.SetReadDeadline(past) },
		"Close":    func(c *conn) { c.Close() },
	} {
		// Before.
		bubble(t, func(t *testing.T) {
			c, f := testConn(true, open)
			c.SetReadDeadline(time.Time{})
			if name == "Close" {
				f.push(appendPlain(nil, msgDisconnectAck))
				f.fail(io.EOF)
			}
			wake(c)
			start := time.Now()
			c.ReadFrames()
			if time.Since(start) != 0 {
				t.Errorf("%s before: woke after %v", name, time.Since(start))
			}
		})
		// In the middle: R has looked, and arms.
		bubble(t, func(t *testing.T) {
			c, f := testConn(true, open)
			f.onArm = func() { go wake(c) } // waits for the lock that R holds
			start := time.Now()
			done := make(chan time.Duration)
			go func() {
				c.ReadFrames()
				done <- time.Since(start)
			}()
			if d := <-done; d != 0 {
				t.Errorf("%s in the middle: woke after %v", name, d)
			}
			f.fail(io.EOF)
			time.Sleep(time.Minute)
		})
		// After.
		bubble(t, func(t *testing.T) {
			c, f := testConn(true, open)
			start := time.Now()
			done := make(chan time.Duration)
			go func() {
				c.ReadFrames()
				done <- time.Since(start)
			}()
			synctest.Wait()
			go wake(c)
			if d := <-done; d != 0 {
				t.Errorf("%s after: woke after %v", name, d)
			}
			f.fail(io.EOF)
			time.Sleep(time.Minute)
		})
	}
}

// ppp's deadlines and SSTP's do not lose one another.
func TestDeadlinesAreMerged(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, f := testConn(true, open)
		start := time.Now()
		r := startReader(c)
		c.SetReadDeadline(start.Add(3 * time.Second))
		time.Sleep(4 * time.Second)
		synctest.Wait()
		if r.wakes() != 1 {
			t.Errorf("%d wakes", r.wakes())
		}
		c.SetReadDeadline(start.Add(90 * time.Second)) // behind the Hello
		time.Sleep(57 * time.Second)
		synctest.Wait()
		if got := f.types(); !slices.Equal(got, []message{msgEchoRequest}) || r.wakes() != 1 {
			t.Errorf("sent %v, %d wakes", got, r.wakes())
		}
		time.Sleep(40 * time.Second)
		synctest.Wait()
		if r.wakes() != 2 || r.err() != nil {
			t.Errorf("%d wakes, %v", r.wakes(), r.err())
		}
		<-r.done
		if time.Since(start) != 2*time.Minute {
			t.Errorf("%v after %v", r.err(), time.Since(start))
		}
	})
}

func TestReadFramesDoesNotAllocate(t *testing.T) {
	c, _ := testConn(true, open)
	packets := [][]byte{dataPacket(ipFrame...), dataPacket(ipFrame...)}
	batch := make([][]byte, 2)
	now := time.Now()
	if n := testing.AllocsPerRun(100, func() {
		copy(batch, packets)
		if len(c.take(batch, now)) != 2 || !c.arm(now) {
			t.Fatal("dropped")
		}
	}); n != 0 {
		t.Errorf("%v allocations for a read", n)
	}
	buf := make([]byte, 0, 100)
	if n := testing.AllocsPerRun(100, func() { buf = framing{}.AppendFrame(buf[:0], ipFrame[:4], ipFrame[4:]) }); n != 0 {
		t.Errorf("%v allocations for a frame", n)
	}
}

// An idle session whose far side asks in time is woken by its questions, and by nothing else.
func TestEchoesArmAnew(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, f := testConn(true, open)
		c.hello = 61 * time.Second
		c.heard = time.Now()
		r := startReader(c)
		synctest.Wait()
		for range 10 {
			time.Sleep(time.Minute)
			before := c.due()
			f.push(appendPlain(nil, msgEchoRequest))
			synctest.Wait()
			c.deadlines.Lock()
			armed := c.armed
			c.deadlines.Unlock()
			if want := before.Add(time.Minute); !armed.Equal(want) {
				t.Fatalf("armed for %v instead of %v", armed, want)
			}
		}
		if sent := f.take(); len(sent) != 10 {
			t.Errorf("%d answers", len(sent))
		}
		c.Close()
		<-r.done
	})
}
