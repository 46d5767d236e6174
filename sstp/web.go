package sstp

import (
	"context"
	"crypto/tls"
	"net"
	"slices"
	"sync"

	"github.com/dialway/dialway/internal/tlsconn"
)

// A webListener hands the connections that ask for anything but SSTP to somebody's http.Server.
type webListener struct {
	server *Server
	conns  chan net.Conn
	done   chan struct{}
	close  sync.Once
}

func newWebListener(s *Server) *webListener {
	return &webListener{server: s, conns: make(chan net.Conn), done: make(chan struct{})}
}

// Accept waits for the next connection.
func (l *webListener) Accept() (net.Conn, error) {
	select {
	case <-l.done:
		return nil, net.ErrClosed
	default:
	}
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Close ends Accept. SSTP goes on.
func (l *webListener) Close() error {
	l.close.Do(func() { close(l.done) })
	return nil
}

// Addr returns the address of one of the Server's listeners.
func (l *webListener) Addr() net.Addr { return l.server.addr() }

// open says whether connections may still be handed over.
func (l *webListener) open() bool {
	select {
	case <-l.done:
		return false
	default:
		return true
	}
}

// hand gives c away, and reports whether somebody has taken it before ctx ended.
func (l *webListener) hand(ctx context.Context, c net.Conn) bool {
	select {
	case l.conns <- c:
		return true
	case <-l.done:
	case <-ctx.Done():
	}
	return false
}

// A webConn is a connection of which some bytes have been read; they are read again first. Behind HTTP/2's negotiation
// nothing has been read, and net/http gets the tls.Conn itself, by whose type it knows.
type webConn struct {
	net.Conn
	mu     sync.Mutex // net/http reads in the background while a handler runs
	unread []byte
}

// Read reads what was unread, then from the connection.
func (c *webConn) Read(b []byte) (int, error) {
	c.mu.Lock()
	if len(c.unread) > 0 {
		n := copy(b, c.unread)
		c.unread = c.unread[n:]
		c.mu.Unlock()
		return n, nil
	}
	c.mu.Unlock()
	return c.Conn.Read(b)
}

// A webTLSConn is a webConn over TLS: net/http finds Request.TLS by ConnectionState.
type webTLSConn struct {
	webConn
	tls *tls.Conn
}

// ConnectionState returns what the TLS handshake agreed on.
func (c *webTLSConn) ConnectionState() tls.ConnectionState { return c.tls.ConnectionState() }

// unread returns a connection that reads head first, which was read from c.
func unread(c net.Conn, head []byte) net.Conn {
	if t, ok := c.(*tlsconn.Conn); ok {
		return &webTLSConn{webConn: webConn{Conn: t.TLS(), unread: slices.Concat(head, t.Untaken())}, tls: t.TLS()}
	}
	return &webConn{Conn: c, unread: head}
}
