package dhcpinform

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dialway/dialway/tunnel"
	"github.com/dialway/dialway/tunnel/tunneltest"
)

var clientEnd, serverEnd = pfx("10.8.0.2/32"), pfx("10.8.0.1/32")

// A far is the server's end of a link, where a test sees what the client sends and answers as it likes.
type far struct {
	link tunnel.Link
	sent chan []byte
}

// newClient returns a client that is served, and the far end of its link. What is not an answer goes to got.
func newClient(t *testing.T) (c *Client, f *far, got chan []byte) {
	server, link := tunneltest.Pipe(serverEnd, clientEnd)
	c, f, got = &Client{Link: link}, &far{server, make(chan []byte, 100)}, make(chan []byte, 100)
	put := func(ch chan []byte) func(bufs [][]byte, offset int) (int, error) {
		return func(bufs [][]byte, offset int) (int, error) {
			for _, b := range bufs {
				ch <- bytes.Clone(b[offset:])
			}
			return len(bufs), nil
		}
	}
	go server.Serve(t.Context(), put(f.sent))
	go c.Serve(t.Context(), put(got))
	return c, f, got
}

// udp makes a packet.
func udp(src, dst string, payload []byte) []byte {
	return sealPacket(append(make([]byte, headers), payload...), 0, netip.MustParseAddrPort(src), netip.MustParseAddrPort(dst))
}

func (f *far) write(p []byte) { f.link.Write([][]byte{p}, 0) }

// asked returns the next inform.
func (f *far) asked(t *testing.T) (datagram, message) {
	t.Helper()
	d, ok := parseUDP(<-f.sent)
	m, ok2 := parseMessage(d.payload)
	if !ok || !ok2 {
		t.Fatal("the client sent no DHCP message")
	}
	return d, m
}

// answer makes an answer to an inform.
func answer(m message, options ...byte) message {
	b := appendHeader(nil, reply, m.hardware(), m.xid(), 0, 0, m.ciaddr())
	b = append(b, optType, 1, typeACK, optServer, 4, 192, 0, 2, 1)
	return finish(append(b, options...), 0)
}

func TestClientAsksAsWindowsDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, f, got := newClient(t)
		c.Hostname = "PC1"
		go func() {
			d, m := f.asked(t)
			if d.src != adr("10.8.0.2") || d.dst != broadcast || d.srcPort != 68 || d.dstPort != 67 || len(m) < minMessage {
				t.Errorf("%+v", d)
			}
			if m.op() != request || m.kind() != typeInform || m.ciaddr() != adr("10.8.0.2") || m.broadcast() || m.secs() != 0 || m.hops() != 0 ||
				!m.giaddr().IsUnspecified() || m.hardware() != testHardware {
				t.Errorf("%x", m)
			}
			want := []byte{53, 1, 8, 61, 7, 1, 2, 0, 10, 8, 0, 2, 12, 3, 'P', 'C', '1', 60, 8, 'M', 'S', 'F', 'T', ' ', '5', '.', '0', 57, 2, 5, 120,
				55, 15, 1, 3, 6, 15, 31, 33, 43, 44, 46, 47, 119, 121, 249, 252, 42, 255}
			if got := m[atOptions:]; !bytes.HasPrefix(got, want) {
				t.Errorf("options\n%d, want\n%d", got, want)
			}
			f.write(udp("10.8.0.1:67", "10.8.0.2:80", []byte("other"))) // is not for the client
			f.write(udp("10.8.0.1:67", "10.8.0.2:68", answer(m, 15, 1, 'd')))
		}()
		o, err := c.Inform(t.Context(), nil)
		if err != nil || o.Domain != "d" || o.Server != adr("192.0.2.1") {
			t.Fatalf("%+v %v", o, err)
		}
		synctest.Wait()
		if len(got) != 1 {
			t.Errorf("%d packets went on, want the one that is not DHCP", len(got))
		}
		c.Close()
	})
}

func TestClientTriesFourTimesWithinAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, f, _ := newClient(t)
		c.Server = adr("10.8.0.1")
		start := time.Now()
		_, err := c.Inform(t.Context(), []byte{15})
		if !errors.Is(err, ErrNoAnswer) {
			t.Error(err)
		}
		if took := time.Since(start); took < 56*time.Second || took > 64*time.Second {
			t.Errorf("took %v", took)
		}
		var secs []uint16
		xid := uint32(0)
		for range 4 {
			d, m := f.asked(t)
			if secs = append(secs, m.secs()); d.dst != adr("10.8.0.1") {
				t.Errorf("asked %v", d.dst)
			}
			if xid != 0 && m.xid() != xid {
				t.Error("a try has another xid")
			}
			xid = m.xid()
		}
		if len(f.sent) != 0 || secs[0] != 0 || secs[1] < 3 || secs[2] < 10 || secs[3] < 25 || !slices.IsSorted(secs) {
			t.Errorf("secs %v, %d more", secs, len(f.sent))
		}
		c.Close()
	})
}

func TestClientTakesAnAnswerHoweverItIsSent(t *testing.T) {
	for _, to := range []string{"10.8.0.2:68", "255.255.255.255:68", "10.8.0.2:67"} {
		synctest.Test(t, func(t *testing.T) {
			c, f, _ := newClient(t)
			go func() {
				f.asked(t)
				_, m := f.asked(t)
				f.write(udp("192.0.2.9:67", to, answer(m, 6, 4, 10, 0, 0, 1)))
			}()
			if o, err := c.Inform(t.Context(), nil); err != nil || len(o.DNS) != 1 {
				t.Errorf("%s: %+v %v", to, o, err)
			}
			c.Close()
		})
	}
}

func TestClientTakesOnlyAnswersToWhatItAsked(t *testing.T) {
	for name, forge := range map[string]func(m message) []byte{
		"another xid":      func(m message) []byte { m[atXID]++; return udp("10.8.0.1:67", "10.8.0.2:68", m) },
		"another hardware": func(m message) []byte { m[atCHAddr]++; return udp("10.8.0.1:67", "10.8.0.2:68", m) },
		"another ciaddr":   func(m message) []byte { m[atCIAddr+3]++; return udp("10.8.0.1:67", "10.8.0.2:68", m) },
		"a request":        func(m message) []byte { m[0] = request; return udp("10.8.0.1:67", "10.8.0.2:68", m) },
		"NAK":              func(m message) []byte { m[atOptions+2] = 6; return udp("10.8.0.1:67", "10.8.0.2:68", m) },
		"OFFER":            func(m message) []byte { m[atOptions+2] = 2; return udp("10.8.0.1:67", "10.8.0.2:68", m) },
		"another port":     func(m message) []byte { return udp("10.8.0.1:6700", "10.8.0.2:68", m) },
		"another address":  func(m message) []byte { return udp("10.8.0.1:67", "10.8.0.3:68", m) },
		"cut options":      func(m message) []byte { return udp("10.8.0.1:67", "10.8.0.2:68", m[:atOptions+8]) },
		"no options":       func(m message) []byte { return udp("10.8.0.1:67", "10.8.0.2:68", m[:atOptions]) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, f, got := newClient(t)
				go func() {
					_, m := f.asked(t)
					f.write(forge(answer(m, 15, 3, 'b', 'a', 'd')))
					time.Sleep(time.Second)
					f.write(udp("10.8.0.1:67", "10.8.0.2:68", answer(m, 15, 4, 'g', 'o', 'o', 'd')))
				}()
				if o, err := c.Inform(t.Context(), nil); err != nil || o.Domain != "good" {
					t.Errorf("%+v %v", o, err)
				}
				if len(got) != 1 {
					t.Errorf("%d packets went on", len(got))
				}
				c.Close()
			})
		})
	}
}

func TestClientEndsWithItsLinkAndItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _, _ := newClient(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Inform(ctx, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		time.AfterFunc(time.Second, func() { c.Close() })
		if _, err := c.Inform(t.Context(), nil); !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
		if _, err := c.Inform(t.Context(), nil); !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
		if c.open.Load() != 0 || len(c.asks) != 0 {
			t.Errorf("%d asks are left", c.open.Load())
		}
	})
}

func TestClientRefusesWhatCannotBeAsked(t *testing.T) {
	_, six := tunneltest.Pipe(pfx("2001:db8::1/128"), pfx("2001:db8::2/128"))
	_, four := tunneltest.Pipe(serverEnd, clientEnd)
	for name, err := range map[string]error{
		"no IPv4": func() error { _, err := (&Client{Link: six}).Inform(t.Context(), nil); return err }(),
		"nothing": func() error { _, err := (&Client{Link: four}).Inform(t.Context(), []byte{}); return err }(),
		"long":    func() error { _, err := (&Client{Link: four}).Inform(t.Context(), make([]byte, 256)); return err }(),
		"long name": func() error {
			_, err := (&Client{Link: four, Hostname: string(make([]byte, 256))}).Inform(t.Context(), nil)
			return err
		}(),
	} {
		if err == nil {
			t.Errorf("%s: asked", name)
		}
	}
}

func TestClientSiftsWithoutMaking(t *testing.T) {
	c := &Client{}
	c.add(&ask{addr: adr("10.8.0.2")})
	bufs := [][]byte{udp("10.8.0.1:67", "10.8.0.2:68", ack()), udp("10.8.0.1:53", "10.8.0.2:999", []byte("x"))}
	to := func(bufs [][]byte, offset int) (int, error) { return len(bufs), nil }
	if n := testing.AllocsPerRun(100, func() { sift(bufs, 0, c.take, to) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
