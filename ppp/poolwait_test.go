package ppp

import (
	"bytes"
	"path/filepath"
	"testing"
	"time"
)

// TestPoolOnADiskKeepsNobodyWaiting: a Pool with a File may wait for a disk, and its link answers meanwhile. Here somebody else
// has the pool; time is the real one, since that is no wait that a bubble knows.
func TestPoolOnADiskKeepsNobodyWaiting(t *testing.T) {
	pool := &Pool{Prefixes: prefixes("10.8.0.0/24"), File: filepath.Join(t.TempDir(), "pool")}
	f, c := farOf(t, true, &Config{NoAuth: true, NoIPv6: true, Pool: pool})
	pool.mu.Lock()
	ended := open(t, c)
	f.openLCP()
	f.send(protoIPCP, codeConfigureRequest, optIPAddress, 6, 0, 0, 0, 0)
	echo := f.send(protoLCP, codeEchoRequest, 0, 0, 0, 0)
	for answered := false; !answered; {
		b := f.read(10 * time.Second)
		if b == nil {
			pool.mu.Unlock()
			t.Fatal("the link waits for the pool")
		}
		answered = bytes.HasPrefix(b, []byte{0xff, 3, 0xc0, 0x21, codeEchoReply, echo})
	}
	pool.mu.Unlock()
	f.wait(protoIPCP, codeConfigureNak)
	f.end.Close()
	if err := <-ended; err == nil {
		t.Error("open, with nobody there")
	}
}
