package netstack

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"
)

// ask sends an echo request over c and returns the payload of the reply.
func ask(t *testing.T, c net.Conn, request byte, payload string, wait time.Duration) (string, error) {
	t.Helper()
	if _, err := c.Write(append([]byte{request, 0, 0, 0, 0, 0, 0, 1}, payload...)); err != nil {
		t.Fatal(err)
	}
	c.SetReadDeadline(time.Now().Add(wait))
	b := make([]byte, 1500)
	n, err := c.Read(b)
	if err != nil {
		return "", err
	}
	return string(b[8:n]), nil
}

func TestPing(t *testing.T) {
	dials := make(chan string, 10)
	a, _ := forwarding(t, func(ctx context.Context, network string, src, dst netip.AddrPort) (net.Conn, error) {
		dials <- network + " " + dst.String()
		switch dst.Addr().String() {
		case "192.0.2.1", "2001:db8::1": // somewhere else
			near, far := net.Pipe()
			go func() {
				b := make([]byte, 1500)
				for {
					n, err := far.Read(b)
					if err != nil {
						return
					}
					reply := slices.Clone(b[:n])
					if reply[0]++; reply[0] == 9 {
						reply[0] = 0
					}
					binary.BigEndian.PutUint16(reply[4:], 4711) // a ping socket has its own identifier
					far.Write([]byte{3, 1, 0, 0, 0, 0, 0, 0})
					far.Write(reply)
				}
			}()
			return near, nil
		case "192.0.2.2", "2001:db8::2":
			return nil, nil
		}
		return nil, errors.New("no")
	})
	for _, c := range []struct {
		network, to string
		request     byte
		dialled     string
	}{
		{"ip4:icmp", "192.0.2.1", 8, "ping 192.0.2.1:0"},
		{"ip4:icmp", "192.0.2.2", 8, "ping 192.0.2.2:0"},
		{"ip6:ipv6-icmp", "2001:db8::1", 128, "ping [2001:db8::1]:0"},
		{"ip6:ipv6-icmp", "2001:db8::2", 128, "ping [2001:db8::2]:0"},
		{"ip4:icmp", "10.8.0.2", 8, ""}, // the stack's own
		{"ip6:58", "fd00::2", 128, ""},
	} {
		conn := dial(t, a, c.network, c.to)
		for range 3 {
			if got, err := ask(t, conn, c.request, "payload", 5*time.Second); err != nil || got != "payload" {
				t.Errorf("%v: %q %v", c, got, err)
			}
		}
		if c.dialled != "" {
			if got := <-dials; got != c.dialled {
				t.Errorf("%v: %s", c, got)
			}
		}
		if len(dials) > 0 {
			t.Errorf("%v: also %s", c, <-dials)
		}
	}
	refused := dial(t, a, "ip4:icmp", "192.0.2.3")
	if got, err := ask(t, refused, 8, "payload", 100*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%q %v", got, err)
	}
	// Larger than a packet: lost, and not answered by the stack in the name of others.
	large := dial(t, a, "ip4:icmp", "192.0.2.1")
	if got, err := ask(t, large, 8, string(make([]byte, 2000)), 100*time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

func FuzzParseEcho(f *testing.F) {
	f.Add(udpPacket(addrB))
	f.Add(udpPacket(addrB6))
	f.Add([]byte{0x45, 0, 0, 28, 0, 0, 0, 0, 64, 1, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 8, 0, 0xf7, 0xfd, 0, 1, 0, 1})
	f.Add(append(append([]byte{0x60, 0, 0, 0, 0, 8, 58, 64}, make([]byte, 32)...), 128, 0, 0x7f, 0xbb, 0, 1, 0, 1))
	f.Fuzz(func(t *testing.T, p []byte) {
		message, key, ok := parseEcho(p)
		if message != nil && (!ok || len(message) < echoHeader || !key.src.IsValid() || key.src.Is4() != key.dst.Is4()) {
			t.Errorf("%x: %x %v %v", p, message, key, ok)
		}
		addresses(p, 0)
	})
}
