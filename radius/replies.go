package radius

import (
	"net/netip"
	"time"
)

// A replyCache has the replies to requests of late, so that one that comes again gets the same reply and is not worked at
// twice (RFC 5080 section 2.2.2). The zero replyCache is empty. It is bounded by age and number.
type replyCache struct {
	entries map[replyKey]*replyEntry
	queue   []*replyEntry // by age
}

// A replyKey is what an access server tells its requests apart by.
type replyKey struct {
	way  way
	from netip.AddrPort
	id   byte
}

type replyEntry struct {
	key   replyKey
	auth  [16]byte
	at    time.Time // when it came
	done  bool
	reply []byte
}

const (
	keepReplies = 30 * time.Second // the longest that a client of RFC 5080 goes on sending
	mostReplies = 1 << 16
)

// find returns what is known of a request: its reply; nil while it is worked at. A request that got no answer is not
// known: the next one is asked again.
func (c *replyCache) find(key replyKey, auth [16]byte) (reply []byte, known bool) {
	c.expire(time.Now())
	e := c.entries[key]
	if e == nil || e.auth != auth {
		return nil, false
	}
	return e.reply, true
}

// begin notes a request that is worked at: the same one again meanwhile is then neither answered nor worked at twice. An earlier one under the same key is forgotten: it has been given up.
func (c *replyCache) begin(key replyKey, auth [16]byte) {
	if c.entries == nil {
		c.entries = make(map[replyKey]*replyEntry)
	}
	e := &replyEntry{key: key, auth: auth, at: time.Now()}
	c.entries[key] = e
	c.queue = append(c.queue, e)
}

// end notes the reply; nil: none was sent.
func (c *replyCache) end(key replyKey, auth [16]byte, reply []byte) {
	e := c.entries[key]
	switch {
	case e == nil || e.auth != auth:
	case reply == nil:
		e.done = true
		delete(c.entries, key)
	default:
		e.done, e.reply = true, reply
	}
}

// expire drops what is old, and the oldest of too many. One that is worked at stays.
func (c *replyCache) expire(now time.Time) {
	for len(c.queue) > 0 {
		e := c.queue[0]
		old := now.Sub(e.at) >= keepReplies || len(c.queue) > mostReplies
		current := c.entries[e.key] == e
		if current && (!old || !e.done) {
			return
		}
		if current {
			delete(c.entries, e.key)
		}
		c.queue[0] = nil
		c.queue = c.queue[1:]
	}
}
