package demanddial_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dialway/dialway/demanddial"
	"github.com/dialway/dialway/ppp"
	"github.com/dialway/dialway/sstp"
	"github.com/dialway/dialway/sstp/sstptest"
	"github.com/dialway/dialway/tunnel"
	"github.com/dialway/dialway/tunnel/tunneltest"
)

// An office is a router of a whole site: server, interfaces, a host behind it; all of it real but for the network between.
type office struct {
	host     *tunneltest.Device
	set      *demanddial.Set
	srv      *sstptest.Server
	sessions ppp.Sessions
	own      netip.Addr // a host
	far      netip.Addr
	pool     *ppp.Pool
	came     recorder // over its links
}

// A recorder has every packet that far ends send, also what no Router would let through.
type recorder struct {
	mu   sync.Mutex
	list []string
}

// recorded makes a link tell of what comes by it.
func (r *recorder) recorded(c *ppp.Conn) tunnel.Link { return &recordedLink{c, r} }

type recordedLink struct {
	*ppp.Conn
	to *recorder
}

func (l *recordedLink) Serve(ctx context.Context, to func(bufs [][]byte, offset int) (int, error)) error {
	return l.Conn.Serve(ctx, func(bufs [][]byte, offset int) (int, error) {
		l.to.mu.Lock()
		for _, b := range bufs {
			l.to.list = append(l.to.list, fmt.Sprintf("%x", b[offset:]))
		}
		l.to.mu.Unlock()
		return to(bufs, offset)
	})
}

// newOffice makes a router with an account for the far one, whose name is iface.
func newOffice(t *testing.T, iface string, password ppp.Secret, lan, pool string) *office {
	p := netip.MustParsePrefix(pool)
	addr := p.Addr().Next()
	o := &office{host: new(tunneltest.Device), own: netip.MustParsePrefix(lan).Addr().Next(), pool: &ppp.Pool{Prefixes: []netip.Prefix{p}, Exclude: []netip.Prefix{netip.PrefixFrom(addr, 32)}}}
	rt := &tunnel.Router{Uplink: o.host, Routes: new(tunnel.Table)}
	o.set = &demanddial.Set{Router: rt, Domains: []string{"example.com"}}
	o.srv = sstptest.NewServer(&sstp.Server{
		PPP: &ppp.Config{
			Authenticator: ppp.AuthenticatorFunc(func(_ context.Context, req *ppp.AuthRequest) (*ppp.Grant, error) {
				g, err := req.CheckPassword(password)
				if err != nil {
					return nil, err
				}
				g.User, g.AskAddr = req.User, strings.HasSuffix(req.User, iface)
				return g, nil
			}),
			Addr: addr, Pool: o.pool, Sessions: &o.sessions,
		},
		Handler: func(ctx context.Context, c *ppp.Conn) error {
			return o.set.Answer(ctx, c.Info().User, o.came.recorded(c))
		},
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 2)
	go func() { ended <- rt.Serve(ctx, o.host) }()
	go func() { ended <- o.set.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		<-ended
		<-ended
		o.srv.Close()
	})
	return o
}

// add gives an office its interface to the other.
func (o *office) add(t *testing.T, to *office, name, user string, password ppp.Secret, lan string) *demanddial.Interface {
	t.Helper()
	d := to.srv.Dialer(&ppp.Config{User: `example.com\` + user, Password: password, Pool: o.pool})
	i := &demanddial.Interface{
		Name: name, User: user, To: []string{to.srv.Addr()}, Attempts: 1,
		Dial: func(ctx context.Context, to string) (tunnel.Link, error) {
			c, err := d.DialContext(ctx, to)
			if err != nil {
				return nil, err
			}
			return o.came.recorded(c), nil
		},
		Routes: []demanddial.Route{{Prefix: netip.MustParsePrefix(lan)}},
	}
	if err := o.set.Add(i); err != nil {
		t.Fatal(err)
	}
	o.far = to.own
	return i
}

// send makes the host send a packet to the far host.
func (o *office) send(n byte) {
	o.host.Inject(o.packet(n))
}

func (o *office) packet(n byte) []byte {
	p := make([]byte, 29)
	p[0], p[8], p[9] = 0x45, 64, 17
	binary.BigEndian.PutUint16(p[2:], 29)
	copy(p[12:], o.own.AsSlice())
	copy(p[16:], o.far.AsSlice())
	p[28] = n
	return p
}

// got returns the numbers of the packets that have come for the host.
func (o *office) got() (list []byte) {
	synctest.Wait()
	for {
		select {
		case p := <-o.host.Sent():
			if p[9] == 17 {
				list = append(list, p[28])
			}
		default:
			return list
		}
	}
}

const (
	secret1 = ppp.Secret(`7%uQv45l?p!kWy9*`) // with which Router 1 dials
	secret2 = ppp.Secret(`h8#dW@93z~[Fc6$Q`)
)

func twoOffices(t *testing.T) (seattle, newYork *office, i1, i2 *demanddial.Interface) {
	seattle = newOffice(t, "DD_NewYork", secret2, "172.16.1.0/24", "10.1.0.0/24")
	newYork = newOffice(t, "DD_Seattle", secret1, "172.16.2.0/24", "10.2.0.0/24")
	i1 = seattle.add(t, newYork, "DD_NewYork", "DD_Seattle", secret1, "172.16.2.0/24")
	i2 = newYork.add(t, seattle, "DD_Seattle", "DD_NewYork", secret2, "172.16.1.0/24")
	synctest.Wait()
	return seattle, newYork, i1, i2
}

func TestTwoOfficesOverSSTP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seattle, newYork, i1, i2 := twoOffices(t)
		seattle.send(1)
		if got := newYork.got(); !slices.Equal(got, []byte{1}) {
			t.Fatalf("New York got %v; %+v", got, i1.Status())
		}
		newYork.send(2)
		if got := seattle.got(); !slices.Equal(got, []byte{2}) {
			t.Errorf("Seattle got %v", got)
		}
		if i1.Status().State != demanddial.Up || i2.Status().State != demanddial.Up || i1.Status().Dials != 1 || i2.Status().Dials != 0 {
			t.Errorf("%+v %+v", i1.Status(), i2.Status())
		}
		for i, pool := range map[*demanddial.Interface]string{i1: "10.2.0.0/24", i2: "10.1.0.0/24"} {
			if a := i.Addrs(); len(a) == 0 || !netip.MustParsePrefix(pool).Contains(a[0]) {
				t.Errorf("%s has %v, want an address of the far router", i.Name, a)
			}
		}
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		if i1.Status().State != demanddial.Down || i2.Status().State != demanddial.Down || seattle.sessions.Len()+newYork.sessions.Len() != 0 {
			t.Errorf("not idle: %+v %+v", i1.Status(), i2.Status())
		}
		newYork.send(3)
		if got := seattle.got(); !slices.Equal(got, []byte{3}) || i2.Status().Dials != 1 {
			t.Errorf("Seattle got %v", got)
		}
		// Routers are no clients: nobody has asked by DHCPInform, or registered a name in DNS or WINS. Nothing came but the
		// packets of the hosts.
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		for o, want := range map[*office][]string{
			newYork: {fmt.Sprintf("%x", seattle.packet(1))},
			seattle: {fmt.Sprintf("%x", newYork.packet(2)), fmt.Sprintf("%x", newYork.packet(3))},
		} {
			if !slices.Equal(o.came.list, want) {
				t.Errorf("came %v, want %v", o.came.list, want)
			}
		}
	})
}

// TestTwoOfficesDialAtOnce has real calls cross, many times: which of four ends is up first is up to the scheduler.
func TestTwoOfficesDialAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seattle, newYork, i1, i2 := twoOffices(t)
		for n := range byte(20) {
			seattle.send(n)
			newYork.send(n)
			time.Sleep(time.Minute)
			a, b := seattle.got(), newYork.got()
			if !slices.Equal(a, []byte{n}) || !slices.Equal(b, []byte{n}) {
				t.Fatalf("round %d: Seattle got %v, New York %v", n, a, b)
			}
			if s1, s2 := i1.Status(), i2.Status(); s1.State != demanddial.Up || s2.State != demanddial.Up || seattle.sessions.Len()+newYork.sessions.Len() != 1 {
				t.Fatalf("round %d: %v and %v, %d and %d sessions", n, s1.State, s2.State, seattle.sessions.Len(), newYork.sessions.Len())
			}
			// New York's call stays, where both have called: DD_NewYork is before DD_Seattle.
			if s1, s2 := i1.Status(), i2.Status(); n == 0 && s2.Dials == 1 && seattle.sessions.Len() != 1 {
				t.Errorf("the other call is left: %+v %+v", s1, s2)
			}
			time.Sleep(5 * time.Minute)
			synctest.Wait()
			if i1.Status().State != demanddial.Down {
				t.Fatalf("round %d: %+v", n, i1.Status())
			}
		}
	})
}

func TestAWrongPasswordIsNotTriedTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seattle := newOffice(t, "DD_NewYork", secret2, "172.16.1.0/24", "10.1.0.0/24")
		newYork := newOffice(t, "DD_Seattle", secret1, "172.16.2.0/24", "10.2.0.0/24")
		i := seattle.add(t, newYork, "DD_NewYork", "DD_Seattle", "wrong", "172.16.2.0/24")
		i.Attempts = 5
		synctest.Wait()
		seattle.send(1)
		time.Sleep(9 * time.Minute)
		synctest.Wait()
		var refused *ppp.AuthError
		if st := i.Status(); st.State != demanddial.Unreachable || st.Reasons != demanddial.DialFailed || st.Dials != 1 || !errors.As(st.Err, &refused) {
			t.Errorf("%+v", st)
		}
	})
}

// TestAPersistentClientReconnects is a client's, and no router's.
func TestAPersistentClientReconnects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		sessions := new(ppp.Sessions)
		srv := sstptest.NewServer(&sstp.Server{
			PPP: &ppp.Config{
				Authenticator: ppp.PasswordFunc(func(context.Context, string) (ppp.Secret, error) { return "secret", nil }),
				Addr:          netip.MustParseAddr("10.8.0.1"), Sessions: sessions,
				Pool: &ppp.Pool{Prefixes: []netip.Prefix{netip.MustParsePrefix("10.8.0.0/24")}},
			},
		})
		defer srv.Close()
		d := srv.Dialer(&ppp.Config{User: "alice", Password: "secret"})
		vpn := &demanddial.Interface{
			Name: "vpn", Persistent: true, Attempts: -1,
			Dial: func(ctx context.Context, _ string) (tunnel.Link, error) { return d.DialContext(ctx, srv.Addr()) },
		}
		ended := make(chan error, 1)
		go func() {
			ended <- vpn.Serve(ctx, func(bufs [][]byte, _ int) (int, error) { return len(bufs), nil })
		}()
		synctest.Wait()
		for range 3 {
			if vpn.Status().State != demanddial.Up || sessions.Len() != 1 {
				t.Fatal(vpn.Status(), sessions.Len())
			}
			srv.Cut()
			time.Sleep(2 * time.Minute)
			synctest.Wait()
		}
		cancel()
		if err := <-ended; !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
}
