package tlsconn

import (
	"os"
	"testing"
	"time"
)

// TestLonelyPacketIsReadOnce: an idle session's echo costs one read, and none that finds nothing. What comes behind it is found
// by the next wait, at once.
func TestLonelyPacketIsReadOnce(t *testing.T) {
	forVersions(t, func(t *testing.T, v uint16) {
		a, b := memPipe(0)
		client, server := pair(t, a, b, v)
		client.Batch()
		server.Batch()
		readAll(t, server)
		got := make([]byte, 8)
		for range 3 {
			client.TryWrite([]byte("an echo"))
			if err := server.Wait(); err != nil {
				t.Fatal(err)
			}
			before, _ := b.Ops()
			for i, want := range []int{len("an echo"), 0, 0} {
				if n, err := server.TryRead(got); n != want || err != nil {
					t.Fatalf("read %d: %d bytes, %v", i, n, err)
				}
			}
			if after, _ := b.Ops(); after-before != 1 {
				t.Errorf("%d reads", after-before)
			}
			client.TryWrite([]byte("behind"))
			if n, err := server.TryRead(got); n != 0 || err != nil {
				t.Errorf("without a wait: %d bytes, %v", n, err)
			}
			if err := server.Wait(); err != nil {
				t.Fatal(err)
			}
			if s := string(readAll(t, server)); s != "behind" {
				t.Errorf("%q", s)
			}
		}
		client.Close()
		server.Close()
	})
}

// TestRestOfALonelyRecord: tls may hold more than a small read has asked for.
func TestRestOfALonelyRecord(t *testing.T) {
	forVersions(t, func(t *testing.T, v uint16) {
		a, b := memPipe(0)
		client, server := pair(t, a, b, v)
		client.Batch()
		server.Batch()
		readAll(t, server)
		client.TryWrite([]byte("12345678"))
		if err := server.Wait(); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"123", "456", "78", ""} {
			var got [3]byte
			if n, err := server.TryRead(got[:]); string(got[:n]) != want || err != nil {
				t.Errorf("%q instead of %q, %v", got[:n], want, err)
			}
		}
		client.Close()
		server.Close()
	})
}

// TestLonelyPacketsOverTCP: a wait misses nothing, whatever comes between the read before it and its parking.
func TestLonelyPacketsOverTCP(t *testing.T) {
	a, b := tcpPair(t)
	client, server := pair(t, a, b, 0)
	client.Batch()
	server.Batch()
	if !client.Inline() {
		t.Skip("no way here to write a socket without waiting")
	}
	const rounds = 200
	late := time.Now().Add(time.Minute)
	exchange := func(c *Conn, first bool) (err error) {
		c.SetReadDeadline(late)
		got := make([]byte, 100)
		for i := range rounds {
			if first || i > 0 {
				c.TryWrite([]byte("there"))
			}
			for n := 0; n < len("there") && err == nil; {
				var k int
				if k, err = c.TryRead(got); k == 0 && err == nil {
					err = c.Wait()
				}
				n += k
			}
			if err != nil {
				return err
			}
		}
		return c.TryWrite([]byte("there"))
	}
	done := make(chan error)
	go func() { done <- exchange(server, false) }()
	if err := exchange(client, true); err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	// A wait that ended at its deadline has not been woken by anything.
	readAll(t, client)
	readAll(t, server)
	server.Wait() // for the last
	readAll(t, server)
	for i := range 3 {
		server.SetReadDeadline(time.Now().Add(time.Millisecond))
		if err := server.Wait(); err != os.ErrDeadlineExceeded {
			t.Errorf("wait %d for nothing: %v", i, err)
		}
	}
	client.Close()
	server.Close()
	wantLent(t, 0)
}

// TestLonelyInYouth: what comes at once while a session opens is read once, too; later that is what batches begin with.
func TestLonelyInYouth(t *testing.T) {
	forVersions(t, func(t *testing.T, v uint16) {
		a, b := memPipe(0)
		client, server := pair(t, a, b, v)
		client.Batch()
		server.Batch()
		readAll(t, server)
		packet := random(100)
		for i := range 40 {
			client.TryWrite(packet)
			if err := server.Wait(); err != nil {
				t.Fatal(err)
			}
			before, _ := b.Ops()
			if n := len(readAll(t, server)); n != len(packet) {
				t.Fatalf("%d bytes", n)
			}
			after, _ := b.Ops()
			if once := after-before == 1; i < 10 && !once || i >= 20 && once {
				t.Errorf("packet %d: %d reads", i, after-before)
			}
		}
		client.Close()
		server.Close()
	})
}
