package radius

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dialway/dialway/ppp"
	"github.com/dialway/dialway/sstp"
	"github.com/dialway/dialway/sstp/sstptest"
)

// A ledger is an accounting server that can be cut off.
type ledger struct {
	cut atomic.Bool

	mu      sync.Mutex
	records []*Record
}

func (l *ledger) account(ctx context.Context, r *Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.records = append(l.records, r)
	return nil
}

func (l *ledger) statuses() (s string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.records {
		s += r.Status + " "
	}
	return s
}

func (l *ledger) last() *Record {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.records[len(l.records)-1]
}

// accounted has servers for both, and a Client of them.
func accounted(t *testing.T, auth ppp.Authenticator) (*mesh, *ledger, *Client) {
	l := new(ledger)
	m, c := pair(t, &Server{Authenticator: auth})
	serve(t, &Server{Clients: anybody.Find, Account: l.account}, m.listen("10.0.0.5:1813"))
	m.mu.Lock()
	m.pass = func(from, to netip.AddrPort, b []byte) [][]byte {
		if l.cut.Load() && to.Port() == 1813 {
			return nil
		}
		return [][]byte{b}
	}
	m.mu.Unlock()
	return m, l, c
}

// vpn is an SSTP server that asks and reports by RADIUS.
func vpn(t *testing.T, c *Client, a *Accounting, sessions *ppp.Sessions) *sstptest.Server {
	srv := sstptest.NewServer(&sstp.Server{
		PPP: &ppp.Config{Authenticator: c, Sessions: sessions, Addr: netip.MustParseAddr("10.8.0.1"), Auth: []ppp.AuthProtocol{ppp.MSCHAPv2, ppp.PAP}},
		Handler: func(ctx context.Context, conn *ppp.Conn) error {
			if a != nil {
				a.Start(conn)
			}
			return conn.Serve(ctx, func(bufs [][]byte, offset int) (int, error) { return len(bufs), nil })
		},
	})
	t.Cleanup(srv.Close)
	return srv
}

// dial logs in and serves the client's end.
func dial(t *testing.T, srv *sstptest.Server) *ppp.Conn {
	t.Helper()
	c, err := srv.Dialer(&ppp.Config{User: "alice", Password: "secret"}).DialContext(t.Context(), srv.Addr())
	if err != nil {
		t.Fatal(err)
	}
	go c.Serve(context.WithoutCancel(t.Context()), func(bufs [][]byte, offset int) (int, error) { return len(bufs), nil })
	return c
}

// report runs Serve until the test's end, or until stop is called, which returns what Serve did.
func report(t *testing.T, a *Accounting) (stop func() error) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- a.Serve(ctx) }()
	stop = sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() { stop() })
	return stop
}

func TestAccountingOfASession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, l, c := accounted(t, lasting)
		a := &Accounting{Client: c}
		stop := report(t, a)
		link := dial(t, vpn(t, c, a, nil))
		time.Sleep(time.Second)
		if got := l.statuses(); got != "On Start " {
			t.Fatalf("%s", got)
		}
		start := l.last()
		packet := append([]byte{0x45, 0, 0, 100, 0, 0, 0, 0, 64, 17, 0, 0, 10, 8, 0, 5, 10, 8, 0, 1}, make([]byte, 80)...)
		for range 3 {
			link.Write([][]byte{bytes.Clone(packet)}, 0)
		}
		time.Sleep(21 * time.Minute) // accounts says every 10 minutes; less by a tenth at most, and looked at every 15 s
		if got := l.statuses(); got != "On Start Interim Interim " {
			t.Fatalf("%s", got)
		}
		interim := l.last()
		if interim.Stats.RxPackets != 3 || interim.Stats.RxBytes != 300 || interim.Time < 18*time.Minute {
			t.Errorf("interim %+v", interim)
		}
		link.Close()
		time.Sleep(time.Second)
		if got := l.statuses(); got != "On Start Interim Interim Stop " {
			t.Fatalf("%s", got)
		}
		end := l.last()
		if end.Session != start.Session || end.Session == "" || end.User != "alice" || end.Addr.String() != "10.8.0.5" || end.NAS != "nas" ||
			end.Cause != ppp.UserRequest || end.Stats.RxBytes != 300 || end.Time < 21*time.Minute {
			t.Errorf("stop %+v", end)
		}
		if class, _ := end.Packet.Get(Class); string(class) != "one" {
			t.Errorf("Class %q", class)
		}
		if err := stop(); !errors.Is(err, context.Canceled) || a.Pending() != 0 {
			t.Errorf("Serve: %v, %d wait", err, a.Pending())
		}
		if got := l.statuses(); got != "On Start Interim Interim Stop Off " {
			t.Errorf("%s", got)
		}
		if on, off := l.records[0], l.last(); on.Session == "" || on.Session != off.Session || on.Session == start.Session {
			t.Errorf("Acct-Session-Id of On %q, of Off %q", on.Session, off.Session)
		}
	})
}

// An outage of ten hours: nothing is lost, one update is left, and the server is told how long ago it was.
func TestAccountingSurvivesAnOutage(t *testing.T) {
	for _, spool := range []string{"", t.TempDir()} {
		synctest.Test(t, func(t *testing.T) {
			_, l, c := accounted(t, lasting)
			a := &Accounting{Client: c, Spool: spool}
			report(t, a)
			srv := vpn(t, c, a, nil)
			link := dial(t, srv)
			time.Sleep(time.Second)
			l.cut.Store(true)
			time.Sleep(30 * time.Minute)
			if n := a.Pending(); n != 1 && n != 2 { // one under way
				t.Errorf("%d records wait, one update should", n)
			}
			ended := time.Now()
			link.Close()
			time.Sleep(30 * time.Minute)
			l.cut.Store(false)
			time.Sleep(2 * time.Minute)
			if got := l.statuses(); got != "On Start Stop " && got != "On Start Interim Stop " || a.Pending() != 0 {
				t.Fatalf("%s, %d wait", got, a.Pending())
			}
			r := l.last()
			if d := r.At.Sub(ended).Abs(); d > 2*time.Second {
				t.Errorf("Stop was at %v, %v off", r.At, d)
			}
			if n, _ := r.Packet.uint32(AcctDelayTime); time.Duration(n)*time.Second < 30*time.Minute {
				t.Errorf("Acct-Delay-Time %d", n)
			}
		})
	}
}

func TestSpoolOfADirectorySurvivesTheProcess(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		_, l, c := accounted(t, lasting)
		l.cut.Store(true)
		first := &Accounting{Client: c, Spool: dir}
		stop := report(t, first)
		link := dial(t, vpn(t, c, first, nil))
		time.Sleep(time.Second)
		link.Close()
		time.Sleep(time.Second)
		if err := stop(); !errors.Is(err, context.Canceled) || err.Error() == context.Canceled.Error() || first.Pending() != 4 {
			t.Errorf("Serve: %v, %d wait", err, first.Pending())
		}
		os.WriteFile(filepath.Join(dir, "00000000000000000099.rec"), []byte("half"), 0o600)
		l.cut.Store(false)
		second := &Accounting{Client: c, Spool: dir}
		report(t, second)
		time.Sleep(time.Minute)
		if got := l.statuses(); got != "On Start Stop Off On " {
			t.Errorf("%s", got)
		}
		if files, _ := os.ReadDir(dir); len(files) != 0 || second.Pending() != 0 {
			t.Errorf("left: %v", files)
		}
	})
}

func TestSpoolIsBounded(t *testing.T) {
	for _, dir := range []string{"", t.TempDir()} {
		a := &Accounting{Client: &Client{NAS: "nas"}, Spool: dir, MaxSpool: 5}
		add := func(session string, status uint32) {
			p := a.event(status, time.Now(), nil)
			p.addText(AcctSessionID, session)
			a.put(p)
		}
		for _, s := range []string{"a", "b", "c"} {
			add(s, statusStart)
		}
		add("a", statusInterim)
		add("b", statusInterim)
		add("a", statusInterim) // in the place of the other
		if a.Pending() != 5 {
			t.Fatalf("%d wait", a.Pending())
		}
		add("c", statusStop)
		add("d", statusStart)
		add("e", statusStart)
		var got string
		for _, r := range a.spool.queue {
			p, err := a.spool.read(r)
			if err != nil {
				t.Fatal(err)
			}
			status, _ := p.uint32(AcctStatusType)
			got += p.text(AcctSessionID) + statusNames[status] + " "
		}
		if want := "bStart cStart cStop dStart eStart "; got != want {
			t.Errorf("left are %s, want %s", got, want)
		}
		if files, _ := os.ReadDir(dir); dir != "" && len(files) != 5 {
			t.Errorf("%d files", len(files))
		}
	}
}

func TestGigawords(t *testing.T) {
	p := &Packet{Code: AccountingRequest}
	addCount(p, AcctInputOctets, AcctInputGigawords, 5<<32+7)
	addCount(p, AcctOutputOctets, AcctOutputGigawords, 9)
	if r := newRecord(p, netip.AddrPort{}); r.Stats.RxBytes != 5<<32+7 || r.Stats.TxBytes != 9 {
		t.Errorf("%+v", r.Stats)
	}
	if _, ok := p.Get(AcctOutputGigawords); ok {
		t.Error("Gigawords of zero")
	}
}

// lasting is accounts without an end.
var lasting = ppp.AuthenticatorFunc(func(ctx context.Context, req *ppp.AuthRequest) (*ppp.Grant, error) {
	g, err := accounts.Authenticate(ctx, req)
	if err == nil {
		g.IdleTimeout, g.SessionTimeout = 0, 0
	}
	return g, err
})
