package sstp

import (
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dialway/dialway/internal/memnet"
)

// A probing connection notes that TCP's keepalives are turned off.
type probing struct {
	*memnet.Conn
	off *atomic.Int32
}

func (c probing) SetKeepAlive(on bool) error {
	if !on {
		c.off.Add(1)
	}
	return nil
}

type probingListener struct {
	*memnet.Listener
	off *atomic.Int32
}

func (l probingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return probing{c.(*memnet.Conn), l.off}, nil
}

// TestOpenSessionsDoWithoutTCPsKeepalives: where Hello finds a far side that is gone sooner than they would, and not before the
// session is open.
func TestOpenSessionsDoWithoutTCPsKeepalives(t *testing.T) {
	for hello, want := range map[time.Duration]int32{0: 1, 20 * time.Second: 1, 74 * time.Second: 1, 75 * time.Second: 0, time.Hour: 0} {
		bubble(t, func(t *testing.T) {
			ts := startServer(&Server{Hello: hello})
			defer ts.stop()
			l := probingListener{memnet.Listen(netip.MustParseAddrPort("198.51.100.2:443")), new(atomic.Int32)}
			done := make(chan struct{})
			go func() {
				defer close(done)
				ts.Serve(l)
			}()
			defer func() {
				ts.Close()
				<-done
			}()
			d := ts.dialer()
			d.NetDial = l.Dial
			raw, err := l.Dial(t.Context(), "tcp", "")
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			if n := l.off.Load(); n != 0 {
				t.Errorf("hello %v: turned off %d times before there was a session", hello, n)
			}
			raw.Close()
			c, ended := ts.session(t, d)
			synctest.Wait() // the client is open by what the server says before it is
			if n := l.off.Load(); n != want {
				t.Errorf("hello %v: turned off %d times, want %d", hello, n, want)
			}
			c.Close()
			<-ended
		})
	}
}
