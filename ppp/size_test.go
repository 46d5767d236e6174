package ppp

import (
	"reflect"
	"testing"
)

// The runtime gives an object of up to 1784 bytes with pointers 1792, and the next size is 2048: of ten thousand idle
// sessions that is 2.5 MB. A field that is not of use to most sessions, or not after Open, belongs behind a pointer.
func TestConnFitsItsSizeClass(t *testing.T) {
	if n := reflect.TypeFor[Conn]().Size(); n > 1784 {
		t.Errorf("a Conn has %d bytes", n)
	}
}
