//go:build !linux

package tlsconn

import "net"

// setNotSentLowat does nothing: TCP_NOTSENT_LOWAT is Linux's.
func setNotSentLowat(nc net.Conn) {}
