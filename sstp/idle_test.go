package sstp

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dialway/dialway/internal/memnet"
	"github.com/dialway/dialway/ppp"
)

// TestIdleSessionIsAskedOnceAMinute: of two ends with the intervals that zero means only the client asks, and PPP does not
// ask what SSTP has just been told. So an idle session costs its server one answer a minute; what its opening had timers for
// does not wake it before the first.
func TestIdleSessionIsAskedOnceAMinute(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ts := startServer(&Server{})
		defer ts.stop()
		var server *memnet.Conn
		ts.accepted = func(c *memnet.Conn) { server = c }
		c, ended := ts.session(t, nil)
		synctest.Wait()
		opening, _ := server.Ops()
		time.Sleep(defaultHello - time.Second)
		reads, before := server.Ops()
		if reads != opening {
			t.Errorf("%d reads before anything has come", reads-opening)
		}
		time.Sleep(time.Hour)
		_, after := server.Ops()
		if n := after - before; n < 58 || n > 62 {
			t.Errorf("%d writes in an hour", n)
		}
		c.Close()
		<-ended
	})
}

// TestForsaken: whose far side answers no echo of PPP does not wait for the answer to a goodbye either, and tells at once
// that the session is lost.
func TestForsaken(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ts := startServer(&Server{})
		defer ts.stop()
		c, err := ts.dialer().DialContext(t.Context(), "vpn") // and nobody serves it: nothing is answered
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		const silence = 15 * time.Second
		ts.links[0].SetSilence(silence)
		time.Sleep(silence - time.Millisecond)
		synctest.Wait()
		if n := len(ts.ended()); n != 0 {
			t.Error("it is lost too early")
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		var lost *ppp.TerminatedError
		if list := ts.ended(); len(list) != 1 || !errors.As(list[0], &lost) || lost.Cause != ppp.LostCarrier {
			t.Errorf("%v", list)
		}
		if st := ts.Stats(); st.Sessions != 0 {
			t.Errorf("%+v", st)
		}
		// What was said to it arrives nevertheless.
		err = <-serveLink(c)
		if !errors.As(err, &lost) || !lost.Remote || lost.Cause != ppp.NASRequest {
			t.Error(err)
		}
	})
}
