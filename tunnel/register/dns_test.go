package register

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

func addrs(list ...string) (out []netip.Addr) {
	for _, s := range list {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

func dnsAt(list ...string) (out []netip.AddrPort) {
	for _, s := range list {
		out = append(out, netip.MustParseAddrPort(s))
	}
	return out
}

// host returns a Registrar of a host in the office.
func host(n *network, name string) *Registrar {
	return &Registrar{Host: name, Domain: "vpn.test", DNS: dnsAt("192.0.2.53:53"), Signer: testKey, Dial: n.DialContext}
}

// TestDHCID: the values of RFC 4701 section 3.6.
func TestDHCID(t *testing.T) {
	id, _ := hex.DecodeString("010708090a0b0c")
	b, err := dhcid(id, "Chi.Example.com.")
	if got := base64.StdEncoding.EncodeToString(b); err != nil || got != "AAEBOSD+XR3Os/0LozeXVqcNc7FwCfQdWL3b/NaiUDlW2No=" {
		t.Errorf("%s %v", got, err)
	}
}

func TestReverse(t *testing.T) {
	for a, want := range map[string]string{
		"10.8.0.2":    "2.0.8.10.in-addr.arpa.",
		"2001:db8::1": "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa.",
	} {
		if got := reverse(netip.MustParseAddr(a)); got != want {
			t.Errorf("%s: %s", a, got)
		}
	}
}

func TestNamesThatAreNone(t *testing.T) {
	for _, bad := range []string{"", "a..b", "-a", "a-", "a b", "a\nb", "ä", strings.Repeat("a", 64), strings.Repeat("a.", 127) + "a"} {
		if CheckHost(bad) == nil {
			t.Errorf("%q is a name", bad)
		}
	}
	for _, good := range []string{"pc1", "PC1.vpn.test", "pc1.vpn.test.", "_srv.x", "1.2"} {
		if err := CheckHost(good); err != nil {
			t.Error(err)
		}
	}
}

func TestRegisterAddsForwardAndReverse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, s := office(t)
		r := host(n, "pc1")
		list, err := r.Register(t.Context(), addrs("10.8.0.2", "fd00::2", "fe80::1", "127.0.0.1")...)
		if err != nil || len(list) != 4 {
			t.Fatalf("%+v %v", list, err)
		}
		want := "2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa. pc1.vpn.test., 2.0.8.10.in-addr.arpa. pc1.vpn.test., " +
			onlyServer + ", pc1.vpn.test. 10.8.0.2, pc1.vpn.test. fd00::2"
		if s.String() != want {
			t.Errorf("got\n%s, want\n%s", s, want)
		}
		for _, r := range list {
			if r.Err != nil || r.Server != s.addr || r.Name != "pc1.vpn.test." {
				t.Errorf("%+v", r)
			}
		}
	})
}

// TestNameOfAnotherIsNotTaken: every way in which a name may be in use, with and without an ID.
func TestNameOfAnotherIsNotTaken(t *testing.T) {
	for name, c := range map[string]struct {
		there []string
		id    string
		take  bool
		taken bool
	}{
		"free":                             {nil, "", false, false},
		"free, with an ID":                 {nil, "me", false, false},
		"has another address":              {[]string{"pc1.vpn.test. A 10.8.0.9"}, "", false, true},
		"has another address, with an ID":  {[]string{"pc1.vpn.test. A 10.8.0.9"}, "me", false, true},
		"has our address":                  {[]string{"pc1.vpn.test. A 10.8.0.2"}, "", false, false},
		"has our address and another":      {[]string{"pc1.vpn.test. A 10.8.0.2", "pc1.vpn.test. A 10.8.0.9"}, "", false, true},
		"has our address and AAAA":         {[]string{"pc1.vpn.test. A 10.8.0.2", "pc1.vpn.test. AAAA fd00::9"}, "", false, true},
		"has our address, and an owner":    {[]string{"pc1.vpn.test. A 10.8.0.2", "pc1.vpn.test. DHCID x"}, "", false, true},
		"has an alias":                     {[]string{"pc1.vpn.test. CNAME www.vpn.test."}, "me", false, true},
		"has an alias, to be taken":        {[]string{"pc1.vpn.test. CNAME www.vpn.test."}, "", true, false},
		"has an owner":                     {[]string{"pc1.vpn.test. A 10.8.0.9", "pc1.vpn.test. DHCID x"}, "me", false, true},
		"has an owner, to be taken":        {[]string{"pc1.vpn.test. A 10.8.0.9", "pc1.vpn.test. DHCID x"}, "me", true, false},
		"has another address, to be taken": {[]string{"pc1.vpn.test. A 10.8.0.9"}, "", true, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, s := office(t)
				for _, x := range c.there {
					s.put(x)
				}
				before := s.String()
				r := host(n, "pc1")
				r.ID, r.Take = []byte(c.id), c.take
				list, err := r.Register(t.Context(), addrs("10.8.0.2")...)
				var taken *TakenError
				if errors.As(err, &taken) != c.taken {
					t.Fatalf("%+v %v", list, err)
				}
				if c.taken {
					if s.String() != before || taken.Name != "pc1.vpn.test." || permanent(err) {
						t.Errorf("%+v, now\n%s, before\n%s", taken, s, before)
					}
					return
				}
				want := "2.0.8.10.in-addr.arpa. pc1.vpn.test., " + onlyServer + ", pc1.vpn.test. 10.8.0.2"
				if c.id != "" {
					want += ", pc1.vpn.test. DHCID"
				}
				if err != nil || s.String() != want {
					t.Errorf("%v\n%s, want\n%s", err, s, want)
				}
			})
		})
	}
}

// TestOwnNameIsKnownAgain: with an ID, what an earlier run has left is replaced, whatever the address was.
func TestOwnNameIsKnownAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, s := office(t)
		r := host(n, "pc1")
		r.ID = []byte("me")
		r.Register(t.Context(), addrs("10.8.0.2", "fd00::2")...)
		if _, err := r.Register(t.Context(), addrs("10.8.0.3")...); err != nil {
			t.Fatal(err)
		}
		if got := s.String(); !strings.Contains(got, "pc1.vpn.test. 10.8.0.3, pc1.vpn.test. DHCID") || strings.Contains(got, "vpn.test. 10.8.0.2") || strings.Contains(got, "fd00::2") {
			t.Error(got)
		}
	})
}

func TestWrongKey(t *testing.T) {
	for name, c := range map[string]struct {
		key  Key
		code uint16
	}{
		"secret":    {Key{Name: "ddns-key", Secret: "wrong"}, badSig},
		"name":      {Key{Name: "other", Secret: testKey.Secret}, badKey},
		"algorithm": {Key{Name: "ddns-key", Algorithm: "hmac-sha512", Secret: testKey.Secret}, badSig},
	} {
		synctest.Test(t, func(t *testing.T) {
			n, s := office(t)
			r := host(n, "pc1")
			r.Signer = &c.key
			_, err := r.Register(t.Context(), addrs("10.8.0.2")...)
			var bad *SignatureError
			if !errors.As(err, &bad) || bad.Code != c.code || bad.Server != s.addr || !bad.Permanent() || !bad.Unknown {
				t.Errorf("%s: %v", name, err)
			}
			if _, updates := s.counts(); updates != 1 {
				t.Errorf("%s: %d updates were sent, want 1", name, updates)
			}
		})
	}
}

// TestAnswersOfOthersAreNotBelieved: what stands in front of the right answer is not it.
func TestAnswersOfOthersAreNotBelieved(t *testing.T) {
	twist := func(f func(b []byte) []byte) func(bool, []byte) [][]byte {
		return func(udp bool, b []byte) [][]byte {
			if b[2]>>3&0xf != opUpdate {
				return [][]byte{b}
			}
			return [][]byte{f(bytes.Clone(b)), b}
		}
	}
	body := func(b []byte) []byte { b, _, _ = splitTSIG(b); return b }
	for name, f := range map[string]func(b []byte) []byte{
		"unsigned":    func(b []byte) []byte { b = body(b); b[3] |= 5; return b },
		"changed":     func(b []byte) []byte { b[3] |= byte(rcodeYXDomain); return b },
		"other ID":    func(b []byte) []byte { b = body(b); b[0]++; return b },
		"no answer":   func(b []byte) []byte { b = body(b); b[2] &^= 0x80; return b },
		"not the key": func(b []byte) []byte { x, y, _ := splitTSIG(b); y.key = []byte("\x05other\x00"); return y.append(x) },
		"refuses": func(b []byte) []byte {
			x, y, _ := splitTSIG(b)
			y.mac, y.code = nil, badSig
			x[3] |= 9
			return y.append(x)
		},
		"short MAC":    func(b []byte) []byte { x, y, _ := splitTSIG(b); y.mac = y.mac[:16]; x[3] |= 5; return y.append(x) },
		"no MAC":       func(b []byte) []byte { x, y, _ := splitTSIG(b); y.mac = nil; x[3] |= 5; return y.append(x) },
		"cut":          func(b []byte) []byte { return b[:len(b)-1] },
		"noise":        func(b []byte) []byte { return append(b[:12:12], "noise"...) },
		"not the zone": func(b []byte) []byte { b[13] ^= 1; return b },
	} {
		synctest.Test(t, func(t *testing.T) {
			n, s := office(t)
			s.onAnswer = twist(f)
			_, err := host(n, "pc1").Register(t.Context(), addrs("10.8.0.2")...)
			if err != nil || !strings.Contains(s.String(), "pc1.vpn.test. 10.8.0.2") {
				t.Errorf("%s: %v", name, err)
			}
			if _, updates := s.counts(); updates != 2 {
				t.Errorf("%s: %d updates, want 2", name, updates)
			}
		})
	}

	// An answer that was signed long ago.
	synctest.Test(t, func(t *testing.T) {
		sent := time.Now()
		msg, _ := (&update{zone: "vpn.test."}).pack(7)
		signed, verify, err := testKey.Sign(t.Context(), dnsAt("192.0.2.53:53")[0], msg)
		if err != nil {
			t.Fatal(err)
		}
		_, q, _ := splitTSIG(signed)
		a := bytes.Clone(msg)
		a[2] |= 0x80
		e := tsig{key: q.key, algorithm: q.algorithm, at: uint64(sent.Unix()), fudge: 300, id: 7}
		e.mac = e.sum(hashes["hmac-sha256"], testKey.Secret, q.mac, a)
		a = e.append(a)
		time.Sleep(300 * time.Second)
		if err := verify(a); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Second)
		if err := verify(a); !errors.Is(err, errUnsigned) {
			t.Errorf("of long ago: %v", err)
		}
	})
}

// TestClockIsTold: BADTIME is signed, and says how the clocks differ.
func TestClockIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := dnsAt("192.0.2.53:53")[0]
		msg, _ := (&update{zone: "vpn.test."}).pack(7)
		signed, verify, _ := testKey.Sign(t.Context(), server, msg)
		_, q, _ := splitTSIG(signed)
		a := bytes.Clone(msg)
		a[2] |= 0x80
		a[3] |= byte(rcodeNotAuth)
		theirs := q.at + 3600
		e := tsig{key: q.key, algorithm: q.algorithm, at: q.at, fudge: 300, id: 7, code: badTime,
			other: []byte{byte(theirs >> 40), byte(theirs >> 32), byte(theirs >> 24), byte(theirs >> 16), byte(theirs >> 8), byte(theirs)}}
		e.mac = e.sum(hashes["hmac-sha256"], testKey.Secret, q.mac, a)
		var bad *SignatureError
		if err := verify(e.append(a)); !errors.As(err, &bad) || bad.Off != time.Hour || bad.Permanent() || bad.Unknown {
			t.Errorf("%v", err)
		}
	})
}

func TestSilentServerIsAskedThreeTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, s := office(t)
		s.onMessage = func([]byte) bool { return true }
		start := time.Now()
		_, err := host(n, "pc1").Register(t.Context(), addrs("10.8.0.2")...)
		if asked, _ := s.counts(); !errors.Is(err, ErrNoAnswer) || asked != 3 || time.Since(start) != 7*time.Second || permanent(err) {
			t.Errorf("%v, %d asked, %v", err, asked, time.Since(start))
		}
		ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
		defer cancel()
		start = time.Now()
		_, err = host(n, "pc1").Register(ctx, addrs("10.8.0.2")...)
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 1500*time.Millisecond {
			t.Errorf("%v, %v", err, time.Since(start))
		}
	})
}

// TestLostAnswer: the server has done what it was asked, but is not heard the first time.
func TestLostAnswer(t *testing.T) {
	for _, id := range []string{"", "me"} {
		synctest.Test(t, func(t *testing.T) {
			n, s := office(t)
			lost := false
			s.onAnswer = func(_ bool, b []byte) [][]byte {
				if b[2]>>3&0xf == opUpdate && !lost {
					lost = true
					return nil
				}
				return [][]byte{b}
			}
			r := host(n, "pc1")
			r.ID = []byte(id)
			if _, err := r.Register(t.Context(), addrs("10.8.0.2")...); err != nil || !strings.Contains(s.String(), "pc1.vpn.test. 10.8.0.2") {
				t.Errorf("%v: %v", err, s)
			}
		})
	}
}

func TestTruncatedAnswerGoesByTCP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, s := office(t)
		tcp := 0
		s.onAnswer = func(udp bool, b []byte) [][]byte {
			if udp {
				b = b[:12:12]
				b[2] |= 2
				b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11] = 0, 0, 0, 0, 0, 0, 0, 0
				if b[2]>>3&0xf != opUpdate {
					b[3] |= 2 // without a question only an error is an answer
				}
			} else {
				tcp++
			}
			return [][]byte{b}
		}
		if _, err := host(n, "pc1").Register(t.Context(), addrs("10.8.0.2")...); err != nil || tcp == 0 || !strings.Contains(s.String(), "pc1.vpn.test. 10.8.0.2") {
			t.Errorf("%v, %d by TCP: %v", err, tcp, s)
		}
	})
}

func TestLongUpdateGoesByTCP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, s := office(t)
		var udpUpdates int
		s.onAnswer = func(udp bool, b []byte) [][]byte {
			if udp && b[2]>>3&0xf == opUpdate {
				udpUpdates++
			}
			return [][]byte{b}
		}
		list := addrs("10.8.0.2")
		for i := range 16 {
			list = append(list, netip.AddrFrom16([16]byte{0: 0xfd, 15: byte(i + 1)}))
		}
		r := host(n, strings.Repeat("a", 60))
		r.DNS = nil
		r.Server = s.addr
		if _, err := r.Register(t.Context(), list...); err != nil {
			t.Fatal(err)
		}
		if udpUpdates != len(list) { // the PTRs
			t.Errorf("%d updates by UDP", udpUpdates)
		}
	})
}

// TestPrimaryIsFound: by the SOA of a server that is not it, also where its name leads nowhere.
func TestPrimaryIsFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, primary := office(t)
		cache := newDNSServer("192.0.2.1:53", "vpn.test.", "10.in-addr.arpa.")
		cache.primary = "ns.vpn.test."
		cache.put("ns.vpn.test. A 192.0.2.53")
		n.servers = append(n.servers, cache)
		r := host(n, "pc1")
		r.DNS = dnsAt("192.0.2.66:53", "192.0.2.1:53") // the first does not answer
		if _, err := r.Register(t.Context(), addrs("10.8.0.2")...); err != nil || !strings.Contains(primary.String(), "pc1.vpn.test. 10.8.0.2") {
			t.Errorf("%v: %v", err, primary)
		}
		if _, updates := cache.counts(); updates != 0 {
			t.Errorf("the cache got %d updates", updates)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		n, s := office(t)
		s.primary = "hidden.vpn.test."
		if _, err := host(n, "pc1").Register(t.Context(), addrs("10.8.0.2")...); err != nil || !strings.Contains(s.String(), "pc1.vpn.test. 10.8.0.2") {
			t.Errorf("hidden primary: %v: %v", err, s)
		}
	})
	// A primary that is down is waited for, though another server says that it does not take updates.
	synctest.Test(t, func(t *testing.T) {
		n, s := office(t)
		s.put("ns.vpn.test. A 192.0.2.66")
		s.mu.Lock()
		delete(s.records, key(rr{name: "ns.vpn.test.", typ: typeA, data: []byte{192, 0, 2, 53}}))
		s.mu.Unlock()
		s.key = nil
		s.onAnswer = func(_ bool, b []byte) [][]byte {
			if b[2]>>3&0xf == opUpdate {
				b[3] |= 5
			}
			return [][]byte{b}
		}
		r := host(n, "pc1")
		r.Signer = nil
		_, err := r.Register(t.Context(), addrs("10.8.0.2")...)
		if _, updates := s.counts(); !errors.Is(err, ErrNoAnswer) || permanent(err) || updates == 0 {
			t.Errorf("%v, %d updates", err, updates)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		n, s := office(t)
		s.zones = []string{".", "arpa."}
		_, err := host(n, "pc1").Register(t.Context(), addrs("10.8.0.2")...)
		if _, updates := s.counts(); !errors.Is(err, ErrNoZone) || updates != 0 {
			t.Errorf("the root was asked to update: %v", err)
		}
	})
}

// TestDelegatedReverse: a PTR is set where an alias leads, RFC 2317.
func TestDelegatedReverse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, s := office(t)
		s.zones = append(s.zones, "0-25.0.8.10.in-addr.arpa.")
		s.put("2.0.8.10.in-addr.arpa. CNAME 2.0-25.0.8.10.in-addr.arpa.")
		r := host(n, "pc1")
		if _, err := r.Register(t.Context(), addrs("10.8.0.2")...); err != nil || !strings.Contains(s.String(), "2.0-25.0.8.10.in-addr.arpa. pc1.vpn.test.") {
			t.Errorf("%v: %v", err, s)
		}
		if _, err := r.Remove(t.Context(), netip.MustParsePrefix("10.8.0.2/32")); err != nil || s.String() != onlyServer {
			t.Errorf("%v: %v", err, s)
		}
	})
}

// TestRefusedReverse: a name without its PTR is still registered.
func TestRefusedReverse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, s := office(t)
		s.zones = []string{"vpn.test."}
		list, err := host(n, "pc1").Register(t.Context(), addrs("10.8.0.2")...)
		if err == nil || len(list) != 2 || list[0].Err != nil || list[1].Err == nil || !permanent(err) || !strings.Contains(s.String(), "pc1.vpn.test. 10.8.0.2") {
			t.Errorf("%+v %v", list, err)
		}
	})
}

func TestRemoveLeavesWhatIsOfOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, s := office(t)
		all := []netip.Prefix{netip.MustParsePrefix("10.8.0.2/32"), netip.MustParsePrefix("fd00::/64")}
		r := host(n, "pc1")
		r.ID = []byte("me")
		r.Register(t.Context(), addrs("10.8.0.2", "fd00::2")...)
		removed, err := r.Remove(t.Context(), all...)
		if err != nil || len(removed) != 4 || s.String() != onlyServer {
			t.Errorf("%+v %v: %v", removed, err, s)
		}
		// A client that is cut off has made its address lead to a name whose other addresses are not its own.
		s.put("2.0.8.10.in-addr.arpa. PTR www.vpn.test.")
		s.put("www.vpn.test. A 192.0.2.80")
		s.put("www.vpn.test. A 10.8.0.2")
		s.put("www.vpn.test. AAAA fd01::80")
		if _, err := r.Remove(t.Context(), all...); err != nil || s.String() != onlyServer+", www.vpn.test. 192.0.2.80, www.vpn.test. fd01::80" {
			t.Errorf("%v: %v", err, s)
		}
		// Or to one of another domain.
		s.put("2.0.8.10.in-addr.arpa. PTR www.corp.test.")
		before := s.String()
		if removed, err := r.Remove(t.Context(), all...); err != nil || len(removed) != 0 || s.String() != before {
			t.Errorf("%+v %v: %v", removed, err, s)
		}
		// Nothing there costs one question.
		asked, _ := s.counts()
		r.Remove(t.Context(), netip.MustParsePrefix("10.8.0.77/32"))
		if now, _ := s.counts(); now != asked+1 {
			t.Errorf("%d questions", now-asked)
		}
	})
}

// A host with IPv6 alone makes itself addresses of the /64 that it was given: nobody else knows which, but DNS does.
func TestRemoveFindsAddressesThatHostsHaveMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, s := office(t)
		six := netip.MustParsePrefix("fd00:0:0:7::/64")
		r := host(n, "pc1")
		r.ID = []byte("me")
		if _, err := r.Register(t.Context(), addrs("fd00:0:0:7:1234:5678:9abc:def0", "fd00::7:0:0:0:2")...); err != nil {
			t.Fatal(err)
		}
		// It has also left a PTR behind whose name has another address by now, and others have theirs.
		s.put(reverse(netip.MustParseAddr("fd00:0:0:7::99")) + " PTR pc1.vpn.test.")
		others := []string{"fd00:0:0:8::1", "fd00:0:0:6:ffff:ffff:ffff:ffff"}
		for _, a := range others {
			s.put(reverse(netip.MustParseAddr(a)) + " PTR pc1.vpn.test.")
		}
		s.put(reverse(netip.MustParseAddr("fd00:0:0:7::80")) + " PTR www.corp.test.")
		removed, err := r.Remove(t.Context(), six)
		if err != nil || len(removed) != 6 { // two AAAA, their PTRs, the PTR of ::99, and ::80's that did not lead to the name
			t.Errorf("%+v %v", removed, err)
		}
		for _, a := range append(others, "fd00:0:0:7::80") {
			if !strings.Contains(s.String(), reverse(netip.MustParseAddr(a))) {
				t.Errorf("the PTR of %s is gone", a)
			}
		}
		if text := s.String(); strings.Count(text, "PTR")+strings.Count(text, "arpa.") != 3 || strings.Contains(text, "fd00:") {
			t.Error(text)
		}
		// Nothing there costs a question, and so does a zone that nobody has.
		for _, p := range []string{"fd00:0:0:9::/64", "2001:db8::/64"} {
			asked, _ := s.counts()
			if removed, err := r.Remove(t.Context(), netip.MustParsePrefix(p)); err != nil || len(removed) != 0 {
				t.Errorf("%+v %v", removed, err)
			}
			if now, _ := s.counts(); now != asked+1 {
				t.Errorf("%d questions", now-asked)
			}
		}
	})
}

// However much is there, what is asked is bounded.
func TestWalkIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, s := office(t)
		for i := range 100 {
			s.put(reverse(netip.MustParseAddr(fmt.Sprintf("fd00::%x:0:0:%x", 4096+i*600, i))) + " PTR www.vpn.test.")
		}
		u := host(n, "pc1").updater(nil)
		list, err := u.walk(t.Context(), netip.MustParsePrefix("fd00::/64"))
		asked, _ := s.counts()
		if err != nil || len(list) != maxWalked || asked > 1+maxWalked*256 {
			t.Errorf("%v %v, %d questions", list, err, asked)
		}
		// A server that has something to say of every name has nothing to say.
		s.onAnswer = func(_ bool, b []byte) [][]byte {
			var m dnsmessage.Message
			if err := m.Unpack(b); err != nil {
				t.Error(err)
			}
			m.RCode, m.Answers = 0, []dnsmessage.Resource{{
				Header: dnsmessage.ResourceHeader{Name: m.Questions[0].Name, Type: typePTR, Class: classIN, TTL: 60},
				Body:   &dnsmessage.PTRResource{PTR: dnsmessage.MustNewName("any.vpn.test.")},
			}}
			b, _ = m.Pack()
			return [][]byte{b}
		}
		if list, err := u.walk(t.Context(), netip.MustParsePrefix("fd00::/64")); err != nil || len(list) != 0 {
			t.Errorf("%v %v", list, err)
		}
	})
}

func TestSecretIsNotPrinted(t *testing.T) {
	if s := testKey.Secret.String(); s != "REDACTED" {
		t.Error(s)
	}
}

func TestParseKey(t *testing.T) {
	for text, want := range map[string]Key{
		"key \"ddns-key\" {\n\talgorithm hmac-sha256;\n\tsecret \"MTIz\";\n};\n":                   {"ddns-key", "hmac-sha256", "123"},
		"# made by tsig-keygen\n/* key */ key k { secret MTIz; algorithm HMAC-SHA512; }; // end\n": {"k", "HMAC-SHA512", "123"},
		"hmac-sha512:k:MTIz\n": {"k", "hmac-sha512", "123"},
		"k:MTIz":               {"k", "", "123"},
	} {
		k, err := ParseKey(text)
		if err != nil || *k != want {
			t.Errorf("%q: %v %v", text, k, err)
		}
	}
	for _, bad := range []string{"", "k", "k:!", "hmac-md5:k:MTIz", "key k {", "key k { secret MTIz }", "key k { algorithm hmac-sha256; };", "a:b:c:d", "key \"", "x..y:MTIz"} {
		if k, err := ParseKey(bad); err == nil {
			t.Errorf("%q: %+v", bad, k)
		} else if strings.Contains(err.Error(), "MTIz") {
			t.Errorf("%q: %v tells the secret", bad, err)
		}
	}
}
