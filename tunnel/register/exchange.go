package register

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"time"
)

// A client asks DNS servers. It keeps nothing between two exchanges.
//
//	           ┌── 1 s, 2 s, 4 s: the same bytes again ──┐
//	           ▼                                         │
//	pack ► sign ► UDP ──► answer: ID, question, signature right? ── no: read on
//	  │                       │ yes          │ refuses the key, unsigned: ask no more, read on till the try is over
//	  │ longer than 512       ▼              ▼
//	  └──────────► TCP ◄── truncated?      *SignatureError
type client struct {
	dial func(ctx context.Context, network, address string) (net.Conn, error)
	log  *slog.Logger
}

const (
	udpTries   = 3
	udpTimeout = time.Second // of the first try; each of the next waits twice as long
	tcpTimeout = 5 * time.Second
)

// newID returns an ID that nobody guesses.
func newID() uint16 {
	var b [2]byte
	rand.Read(b[:])
	return binary.BigEndian.Uint16(b[:])
}

// exchange sends msg to a server and returns its answer. verify may be nil.
func (c *client) exchange(ctx context.Context, server netip.AddrPort, msg []byte, verify func(answer []byte) error) (answer []byte, err error) {
	if len(msg) <= maxUDP {
		answer, err = c.udp(ctx, server, msg, verify)
		if err != nil || !truncated(answer) {
			return answer, err
		}
	}
	return c.tcp(ctx, server, msg, verify)
}

func (c *client) udp(ctx context.Context, server netip.AddrPort, msg []byte, verify func(answer []byte) error) ([]byte, error) {
	conn, err := c.dial(ctx, "udp", server.String())
	if err != nil {
		return nil, fmt.Errorf("register: %v: %w", server, err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })()
	buf := make([]byte, 4096)
	for try := range udpTries {
		conn.SetDeadline(time.Now().Add(udpTimeout << try))
		if ctx.Err() != nil { // after the deadline has been set, so that AfterFunc's is not lost
			return nil, context.Cause(ctx)
		}
		c.log.Debug("dns: asking", "server", server, "try", try+1, "bytes", len(msg))
		if _, err = conn.Write(msg); err != nil {
			return nil, fmt.Errorf("register: %v: %w", server, err)
		}
		var refused *SignatureError
		for {
			var n int
			if n, err = conn.Read(buf); err != nil {
				break
			}
			if !answers(buf[:n], msg) {
				continue
			}
			if verify == nil || truncated(buf[:n]) { // of which nothing is used, and whose signature may be what was cut off
				return buf[:n:n], nil
			}
			switch bad := verify(buf[:n]); {
			case bad == nil:
				return buf[:n:n], nil
			case errors.As(bad, &refused):
				if !refused.Unknown {
					return nil, refused
				}
				// Whoever said this did not prove who it is: the server may yet say the opposite, but it is not asked again.
			default:
				c.log.Debug("dns: not believed", "server", server, "why", bad)
			}
		}
		switch {
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case refused != nil:
			return nil, refused
		case !isTimeout(err):
			return nil, fmt.Errorf("register: %v: %w", server, err)
		}
	}
	return nil, fmt.Errorf("register: %v: %w to %d tries", server, ErrNoAnswer, udpTries)
}

// tcp asks by TCP, RFC 1035 section 4.2.2.
func (c *client) tcp(ctx context.Context, server netip.AddrPort, msg []byte, verify func(answer []byte) error) ([]byte, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, tcpTimeout, fmt.Errorf("register: %v: %w by TCP", server, ErrNoAnswer))
	defer cancel()
	fail := func(err error) ([]byte, error) {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, fmt.Errorf("register: %v: %w", server, err)
	}
	c.log.Debug("dns: asking by TCP", "server", server, "bytes", len(msg))
	conn, err := c.dial(ctx, "tcp", server.String())
	if err != nil {
		return fail(err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })()
	if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(msg))), msg...)); err != nil {
		return fail(err)
	}
	var size [2]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return fail(err)
	}
	answer := make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err := io.ReadFull(conn, answer); err != nil {
		return fail(err)
	}
	if !answers(answer, msg) {
		return fail(errors.New("answer is to another question"))
	}
	if verify != nil {
		if err := verify(answer); err != nil {
			return fail(err)
		}
	}
	return answer, nil
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

// ask asks servers, one after the other, for records of a name until one knows. It returns who answered.
func (c *client) ask(ctx context.Context, servers []netip.AddrPort, name string, typ uint16) (*answer, netip.AddrPort, error) {
	err := fmt.Errorf("register: no name server to ask for %s", name)
	for i, s := range servers {
		msg, bad := query(newID(), name, typ)
		if bad != nil {
			return nil, s, bad
		}
		b, bad := c.exchange(ctx, s, msg, nil)
		if bad == nil {
			var a *answer
			if a, bad = parseAnswer(b, name, typ); bad == nil {
				switch a.code {
				case rcodeOK, rcodeNXDomain:
					return a, s, nil
				}
				bad = &UpdateError{Server: s, Zone: "?", Name: name, Code: a.code}
			}
		}
		if ctx.Err() != nil {
			return nil, s, context.Cause(ctx)
		}
		if i == 0 {
			err = bad
		}
	}
	return nil, netip.AddrPort{}, err
}
