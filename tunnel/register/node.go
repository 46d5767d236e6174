package register

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// The timers of RFC 1002 section 6.
const (
	nbRetryTimeout = 5 * time.Second // UCAST_REQ_RETRY_TIMEOUT
	nbRetryCount   = 3               // UCAST_REQ_RETRY_COUNT

	nbAskTTL     = 300000 // seconds, as Windows asks; the server says what it gives
	nbMaxWait    = 5 * time.Minute
	nbMinRefresh = time.Minute
)

// A node is a NetBIOS node that registers with name servers: P, M or H of RFC 1001 section 10, as far as those do.
//
//	     hold, one for each name                 pc, port 137                     read
//	┌────────────────────────────┐  request   ┌──────────────┐  by ID: answers  ┌──────┐
//	│ register ► refresh ► ...   ├───────────►│ WINS servers ├─────────────────►│ asks │
//	└────────────────────────────┘            └──────┬───────┘                  └──────┘
//	                                                 │ query, node status: answered for the names that are held
//	                                                 │ conflict, release demand: the name is lost
type node struct {
	pc      net.PacketConn
	addr    netip.Addr
	servers []netip.Addr
	flags   uint16 // NB_FLAGS without G
	log     *slog.Logger

	mu   sync.Mutex
	asks map[uint16]*nbAsk
	held map[*holding]struct{}
}

type nbAsk struct {
	server netip.Addr
	name   nbName
	answer chan nbMessage // of capacity 4: WACKs and an answer
}

var errNoNBNS = errors.New("register: no WINS server")

// read takes what comes until pc is closed.
func (n *node) read() {
	buf := make([]byte, 1500)
	for {
		size, from, err := n.pc.ReadFrom(buf)
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if isTimeout(err) {
				continue
			}
			// ICMP errors of one server are no reason to stop, but nothing is worth spinning for.
			var t interface{ Temporary() bool }
			if errors.As(err, &t) && t.Temporary() {
				continue
			}
			n.log.Warn("netbios: socket failed", "err", err)
			return
		}
		m, err := parseNBNS(buf[:size])
		if err != nil {
			continue
		}
		m.data = slices.Clone(m.data)
		src, err := netip.ParseAddrPort(from.String())
		if err != nil {
			continue
		}
		switch addr := src.Addr().Unmap(); {
		case m.response() && n.give(addr, m):
		case n.isServer(addr) && isDemand(m):
			n.lose(m)
		case !m.response() && m.opcode() == nbQuery && !m.record:
			if b := n.answer(m); b != nil {
				n.pc.WriteTo(b, from)
			}
		}
	}
}

// isDemand reports whether a server says that a name is not ours any more: RFC 1002 sections 4.2.8 and 4.2.9.
func isDemand(m nbMessage) bool {
	return m.response() && m.opcode() == nbRegister && m.rcode() == nbConflict || !m.response() && m.opcode() == nbRelease
}

func (n *node) isServer(a netip.Addr) bool { return slices.Contains(n.servers, a) }

// give hands an answer to who waits for it.
func (n *node) give(from netip.Addr, m nbMessage) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	a := n.asks[m.id]
	if a == nil || !isAnswer(a, from, m) {
		return false
	}
	select {
	case a.answer <- m:
	default:
	}
	return true
}

// ask sends a request to a server until it answers. A WACK makes it wait as long as that says, but no longer than
// nbMaxWait, without sending again (RFC 1002 section 4.2.16).
func (n *node) ask(ctx context.Context, server netip.Addr, flags uint16, name nbName, ttl uint32) (nbMessage, error) {
	a := &nbAsk{server, name, make(chan nbMessage, 4)}
	id := n.open(a)
	defer n.close(id)
	var b []byte
	var err error
	if flags>>11&0xf == nbQuery {
		b, err = name.append(nbHeader(nil, id, flags, 1, 0, 0))
		b = append(b, 0, nbTypeNB, 0, classIN)
	} else {
		b, err = nbRequest(id, flags, name, ttl, n.nbFlags(name), n.addr)
	}
	if err != nil {
		return nbMessage{}, err
	}
	to := net.UDPAddrFromAddrPort(netip.AddrPortFrom(server, nbPort))
	for try := range nbRetryCount {
		n.log.Debug("netbios: asking", "server", server, "name", name, "opcode", flags>>11&0xf, "try", try+1)
		if _, err := n.pc.WriteTo(b, to); err != nil {
			return nbMessage{}, fmt.Errorf("register: WINS server %v: %w", server, err)
		}
		timer := time.NewTimer(nbRetryTimeout)
		waited := false
		for more := true; more; {
			select {
			case <-ctx.Done():
				timer.Stop()
				return nbMessage{}, context.Cause(ctx)
			case m := <-a.answer:
				if m.opcode() != nbWACK {
					timer.Stop()
					return m, nil
				}
				if !waited { // once: a server that says so for ever is not waited for
					waited = true
					timer.Reset(min(time.Duration(m.ttl)*time.Second, nbMaxWait) + nbRetryTimeout)
				}
			case <-timer.C:
				more = false
			}
		}
	}
	return nbMessage{}, fmt.Errorf("register: WINS server %v: %w to %d tries", server, ErrNoAnswer, nbRetryCount)
}

func (n *node) nbFlags(name nbName) uint16 {
	if name.group {
		return n.flags | nbGroup
	}
	return n.flags
}

func (n *node) open(a *nbAsk) uint16 {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.asks == nil {
		n.asks = make(map[uint16]*nbAsk)
	}
	for {
		if id := newID(); n.asks[id] == nil {
			n.asks[id] = a
			return id
		}
	}
}

func (n *node) close(id uint16) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.asks, id)
}

// answer answers who asks whether a name is here, as servers do before they give it to another (RFC 1002 sections 4.2.13
// and 4.2.14), and for all of them (4.2.18); nil answers nothing.
func (n *node) answer(m nbMessage) []byte {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch m.typ {
	case nbTypeNB:
		for h := range n.held {
			if h.up && h.name.is(m.name) {
				b, err := m.name.append(nbHeader(nil, m.id, nbResponse|nbAuthoritative|m.flags&nbRecursion, 0, 1, 0))
				if err != nil {
					return nil
				}
				return nbRecord(b, nbAskTTL, n.nbFlags(h.name), n.addr)
			}
		}
		b, err := m.name.append(nbHeader(nil, m.id, nbResponse|nbAuthoritative|m.flags&nbRecursion|nbNotFound, 0, 1, 0))
		if err != nil {
			return nil
		}
		return append(b, 0, 10 /* NULL */, 0, classIN, 0, 0, 0, 0, 0, 0)
	case nbTypeStat:
		b, err := m.name.append(nbHeader(nil, m.id, nbResponse|nbAuthoritative, 0, 1, 0))
		if err != nil {
			return nil
		}
		b = append(b, 0, nbTypeStat, 0, classIN, 0, 0, 0, 0)
		data := []byte{0}
		for h := range n.held {
			if !h.up {
				continue
			}
			data[0]++
			data = append(data, fmt.Sprintf("%-15s", h.name.name)...)
			data = append(data, h.name.suffix)
			data = binary.BigEndian.AppendUint16(data, n.nbFlags(h.name)|0x0400 /* active */)
		}
		data = append(data, make([]byte, 46)...) // statistics, of a unit without an ID
		return append(binary.BigEndian.AppendUint16(b, uint16(len(data))), data...)
	}
	return nil
}

// lose says that a server has taken a name away.
func (n *node) lose(m nbMessage) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for h := range n.held {
		if h.up && h.name.is(m.name) && !h.name.group {
			h.up = false
			select {
			case h.lost <- struct{}{}:
			default:
			}
		}
	}
}
