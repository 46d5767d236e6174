package sstp

import (
	"testing"
	"time"

	"github.com/dialway/dialway/internal/memnet"
)

// TestIdleSessionIsAskedOnceAMinute: of two ends with the intervals that zero means only the client asks, and PPP does not
// ask what SSTP has just been told. So an idle session costs its server one answer a minute.
func TestIdleSessionIsAskedOnceAMinute(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ts := startServer(&Server{})
		defer ts.stop()
		var server *memnet.Conn
		ts.accepted = func(c *memnet.Conn) { server = c }
		c, ended := ts.session(t, nil)
		time.Sleep(30 * time.Second) // the opening is over
		_, before := server.Ops()
		time.Sleep(time.Hour)
		_, after := server.Ops()
		if n := after - before; n < 58 || n > 62 {
			t.Errorf("%d writes in an hour", n)
		}
		c.Close()
		<-ended
	})
}
