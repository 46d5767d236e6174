package sstp

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

var (
	keySend = bytes.Repeat([]byte{0x11}, 16) // the client's view
	keyRecv = bytes.Repeat([]byte{0x22}, 16)

	lcpFrame  = []byte{0xff, 3, 0xc0, 0x21, 9, 1, 0, 8, 0, 0, 0, 0}
	ipcpFrame = []byte{0xff, 3, 0x80, 0x21, 1, 1, 0, 4}
	ipFrame   = []byte{0xff, 3, 0, 0x21, 0x45, 0}
)

// Every cell of the tables does what its action says: what is sent, which state follows, and how the call ends.
func TestEveryCellActs(t *testing.T) {
	for _, server := range []bool{false, true} {
		for s := connecting; s < numStates; s++ {
			for m := message(0); m <= numMessages+1; m++ {
				act := step(server, s, m)
				switch {
				case act >= takeRequest && act <= takeConnected, s == held && !server:
					continue // these look into the message; and a client is never there
				}
				bubble(t, func(t *testing.T) {
					c, f := testConn(server, s)
					c.receive(appendPlain(nil, m), time.Now())
					c.answer()
					var (
						sent  []message
						next  = s
						after time.Duration
					)
					switch act {
					case abort:
						sent, next, after = []message{msgAbort}, abortSent, abortT1
					case echo:
						sent = []message{msgEchoResponse}
					case replyAbort:
						sent, next, after = []message{msgAbort}, abortDone, abortT2
					case crossAbort:
						next, after = abortDone, abortT2
					case replyDisconnect:
						sent, next, after = []message{msgDisconnectAck}, disconnectDone, disconnectT2
					case over:
						next = down
					}
					if got := f.types(); !slices.Equal(got, sent) || c.state != next {
						t.Errorf("server %v, %v in %v: sent %v, then %v; want %v, %v", server, m, s, got, c.state, sent, next)
					}
					if after != 0 && c.timer != time.Now().Add(after) {
						t.Errorf("server %v, %v in %v: timer runs %v, want %v", server, m, s, time.Until(c.timer), after)
					}
					if (c.err != nil) != !c.state.live() && s != down {
						t.Errorf("server %v, %v in %v: now %v, error %v", server, m, s, c.state, c.err)
					}
				})
			}
		}
	}
}

func TestAbortTellsTheStatus(t *testing.T) {
	for _, tt := range []struct {
		name   string
		packet []byte
		want   Status
	}{
		{"wrong for the state", appendConnectRequest(nil), StatusUnacceptedFrameReceived},
		{"unknown", appendPlain(nil, 77), StatusInvalidFrameReceived},
		{"type 0", appendPlain(nil, 0), StatusInvalidFrameReceived},
	} {
		c, f := testConn(true, open)
		c.receive(tt.packet, time.Now())
		sent := f.take()
		var se *StatusError
		if len(sent) != 1 || parseEnd(parseControl(sent[0])).status != tt.want || len(sent[0]) != 20 {
			t.Errorf("%s: sent %x", tt.name, sent)
		}
		if !errors.As(c.err, &se) || se.Status != tt.want || se.Remote || !errors.Is(c.err, net.ErrClosed) {
			t.Errorf("%s: %v", tt.name, c.err)
		}
	}
}

func TestServerNaksThreeTimes(t *testing.T) {
	c, f := testConn(true, connecting)
	bad := endControl(beginControl(nil, msgConnectRequest, 0), 0)
	for i := range 3 {
		c.receive(bad, time.Now())
		if got := f.types(); !slices.Equal(got, []message{msgConnectNak}) || c.state != connecting {
			t.Fatalf("request %d: %v, %v", i+1, got, c.state)
		}
	}
	c.receive(bad, time.Now())
	sent := f.take()
	if len(sent) != 1 || c.state != abortSent {
		t.Fatalf("sent %x, state %v", sent, c.state)
	}
	if s := parseEnd(parseControl(sent[0])); s.attrib != attrStatusInfo || s.status != StatusRetryCountExceeded {
		t.Errorf("aborted with %+v", s)
	}
}

func TestServerTakesAGoodRequestAfterBadOnes(t *testing.T) {
	c, f := testConn(true, connecting)
	bad := endControl(beginControl(nil, msgConnectRequest, 0), 0)
	c.receive(bad, time.Now())
	c.receive(bad, time.Now())
	c.receive(appendConnectRequest(nil), time.Now())
	sent := f.take()
	if len(sent) != 3 || c.state != authenticating {
		t.Fatalf("sent %x, state %v", sent, c.state)
	}
	hashes, nonce, fault := parseConnectAck(parseControl(sent[2]))
	if fault.status != 0 || hashes != hashSHA1|hashSHA256 || nonce == testNonce || nonce != c.offer.nonce {
		t.Errorf("Ack: %d, %x, %+v", hashes, nonce, fault)
	}
}

func TestRequestBeyondUnderstandingAborts(t *testing.T) {
	c, f := testConn(true, connecting)
	c.receive(unhex(t, "10 01 00 0E 00 01 00 02 00 01 00 06 00 01"), time.Now())
	if got := f.types(); !slices.Equal(got, []message{msgAbort}) {
		t.Error(got)
	}
}

func TestClientRepeatsAfterNak(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, f := testConn(false, connecting)
		nak := appendConnectNak(nil, []statusInfo{{attrib: 1, status: StatusValueNotSupported}})
		for i := range 3 {
			time.Sleep(50 * time.Second)
			c.receive(nak, time.Now())
			if got := f.take(); len(got) != 1 || !bytes.Equal(got[0], appendConnectRequest(nil)) {
				t.Fatalf("Nak %d: sent %x", i+1, got)
			}
			if time.Until(c.timer) != time.Minute {
				t.Errorf("Nak %d: the negotiation timer was not started again", i+1)
			}
		}
		c.receive(nak, time.Now())
		var se *StatusError
		if got := f.types(); !slices.Equal(got, []message{msgAbort}) || !errors.As(c.err, &se) {
			t.Fatal(got, c.err)
		}
		if !se.Remote || se.Status != StatusValueNotSupported || se.Message != "Call Connect Nak" {
			t.Errorf("%+v", se)
		}
	})
}

func TestClientChecksAck(t *testing.T) {
	for _, tt := range []struct {
		name   string
		ack    []byte
		status Status
	}{
		{"no hash", appendConnectAck(nil, 0, &testNonce), StatusValueNotSupported},
		{"SHA-1 only", appendConnectAck(nil, hashSHA1, &testNonce), StatusValueNotSupported},
		{"no attribute", appendPlain(nil, msgConnectAck), StatusAttribNotSupportedInMsg},
	} {
		c, f := testConn(false, connecting)
		c.receive(tt.ack, time.Now())
		sent := f.take()
		if len(sent) != 1 || parseEnd(parseControl(sent[0])).status != tt.status || c.err == nil {
			t.Errorf("%s: sent %x, %v", tt.name, sent, c.err)
		}
	}
	c, f := testConn(false, connecting)
	c.offer.nonce = [nonceLen]byte{}
	c.receive(appendConnectAck(nil, 3, &testNonce), time.Now())
	if got := f.take(); len(got) != 0 || c.state != authenticating || c.hash != hashSHA256 || c.offer.nonce != testNonce {
		t.Errorf("sent %x, %v", got, c.state)
	}
}

func TestServerBinds(t *testing.T) {
	early := func(c *conn) { c.receive(goodConnected(keySend, keyRecv), time.Now()) }
	bind := func(c *conn) { c.Bind(keyRecv, keySend) }
	for _, tt := range []struct {
		name  string
		steps []func(*conn)
	}{{"Call Connected after the result", []func(*conn){bind, early}}, {"Call Connected before the result", []func(*conn){early, bind}}} {
		c, f := testConn(true, authenticating)
		for _, step := range tt.steps {
			if c.Bound() {
				t.Errorf("%s: bound too early", tt.name)
			}
			step(c)
		}
		if !c.Bound() || c.state != open || c.err != nil || len(f.take()) != 0 {
			t.Errorf("%s: %v, %v", tt.name, c.state, c.err)
		}
	}
}

func TestServerRefusesBinding(t *testing.T) {
	tamper := func(at int) []byte { m := goodConnected(keySend, keyRecv); m[at] ^= 1; return m }
	for _, tt := range []struct {
		name, part string
		packet     []byte
		recv, send []byte
	}{
		{"nonce", "nonce", tamper(nonceAt), keySend, keyRecv},
		{"certificate", "certificate", tamper(certHashAt), keySend, keyRecv},
		{"hash protocol", "hash protocol", tamper(hashAt), keySend, keyRecv},
		{"MAC", "MAC", tamper(macAt), keySend, keyRecv},
		{"keys of another authentication", "MAC", goodConnected(keySend, keyRecv), keyRecv, keySend},
		{"zero keys of the client", "MAC", goodConnected(nil, nil), keySend, keyRecv},
		{"zero keys of the server", "MAC", goodConnected(keySend, keyRecv), nil, nil},
		{"half the keys", "no keys", goodConnected(keySend, keyRecv), keySend, nil},
	} {
		for _, early := range []bool{false, true} {
			c, f := testConn(true, authenticating)
			if early {
				c.receive(tt.packet, time.Now())
			}
			err := c.Bind(tt.send, tt.recv)
			if !early && err == nil {
				c.receive(tt.packet, time.Now())
			}
			var be *BindingError
			if !errors.As(c.err, &be) || be.Part != tt.part || c.Bound() {
				t.Errorf("%s, early %v: %v, bound %v", tt.name, early, c.err, c.Bound())
			}
			sent := f.take()
			if len(sent) != 1 {
				t.Fatalf("%s: sent %x", tt.name, sent)
			}
			if s := parseEnd(parseControl(sent[0])); s.attrib != attrBinding || s.status != StatusValueNotSupported {
				t.Errorf("%s: aborted with %+v", tt.name, s)
			}
		}
	}
}

func TestMalformedCallConnectedAborts(t *testing.T) {
	c, f := testConn(true, authenticating)
	c.receive(appendPlain(nil, msgConnected), time.Now())
	sent := f.take()
	if len(sent) != 1 {
		t.Fatal(sent)
	}
	if s := parseEnd(parseControl(sent[0])); s.attrib != attrStatusInfo || s.status != StatusAttribNotSupportedInMsg {
		t.Errorf("aborted with %+v", s)
	}
}

func TestReplayedCallConnected(t *testing.T) {
	replay := goodConnected(keySend, keyRecv) // of another connection: its nonce
	c, _ := testConn(true, connecting)
	c.receive(appendConnectRequest(nil), time.Now())
	c.Bind(keyRecv, keySend)
	c.receive(replay, time.Now())
	var be *BindingError
	if !errors.As(c.err, &be) || be.Part != "nonce" || c.Bound() {
		t.Errorf("%v, bound %v", c.err, c.Bound())
	}
}

func TestSecondCallConnectedAborts(t *testing.T) {
	for _, early := range []bool{false, true} {
		c, f := testConn(true, authenticating)
		if !early {
			c.Bind(keyRecv, keySend)
		}
		c.receive(goodConnected(keySend, keyRecv), time.Now())
		c.receive(goodConnected(keySend, keyRecv), time.Now())
		if got := f.types(); !slices.Equal(got, []message{msgAbort}) || c.Bound() {
			t.Errorf("early %v: sent %v, bound %v", early, got, c.Bound())
		}
		if err := c.Bind(keyRecv, keySend); err == nil || c.Bound() {
			t.Errorf("early %v: Bind after the abort: %v", early, err)
		}
	}
}

func TestClientBinds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, f := testConn(false, authenticating)
		time.Sleep(50 * time.Second)
		if err := c.Bind(keySend, keyRecv); err != nil || !c.Bound() {
			t.Fatal(err)
		}
		if got := f.take(); len(got) != 1 || !bytes.Equal(got[0], goodConnected(keySend, keyRecv)) {
			t.Errorf("sent %x", got)
		}
		if c.due() != time.Now().Add(time.Minute) {
			t.Error("the Hello timer does not begin with the Call Connected")
		}
		if err := c.Bind(keySend, keyRecv); err == nil {
			t.Error("bound twice")
		}
	})
}

// Data frames pass in neither direction until the call is bound; control frames do.
func TestDataBeforeBinding(t *testing.T) {
	bubble(t, func(t *testing.T) {
		for _, server := range []bool{false, true} {
			c, f := testConn(server, authenticating)
			r := startReader(c)
			f.push(dataPacket(ipFrame...), dataPacket(lcpFrame...), dataPacket(0x21, 0x45), dataPacket(ipcpFrame...), dataPacket())
			synctest.Wait()
			if len(r.frames()) != 2 || !bytes.Equal(r.frames()[0], lcpFrame) || !bytes.Equal(r.frames()[1], ipcpFrame) {
				t.Errorf("server %v: read %x", server, r.frames())
			}
			if n := c.dropped.Load(); n != 3 {
				t.Errorf("server %v: %d dropped", server, n)
			}
			if n, err := c.WriteFrames(ipFrame[:4], [][]byte{{0x45}}, 0); n != 0 || err != nil {
				t.Errorf("server %v: wrote %d, %v", server, n, err)
			}
			c.WriteControl(ipFrame)
			c.WriteControl(lcpFrame)
			if len(f.frames) != 1 || !bytes.Equal(f.frames[0], lcpFrame) {
				t.Errorf("server %v: wrote %x", server, f.frames)
			}
			f.fail(io.EOF)
			<-r.done
		}
	})
}

// A server drops what comes between its Ack and the Call Connected, in the order of the stream also within one read,
// and takes what follows it.
func TestDataBeforeCallConnected(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, f := testConn(true, authenticating)
		c.Bind(keyRecv, keySend)
		r := startReader(c)
		second := append([]byte(nil), ipFrame...)
		second[5] = 2
		f.push(dataPacket(ipFrame...), goodConnected(keySend, keyRecv), dataPacket(second...))
		synctest.Wait()
		if len(r.frames()) != 1 || !bytes.Equal(r.frames()[0], second) {
			t.Errorf("read %x", r.frames())
		}
		if n, err := c.WriteFrames(ipFrame[:4], [][]byte{{0x45}}, 0); n != 1 || err != nil {
			t.Errorf("wrote %d, %v", n, err)
		}
		f.fail(io.EOF)
		<-r.done
	})
}

// Data behind a Call Connected that waits for the result is dropped, and counted.
func TestDataBehindEarlyCallConnected(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, f := testConn(true, authenticating)
		r := startReader(c)
		f.push(goodConnected(keySend, keyRecv), dataPacket(ipFrame...), dataPacket(ipcpFrame...), appendPlain(nil, msgEchoRequest))
		synctest.Wait()
		if len(r.frames()) != 1 || !bytes.Equal(r.frames()[0], ipcpFrame) || c.dropped.Load() != 1 {
			t.Errorf("read %x, %d dropped", r.frames(), c.dropped.Load())
		}
		if got := f.types(); !slices.Equal(got, []message{msgEchoResponse}) {
			t.Errorf("sent %v", got)
		}
		f.fail(io.EOF)
		<-r.done
	})
}

func TestBindingWakesReader(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, f := testConn(true, authenticating)
		c.Bind(keyRecv, keySend)
		r := startReader(c)
		f.push(goodConnected(keySend, keyRecv))
		synctest.Wait()
		if r.wakes() != 1 || !c.Bound() {
			t.Errorf("%d returns, bound %v", r.wakes(), c.Bound())
		}
		f.fail(io.EOF)
		<-r.done
	})
}

func TestNothingPassesAfterTheEnd(t *testing.T) {
	for s := abortSent; s <= down; s++ {
		c, f := testConn(true, s)
		c.WriteFrames(ipFrame[:4], [][]byte{{0x45}}, 0)
		if err := c.WriteControl(lcpFrame); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%v: %v", s, err)
		}
		got := c.take([][]byte{dataPacket(lcpFrame...), dataPacket(ipFrame...)}, time.Now())
		if len(f.frames) != 0 || len(got) != 0 || c.Bound() {
			t.Errorf("%v: wrote %x, read %x", s, f.frames, got)
		}
	}
}

// What came in front of an end in one read is still delivered.
func TestFramesBeforeTheEndAreDelivered(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, f := testConn(true, open)
		r := startReader(c)
		f.push(dataPacket(ipFrame...), appendEnd(nil, msgDisconnect, statusInfo{}), dataPacket(ipFrame...))
		<-r.done
		var se *StatusError
		if len(r.frames()) != 1 || !errors.As(r.err(), &se) || !se.Remote || se.Status != StatusNoError {
			t.Errorf("read %x, %v", r.frames(), r.err())
		}
		if got := f.types(); !slices.Equal(got, []message{msgDisconnectAck}) {
			t.Errorf("sent %v", got)
		}
	})
}

func TestConnectionLostSaysNothing(t *testing.T) {
	for _, err := range []error{io.EOF, errDelineation, net.ErrClosed} {
		bubble(t, func(t *testing.T) {
			for s := connecting; s <= open; s++ {
				c, f := testConn(true, s)
				r := startReader(c)
				f.fail(err)
				<-r.done
				start := time.Now()
				c.Close()
				if !errors.Is(r.err(), err) || len(f.take()) != 0 || time.Since(start) != 0 || !f.closed {
					t.Errorf("%v in %v: %v", err, s, r.err())
				}
			}
		})
	}
}

func TestReadAfterCloseIsClosed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c, f := testConn(true, open)
		go func() { time.Sleep(time.Second); f.push(appendPlain(nil, msgDisconnectAck)) }()
		c.Close()
		c.Close()
		if _, err := c.ReadFrames(); !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
		if err := c.SetReadDeadline(time.Now()); !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
		if err := c.Bind(nil, nil); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(err)
		}
	})
}
