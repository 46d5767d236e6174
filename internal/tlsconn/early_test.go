package tlsconn

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"testing"
)

// A client's last flight goes with what it writes first, and a server's answer is read by one read.
func TestLateHandshake(t *testing.T) {
	forVersions(t, func(t *testing.T, v uint16) {
		a, b := memPipe(64 << 10)
		cc, sc := testConfig(t, v)
		client, server := Client(a, cc), Server(b, sc, nil)
		got := make(chan string, 1)
		go func() {
			b := make([]byte, 7)
			_, err := io.ReadFull(server, b) // shakes hands first
			if err != nil {
				t.Error(err)
			}
			server.Write([]byte("answer"))
			got <- string(b)
		}()
		if err := client.HandshakeLate(context.Background()); err != nil {
			t.Fatal(err)
		}
		_, before := a.Ops()
		if _, err := client.Write([]byte("request")); err != nil {
			t.Fatal(err)
		}
		if s := <-got; s != "request" {
			t.Errorf("%q", s)
		}
		answer := make([]byte, 6)
		if _, err := io.ReadFull(client, answer); err != nil || string(answer) != "answer" {
			t.Errorf("%q, %v", answer, err)
		}
		reads, writes := a.Ops()
		if v == tls.VersionTLS13 && (before != 1 || writes != 2 || reads != 2) {
			t.Errorf("%d writes in the handshake, %d and %d reads in all", before, writes, reads)
		}
		client.Close()
		server.Close()
	})
}

// Who reads first sends what waits, and an alert does not wait.
func TestLateHandshakeDoesNotStick(t *testing.T) {
	forVersions(t, func(t *testing.T, v uint16) {
		a, b := memPipe(64 << 10)
		cc, sc := testConfig(t, v)
		client, server := Client(a, cc), Server(b, sc, nil)
		go server.Write([]byte("first"))
		if err := client.HandshakeLate(context.Background()); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, 5)
		if _, err := io.ReadFull(client, got); err != nil || string(got) != "first" {
			t.Errorf("%q, %v", got, err)
		}
		client.Close()
		server.Close()

		a, b = memPipe(64 << 10)
		cc.InsecureSkipVerify, cc.ServerName = false, "test"
		client, server = Client(a, cc), Server(b, sc, nil)
		refused := make(chan error)
		go func() {
			_, err := io.ReadAll(server)
			refused <- err
		}()
		if err := client.HandshakeLate(context.Background()); err == nil {
			t.Fatal("a certificate of nobody holds")
		}
		a.Close() // and no goodbye by TLS
		var alert tls.AlertError
		if err := <-refused; !errors.As(err, &alert) && (err == nil || !bytes.Contains([]byte(err.Error()), []byte("bad certificate"))) {
			t.Errorf("the server heard %v", err)
		}
		server.Close()
	})
}

// What was read and not taken before Batch comes first after it, or is handed on.
func TestTextOutlivesBatch(t *testing.T) {
	forVersions(t, func(t *testing.T, v uint16) {
		a, b := memPipe(64 << 10)
		client, server := pair(t, a, b, v)
		if _, err := client.Write([]byte("a head\nand what follows it")); err != nil {
			t.Fatal(err)
		}
		head := make([]byte, 7)
		for i := range head {
			if n, err := server.Read(head[i : i+1]); n != 1 || err != nil {
				t.Fatal(n, err)
			}
		}
		if s := string(server.Untaken()); string(head) != "a head\n" || s != "and what follows it" {
			t.Errorf("%q, then %q", head, s)
		}
		client.Batch()
		server.Batch()
		got := make([]byte, 8)
		var rest []byte
		for range 3 {
			n, err := server.TryRead(got)
			if err != nil {
				t.Fatal(err)
			}
			rest = append(rest, got[:n]...)
		}
		if string(rest) != "and what follows it" || server.Untaken() != nil {
			t.Errorf("%q, and %q is left", rest, server.Untaken())
		}
		client.TryWrite([]byte("more"))
		if s := string(readAll(t, server)); s != "more" {
			t.Errorf("%q", s)
		}
		client.Close()
		server.Close()
	})
}
