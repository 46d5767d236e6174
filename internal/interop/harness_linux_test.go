package interop

import (
	"net"
	"testing"

	"github.com/dialway/dialway/internal/netns"
)

// TestHarness lets the two foreign peers talk to each other: what fails here is not this library's fault.
func TestHarness(t *testing.T) {
	t.Parallel()
	NeedLinuxClient(t)
	ns := netns.New(t)
	se := StartSoftEther(t, ns)
	g := StartGuest(t, ns, 0)
	s := g.Dial(Call{Server: g.Gateway.String() + ":443", User: se.User, Password: se.Password, Auth: "mschap-v2", CA: se.CA, Host: "sstp.test"})
	if s.Refused != "" {
		t.Fatalf("refused: %s", s.Refused)
	}
	s.Ping(se.Gateway, 3)
	s.Hangup()
}

// listenIn listens in a namespace.
func listenIn(t *testing.T, ns *netns.NS, addr string) net.Listener {
	t.Helper()
	var l net.Listener
	var err error
	ns.Do(func() { l, err = net.Listen("tcp", addr) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}
