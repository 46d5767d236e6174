package ppp

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

var (
	serverAddr = netip.MustParseAddr("10.8.0.1")
	clientAddr = netip.MustParseAddr("10.8.0.77")
)

// onePool gives one address, and counts.
type onePool struct {
	addr       netip.Addr
	gets, puts int
	delay      time.Duration
	err        error
}

func (p *onePool) Get(ctx context.Context, pool, user string) ([]netip.Prefix, error) {
	if p.delay > 0 {
		select {
		case <-time.After(p.delay):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if p.err != nil {
		return nil, p.err
	}
	p.gets++
	return []netip.Prefix{netip.PrefixFrom(p.addr, 32)}, nil
}

func (p *onePool) Put([]netip.Prefix) { p.puts++ }

// ipv4 makes an IPv4 packet of a size.
func ipv4(src, dst netip.Addr, size int) []byte {
	b := make([]byte, size)
	b[0] = 0x45
	binary.BigEndian.PutUint16(b[2:], uint16(size))
	b[8], b[9] = 64, 17
	copy(b[12:], src.AsSlice())
	copy(b[16:], dst.AsSlice())
	return b
}

func ipv6(src, dst netip.Addr, size int) []byte {
	b := make([]byte, size)
	b[0], b[6], b[7] = 0x60, 17, 64
	binary.BigEndian.PutUint16(b[4:], uint16(size-40))
	copy(b[8:], src.AsSlice())
	copy(b[24:], dst.AsSlice())
	return b
}

// serve runs Serve and gives copies of what comes.
func serve(c *Conn) (packets chan []byte, ended chan error) {
	packets, ended = make(chan []byte, 1000), make(chan error, 1)
	go func() {
		ended <- c.Serve(context.Background(), func(bufs [][]byte, offset int) (int, error) {
			for _, b := range bufs {
				packets <- append([]byte(nil), b[offset:]...)
			}
			return len(bufs), nil
		})
	}()
	return packets, ended
}

func TestOpenAndCarry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := &onePool{addr: clientAddr, delay: time.Second}
		c, s := ends(t, &Config{}, &Config{NoAuth: true, Addr: serverAddr, Pool: pool, DNS: []netip.Addr{serverAddr}})
		if i := c.Info(); i.Local != clientAddr || i.Peer != serverAddr || i.MTU != 1400 {
			t.Errorf("client's Info: %+v", i)
		}
		if i := s.Info(); i.Local != serverAddr || i.Peer != clientAddr || !i.Peer6.IsValid() || i.Peer6 != c.Info().Local6 {
			t.Errorf("server's Info: %+v", i)
		}
		if d := c.DNS(); len(d) != 1 || d[0] != serverAddr {
			t.Errorf("DNS: %v", d)
		}
		atClient, clientEnded := serve(c)
		atServer, serverEnded := serve(s)
		if n, err := c.Write([][]byte{ipv4(clientAddr, serverAddr, 100)}, 0); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		s.Write([][]byte{ipv4(serverAddr, clientAddr, 200)}, 0)
		if p := <-atServer; len(p) != 100 {
			t.Errorf("%d bytes", len(p))
		}
		if p := <-atClient; len(p) != 200 {
			t.Errorf("%d bytes", len(p))
		}
		c.Close()
		for _, err := range []error{<-clientEnded, <-serverEnded} {
			var e *TerminatedError
			if !errors.As(err, &e) || !errors.Is(err, net.ErrClosed) || e.Cause != UserRequest {
				t.Errorf("ended by %v", err)
			}
		}
		if pool.gets != 1 || pool.puts != 1 {
			t.Errorf("pool: %d gets, %d puts", pool.gets, pool.puts)
		}
		if st := s.Stats(); st.RxPackets != 1 || st.RxBytes != 100 || st.TxPackets != 1 || st.TxBytes != 200 {
			t.Errorf("server's Stats: %+v", st)
		}
	})
}

func TestPacketsBeforeServeAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newPipe()
		// The server does not learn that there is no IPv6, and waits a moment for it.
		a.drop = func(f []byte) bool { return f[2] == 0xc0 && f[3] == 0x21 && f[4] == codeProtocolReject }
		c := Client(a, Call{}, &Config{NoIPv6: true})
		s := Server(b, Call{}, &Config{NoAuth: true, Addr: serverAddr, Pool: &onePool{addr: clientAddr}})
		opened := make(chan error, 1)
		go func() { opened <- s.Open(t.Context()) }()
		if err := c.Open(t.Context()); err != nil {
			t.Fatal(err)
		}
		c.Write([][]byte{ipv4(clientAddr, serverAddr, 100), ipv4(serverAddr, clientAddr, 101)}, 0)
		synctest.Wait()
		if s.isOpen() || s.early.bytes == 0 {
			t.Fatal("the packets came after Open")
		}
		if err := <-opened; err != nil {
			t.Fatal(err)
		}
		go c.Serve(context.Background(), func(bufs [][]byte, offset int) (int, error) { return len(bufs), nil })
		got, ended := serve(s)
		if p := <-got; len(p) != 100 {
			t.Errorf("%d bytes", len(p))
		}
		synctest.Wait()
		if len(got) != 0 {
			t.Error("a packet with a foreign source was handed on")
		}
		s.Close()
		<-ended
	})
}
