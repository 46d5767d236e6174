package interop

import (
	"encoding/binary"
	"fmt"
	"net"
	"sync"
	"testing"

	"github.com/dialway/dialway/internal/netns"
	"golang.org/x/sys/unix"
)

// A Capture counts the packets that pass a device, by protocol and port.
type Capture struct {
	fd   int
	done chan struct{}
	mu   sync.Mutex
	buf  []byte
	seen map[string]int
	more func(p []byte)
}

// Watch has f called with each IPv4 packet from now on.
func (c *Capture) Watch(f func(p []byte)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.more = f
}

// StartCapture captures on a device of ns until the test ends. The device carries IP packets without a header of the link.
func StartCapture(t testing.TB, ns *netns.NS, device string) *Capture {
	t.Helper()
	c := &Capture{done: make(chan struct{}), buf: make([]byte, 65536), seen: map[string]int{}}
	all := int(binary.BigEndian.Uint16([]byte{0, unix.ETH_P_ALL}))
	all = all>>8 | all<<8&0xff00 // the kernel wants it in network order
	var err error
	ns.Do(func() {
		if c.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, all); err != nil {
			return
		}
		var i *net.Interface
		if i, err = net.InterfaceByName(device); err == nil {
			err = unix.Bind(c.fd, &unix.SockaddrLinklayer{Protocol: uint16(all), Ifindex: i.Index})
		}
	})
	if err != nil {
		t.Fatalf("interop: capture on %s: %v", device, err)
	}
	stop := make(chan struct{})
	go func() {
		defer close(c.done)
		for {
			wait := []unix.PollFd{{Fd: int32(c.fd), Events: unix.POLLIN}}
			unix.Poll(wait, 200)
			select {
			case <-stop:
				return
			default:
			}
			c.mu.Lock()
			c.read()
			c.mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		close(stop)
		<-c.done
		unix.Close(c.fd)
	})
	return c
}

// read counts what is here; mu is held.
func (c *Capture) read() {
	for {
		n, _, err := unix.Recvfrom(c.fd, c.buf, unix.MSG_DONTWAIT)
		if err != nil {
			return
		}
		c.count(c.buf[:n])
	}
}

// count counts a packet; mu is held.
func (c *Capture) count(p []byte) {
	if len(p) < 28 || p[0]>>4 != 4 {
		return
	}
	what := fmt.Sprintf("proto %d", p[9])
	if h := int(p[0]&15) * 4; (p[9] == unix.IPPROTO_UDP || p[9] == unix.IPPROTO_TCP) && len(p) >= h+4 {
		what += fmt.Sprintf(" port %d", binary.BigEndian.Uint16(p[h+2:]))
	}
	c.seen[what]++
	if c.more != nil {
		c.more(p)
	}
}

// Seen returns how many packets there were of a kind, up to now: "proto 1", "proto 17 port 53".
func (c *Capture) Seen(what string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.read()
	return c.seen[what]
}

// All returns all kinds.
func (c *Capture) All() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.read()
	return fmt.Sprint(c.seen)
}
