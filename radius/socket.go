package radius

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// A socket is a port of this end towards a server, or a TLS connection to it: 256 requests may wait on one.
type socket struct {
	server  *server
	conn    net.Conn
	closed  chan struct{}
	heard   atomic.Int64 // Unix nanoseconds: when a packet that counts came last; of TLS
	replied atomic.Bool  // something was answered
	writes  sync.Mutex   // of TLS

	stopped chan struct{} // closed when its reader has ended

	table
	why     error // that it is over
	sendErr error // of TLS
}

// A table is who waits for a reply on a socket or connection, by identifier.
type table struct {
	mu      sync.Mutex
	over    bool // nobody may begin to wait
	watched bool // identifier 0 is kept for the watchdog, which needs one above all when all are waited for
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
func (k *table) reserve(w *waiter) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	most := len(k.waiters)
	if k.watched {
		most--
	}
	if k.over || k.busy == most {
		return false
	}
	for k.waiters[k.next] != nil || k.watched && k.next == 0 {
		k.next++
	}
	w.id = k.next
	k.waiters[w.id] = w
	k.next++
	k.busy++
	return true
}

// expect begins to take replies for w, whose auth is set.
func (k *table) expect(w *waiter) {
	k.mu.Lock()
	w.sent = true
	k.mu.Unlock()
}

// release gives an identifier back. A reply that comes later finds nobody, or a request with another Authenticator.
func (k *table) release(w *waiter) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.waiters[w.id] = nil
	if w.id != 0 || !k.watched {
		k.busy--
	}
}

// find returns who waits for the reply to a request that has been sent; nil: nobody.
func (k *table) find(id byte) *waiter {
	k.mu.Lock()
	defer k.mu.Unlock()
	if w := k.waiters[id]; w != nil && w.sent {
		return w
	}
	return nil
}

// close closes the socket; who waits on it gets why.
func (k *socket) close(why error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.shut(why)
}

func (k *socket) shut(why error) {
	if !k.over {
		k.over, k.why = true, why
		close(k.closed)
		k.conn.Close()
	}
}

// closeIfIdle closes a socket on which nobody waits, but for the one that asks.
func (k *socket) closeIfIdle(mine bool) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.busy == 0 || mine && k.busy == 1 {
		k.shut(errBroken)
		return true
	}
	return false
}

// read takes replies until the socket is closed.
func (k *socket) read() {
	defer close(k.stopped)
	defer k.server.forget(k)
	defer k.close(errBroken)
	b := make([]byte, maxPacket)
	for failed := 0; failed < 16; {
		n, err := k.conn.Read(b)
		if err == nil {
			failed = 0
			if err := k.take(b[:n]); err != nil {
				k.server.drop(err)
			}
			continue
		}
		if errors.Is(err, net.ErrClosed) {
			return
		}
		failed++ // a connected UDP socket reports ICMP errors once each; anybody can send those
	}
}

// take gives a packet to who waits for it, if it is what it should be.
func (k *socket) take(b []byte) error {
	p, err := Parse(b)
	if err != nil {
		return err
	}
	w := k.find(p.Identifier)
	if w == nil {
		return lateError{p.Code, p.Identifier}
	}
	if err := k.server.check(p, trim(b), w); err != nil {
		return err
	}
	k.heard.Store(time.Now().UnixNano())
	k.replied.Store(true)
	k.server.answered()
	select {
	case w.reply <- p:
	default: // one more
	}
	return nil
}

// A lateError says that nobody waits for a reply, as when the server was slow.
type lateError struct {
	code Code
	id   byte
}

func (e lateError) Error() string {
	return fmt.Sprintf("radius: %v under identifier %d, under which no request waits", e.code, e.id)
}

// check verifies a reply, and takes its secrets out of hiding.
func (s *server) check(p *Packet, b []byte, w *waiter) error {
	signed, err := verifyReply(b, w.auth, s.secret())
	if err != nil {
		return err
	}
	if !p.Code.answers(w.code) {
		return fmt.Errorf("radius: %v does not answer %v", p.Code, w.code)
	}
	_, eap := p.Get(EAPMessage)
	if !mayTakeReply(w.code.isAccess(), signed, eap, s.target.Unsigned || s.sealed()) {
		return fmt.Errorf("radius: %v without Message-Authenticator (CVE-2024-3596): Target.Unsigned accepts it", p.Code)
	}
	return reveal(p, w.auth, s.secret())
}
