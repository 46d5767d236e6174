package register

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dialway/dialway/dhcpinform"
	"github.com/dialway/dialway/tunnel"
	"github.com/dialway/dialway/tunnel/tunneltest"
)

// connect returns a client that is served, whose server answers informs with what options says, or not at all if it is nil.
func connect(t *testing.T, options *dhcpinform.Options) *dhcpinform.Client {
	server, link := tunneltest.Pipe(netip.MustParsePrefix("10.8.0.1/32"), netip.MustParsePrefix("10.8.0.2/32"))
	rt := &tunnel.Router{Routes: new(tunnel.Table), Local: new(tunnel.Table)}
	rt.Local.Insert(netip.MustParsePrefix("255.255.255.255/32"), &dhcpinform.Responder{
		Options: func(netip.Addr, tunnel.PacketWriter) *dhcpinform.Options { return options },
	}, 0)
	go rt.ServeLink(t.Context(), server)
	c := &dhcpinform.Client{Link: link}
	go c.Serve(t.Context(), func(bufs [][]byte, _ int) (int, error) { return len(bufs), nil })
	return c
}

// A watcher keeps what Run tells.
type watcher struct {
	mu   sync.Mutex
	last Status
	n    int
}

func (w *watcher) watch(s Status) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.last, w.n = s, w.n+1
}

func (w *watcher) status() Status {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.last
}

// text lists what is registered, and what not.
func (w *watcher) text() string {
	var s []string
	for _, r := range w.status().Records {
		if r.Err != nil {
			s = append(s, "no "+r.Kind+" "+r.Name)
		} else {
			s = append(s, r.Kind+" "+r.Name)
		}
	}
	return strings.Join(s, ", ")
}

// start runs a Registrar until stop is called, which returns Run's error.
func start(t *testing.T, r *Registrar, c *dhcpinform.Client) (w *watcher, stop func(cause error) error) {
	w = new(watcher)
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx, c, w.watch) }()
	t.Cleanup(func() { cancel(nil) })
	return w, func(cause error) error { cancel(cause); return <-ended }
}

var (
	told    = &dhcpinform.Options{Domain: "vpn.test", Search: []string{"corp.test", "vpn.test"}, DNS: addrs("192.0.2.53")}
	errBye  = errors.New("bye")
	errGone = fmt.Errorf("link: %w", net.ErrClosed)
)

const (
	pc1Records = "2.0.8.10.in-addr.arpa. pc1.vpn.test., " + onlyServer + ", pc1.vpn.test. 10.8.0.2"
	pc1Text    = "A pc1.vpn.test., PTR pc1.vpn.test."
)

func TestRunRegistersWhatItLearns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, s := office(t)
		r := &Registrar{Host: "pc1", Signer: testKey, Dial: n.DialContext}
		w, stop := start(t, r, connect(t, told))
		synctest.Wait()
		if s.String() != pc1Records || w.text() != pc1Text || w.status().Name != "pc1.vpn.test." || w.status().Options.Domain != "vpn.test" {
			t.Errorf("%v; told %q, %+v", s, w.text(), w.status())
		}
		_, before := s.counts()
		time.Sleep(22 * time.Hour)
		if _, now := s.counts(); now != before {
			t.Error("refreshed too early")
		}
		s.mu.Lock()
		clear(s.records) // scavenged
		s.mu.Unlock()
		time.Sleep(2 * time.Hour)
		if !strings.Contains(s.String(), "pc1.vpn.test. 10.8.0.2") {
			t.Error("not refreshed within 24 h")
		}
		began := time.Now()
		if err := stop(errBye); err != errBye || time.Since(began) > time.Second || strings.Contains(s.String(), "pc1") {
			t.Errorf("%v after %v: %v", err, time.Since(began), s)
		}
	})
}

// TestRunWithoutInform: what is known suffices, and is not waited for.
func TestRunWithoutInform(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, s := office(t)
		w, stop := start(t, host(n, "pc1"), connect(t, nil))
		time.Sleep(patience)
		synctest.Wait()
		if s.String() != pc1Records {
			t.Error(s)
		}
		time.Sleep(2 * time.Minute)
		if st := w.status(); !errors.Is(st.Err, dhcpinform.ErrNoAnswer) || st.Options != nil || w.text() != pc1Text {
			t.Errorf("%+v", st)
		}
		stop(errBye)
	})
}

// TestZeroRegistrarAsksOnly: nothing is registered, set or sent.
func TestZeroRegistrarAsksOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, s := office(t)
		w, stop := start(t, &Registrar{Dial: n.DialContext}, connect(t, told))
		time.Sleep(48 * time.Hour)
		if asked, _ := s.counts(); asked != 0 || w.status().Options == nil || w.status().Records != nil {
			t.Errorf("%d sent, %+v", asked, w.status())
		}
		if err := stop(errBye); err != errBye {
			t.Error(err)
		}
	})
}

// TestNothingIsSentOverALinkThatIsGone, but the resolver is put back.
func TestNothingIsSentOverALinkThatIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, s := office(t)
		r := host(n, "pc1")
		res := new(fakeResolver)
		r.Resolver = res
		_, stop := start(t, r, connect(t, told))
		synctest.Wait()
		if got := res.String(); got != "set [192.0.2.53] [vpn.test corp.test]" {
			t.Error(got)
		}
		before, _ := s.counts()
		began := time.Now()
		if err := stop(errGone); !errors.Is(err, net.ErrClosed) || time.Since(began) != 0 {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		if now, _ := s.counts(); now != before || !strings.HasSuffix(res.String(), "; restore") {
			t.Errorf("%d sent; %v", now-before, res)
		}
	})
}

type fakeResolver struct {
	mu  sync.Mutex
	did []string
	err error
}

func (f *fakeResolver) Set(_ context.Context, servers []netip.Addr, domains []string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.did = append(f.did, fmt.Sprint("set ", servers, " ", domains))
	return f.err
}

func (f *fakeResolver) Restore(context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.did = append(f.did, "restore")
	return nil
}

func (f *fakeResolver) String() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.Join(f.did, "; ")
}

func TestResolverThatFailsIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, _ := office(t)
		r := host(n, "pc1")
		r.Resolver = &fakeResolver{err: errBye}
		w, stop := start(t, r, connect(t, told))
		synctest.Wait()
		if w.status().Resolver != errBye || w.text() != pc1Text {
			t.Errorf("%+v", w.status())
		}
		stop(errBye)
	})
}

// TestFailuresAreNoStorm counts what is sent in a day in which nothing works.
func TestFailuresAreNoStorm(t *testing.T) {
	day := func(t *testing.T, change func(r *Registrar, s *dnsServer)) (asked, updates int, text string) {
		synctest.Test(t, func(t *testing.T) {
			n, s := office(t)
			r := host(n, "pc1")
			change(r, s)
			w, stop := start(t, r, connect(t, told))
			time.Sleep(22 * time.Hour)
			text = w.text()
			stop(errBye)
			asked, updates = s.counts()
		})
		return asked, updates, text
	}
	asked, updates, text := day(t, func(r *Registrar, _ *dnsServer) { r.Signer = &Key{Name: "ddns-key", Secret: "wrong"} })
	if updates < 4 || updates > 12 || asked > 4*updates || text != "no A pc1.vpn.test." {
		t.Errorf("wrong key: %d messages, %d updates, %s", asked, updates, text)
	}
	asked, updates, text = day(t, func(_ *Registrar, s *dnsServer) { s.code = 5 }) // and it has signed that
	if updates != 1 || asked > 4 || text != "no A pc1.vpn.test." {
		t.Errorf("refused: %d messages, %d updates, %s", asked, updates, text)
	}
	asked, _, text = day(t, func(_ *Registrar, s *dnsServer) { s.onMessage = func([]byte) bool { return true } })
	if asked < 60 || asked > 40*3 || text != "no A pc1.vpn.test." {
		t.Errorf("silent server: %d messages, %s", asked, text)
	}
	_, updates, text = day(t, func(_ *Registrar, s *dnsServer) { s.put("pc1.vpn.test. A 10.8.0.9") })
	if updates < 20 || updates > 150 || text != "no A pc1.vpn.test." {
		t.Errorf("taken: %d updates, %s", updates, text)
	}
	_, updates, text = day(t, func(_ *Registrar, s *dnsServer) {
		s.onAnswer = func(_ bool, b []byte) [][]byte {
			if b[2]>>3&0xf == opUpdate {
				body, x, _ := splitTSIG(b)
				body[3] = body[3]&0xf0 | byte(rcodeServFail)
				x.mac = x.sum(hashes["hmac-sha256"], testKey.Secret, nil, body)
				b = x.append(body)
			}
			return [][]byte{b}
		}
	})
	if updates < 20 || updates > 400 {
		t.Errorf("SERVFAIL: %d updates, %s", updates, text)
	}
}

// TestNameIsRefreshedWithoutItsPTR: who may not set a PTR still has the name, for longer than a day.
func TestNameIsRefreshedWithoutItsPTR(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, s := office(t)
		s.zones = []string{"vpn.test."}
		w, stop := start(t, host(n, "pc1"), connect(t, told))
		synctest.Wait()
		if w.text() != "A pc1.vpn.test., no PTR pc1.vpn.test." {
			t.Error(w.text())
		}
		_, before := s.counts()
		time.Sleep(24 * time.Hour)
		if _, now := s.counts(); now == before || now > before+4 {
			t.Errorf("%d updates in a day", now-before)
		}
		stop(errBye)
		if strings.Contains(s.String(), "pc1") {
			t.Error(s)
		}
	})
}

// TestManyEndAtOnce, while nobody answers: a new session waits for seconds, and what it registers is not removed later.
func TestManyEndAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, s := office(t)
		tr := &Tracker{Registrar: host(n, "")}
		s.twist(func([]byte) bool { return true })
		session := func(i int) []netip.Prefix {
			return []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 8, byte(i >> 8), byte(i)}), 32)}
		}
		for i := range 500 {
			tr.Begin(t.Context(), "", session(i))()
		}
		synctest.Wait()
		began := time.Now()
		for i := range 3 {
			tr.Begin(t.Context(), "", session(497+i))
		}
		tr.Begin(t.Context(), "", session(2))
		if took := time.Since(began); took > 4*2*trackTimeout {
			t.Errorf("began after %v", took)
		}
		s.twist(nil)
		host(n, "pc1").Register(t.Context(), addrs("10.8.0.2")...)
		time.Sleep(time.Hour)
		if s.String() != pc1Records {
			t.Error(s)
		}
		tr.Close(t.Context())
	})
}

// TestNoTryIsUnderWayAfterBegin, the first or a later one, whenever the new session comes.
func TestNoTryIsUnderWayAfterBegin(t *testing.T) {
	for after := time.Duration(0); after < 30*time.Second; after += time.Second {
		synctest.Test(t, func(t *testing.T) {
			n, s := office(t)
			tr := &Tracker{Registrar: host(n, "")}
			s.twist(func([]byte) bool { return true })
			prefixes := []netip.Prefix{netip.MustParsePrefix("10.8.0.2/32")}
			tr.Begin(t.Context(), "", prefixes)()
			time.Sleep(after)
			began := time.Now()
			tr.Begin(t.Context(), "", prefixes)
			if took := time.Since(began); took > 2*trackTimeout {
				t.Errorf("after %v: began after %v", after, took)
			}
			s.twist(nil)
			host(n, "pc1").Register(t.Context(), addrs("10.8.0.2")...)
			time.Sleep(time.Hour)
			if s.String() != pc1Records {
				t.Errorf("after %v: %v", after, s)
			}
			tr.Close(t.Context())
		})
	}
}

// TestTakenNameIsRegisteredWhenItIsFree, at once when asked to look again.
func TestTakenNameIsRegisteredWhenItIsFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, s := office(t)
		s.put("pc1.vpn.test. A 10.8.0.9")
		w, stop := start(t, host(n, "pc1"), connect(t, told))
		synctest.Wait()
		if w.text() != "no A pc1.vpn.test." {
			t.Error(w.text())
		}
		s.mu.Lock()
		clear(s.records)
		s.mu.Unlock()
		s.put(onlyServerRecord)
		time.Sleep(20 * time.Minute)
		synctest.Wait()
		if w.text() != pc1Text {
			t.Error(w.text())
		}
		stop(errBye)
	})
}

const onlyServerRecord = "ns.vpn.test. A 192.0.2.53"

// TestAddressesChange: one comes and goes while the link is up.
func TestAddressesChange(t *testing.T) {
	for _, id := range []string{"", "me"} {
		synctest.Test(t, func(t *testing.T) {
			n, s := office(t)
			r := host(n, "pc1")
			r.ID = []byte(id)
			var mu sync.Mutex
			list := addrs("10.8.0.2")
			changed := make(chan struct{})
			r.Changed = changed
			r.Addrs = func() []netip.Addr { mu.Lock(); defer mu.Unlock(); return list }
			w, stop := start(t, r, connect(t, told))
			synctest.Wait()
			set := func(x ...string) {
				mu.Lock()
				list = addrs(x...)
				mu.Unlock()
				changed <- struct{}{}
				synctest.Wait()
			}
			set("10.8.0.2", "fd00::2")
			if got := s.String(); !strings.Contains(got, "pc1.vpn.test. fd00::2") || !strings.Contains(got, "ip6.arpa. pc1.vpn.test.") {
				t.Errorf("%q: %v", id, got)
			}
			set("fd00::3")
			if got := s.String(); strings.Contains(got, "10.8.0.2") || strings.Contains(got, "fd00::2") || strings.Contains(got, "in-addr") || strings.Count(got, "ip6.arpa. ") != 1 {
				t.Errorf("%q: %v", id, got)
			}
			_, before := s.counts()
			changed <- struct{}{}
			synctest.Wait()
			if _, now := s.counts(); now != before {
				t.Errorf("%d updates though nothing changed", now-before)
			}
			set()
			if s.String() != onlyServer || w.text() != "" {
				t.Errorf("%q: %v %v", id, s, w.text())
			}
			set("10.8.0.2")
			stop(errBye)
			if s.String() != onlyServer {
				t.Errorf("%q: %v", id, s)
			}
		})
	}
}

// TestEndInTheMiddle: whenever Run is told to end, nothing is left behind.
func TestEndInTheMiddle(t *testing.T) {
	for k := range 14 {
		synctest.Test(t, func(t *testing.T) {
			n, s := office(t)
			r := host(n, "pc1")
			r.ID = []byte("me")
			var stop func(error) error
			var count atomic.Int32
			started, ended := make(chan struct{}), make(chan error, 1)
			end := sync.OnceFunc(func() { go func() { <-started; ended <- stop(errBye) }() })
			s.onAnswer = func(_ bool, b []byte) [][]byte {
				if count.Add(1) == int32(k+1) {
					end()
					time.Sleep(time.Millisecond) // the answer comes after the end has begun
				}
				return [][]byte{b}
			}
			_, stop = start(t, r, connect(t, told))
			close(started)
			time.Sleep(10 * time.Second)
			end()
			<-ended
			if s.String() != onlyServer {
				t.Errorf("ended at answer %d: %v", k+1, s)
			}
		})
	}
}

func TestWrongHostIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, _ := office(t)
		if err := host(n, "pc 1").Run(t.Context(), connect(t, told), nil); err == nil {
			t.Error("no error")
		}
	})
}

func TestTrackerClearsAwayWhatIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, s := office(t)
		tr := &Tracker{Registrar: host(n, "")}
		session := []netip.Prefix{netip.MustParsePrefix("10.8.0.2/32")}
		end := tr.Begin(t.Context(), "", session)
		host(n, "pc1").Register(t.Context(), addrs("10.8.0.2")...)
		end()
		if err := tr.Close(t.Context()); err != nil || s.String() != onlyServer {
			t.Errorf("%v: %v", err, s)
		}

		// A session that has the address of one that has just ended registers when that is cleared away.
		end = tr.Begin(t.Context(), "", session)
		host(n, "pc1").Register(t.Context(), addrs("10.8.0.2")...)
		s.twist(func([]byte) bool { time.Sleep(100 * time.Millisecond); return false })
		end()
		end = tr.Begin(t.Context(), "", session)
		host(n, "pc1").Register(t.Context(), addrs("10.8.0.2")...)
		time.Sleep(time.Minute)
		if s.String() != pc1Records {
			t.Error(s)
		}
		s.twist(nil)
		end()
		tr.Close(t.Context())
		if s.String() != onlyServer {
			t.Error(s)
		}
	})
}

func TestTrackerTriesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, s := office(t)
		tr := &Tracker{Registrar: host(n, "")}
		session := []netip.Prefix{netip.MustParsePrefix("10.8.0.2/32")}
		end := tr.Begin(t.Context(), "", session)
		host(n, "pc1").Register(t.Context(), addrs("10.8.0.2")...)
		s.twist(func([]byte) bool { return true })
		end()
		time.Sleep(6 * time.Second)
		s.twist(nil)
		time.Sleep(time.Minute)
		if s.String() != onlyServer {
			t.Error(s)
		}
		s.twist(func([]byte) bool { return true })
		before, _ := s.counts()
		tr.Begin(t.Context(), "", session)()
		time.Sleep(24 * time.Hour)
		if now, _ := s.counts(); now-before > trackTries*3 {
			t.Errorf("%d messages", now-before)
		}
		// Whoever wants to end is not kept.
		tr.Begin(t.Context(), "", session)()
		ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
		defer cancel()
		if err := tr.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		synctest.Wait()
		tr.Close(t.Context())
	})
}

func TestTrackerRegistersForClientsThatDoNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, s := office(t)
		tr := &Tracker{Registrar: host(n, "")}
		session := []netip.Prefix{netip.MustParsePrefix("10.8.0.2/32"), netip.MustParsePrefix("fd00::/64")}
		end := tr.Begin(t.Context(), "pc1", session)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if want := pc1Records + ", pc1.vpn.test. DHCID"; s.String() != want {
			t.Errorf("%v, want %v", s, want)
		}
		end()
		tr.Close(t.Context())
		if s.String() != onlyServer {
			t.Error(s)
		}
		// One that has done it is left alone; and a name of another is not taken.
		end = tr.Begin(t.Context(), "alice", session)
		host(n, "pc1").Register(t.Context(), addrs("10.8.0.2")...)
		time.Sleep(10 * time.Second)
		if s.String() != pc1Records {
			t.Error(s)
		}
		end()
		tr.Close(t.Context())
		s.put("www.vpn.test. A 192.0.2.80")
		end = tr.Begin(t.Context(), "www", session)
		time.Sleep(10 * time.Second)
		end()
		tr.Close(t.Context())
		if s.String() != onlyServer+", www.vpn.test. 192.0.2.80" {
			t.Error(s)
		}
		// One that leaves at once is not registered.
		tr.Begin(t.Context(), "pc1", session)()
		tr.Close(t.Context())
		time.Sleep(10 * time.Second)
		if strings.Contains(s.String(), "pc1") {
			t.Error(s)
		}
	})
}
