package crowd

import (
	"encoding/binary"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/dialway/dialway/tunnel"
)

// A changer keeps prefixes in a table that lead nowhere, and takes some out and puts them in again all the time.
type changer struct {
	table *tunnel.Table
	made  atomic.Uint64
	halt  chan struct{}
	over  chan struct{}
	have  int
}

// nowhere takes nothing.
type nowhere struct{}

func (nowhere) Write([][]byte, int) (int, error) { return 0, nil }

// prefix is the ith: a /28 of 100.64.0.0/10 and what follows, none of the clients'.
func prefix(i int) netip.Prefix {
	var a [4]byte
	binary.BigEndian.PutUint32(a[:], 100<<24|64<<16+uint32(i)<<4)
	return netip.PrefixFrom(netip.AddrFrom4(a), 28)
}

// run makes it n prefixes, and rate changes a second from now on.
func (c *changer) run(n, rate int) {
	c.stop()
	var via tunnel.PacketWriter = nowhere{}
	for ; c.have < n; c.have++ {
		c.table.Insert(prefix(c.have), via, 0)
	}
	for ; c.have > n; c.have-- {
		c.table.Delete(prefix(c.have-1), via)
	}
	if rate == 0 || n == 0 {
		return
	}
	c.halt, c.over = make(chan struct{}), make(chan struct{})
	go func() {
		defer close(c.over)
		const turn = 10 * time.Millisecond
		tick := time.NewTicker(turn)
		defer tick.Stop()
		for i := 0; ; {
			select {
			case <-c.halt:
				return
			case <-tick.C:
			}
			for range max(1, rate*int(turn)/int(time.Second)/2) {
				p := prefix(i % n)
				i += 7919
				c.table.Delete(p, via)
				c.table.Insert(p, via, 0)
				c.made.Add(2)
			}
		}
	}()
}

func (c *changer) stop() {
	if c.halt != nil {
		close(c.halt)
		<-c.over
		c.halt = nil
	}
}
