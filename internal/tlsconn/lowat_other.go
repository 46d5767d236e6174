//go:build !linux

package tlsconn

// lowat does nothing: TCP_NOTSENT_LOWAT is set on Linux only, where it was measured.
func (s *sock) lowat() {}
