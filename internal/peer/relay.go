package peer

import (
	"bytes"
	"context"
	"crypto/tls"
	"net"
	"sync"
)

// A Relay ends TLS on both sides of a session and passes packets on. It shows clients Certificate; where both ends are to bind,
// the server behind it must show the same. It takes one connection at a time from each Accept, and as many as come.
type Relay struct {
	Certificate tls.Certificate
	Dial        func(ctx context.Context) (net.Conn, error) // to the server

	// Pass says what becomes of a packet: which packets go on in its place, in order; none drops it. nil passes all. It
	// is called from two goroutines a connection, one a direction.
	Pass func(toServer bool, p Packet) [][]byte
}

// Serve accepts from l until l is closed, and waits for what it passes on.
func (r *Relay) Serve(l net.Listener) {
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		nc, err := l.Accept()
		if err != nil {
			return
		}
		wg.Go(func() { r.relay(nc) })
	}
}

// relay joins one client to the server.
func (r *Relay) relay(nc net.Conn) {
	defer nc.Close()
	client := tls.Server(nc, &tls.Config{Certificates: []tls.Certificate{r.Certificate}, MinVersion: tls.VersionTLS10})
	if client.Handshake() != nil {
		return
	}
	behind, err := r.Dial(context.Background())
	if err != nil {
		return
	}
	defer behind.Close()
	server := tls.Client(behind, &tls.Config{InsecureSkipVerify: true}) // a relay in a test: nobody to be fooled
	if server.Handshake() != nil {
		return
	}
	var wg sync.WaitGroup
	wg.Go(func() { r.pass(true, server, client) })
	wg.Go(func() { r.pass(false, client, server) })
	wg.Wait()
}

// pass passes one direction on: the HTTP head as it is, then packets.
func (r *Relay) pass(toServer bool, to, from *tls.Conn) {
	defer to.Close()
	var b []byte
	head := true
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		b = append(b, buf[:n]...)
		var out []byte
		if head {
			i := bytes.Index(b, []byte("\r\n\r\n"))
			if i < 0 {
				continue
			}
			head = false
			out, b = append(out, b[:i+4]...), b[i+4:]
			if _, err := to.Write(out); err != nil { // alone: there are clients that want it so
				return
			}
			out = nil
		}
		for {
			p, rest, ok, err := Cut(b)
			if err != nil {
				return
			}
			if !ok {
				break
			}
			b = rest
			if r.Pass == nil {
				out = append(out, p...)
				continue
			}
			for _, q := range r.Pass(toServer, p) {
				out = append(out, q...)
			}
		}
		if len(out) > 0 {
			if _, err := to.Write(out); err != nil {
				return
			}
		}
	}
}
