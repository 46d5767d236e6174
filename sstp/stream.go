package sstp

import "github.com/dialway/dialway/ppp"

// newStream puts SSTP's framing on a connection.
func newStream(c ppp.StreamConn) frameStream {
	s, _ := any(ppp.NewStream(c, framing{})).(frameStream)
	return s
}
