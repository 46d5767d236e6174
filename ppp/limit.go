package ppp

import (
	"sync"
	"time"
)

// A bucket is a token bucket in bytes. The zero bucket does not limit.
type bucket struct {
	bytes float64 // per second; 0: no limit
	depth float64
	level float64
	last  time.Time
}

func (b *bucket) set(r Rate) {
	n := bucket{bytes: float64(r.Bits) / 8, depth: float64(r.Burst)}
	if n.depth == 0 {
		n.depth = n.bytes / 4 // a quarter of a second
	}
	if n.bytes > 0 {
		n.depth = max(n.depth, 2*maxPacket) // or no full packet would ever pass
	}
	if n.bytes == b.bytes && n.depth == b.depth {
		return
	}
	n.level = n.depth
	*b = n
}

// maxPacket is the largest IP packet of an SSTP frame.
const maxPacket = 4087

// take reports whether n bytes may pass now.
func (b *bucket) take(n int, now time.Time) bool {
	if b.bytes == 0 {
		return true
	}
	if !b.last.IsZero() {
		b.level = min(b.depth, b.level+b.bytes*now.Sub(b.last).Seconds())
	}
	b.last = now
	if b.level < float64(n) {
		return false
	}
	b.level -= float64(n)
	return true
}

// A sharedBucket is one that several goroutines take from.
type sharedBucket struct {
	mu sync.Mutex
	bucket
}

// setShared is set, for a bucket that is in use.
func (b *sharedBucket) setShared(r Rate) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.bucket.set(r)
}

func (b *sharedBucket) take(n int, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.bucket.take(n, now)
}

// Before authentication, answers to what costs a peer nothing are limited: echoes, unknown codes and protocols.
const (
	answersPerSecond = 10
	answersBurst     = 20
)

func (c *Conn) mayAnswer() bool {
	if c.answers == nil {
		c.answers = &bucket{bytes: answersPerSecond, depth: answersBurst, level: answersBurst}
	}
	known := c.phase >= phaseNetwork // then the bound on the queue of control frames is enough
	return mayAnswerStranger(known, known || c.answers.take(1, time.Now()))
}

func (c *Conn) mayAnswerUnknown() bool { return c.mayAnswer() }
func (c *Conn) mayAnswerEcho() bool    { return c.mayAnswer() }

// wait is how long until a packet may pass by a rate that delays: a packet passes while the level is above zero, and may
// take it below.
func (b *bucket) wait(now time.Time) time.Duration {
	if b.bytes == 0 {
		return 0
	}
	if !b.last.IsZero() {
		b.level = min(b.depth, b.level+b.bytes*now.Sub(b.last).Seconds())
	}
	b.last = now
	if b.level > 0 {
		return 0
	}
	return max(time.Millisecond, time.Duration(-b.level/b.bytes*float64(time.Second)))
}

// spend takes n bytes, whatever the level.
func (b *bucket) spend(n int, now time.Time) {
	if b.bytes > 0 {
		b.level -= float64(n)
	}
}
