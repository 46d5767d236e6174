package radius

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dialway/dialway/internal/memnet"
	"github.com/dialway/dialway/ppp"
)

// raw connects with a good certificate, and without a Client.
func (r *sealedRig) raw() *tls.Conn {
	r.t.Helper()
	c, err := r.l.Dial(r.t.Context(), "tcp", "")
	if err != nil {
		r.t.Fatal(err)
	}
	conn := tls.Client(c, r.ca.client(r.t, "nas.test"))
	if err := conn.HandshakeContext(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { c.Close() })
	return conn
}

// request encodes one as a client does.
func sealedRequest(t *testing.T, code Code, id byte, sign bool, add func(p *Packet)) []byte {
	t.Helper()
	p := &Packet{Code: code}
	if add != nil {
		add(p)
	}
	auth := [16]byte{}
	if code.isAccess() {
		auth = [16]byte{1, 2, 3, id}
	}
	b, err := encode(p, id, auth, radsecSecret, sign)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// receives returns the next packet, or why there is none.
func receives(t *testing.T, c net.Conn, wait time.Duration) (*Packet, error) {
	t.Helper()
	b := make([]byte, maxPacket)
	c.SetReadDeadline(time.Now().Add(wait))
	n, err := io.ReadFull(c, b[:4])
	if err == nil {
		n = int(b[2])<<8 | int(b[3])
		_, err = io.ReadFull(c, b[4:n])
	}
	if err != nil {
		return nil, err
	}
	return mustParse(t, b[:n]), nil
}

func TestRadSecRequestsInPieces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newSealedRig(t, &Server{Authenticator: passwords})
		c := r.raw()
		// Unsigned, with a Proxy-State: by UDP that is what CVE-2024-3596 forges, and TLS has no use for the rule.
		all := append(sealedRequest(t, AccessRequest, 1, false, func(p *Packet) { pap(p); p.Add(ProxyState, []byte("x")) }),
			sealedRequest(t, AccessRequest, 2, true, pap)...)
		for _, b := range all {
			c.Write([]byte{b})
			time.Sleep(time.Millisecond)
		}
		seen := map[byte]bool{}
		for range 2 {
			p, err := receives(t, c, time.Second)
			if err != nil || p.Code != AccessAccept {
				t.Fatalf("%v, %v", p, err)
			}
			seen[p.Identifier] = true
		}
		// Both again, in one write: the same replies.
		c.Write(all)
		for range 2 {
			if p, err := receives(t, c, time.Second); err != nil || !seen[p.Identifier] {
				t.Errorf("%v, %v", p, err)
			}
		}
	})
}

func TestRadSecConnectionsOfNonsenseAreClosed(t *testing.T) {
	wrong := sealedRequest(t, AccessRequest, 1, true, pap)
	wrong[len(wrong)-1] ^= 1
	acct := sealedRequest(t, AccountingRequest, 1, false, nil)
	acct[4] ^= 1
	bad := sealedRequest(t, AccessRequest, 1, true, pap)
	bad[headerLen+1] = 200
	for name, x := range map[string]struct {
		b     []byte
		after time.Duration
	}{
		"another protocol":     {[]byte("GET / HTTP/1.1\r\nHost: server.test\r\n\r\n"), 0},
		"a length of 19":       {[]byte{1, 1, 0, 19}, 0},
		"a length of 4097":     {[]byte{1, 1, 0x10, 1}, 0},
		"a wrong signature":    {wrong, 0},
		"a wrong digest":       {acct, 0},
		"attributes too long":  {bad, 0},
		"status, unsigned":     {sealedRequest(t, StatusServer, 1, false, nil), 0},
		"EAP, unsigned":        {sealedRequest(t, AccessRequest, 1, false, func(p *Packet) { p.Add(EAPMessage, []byte{2, 0, 0, 5, 1}) }), 0},
		"a packet never whole": {wrong[:30], packetTime},
		"silence":              {nil, idleTime},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := newSealedRig(t, &Server{Authenticator: passwords})
			c := r.raw()
			start := time.Now()
			c.Write(x.b)
			if p, err := receives(t, c, 2*time.Hour); err == nil || errors.Is(err, net.ErrClosed) || time.Since(start) != x.after {
				t.Errorf("%s: %v, %v after %v", name, p, err, time.Since(start))
			}
		})
	}
	// A code that nobody knows is passed over.
	synctest.Test(t, func(t *testing.T) {
		r := newSealedRig(t, &Server{Authenticator: passwords})
		c := r.raw()
		c.Write(sealedRequest(t, Code(99), 1, false, nil))
		c.Write(sealedRequest(t, AccessRequest, 2, true, pap))
		if p, err := receives(t, c, time.Second); err != nil || p.Identifier != 2 {
			t.Errorf("%v, %v", p, err)
		}
	})
}

func TestRadSecConnectionsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newSealedRig(t, &Server{Authenticator: passwords, MaxConns: 12})
		// Who says nothing has ten seconds, and so many tries at once.
		var open []net.Conn
		ended := func(c net.Conn) bool {
			c.SetReadDeadline(time.Now().Add(time.Millisecond))
			_, err := c.Read(make([]byte, 1))
			return errors.Is(err, io.EOF)
		}
		for range mostOfSource + 3 {
			c, err := r.l.Dial(t.Context(), "tcp", "")
			if err != nil {
				t.Fatal(err)
			}
			open = append(open, c)
			synctest.Wait()
		}
		for i, c := range open {
			if ended(c) != (i >= mostOfSource) {
				t.Errorf("connection %d: closed %v", i, i < mostOfSource)
			}
		}
		// Another source is served meanwhile.
		c, err := r.l.DialFrom(t.Context(), netip.MustParseAddrPort("192.0.2.9:999"))
		if err != nil {
			t.Fatal(err)
		}
		conn := tls.Client(c, r.ca.client(t, "nas.test"))
		if err := conn.HandshakeContext(t.Context()); err != nil {
			t.Error(err)
		}
		c.Close()
		time.Sleep(dialTime)
		synctest.Wait()
		for i, c := range open {
			if !ended(c) {
				t.Errorf("connection %d is open after %v", i, dialTime)
			}
		}
		for range 12 {
			r.raw()
			synctest.Wait() // the server has verified it, and counts it as nobody's try any more
		}
		more, err := r.l.Dial(t.Context(), "tcp", "")
		if err != nil {
			t.Fatal(err)
		}
		if synctest.Wait(); !ended(more) {
			t.Error("connection 13 is open")
		}
	})
}

// A client that takes no replies holds nobody else up, and is closed.
func TestRadSecClientThatDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newSealedRig(t, &Server{Authenticator: accounts})
		deaf := r.raw()
		for id := range 200 * 256 {
			deaf.SetWriteDeadline(time.Now().Add(time.Minute))
			if _, err := deaf.Write(sealedRequest(t, AccessRequest, byte(id), true, func(p *Packet) { pap(p); p.addUint32(NASPort, uint32(id)) })); err != nil {
				break
			}
			if id%256 == 255 {
				synctest.Wait()
			}
		}
		login(t, r.client)
		time.Sleep(writeTime + time.Second)
		r.server.mu.Lock()
		n, pending := r.server.streams, r.server.pending
		r.server.mu.Unlock()
		if n != 1 || pending != 0 {
			t.Errorf("%d connections, %d requests", n, pending)
		}
	})
}

func TestRadSecShutdownWaitsForRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newSealedRig(t, &Server{Authenticator: ppp.AuthenticatorFunc(func(ctx context.Context, req *ppp.AuthRequest) (*ppp.Grant, error) {
			time.Sleep(3 * time.Second)
			return passwords.Authenticate(ctx, req)
		})})
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := r.client.Authenticate(t.Context(), ask(t, ppp.PAP, "alice", "secret")); err != nil {
				t.Error(err)
			}
		})
		time.Sleep(time.Second)
		start := time.Now()
		if err := r.server.Shutdown(t.Context()); err != nil || time.Since(start) != 2*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		wg.Wait()
		if err := r.server.ServeTLS(memnet.Listen(netip.MustParseAddrPort("10.0.0.5:2083"))); err != ErrServerClosed {
			t.Error(err)
		}
	})
}

// Disconnect and CoA: to an access server that serves RadSec itself, and back over the connection that it has made.
func TestDynamicOverRadSec(t *testing.T) {
	d := &Dynamic{Sessions: new(ppp.Sessions)}
	dated := func(p *Packet) {
		p.addUint32(EventTimestamp, uint32(time.Now().Unix()))
		p.Add(AcctSessionID, []byte("nobody"))
		p.Add(ProxyState, []byte("hop"))
	}
	synctest.Test(t, func(t *testing.T) {
		r := newSealedRig(t, &Server{Handler: d.Handle, Authenticator: passwords})
		for code, want := range map[Code]Code{DisconnectRequest: DisconnectNAK, CoARequest: CoANAK} {
			p := &Packet{Code: code}
			dated(p)
			reply, err := r.client.Exchange(t.Context(), p)
			if err != nil {
				t.Fatal(err)
			}
			if n, _ := reply.uint32(ErrorCause); reply.Code != want || n != uint32(nakNoSession) || reply.text(ProxyState) != "hop" {
				t.Errorf("%v, Error-Cause %d, Proxy-State %q", reply.Code, n, reply.text(ProxyState))
			}
		}
		login(t, r.client) // others are the Server's
		old := &Packet{Code: DisconnectRequest}
		old.addUint32(EventTimestamp, uint32(time.Now().Add(-time.Hour).Unix()))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if reply, err := r.client.Exchange(ctx, old); err == nil {
			t.Errorf("an old one: %v", reply.Code)
		}
	})
	for name, x := range map[string]struct {
		d     *Dynamic
		cause nak
	}{"obeyed": {d, nakNoSession}, "nobody obeys": {nil, nakExtension}} {
		synctest.Test(t, func(t *testing.T) {
			ca := newAuthority(t)
			l := memnet.Listen(netip.MustParseAddrPort("10.0.0.5:2083"))
			defer l.Close()
			c := &Client{Targets: []Target{{Addr: "server.test", TLS: ca.client(t, "nas.test")}}, Dial: l.Dial, Dynamic: x.d}
			defer c.Close()
			go c.Exchange(t.Context(), &Packet{Code: StatusServer})
			raw, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			conn := tls.Server(raw, ca.server(t, "server.test"))
			if _, err := receives(t, conn, time.Second); err != nil {
				t.Fatal(err)
			}
			b := sealedRequest(t, DisconnectRequest, 7, true, dated)
			conn.Write(b)
			p, err := receives(t, conn, time.Second)
			if err != nil {
				t.Fatal(err)
			}
			if n, _ := p.uint32(ErrorCause); p.Code != DisconnectNAK || p.Identifier != 7 || n != uint32(x.cause) || p.text(ProxyState) != "hop" {
				t.Errorf("%s: %v, Error-Cause %d", name, p.Code, n)
			}
			b[5] ^= 1
			conn.Write(b)
			if p, err := receives(t, conn, time.Second); err == nil || !strings.Contains(err.Error(), "i/o timeout") {
				t.Errorf("%s: forged: %v, %v", name, p, err)
			}
		})
	}
}

// A server ends sessions at a RadSec client that has asked it.
func TestServerSendsToRadSecClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newSealedRig(t, &Server{Authenticator: passwords})
		r.client.Dynamic = &Dynamic{Sessions: new(ppp.Sessions)}
		p := &Packet{Code: DisconnectRequest}
		p.addText(UserName, "alice")
		if _, err := r.server.Send(t.Context(), "nas.test", p); !errors.Is(err, ErrNotConnected) {
			t.Errorf("not connected: %v", err)
		}
		login(t, r.client)
		synctest.Wait()
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				reply, err := r.server.Send(t.Context(), "nas.test", p)
				if err != nil {
					t.Error(err)
				} else if n, _ := reply.uint32(ErrorCause); reply.Code != DisconnectNAK || n != uint32(nakNoSession) {
					t.Errorf("%v, Error-Cause %d", reply.Code, n)
				}
			})
			wg.Go(func() { login(t, r.client) })
		}
		wg.Wait()
		if _, err := r.server.Send(t.Context(), "other.test", p); !errors.Is(err, ErrNotConnected) {
			t.Errorf("another: %v", err)
		}
		if _, err := r.server.Send(t.Context(), "nas.test", &Packet{Code: AccessRequest}); err == nil {
			t.Error("an Access-Request is sent")
		}

		// One that does not answer, and one that leaves.
		deaf := tls.Client(func() net.Conn { c, _ := r.l.Dial(t.Context(), "tcp", ""); return c }(), r.ca.client(t, "deaf.test"))
		if err := deaf.HandshakeContext(t.Context()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		start := time.Now()
		if _, err := r.server.Send(t.Context(), "deaf.test", p); !errors.Is(err, ErrNoAnswer) || time.Since(start) != mostTime {
			t.Errorf("deaf: %v after %v", err, time.Since(start))
		}
		time.AfterFunc(time.Second, func() { deaf.NetConn().Close() })
		if _, err := r.server.Send(t.Context(), "deaf.test", p); !errors.Is(err, ErrNotConnected) {
			t.Errorf("left: %v", err)
		}
		// A forged reply ends the connection of who sends it.
		forger := r.raw()
		forger.Write(sealedRequest(t, AccessRequest, 1, true, pap))
		receives(t, forger, time.Second)
		r.client.Close()
		synctest.Wait()
		go func() {
			q, err := receives(t, forger, time.Second)
			if err != nil {
				t.Error(err)
				return
			}
			b, _ := encode(&Packet{Code: DisconnectACK}, q.Identifier, q.Authenticator, "another secret", true)
			forger.Write(b)
		}()
		if reply, err := r.server.Send(t.Context(), "nas.test", p); !errors.Is(err, ErrNotConnected) {
			t.Errorf("forged: %v, %v", reply, err)
		}
	})
}

// A VPN session whose login, accounting and end go over one RadSec connection.
func TestSessionByRadSec(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := new(ledger)
		r := newSealedRig(t, &Server{Authenticator: lasting, Account: l.account})
		sessions := new(ppp.Sessions)
		r.client.Dynamic = &Dynamic{Sessions: sessions}
		a := &Accounting{Client: r.client}
		stop := report(t, a)
		link := dial(t, vpn(t, r.client, a, sessions))
		time.Sleep(time.Minute)
		r.l.Cut() // the session does not mind
		synctest.Wait()
		time.Sleep(20 * time.Minute) // an interim update connects again
		p := &Packet{Code: CoARequest}
		p.addText(UserName, "alice")
		p.addUint32(IdleTimeout, 7200)
		if reply, err := r.server.Send(t.Context(), "nas.test", p); err != nil || reply.Code != CoAACK {
			t.Fatalf("CoA: %v, %v", reply, err)
		}
		for c := range sessions.All() {
			if got := c.Grant().IdleTimeout; got != 2*time.Hour {
				t.Errorf("Idle-Timeout %v", got)
			}
		}
		p = &Packet{Code: DisconnectRequest}
		p.addText(UserName, "alice")
		start := time.Now()
		if reply, err := r.server.Send(t.Context(), "nas.test", p); err != nil || reply.Code != DisconnectACK {
			t.Fatalf("Disconnect: %v, %v", reply, err)
		}
		<-link.Context().Done()
		if d := time.Since(start); d > time.Second {
			t.Errorf("the session lives %v longer", d)
		}
		time.Sleep(time.Second)
		if err := stop(); !errors.Is(err, context.Canceled) || a.Pending() != 0 {
			t.Errorf("Serve: %v, %d wait", err, a.Pending())
		}
		if got := l.statuses(); got != "On Start Interim Interim Stop Off " || r.dials.Load() != 2 {
			t.Errorf("%s, %d connections", got, r.dials.Load())
		}
	})
}
