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
	c := &Capture{done: make(chan struct{}), seen: map[string]int{}}
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
	unix.SetsockoptTimeval(c.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 200_000})
	stop := make(chan struct{})
	go func() {
		defer close(c.done)
		b := make([]byte, 65536)
		for {
			n, _, err := unix.Recvfrom(c.fd, b, 0)
			select {
			case <-stop:
				return
			default:
			}
			if err == nil {
				c.count(b[:n])
			}
		}
	}()
	t.Cleanup(func() {
		close(stop)
		<-c.done
		unix.Close(c.fd)
	})
	return c
}

func (c *Capture) count(p []byte) {
	if len(p) < 28 || p[0]>>4 != 4 {
		return
	}
	what := fmt.Sprintf("proto %d", p[9])
	if h := int(p[0]&15) * 4; (p[9] == unix.IPPROTO_UDP || p[9] == unix.IPPROTO_TCP) && len(p) >= h+4 {
		what += fmt.Sprintf(" port %d", binary.BigEndian.Uint16(p[h+2:]))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen[what]++
	if c.more != nil {
		c.more(p)
	}
}

// Seen returns how many packets there were of a kind: "proto 1", "proto 17 port 53".
func (c *Capture) Seen(what string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.seen[what]
}

// All returns all kinds.
func (c *Capture) All() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return fmt.Sprint(c.seen)
}
