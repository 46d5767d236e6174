package tlsconn

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"
)

// sshChannel connects a client through an ssh server to a listener behind it, as a jump host does: the connection has no
// deadlines.
func sshChannel(t *testing.T) (near, far net.Conn, hangUp func()) {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	config := &ssh.ServerConfig{NoClientAuth: true}
	config.AddHostKey(signer)
	a, b := memPipe(0)
	x, y := memPipe(0)
	go func() {
		_, channels, requests, err := ssh.NewServerConn(b, config)
		if err != nil {
			t.Error(err)
			return
		}
		go ssh.DiscardRequests(requests)
		for c := range channels {
			channel, requests, err := c.Accept()
			if err != nil {
				t.Error(err)
				return
			}
			go ssh.DiscardRequests(requests)
			go func() {
				io.Copy(x, channel)
				x.Close()
			}()
			go func() {
				io.Copy(channel, x)
				channel.Close()
			}()
		}
		b.Close()
	}()
	conn, channels, requests, err := ssh.NewClientConn(a, "jump", &ssh.ClientConfig{HostKeyCallback: ssh.InsecureIgnoreHostKey()})
	if err != nil {
		t.Fatal(err)
	}
	client := ssh.NewClient(conn, channels, requests)
	near, err = client.Dial("tcp", "192.0.2.7:443")
	if err != nil {
		t.Fatal(err)
	}
	return near, y, func() {
		client.Close()
		b.Close()
	}
}

// TestTLSThroughAnSSHChannel: it has neither deadlines nor a descriptor; timers must fire all the same.
func TestTLSThroughAnSSHChannel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far, hangUp := sshChannel(t)
		defer hangUp()
		if near.SetReadDeadline(time.Time{}) == nil {
			t.Fatal("an ssh channel has deadlines now")
		}
		client, server := pair(t, near, far, 0)
		client.Batch()
		server.Batch()
		start := time.Now()
		client.SetReadDeadline(start.Add(time.Second))
		if err := client.Wait(); err != os.ErrDeadlineExceeded || time.Since(start) != time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		client.SetReadDeadline(time.Time{})
		want := random(100000)
		if err := server.TryWrite(want); err != nil {
			t.Fatal(err)
		}
		go server.WaitWrite(time.Minute)
		var got []byte
		for len(got) < len(want) {
			if err := client.Wait(); err != nil {
				t.Fatal(err)
			}
			got = append(got, readAll(t, client)...)
		}
		if !bytes.Equal(got, want) {
			t.Error("bytes differ")
		}
		go func() {
			time.Sleep(time.Second)
			client.SetReadDeadline(time.Unix(1, 0))
		}()
		if err := client.Wait(); err != os.ErrDeadlineExceeded {
			t.Errorf("woken: %v", err)
		}
		client.Close()
		server.Close()
		if err := client.Wait(); !errors.Is(err, net.ErrClosed) {
			if _, err = client.TryRead(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
				t.Errorf("after Close: %v", err)
			}
		}
	})
}
