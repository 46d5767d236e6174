package netstack

import (
	"bytes"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"
)

// Keep-alive finds out that a far side has gone while the tunnel has not; a tunnel that goes says so itself.
const (
	keepAliveIdle     = time.Minute
	keepAliveInterval = 15 * time.Second
)

// A stream is a TCP connection.
type stream struct {
	conn
	localAddr, remoteAddr netip.AddrPort

	rmu sync.Mutex
	in  tcpip.SliceWriter
	wmu sync.Mutex
	out bytes.Reader
}

var _ net.Conn = (*stream)(nil)

func newStream(s *Stack, ep tcpip.Endpoint, wq *waiter.Queue, network string) *stream {
	c := new(stream)
	c.init(s, ep, wq, network)
	idle, interval := tcpip.KeepaliveIdleOption(keepAliveIdle), tcpip.KeepaliveIntervalOption(keepAliveInterval)
	ep.SetSockOpt(&idle)
	ep.SetSockOpt(&interval)
	ep.SocketOptions().SetKeepAlive(true)
	return c
}

// connected learns the ends; the connection is then the stack's until it is closed.
func (c *stream) connected() {
	c.localAddr, c.remoteAddr = c.addrs()
}

func (c *stream) fail(err error) { c.end(c, err) }

func (c *stream) error(op string, err error) error {
	return &net.OpError{Op: op, Net: c.network, Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: err}
}

// Read waits for bytes.
func (c *stream) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	c.rmu.Lock()
	defer c.rmu.Unlock()
	for {
		if err := c.over(&c.read); err != nil {
			return 0, c.error("read", err)
		}
		c.in = b
		r, err := c.ep.Read(&c.in, tcpip.ReadOptions{})
		c.in = nil
		switch err.(type) {
		case nil:
			c.ep.(*tcp.Endpoint).ModerateRecvBuf(r.Count)
			return r.Count, nil
		case *tcpip.ErrClosedForReceive:
			return 0, io.EOF
		case *tcpip.ErrWouldBlock:
			if err := c.wait(c.readable, &c.read); err != nil {
				return 0, c.error("read", err)
			}
		default:
			return 0, c.error("read", c.why(err))
		}
	}
}

// Write waits for room.
func (c *stream) Write(b []byte) (n int, err error) {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	defer c.out.Reset(nil)
	for {
		if err := c.over(&c.write); err != nil {
			return n, c.error("write", err)
		}
		if n == len(b) {
			return n, nil
		}
		c.out.Reset(b[n:])
		k, err := c.ep.Write(&c.out, tcpip.WriteOptions{})
		n += int(k)
		switch err.(type) {
		case nil:
		case *tcpip.ErrWouldBlock:
			if err := c.wait(c.writable, &c.write); err != nil {
				return n, c.error("write", err)
			}
		default:
			return n, c.error("write", c.why(err))
		}
	}
}

// why returns what an error of the endpoint means: if the stack has ended the connection, what for.
func (c *conn) why(err tcpip.Error) error {
	if isClosed(c.done) {
		return c.cause
	}
	return toError(err)
}

// Close closes the connection; what has been written is still sent.
func (c *stream) Close() error {
	if !c.end(c, net.ErrClosed) {
		return c.error("close", net.ErrClosed)
	}
	return nil
}

// CloseWrite says that nothing more is written: the far side reads io.EOF.
func (c *stream) CloseWrite() error { return c.shutdown(tcpip.ShutdownWrite) }

// CloseRead says that nothing more is read.
func (c *stream) CloseRead() error { return c.shutdown(tcpip.ShutdownRead) }

func (c *stream) shutdown(how tcpip.ShutdownFlags) error {
	if isClosed(c.done) {
		return c.error("close", c.cause)
	}
	if err := c.ep.Shutdown(how); err != nil {
		return c.error("close", c.why(err))
	}
	return nil
}

func (c *stream) LocalAddr() net.Addr  { return netAddr(c.network, c.localAddr) }
func (c *stream) RemoteAddr() net.Addr { return netAddr(c.network, c.remoteAddr) }
