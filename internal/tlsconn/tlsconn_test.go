package tlsconn

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/netip"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dialway/dialway/internal/memnet"
)

var versions = []uint16{tls.VersionTLS12, tls.VersionTLS13}

// forVersions runs a test in a bubble for each version of TLS, and checks that every buffer came back.
func forVersions(t *testing.T, f func(t *testing.T, version uint16)) {
	for _, v := range versions {
		t.Run(tls.VersionName(v), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f(t, v)
				wantLent(t, 0)
			})
		})
	}
}

// wantLent checks how many buffers are borrowed.
func wantLent(t *testing.T, want int) {
	t.Helper()
	if n := Lent(); n != want {
		t.Errorf("%d buffers are lent, want %d", n, want)
	}
}

func testConfig(tb testing.TB, version uint16) (client, server *tls.Config) {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"test"},
		NotBefore: time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		tb.Fatal(err)
	}
	client = &tls.Config{InsecureSkipVerify: true, MaxVersion: version}
	return client, &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

// pair shakes hands over two ends.
func pair(tb testing.TB, a, b net.Conn, version uint16) (client, server *Conn) {
	tb.Helper()
	cc, sc := testConfig(tb, version)
	Prepare(cc)
	Prepare(sc)
	client, server = Client(a, cc), Server(b, sc, nil)
	done := make(chan error, 1)
	go func() { done <- server.HandshakeContext(context.Background()) }()
	if err := client.HandshakeContext(context.Background()); err != nil {
		tb.Fatal(err)
	}
	if err := <-done; err != nil {
		tb.Fatal(err)
	}
	return client, server
}

func memPipe(buffer int) (a, b *memnet.Conn) {
	return memnet.Pipe(netip.MustParseAddrPort("192.0.2.1:1024"), netip.MustParseAddrPort("192.0.2.2:443"), buffer)
}

// readAll reads until nothing is here.
func readAll(t *testing.T, c *Conn) (got []byte) {
	t.Helper()
	b := make([]byte, 40<<10)
	for {
		n, err := c.TryRead(b)
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			return got
		}
		got = append(got, b[:n]...)
	}
}

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b)
	return b
}

func TestPrefaceAndWhatFollowsIt(t *testing.T) {
	forVersions(t, func(t *testing.T, v uint16) {
		a, b := memPipe(0)
		client, server := pair(t, a, b, v)
		want := random(30000)
		client.Write([]byte("preface"))
		client.Write(want[:3])
		client.Write(want[3:])
		got := make([]byte, 7)
		if _, err := io.ReadFull(server, got); err != nil || string(got) != "preface" {
			t.Fatal(string(got), err)
		}
		server.Batch()
		if !bytes.Equal(readAll(t, server), want) {
			t.Error("lost what followed the preface")
		}
		client.Close()
		server.Close()
	})
}

func TestReadsGiveAllThatIsHereAndHoldNothingWhileTheyWait(t *testing.T) {
	forVersions(t, func(t *testing.T, v uint16) {
		a, b := memPipe(1 << 20)
		client, server := pair(t, a, b, v)
		client.Batch()
		server.Batch()
		want := random(300000)
		for i := 0; i < len(want); i += 100000 {
			if err := client.TryWrite(want[i : i+100000]); err != nil || client.Backlog() > 0 {
				t.Fatal(err, client.Backlog())
			}
		}
		if !bytes.Equal(readAll(t, server), want) {
			t.Error("bytes differ")
		}
		wantLent(t, 0)
		go func() {
			time.Sleep(time.Minute)
			wantLent(t, 0)
			client.TryWrite([]byte("late"))
		}()
		if err := server.Wait(); err != nil {
			t.Fatal(err)
		}
		if got := readAll(t, server); string(got) != "late" {
			t.Errorf("%q", got)
		}
		client.Close()
		if err := server.Wait(); err != nil {
			t.Fatal(err)
		}
		if _, err := server.TryRead(make([]byte, 1)); err != io.EOF {
			t.Errorf("after the far side's close: %v", err)
		}
		server.Close()
	})
}

// TestDeadlinesInTheMiddleOfARecord lets the read deadline pass after each byte.
func TestDeadlinesInTheMiddleOfARecord(t *testing.T) {
	forVersions(t, func(t *testing.T, v uint16) {
		a, b := memPipe(0)
		client, server := pair(t, a, b, v)
		client.Batch()
		server.Batch()
		for _, size := range []int{1, 100, 3000} {
			want := random(size)
			record := capture(t, client, b, want)
			for i := range record {
				b.Feed(record[i : i+1])
				if err := server.Wait(); err != nil {
					t.Fatal(err)
				}
				if i < len(record)-1 {
					if got := readAll(t, server); len(got) > 0 {
						t.Fatalf("%d bytes of a record that is not whole", len(got))
					}
					server.SetReadDeadline(time.Now().Add(time.Millisecond))
					if err := server.Wait(); err != os.ErrDeadlineExceeded {
						t.Fatalf("byte %d of %d: %v", i, len(record), err)
					}
					wantLent(t, 0)
					server.SetReadDeadline(time.Time{})
				}
			}
			if !bytes.Equal(readAll(t, server), want) {
				t.Error("bytes differ")
			}
		}
		client.Close()
		server.Close()
	})
}

// capture has client write b, and takes the ciphertext off the line.
func capture(t *testing.T, client *Conn, line *memnet.Conn, b []byte) []byte {
	t.Helper()
	if err := client.TryWrite(b); err != nil {
		t.Fatal(err)
	}
	record := make([]byte, 20<<10)
	n, err := line.TryRead(record)
	if err != nil {
		t.Fatal(err)
	}
	return record[:n]
}

func TestBacklogIsKeptInOrder(t *testing.T) {
	forVersions(t, func(t *testing.T, v uint16) {
		a, b := memPipe(8 << 10)
		client, server := pair(t, a, b, v)
		client.Batch()
		server.Batch()
		var want []byte
		done := make(chan []byte)
		go func() {
			var got []byte
			for len(got) < 20*5000 {
				if err := server.Wait(); err != nil {
					t.Error(err)
					break
				}
				got = append(got, readAll(t, server)...)
				time.Sleep(time.Millisecond)
			}
			done <- got
		}()
		for range 20 {
			p := random(5000)
			want = append(want, p...)
			if err := client.TryWrite(p); err != nil {
				t.Fatal(err)
			}
			if client.Backlog() > 100000 {
				if err := client.WaitWrite(time.Minute); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := client.WaitWrite(time.Minute); err != nil || client.Backlog() != 0 {
			t.Fatal(err, client.Backlog())
		}
		if !bytes.Equal(<-done, want) {
			t.Error("bytes differ")
		}
		client.Close()
		server.Close()
	})
}

func TestPatienceBeginsAnewWhenBytesMove(t *testing.T) {
	forVersions(t, func(t *testing.T, v uint16) {
		a, b := memPipe(1 << 10)
		client, server := pair(t, a, b, v)
		client.Batch()
		start := time.Now()
		if err := client.TryWrite(random(10000)); err != nil {
			t.Fatal(err)
		}
		go func() { // takes a little each 9 s, then stops
			for range 5 {
				time.Sleep(9 * time.Second)
				b.TryRead(make([]byte, 1<<10))
			}
		}()
		err := client.WaitWrite(10 * time.Second)
		if !errors.Is(err, ErrStalled) || time.Since(start) != 55*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		if err := client.TryWrite([]byte("x")); !errors.Is(err, ErrStalled) {
			t.Errorf("a write after it: %v", err)
		}
		if err := client.Wait(); !errors.Is(err, ErrStalled) {
			t.Errorf("a read after it: %v", err)
		}
		client.Close()
		server.Close()
	})
}

// TestWaitWriteWaitsForRoom: nothing is in the backlog, but the line is full.
func TestWaitWriteWaitsForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := memPipe(1 << 10)
		p := NewPlain(a)
		if err := p.TryWrite(make([]byte, 1<<10)); err != nil || p.Backlog() != 0 {
			t.Fatal(err, p.Backlog())
		}
		start := time.Now()
		go func() {
			time.Sleep(time.Second)
			b.TryRead(make([]byte, 1))
		}()
		if err := p.WaitWrite(2 * time.Second); err != nil || time.Since(start) != time.Second {
			t.Error(err, time.Since(start))
		}
		p.Close()
		b.Close()
		wantLent(t, 0)
	})
}

func TestCloseWakesBothDirections(t *testing.T) {
	forVersions(t, func(t *testing.T, v uint16) {
		a, b := memPipe(1 << 10)
		client, server := pair(t, a, b, v)
		client.Batch()
		client.TryWrite(random(10000))
		errs := make(chan error, 2)
		go func() { errs <- client.WaitWrite(time.Minute) }()
		go func() { errs <- client.Wait() }()
		synctest.Wait()
		client.Close()
		for range 2 {
			if err := <-errs; !errors.Is(err, net.ErrClosed) {
				t.Error(err)
			}
		}
		server.Close()
	})
}

// TestStrangeStreams are connections that can only wait, in all sorts of ways.
func TestStrangeStreams(t *testing.T) {
	wrap := map[string]func(c *memnet.Conn) net.Conn{
		"a wrapper":           func(c *memnet.Conn) net.Conn { return struct{ net.Conn }{c} },
		"no read deadlines":   func(c *memnet.Conn) net.Conn { return noDeadlines{struct{ net.Conn }{c}} },
		"as it is, no hiding": func(c *memnet.Conn) net.Conn { return c },
	}
	for name, wrap := range wrap {
		t.Run(name, func(t *testing.T) {
			forVersions(t, func(t *testing.T, v uint16) {
				a, b := memPipe(4 << 10)
				client, server := pair(t, wrap(a), wrap(b), v)
				client.Batch()
				server.Batch()
				want := random(100000)
				written := make(chan struct{})
				go func() {
					defer close(written)
					for i := 0; i < len(want); i += 25000 {
						if err := client.TryWrite(want[i : i+25000]); err != nil {
							t.Error(err)
						}
						if err := client.WaitWrite(time.Second); err != nil {
							t.Error(err)
						}
						time.Sleep(time.Second)
					}
				}()
				var got []byte
				for len(got) < len(want) {
					server.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
					switch err := server.Wait(); {
					case err == nil:
						got = append(got, readAll(t, server)...)
					case err == os.ErrDeadlineExceeded:
						wantLent(t, 0)
					default:
						t.Fatal(err)
					}
				}
				if !bytes.Equal(got, want) {
					t.Error("bytes differ")
				}
				<-written
				client.TryWrite(want) // and nobody reads
				if err := client.WaitWrite(10 * time.Second); !errors.Is(err, ErrStalled) {
					t.Errorf("a far side that does not read: %v", err)
				}
				client.Close()
				server.SetReadDeadline(time.Time{})
				for {
					if err := server.Wait(); err != nil {
						break
					}
					if _, err := server.TryRead(make([]byte, 1<<16)); err != nil {
						break
					}
				}
				server.Close()
				synctest.Wait()
			})
		})
	}
}

// noDeadlines is an ssh channel's way.
type noDeadlines struct{ net.Conn }

func (noDeadlines) SetDeadline(time.Time) error      { return errors.ErrUnsupported }
func (noDeadlines) SetReadDeadline(time.Time) error  { return errors.ErrUnsupported }
func (noDeadlines) SetWriteDeadline(time.Time) error { return errors.ErrUnsupported }

// TestEveryOperationFails: the Nth read or write fails, for every N; nothing hangs, nothing is kept.
func TestEveryOperationFails(t *testing.T) {
	for _, direction := range []string{"read", "write"} {
		for n := 1; n <= 12; n++ {
			t.Run(fmt.Sprint(direction, " ", n), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					a, b := memPipe(2 << 10)
					client, server := pair(t, a, b, 0)
					client.Batch()
					server.Batch()
					if direction == "read" {
						b.FailRead(n)
					} else {
						a.FailWrite(n)
					}
					ended := make(chan error)
					go func() {
						defer server.Close()
						for {
							if err := server.Wait(); err != nil {
								ended <- err
								return
							}
							if _, err := server.TryRead(make([]byte, 1<<14)); err != nil {
								ended <- err
								return
							}
						}
					}()
					var err error
					for err == nil {
						if err = client.TryWrite(random(3000)); err == nil {
							err = client.WaitWrite(time.Second)
						}
					}
					client.Close()
					if err := <-ended; err == nil {
						t.Error("no error")
					}
					synctest.Wait()
					wantLent(t, 0)
				})
			})
		}
	}
}

// tcpPair is the two ends of a connection of the system.
func tcpPair(t *testing.T) (a, b *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	d, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); d.Close() })
	return c.(*net.TCPConn), d.(*net.TCPConn)
}

func TestTCP(t *testing.T) {
	a, b := tcpPair(t)
	client, server := pair(t, a, b, 0)
	client.Batch()
	server.Batch()
	if !client.Inline() {
		t.Skip("no way here to write a socket without waiting")
	}
	server.SetReadDeadline(time.Unix(1, 0))
	if err := server.Wait(); err != os.ErrDeadlineExceeded {
		t.Errorf("a past deadline: %v", err)
	}
	server.SetReadDeadline(time.Time{})
	const size = 8 << 20 // more than sockets hold
	want := random(size)
	done := make(chan []byte)
	go func() {
		var got []byte
		for len(got) < size {
			if err := server.Wait(); err != nil {
				t.Error(err)
				break
			}
			got = append(got, readAll(t, server)...)
		}
		done <- got
	}()
	for i := 0; i < size; i += 64 << 10 {
		if err := client.TryWrite(want[i : i+64<<10]); err != nil {
			t.Fatal(err)
		}
		if client.Backlog() > 0 {
			if err := client.WaitWrite(time.Minute); err != nil {
				t.Fatal(err)
			}
		}
	}
	if !bytes.Equal(<-done, want) {
		t.Error("bytes differ")
	}
	wantLent(t, 0)
	// Nobody reads any more: the sockets take what they hold, at the system's leisure, and then nothing.
	var err error
	for n := 0; err == nil && n < 1<<30; n += 64 << 10 {
		if err = client.TryWrite(want[:64<<10]); err == nil && client.Backlog() > 0 {
			err = client.WaitWrite(10 * time.Millisecond)
		}
	}
	if !errors.Is(err, ErrStalled) {
		t.Errorf("a far side that does not read: %v", err)
	}
	client.Close()
	server.Close()
	wantLent(t, 0)
}

// TestRecordsStayOrdinaryForOthers: a connection that turns out to be somebody else's is used as a tls.Conn.
func TestRecordsStayOrdinaryForOthers(t *testing.T) {
	forVersions(t, func(t *testing.T, v uint16) {
		a, b := memPipe(0)
		client, server := pair(t, a, b, v)
		want := random(100000)
		go func() {
			client.TLS().Write(want)
			client.TLS().Close()
		}()
		got, err := io.ReadAll(server.TLS())
		if err != nil || !bytes.Equal(got, want) {
			t.Error(err)
		}
		server.Close()
	})
}

// TestCloseWithoutReaderDoesNotWait: crypto/tls alone would wait five seconds to say goodbye.
func TestCloseWithoutReaderDoesNotWait(t *testing.T) {
	forVersions(t, func(t *testing.T, v uint16) {
		a, b := memPipe(4 << 10)
		client, server := pair(t, a, b, v)
		go client.Write(random(10000))
		synctest.Wait()
		start := time.Now()
		client.Close()
		if d := time.Since(start); d > closeTime {
			t.Errorf("took %v", d)
		}
		server.Close()
	})
}
