package ppp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// A far is a far side played by hand, frame by frame, under testing/synctest.
type far struct {
	t     *testing.T
	end   *pipeEnd
	queue [][]byte
	id    byte
}

// A link under test and its far side.
func farOf(t *testing.T, server bool, config *Config) (*far, *Conn) {
	return farCall(t, server, Call{Tunnel: "test", Verified: true}, config)
}

func farCall(t *testing.T, server bool, call Call, config *Config) (*far, *Conn) {
	t.Helper()
	a, b := newPipe()
	newEnd := Client
	if server {
		newEnd = Server
	}
	c := newEnd(b, call, config)
	return &far{t: t, end: a}, c
}

// open starts Open; the channel has its result.
func open(t *testing.T, c *Conn) chan error {
	done := make(chan error, 1)
	go func() { done <- c.Open(t.Context()) }()
	return done
}

// A told is what the far side reads, taken apart.
type told struct {
	proto    uint16
	code, id byte
	data     []byte
}

func (p told) String() string {
	return fmt.Sprintf("%s code %d id %d: %x", protoName(p.proto), p.code, p.id, p.data)
}

// read returns the next frame within d of fake time; nil: none came.
func (f *far) read(d time.Duration) []byte {
	f.t.Helper()
	if len(f.queue) == 0 {
		f.end.SetReadDeadline(time.Now().Add(d))
		frames, err := f.end.ReadFrames()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return nil
		}
		if err != nil {
			f.t.Fatalf("far side: %v", err)
		}
		for _, b := range frames {
			f.queue = append(f.queue, bytes.Clone(b))
		}
	}
	b := f.queue[0]
	f.queue = f.queue[1:]
	return b
}

// next returns the next control packet. Frames are sent in full form, always.
func (f *far) next() told {
	f.t.Helper()
	b := f.read(5 * time.Minute)
	if b == nil {
		f.t.Fatal("nothing came")
	}
	if len(b) < headerLen || b[0] != 0xff || b[1] != 3 {
		f.t.Fatalf("frame %x", b)
	}
	proto, n := parseFrame(b)
	code, id, data, ok := parsePacket(b[n:])
	if !ok || n != headerLen || len(data) != len(b)-n-packetHeaderLen {
		f.t.Fatalf("frame %x", b)
	}
	return told{proto, code, id, data}
}

// want reads one packet, which must be of a kind.
func (f *far) want(proto uint16, code byte) told {
	f.t.Helper()
	p := f.next()
	if p.proto != proto || p.code != code {
		f.t.Fatalf("got %v, want %s code %d", p, protoName(proto), code)
	}
	return p
}

// wait reads until a packet of a kind comes.
func (f *far) wait(proto uint16, code byte) told {
	f.t.Helper()
	for {
		if p := f.next(); p.proto == proto && p.code == code {
			return p
		}
	}
}

// silent fails if something comes within d.
func (f *far) silent(d time.Duration) {
	f.t.Helper()
	if b := f.read(d); b != nil {
		f.t.Errorf("unexpected frame %x", b)
	}
}

// send sends a packet under a new identifier.
func (f *far) send(proto uint16, code byte, data ...byte) (id byte) {
	f.id++
	f.answer(proto, code, f.id, data...)
	return f.id
}

// answer sends a packet under a given identifier.
func (f *far) answer(proto uint16, code, id byte, data ...byte) {
	f.end.WriteControl(appendPacket(appendHeader(nil, proto), code, id, data))
}

// raw sends a frame.
func (f *far) raw(b ...byte) { f.end.WriteControl(b) }

// ack reads a Configure-Request and acknowledges it.
func (f *far) ack(proto uint16) told {
	f.t.Helper()
	p := f.want(proto, codeConfigureRequest)
	f.answer(proto, codeConfigureAck, p.id, p.data...)
	return p
}

// request sends a Configure-Request and reads its Ack.
func (f *far) request(proto uint16, list ...byte) {
	f.t.Helper()
	id := f.send(proto, codeConfigureRequest, list...)
	p := f.want(proto, codeConfigureAck)
	if p.id != id || !bytes.Equal(p.data, list) {
		f.t.Fatalf("got %v, want id %d: %x", p, id, list)
	}
}

// openLCP agrees to all that this end wants.
func (f *far) openLCP(list ...byte) (request told) {
	f.t.Helper()
	p := f.ack(protoLCP)
	f.request(protoLCP, list...)
	return p
}

// openIPCP opens IPCP with addresses that both ends like: mine is offered, and the other's request acknowledged or,
// if it asks, answered by yours.
func (f *far) openIPCP(mine, yours [4]byte) {
	f.t.Helper()
	for {
		p := f.want(protoIPCP, codeConfigureRequest)
		if !bytes.Contains(p.data, []byte{optIPAddress, 6, 0, 0, 0, 0}) {
			f.answer(protoIPCP, codeConfigureAck, p.id, p.data...)
			break
		}
		f.answer(protoIPCP, codeConfigureNak, p.id, append([]byte{optIPAddress, 6}, yours[:]...)...)
	}
	f.request(protoIPCP, append([]byte{optIPAddress, 6}, mine[:]...)...)
}

// bye reads the goodbye and answers it.
func (f *far) bye() {
	f.t.Helper()
	p := f.wait(protoLCP, codeTerminateRequest)
	f.answer(protoLCP, codeTerminateAck, p.id)
}

// optionsOf takes a list apart.
func optionsOf(list []byte) map[byte][]byte {
	m := map[byte][]byte{}
	for o := range options(list) {
		m[o.typ] = o.val
	}
	return m
}

// ready opens a link on which this end is a server without authentication and only IPv4, and serves it.
func ready(t *testing.T, config *Config) (f *far, c *Conn, packets chan []byte, ended chan error) {
	t.Helper()
	if config == nil {
		config = &Config{}
	}
	config.NoAuth, config.NoIPv6, config.Addr = true, true, serverAddr
	if config.Pool == nil {
		config.Pool = &onePool{addr: clientAddr}
	}
	f, c = farOf(t, true, config)
	done := open(t, c)
	f.openLCP()
	f.openIPCP(clientAddr.As4(), serverAddr.As4())
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	packets, ended = serve(c)
	return f, c, packets, ended
}

// A fixed Authenticator says the same to everybody.
func says(g *Grant, err error) Authenticator {
	return AuthenticatorFunc(func(context.Context, *AuthRequest) (*Grant, error) { return g, err })
}

// stateOf is the state of LCP once R waits.
func stateOf(c *Conn) fsmState {
	synctest.Wait()
	s := c.lcp.state
	c.poke() // what R does next is behind this
	return s
}
