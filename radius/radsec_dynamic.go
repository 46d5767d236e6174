package radius

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"time"
)

// ErrNotConnected says that no RadSec client has a connection now that fits.
var ErrNotConnected = errors.New("radius: no such RadSec client is connected")

// Send sends a Disconnect-Request or a CoA-Request (RFC 5176) back to a RadSec client, over a connection that it has made
// (RFC 6614 section 2.5), and returns the verified reply. The client is known by a name of its certificate: a DNS name, or
// the common name. A request without Event-Timestamp gets one; p is not changed. The wait ends with ctx, and after 30
// seconds with ErrNoAnswer. Client.Dynamic is what answers at the other end.
func (s *Server) Send(ctx context.Context, name string, p *Packet) (*Packet, error) {
	if !p.Code.isDynamic() {
		return nil, fmt.Errorf("radius: a server does not send %v", p.Code)
	}
	e := s.streamOf(name)
	w := &waiter{code: p.Code, reply: make(chan *Packet, 1)}
	if e == nil || !e.reserve(w) {
		return nil, fmt.Errorf("%w: %s", ErrNotConnected, name)
	}
	defer e.release(w)
	b, err := encode(dated(p), w.id, [16]byte{}, radsecSecret, true)
	if err != nil {
		return nil, err
	}
	w.auth = [16]byte(b[4:])
	e.expect(w)
	ctx, cancel := context.WithTimeoutCause(ctx, mostTime, ErrNoAnswer)
	defer cancel()
	if err := writePacket(e.conn, &e.writes, b); err != nil {
		e.Close()
		return nil, fmt.Errorf("%w: %w", ErrNotConnected, err)
	}
	select {
	case reply := <-w.reply:
		return reply, nil
	case <-e.ended:
		return nil, fmt.Errorf("%w: %s has left", ErrNotConnected, name)
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// dated is a request with an Event-Timestamp, RFC 5176 section 6.3.
func dated(p *Packet) *Packet {
	if _, ok := p.Get(EventTimestamp); ok {
		return p
	}
	p = p.clone()
	p.addUint32(EventTimestamp, uint32(time.Now().Unix()))
	return p
}

// streamOf returns a connection of a client.
func (s *Server) streamOf(name string) *stream {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		if e, ok := c.(*stream); ok && e.state != nil && slices.Contains(certificateNames(e.state), name) {
			return e
		}
	}
	return nil
}

// isDynamicReply reports whether a code answers what Send sends.
func isDynamicReply(c Code) bool {
	return c.answers(DisconnectRequest) || c.answers(CoARequest)
}

// reply gives a reply to who waits for it, if it is what it should be.
func (e *stream) reply(b []byte) error {
	p, err := Parse(b)
	if err != nil {
		return err
	}
	w := e.find(p.Identifier)
	if w == nil {
		return lateError{p.Code, p.Identifier}
	}
	if _, err := verifyReply(trim(b), w.auth, radsecSecret); err != nil {
		return err
	}
	if !p.Code.answers(w.code) {
		return fmt.Errorf("radius: %v does not answer %v", p.Code, w.code)
	}
	select {
	case w.reply <- p:
	default: // one more
	}
	return nil
}

// certificateNames are what a client's certificate calls it: DNS names, and the common name.
func certificateNames(state *tls.ConnectionState) []string {
	if len(state.PeerCertificates) == 0 {
		return nil
	}
	c := state.PeerCertificates[0]
	return append(slices.Clone(c.DNSNames), c.Subject.CommonName)
}
