package demanddial

import "github.com/dialway/dialway/tunnel"

// Unwrap returns the link in use, nil while there is none: who is told that an Interface sent something, as a Receiver is,
// finds the session by tunnel.As.
func (i *Interface) Unwrap() tunnel.Link {
	if l := i.live.Load(); l != nil {
		return l.link
	}
	return nil
}
