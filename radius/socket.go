package radius

import (
	"errors"
	"fmt"
	"net"
	"sync"
)

// A socket is a port of this end towards a server: 256 requests may wait on one.
type socket struct {
	server *server
	conn   net.Conn
	closed chan struct{}

	stopped chan struct{} // closed when its reader has ended

	mu      sync.Mutex
	over    bool
	next    byte
	busy    int
	waiters [256]*waiter
}

// A waiter waits for the reply to one request.
type waiter struct {
	id    byte
	code  Code // of the request
	auth  [16]byte
	sent  bool
	reply chan *Packet // room for one
}

// reserve gives w the identifier that was free longest (RFC 5080 section 2.2.2).
func (k *socket) reserve(w *waiter) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.over || k.busy == len(k.waiters) {
		return false
	}
	for k.waiters[k.next] != nil {
		k.next++
	}
	w.id = k.next
	k.waiters[w.id] = w
	k.next++
	k.busy++
	return true
}

// expect begins to take replies for w, whose auth is set.
func (k *socket) expect(w *waiter) {
	k.mu.Lock()
	w.sent = true
	k.mu.Unlock()
}

func (k *socket) release(w *waiter) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.waiters[w.id] = nil
	k.busy--
}

func (k *socket) close() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.shut()
}

func (k *socket) shut() {
	if !k.over {
		k.over = true
		close(k.closed)
		k.conn.Close()
	}
}

// closeIfIdle closes a socket on which nobody waits, but for the one that asks.
func (k *socket) closeIfIdle(mine bool) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.busy == 0 || mine && k.busy == 1 {
		k.shut()
		return true
	}
	return false
}

// read takes replies until the socket is closed.
func (k *socket) read() {
	defer close(k.stopped)
	defer k.server.forget(k)
	defer k.close()
	b := make([]byte, maxPacket)
	for failed := 0; failed < 16; {
		n, err := k.conn.Read(b)
		if err == nil {
			failed = 0
			k.take(b[:n])
			continue
		}
		if errors.Is(err, net.ErrClosed) {
			return
		}
		failed++ // a connected UDP socket reports ICMP errors once each; anybody can send those
	}
}

// take gives a datagram to who waits for it, if it is what it should be.
func (k *socket) take(b []byte) {
	p, err := Parse(b)
	if err != nil {
		k.server.drop(err)
		return
	}
	k.mu.Lock()
	w := k.waiters[p.Identifier]
	if w != nil && !w.sent {
		w = nil
	}
	k.mu.Unlock()
	if w == nil {
		k.server.drop(fmt.Errorf("radius: %v under identifier %d, under which no request waits", p.Code, p.Identifier))
		return
	}
	if err := k.server.check(p, trim(b), w); err != nil {
		k.server.drop(err)
		return
	}
	k.server.answered()
	select {
	case w.reply <- p:
	default: // one more
	}
}

// check verifies a reply, and takes its secrets out of hiding.
func (s *server) check(p *Packet, b []byte, w *waiter) error {
	signed, err := verifyReply(b, w.auth, s.target.Secret)
	if err != nil {
		return err
	}
	if !p.Code.answers(w.code) {
		return fmt.Errorf("radius: %v does not answer %v", p.Code, w.code)
	}
	_, eap := p.Get(EAPMessage)
	if !mayTakeReply(w.code.isAccess(), signed, eap, s.target.Unsigned) {
		return fmt.Errorf("radius: %v without Message-Authenticator (CVE-2024-3596): Target.Unsigned accepts it", p.Code)
	}
	return reveal(p, w.auth, s.target.Secret)
}
