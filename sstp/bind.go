package sstp

import (
	"time"

	"github.com/dialway/dialway/ppp"
)

// A binding is what the roles know for the crypto binding. A server has the offer, a client the nonce of it.
type binding struct {
	offer offer

	// A server's.
	early *connected  // a Call Connected that came before the keys
	keys  []candidate // what Bind has brought; nil before
	zero  bool        // Server.AcceptZeroKeyEAP
	by    ppp.AuthProtocol

	// A client's.
	leaf      []byte // the server's certificate
	hash      uint8
	allowSHA1 bool
}

// bindClient sends the Call Connected: at once when authentication is through, and in front of any network protocol.
// Windows Server 2016 takes the keys for zero when it comes later.
func (c *conn) bindClient(send, recv []byte) {
	now := time.Now()
	hlak, err := clientHLAK(send, recv)
	if err != nil {
		c.ended(err)
		c.disconnect(now)
		return
	}
	m := makeConnected(c.hash, &c.offer.nonce, certHash(c.hash, c.leaf))
	m.sign(&hlak)
	c.send(m[:])
	c.opened(now)
}

// bindServer takes the keys, and checks the Call Connected that waits for them.
func (c *conn) bindServer(send, recv []byte) {
	now := time.Now()
	keys, err := serverHLAKs(send, recv, zeroKeyAllowed(c.zero, c.by))
	if err != nil {
		c.refuseBinding(now, err)
		return
	}
	c.keys = keys
	if m := c.early; m != nil {
		c.early = nil
		c.verify(m, now)
	}
}

// takeConnected checks a Call Connected as far as it can be, section 3.3.5.2.3. One that comes before the result of
// the authentication is held: sstp-client sends it when its own side is through, and a RADIUS server may take long.
func (c *conn) takeConnected(p []byte, now time.Time) {
	m, ok := parseConnected(p)
	if !ok {
		c.abort(now, statusInfo{attrib: attrStatusInfo, status: StatusAttribNotSupportedInMsg}, nil)
		return
	}
	if err := c.offer.check(m); err != nil {
		c.refuseBinding(now, err)
		return
	}
	if c.keys == nil {
		c.early = m
		c.setState(held)
		return
	}
	c.verify(m, now)
}

// verify checks the code, and opens the call.
func (c *conn) verify(m *connected, now time.Time) {
	name, err := m.verify(c.keys)
	if err != nil {
		c.refuseBinding(now, err)
		return
	}
	c.log.Debug("sstp: crypto binding holds", "keys", name, "hash", m.hash())
	if name == zeroBesideKeys {
		c.log.Warn("sstp: the client binds EAP with zeros, which AcceptZeroKeyEAP takes: whoever is in between could, too", "id", c.id())
	}
	c.opened(now)
}

// refuseBinding is the answer to a binding that does not hold.
func (c *conn) refuseBinding(now time.Time, err error) {
	c.abort(now, statusInfo{attrib: attrBinding, status: StatusValueNotSupported}, err)
}

// opened enters the state in which data passes; from here on the Hello timer runs.
func (c *conn) opened(now time.Time) {
	if c.state == down {
		return // the Call Connected could not be sent
	}
	c.keys, c.offer.hashes = nil, nil // an idle session keeps nothing of its making
	c.heard, c.asked = now, time.Time{}
	c.setState(open)
}
