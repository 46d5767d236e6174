package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/dialway/dialway/examples/internal/cli"
	"github.com/dialway/dialway/ppp"
	"github.com/dialway/dialway/sstp"
)

// TestServeBehindAProxy dials through something that puts a PROXY header in front, of either version: the session's remote
// address is the one in the header, and without a header there is no session.
func TestServeBehindAProxy(t *testing.T) {
	var log logBuffer
	c, err := parse([]string{"-users", usersFile(t, "alice:secret\n"), "-tun", "netstack", "-proxy-protocol", "127.0.0.0/8"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	s := &server{config: c, log: cli.Logger(&log, false)}
	if err := s.load(); err != nil {
		t.Fatal(err)
	}
	addr, stop := serving(t, s)
	defer stop()
	log.wait(t, "msg=ready")

	silent, err := net.Dial("tcp", addr) // holds nobody up
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	v2 := "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x08\xc0\x00\x02\x01\x12\x67\x01\xbb"
	for header, want := range map[string]string{
		"PROXY TCP4 192.0.2.7 192.0.2.1 4711 443\r\n": "192.0.2.7:4711",
		v2: "192.0.2.8:4711",
		"": "",
	} {
		d := &sstp.Dialer{
			Pins: [][32]byte{sha256.Sum256(s.cert.Load().Certificate[0])},
			PPP:  &ppp.Config{User: "alice", Password: "secret"},
			NetDial: func(ctx context.Context, network, addr string) (net.Conn, error) {
				nc, err := new(net.Dialer).DialContext(ctx, network, addr)
				if err == nil {
					_, err = io.WriteString(nc, header)
				}
				return nc, err
			},
		}
		dialling, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		link, err := d.DialContext(dialling, addr)
		cancel()
		if want == "" {
			if err == nil {
				t.Error("a proxy that sends no header gets through")
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v\n%s", header, err, &log)
			continue
		}
		log.wait(t, fmt.Sprintf("user=alice remote=%s", want))
		link.Close()
		link.Serve(t.Context(), func(bufs [][]byte, _ int) (int, error) { return len(bufs), nil })
	}
}
