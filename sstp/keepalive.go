package sstp

import (
	"net"
	"time"
)

// TCP has keepalives, too, and package net turns them on, on what is accepted and what is dialled: a probe after 15 s of
// silence, and every 15 s. Beside Hello's one question a minute they are most of what idle sessions cost a server's kernel, and
// tell nothing that Hello does not tell sooner.

// tcpFinds is how long they take to find that a far side is gone: the first probe, and nine unanswered.
const tcpFinds = 150 * time.Second

// rest turns them off on the connection of an open call, if Hello finds a far side that is gone sooner. Before that it is
// the times for opening that do.
func rest(nc net.Conn, hello time.Duration) {
	if t, ok := nc.(interface{ SetKeepAlive(bool) error }); ok && 2*hello < tcpFinds {
		t.SetKeepAlive(false) // one that fails is lost, which reading will tell
	}
}

// dialer is net's, with probes that are rarer than its own: a client may be behind a NAT that forgets sooner than in a minute.
func dialer() *net.Dialer {
	return &net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 45 * time.Second, Interval: 15 * time.Second}}
}
