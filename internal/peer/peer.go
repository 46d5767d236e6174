package peer

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// Patience is how long a Peer waits for what it wants: more than three restart timers of PPP.
const Patience = 15 * time.Second

// A Peer is one end of an SSTP connection in a test's hands. It reads when the test waits for something; what comes
// meanwhile is kept in order, and answered as Auto says.
type Peer struct {
	Conn *tls.Conn

	// Auto does what the peer does by itself with a packet that has come; nil does nothing. See Peer.Agree.
	Auto func(p Packet)

	// Mangle changes packets before they are sent; nil changes nothing.
	Mangle func(p []byte) []byte

	// Lax leaves out the checks of what comes.
	Lax bool

	Nonce []byte // of the Call Connect Ack, either end's
	HLAK  []byte // of the authentication; nil is zeros

	t    testing.TB
	buf  []byte
	kept []Packet // came and was not taken
	all  []Packet
	err  error // of the reading, when it has ended
}

// New returns a Peer over a connection that is through its handshake.
func New(t testing.TB, c *tls.Conn) *Peer { return &Peer{Conn: c, t: t} }

// Client runs the client's TLS handshake over nc.
func Client(t testing.TB, nc net.Conn, config *tls.Config) *Peer {
	t.Helper()
	c := tls.Client(nc, config)
	if err := c.Handshake(); err != nil {
		t.Fatalf("peer: TLS: %v", err)
	}
	return New(t, c)
}

// Server runs the server's TLS handshake over nc.
func Server(t testing.TB, nc net.Conn, config *tls.Config) *Peer {
	t.Helper()
	c := tls.Server(nc, config)
	if err := c.Handshake(); err != nil {
		t.Fatalf("peer: TLS: %v", err)
	}
	return New(t, c)
}

// Text sends text as it is, "\n" as CRLF.
func (p *Peer) Text(text string) {
	p.t.Helper()
	p.write([]byte(strings.ReplaceAll(text, "\n", "\r\n")))
}

// Send sends packets in one write, and so in one TLS record if they fit.
func (p *Peer) Send(packets ...[]byte) {
	p.t.Helper()
	var b []byte
	for _, q := range packets {
		if p.Mangle != nil {
			q = p.Mangle(q)
		}
		b = append(b, q...)
	}
	p.write(b)
}

func (p *Peer) write(b []byte) {
	p.t.Helper()
	if _, err := p.Conn.Write(b); err != nil {
		p.t.Fatalf("peer: write: %v; what came:\n%s", err, p.Log())
	}
}

// Head reads an HTTP head, up to and with its empty line. It fails the test if one read brought more than the head:
// there are clients that throw away what follows.
func (p *Peer) Head() string {
	p.t.Helper()
	p.Conn.SetReadDeadline(time.Now().Add(Patience))
	for {
		b := make([]byte, 4096)
		n, err := p.Conn.Read(b)
		p.buf = append(p.buf, b[:n]...)
		if i := strings.Index(string(p.buf), "\r\n\r\n"); i >= 0 {
			if len(p.buf) != i+4 {
				p.t.Fatalf("peer: %d bytes follow the head in the same record", len(p.buf)-i-4)
			}
			p.buf = nil
			return string(b[:n])
		}
		if err != nil {
			p.t.Fatalf("peer: no HTTP head: %v; what came: %q", err, p.buf)
		}
	}
}

// errWaited says that nothing more came in time.
var errWaited = errors.New("nothing more came")

// next reads one packet.
func (p *Peer) next(until time.Time) (Packet, error) {
	p.t.Helper()
	for {
		q, rest, ok, err := Cut(p.buf)
		if err != nil {
			p.t.Fatalf("%v; what came:\n%s", err, p.Log())
		}
		if ok {
			p.buf = rest
			p.all = append(p.all, q)
			if err := q.Check(); err != nil && !p.Lax {
				p.t.Errorf("peer: %v in %v: % x", err, q, []byte(q))
			}
			if p.Auto != nil {
				p.Auto(q)
			}
			return q, nil
		}
		if p.err != nil {
			return nil, p.err
		}
		p.Conn.SetReadDeadline(until)
		b := make([]byte, 16<<10)
		n, err := p.Conn.Read(b)
		p.buf = append(p.buf, b[:n]...)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil, errWaited
		case err != nil:
			p.err = err
		}
	}
}

// Want waits for a packet and takes it: the first that has come, or comes, and was not taken yet.
func (p *Peer) Want(what string, match func(Packet) bool) Packet {
	p.t.Helper()
	return p.WantWithin(Patience, what, match)
}

// WantWithin is Want with another patience.
func (p *Peer) WantWithin(d time.Duration, what string, match func(Packet) bool) Packet {
	p.t.Helper()
	for i, q := range p.kept {
		if match(q) {
			p.kept = append(p.kept[:i:i], p.kept[i+1:]...)
			return q
		}
	}
	until := time.Now().Add(d)
	for {
		q, err := p.next(until)
		if err != nil {
			p.t.Fatalf("peer: no %s: %v; what came:\n%s", what, err, p.Log())
		}
		if match(q) {
			return q
		}
		p.kept = append(p.kept, q)
	}
}

// Message matches a control packet.
func Message(typ uint16) func(Packet) bool {
	return func(p Packet) bool { return p.IsControl() && p.Type() == typ }
}

// Code matches a control protocol's packet.
func Code(proto uint16, code byte) func(Packet) bool {
	return func(p Packet) bool { return p.Proto() == proto && p.Code() == code }
}

// WantMessage waits for a control packet.
func (p *Peer) WantMessage(typ uint16) Packet {
	p.t.Helper()
	return p.Want(messageNames[typ], Message(typ))
}

// WantCode waits for a control protocol's packet.
func (p *Peer) WantCode(proto uint16, code byte) Packet {
	p.t.Helper()
	return p.Want(Packet(PPP(proto, code, 0)).String(), Code(proto, code))
}

// Run lets time pass while the peer reads, and keeps what comes.
func (p *Peer) Run(d time.Duration) {
	p.t.Helper()
	until := time.Now().Add(d)
	for {
		q, err := p.next(until)
		if err == errWaited {
			return
		}
		if err != nil {
			p.t.Fatalf("peer: the connection ended: %v; what came:\n%s", err, p.Log())
		}
		p.kept = append(p.kept, q)
	}
}

// Quietly is Run where the connection may end.
func (p *Peer) Quietly(d time.Duration) {
	p.t.Helper()
	for until := time.Now().Add(d); ; {
		q, err := p.next(until)
		if err == errWaited {
			return
		}
		if err != nil {
			time.Sleep(time.Until(until))
			return
		}
		p.kept = append(p.kept, q)
	}
}

// Never runs for d and fails the test if something came, then or earlier, that was not taken and matches.
func (p *Peer) Never(d time.Duration, what string, match func(Packet) bool) {
	p.t.Helper()
	p.Run(d)
	for _, q := range p.kept {
		if match(q) {
			p.t.Errorf("peer: %s came: %v", what, q)
		}
	}
}

// End waits until the far side closes, and returns how that was seen: io.EOF with or without TLS's goodbye.
func (p *Peer) End(d time.Duration) error {
	p.t.Helper()
	until := time.Now().Add(d)
	for {
		q, err := p.next(until)
		if err == errWaited {
			p.t.Fatalf("peer: the connection is still open after %v; what came:\n%s", d, p.Log())
		}
		if err != nil {
			return err
		}
		p.kept = append(p.kept, q)
	}
}

// Forget drops what came and was not taken.
func (p *Peer) Forget() { p.kept = nil }

// Count is how many of the packets so far match.
func (p *Peer) Count(match func(Packet) bool) (n int) {
	for _, q := range p.all {
		if match(q) {
			n++
		}
	}
	return n
}

// Index is the place of the first packet so far that matches; -1 if there is none.
func (p *Peer) Index(match func(Packet) bool) int {
	for i, q := range p.all {
		if match(q) {
			return i
		}
	}
	return -1
}

// Log is all that has come, one packet a line.
func (p *Peer) Log() string {
	var b strings.Builder
	for _, q := range p.all {
		b.WriteString("\t" + q.String() + "\n")
	}
	if p.err != nil && p.err != io.EOF {
		b.WriteString("\t" + p.err.Error() + "\n")
	}
	return b.String()
}

// Agree returns an Auto that says yes to everything a PPP end must answer: it acknowledges Configure-Requests of the
// protocols given, and answers echoes of LCP and of SSTP.
func (p *Peer) Agree(protos ...uint16) func(Packet) {
	return func(q Packet) {
		switch {
		case q.Code() == ConfReq:
			for _, proto := range protos {
				if q.Proto() == proto {
					p.Send(PPP(proto, ConfAck, q.ID(), q.Body()))
				}
			}
		case Code(LCP, EchoReq)(q):
			p.Send(PPP(LCP, EchoRep, q.ID(), make([]byte, 4), q.Body()[min(4, len(q.Body())):]))
		case Code(LCP, TermReq)(q):
			p.Send(PPP(LCP, TermAck, q.ID()))
		case Message(EchoRequest)(q):
			p.Send(Control(EchoResponse))
		case Message(Disconnect)(q):
			p.Send(Control(DisconnectAck))
		}
	}
}
