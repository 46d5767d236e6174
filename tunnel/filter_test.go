package tunnel_test

import (
	"encoding/binary"
	"strings"
	"testing"

	"github.com/dialway/dialway/tunnel"
)

func rule(t testing.TB, s string) tunnel.Rule {
	t.Helper()
	r, err := tunnel.ParseRule(s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func ports(src, dst uint16) func(b []byte) {
	return func(b []byte) {
		h := 20
		if b[0]>>4 == 6 {
			h = 40
		}
		binary.BigEndian.PutUint16(b[h:], src)
		binary.BigEndian.PutUint16(b[h+2:], dst)
	}
}

func typeCode(typ, code byte) func(b []byte) {
	return func(b []byte) { b[len(b)-8], b[len(b)-7] = typ, code }
}

func field(f uint16) func(b []byte) {
	return func(b []byte) { binary.BigEndian.PutUint16(b[6:], f) }
}

func TestRulesMatchByHeader(t *testing.T) {
	tcp := ip("10.1.2.3", "172.16.2.9", 6, 20, ports(4000, 23))
	tcp6 := ip("2001:db8::1", "2001:db8:9::1", 6, 20, ports(4000, 23))
	udp := ip("10.1.2.3", "172.16.2.9", 17, 8, ports(4000, 53))
	gre := ip("10.1.2.3", "172.16.2.9", 47, 8)
	reply := ip("10.1.2.3", "172.16.2.9", 1, 8, typeCode(0, 0))
	needed := ip("10.1.2.3", "172.16.2.9", 1, 8, typeCode(3, 4))
	echo6 := ip("2001:db8::1", "2001:db8:9::1", 58, 8, typeCode(128, 0))
	first := ip("10.1.2.3", "172.16.2.9", 6, 20, ports(4000, 23), field(0x2000))
	later := ip("10.1.2.3", "172.16.2.9", 6, 20, field(99))
	for _, c := range []struct {
		rule string
		p    []byte
		want bool
	}{
		{"any", tcp, true}, {"any", tcp6, true}, {"any", gre, true}, {"any", later, true},
		{"tcp", tcp, true}, {"tcp", tcp6, true}, {"tcp", udp, false}, {"tcp", later, true}, {"gre", gre, true}, {"47", gre, true},
		{"tcp 10.0.0.0/8 > 172.16.2.0/24:22-23", tcp, true},
		{"tcp 10.0.0.0/8 > 172.16.2.0/24:22-23", first, true},
		{"tcp 10.0.0.0/8 > 172.16.2.0/24:22-23", later, false},
		{"tcp 10.0.0.0/8 > 172.16.2.0/24:24-25", tcp, false},
		{"tcp 10.0.0.0/8 > 172.16.3.0/24:22-23", tcp, false},
		{"tcp 11.0.0.0/8 > any:23", tcp, false},
		{"tcp any:4000 > any", tcp, true}, {"tcp any:4001 > any", tcp, false},
		{"tcp any:4000 > any:23", tcp6, true}, {"tcp 10.0.0.0/8 > any", tcp6, false},
		{"tcp [2001:db8::/32]:4000 > 2001:db8:9::1", tcp6, true},
		{"tcp 2001:db8::/32:4000 > [2001:db8:9::1]:23", tcp6, true},
		{"any any > any:53", udp, true}, {"any any > any:53", tcp, false}, {"any any > any:53", gre, false},
		{"any any > any:1-65535", reply, false},
		{"icmp", reply, true}, {"icmp any > any:0", reply, true}, {"icmp any > any:0/0", reply, true}, {"icmp any > any:8", reply, false},
		{"icmp any > any:3/4", needed, true}, {"icmp any > any:3", needed, true}, {"icmp any > any:3/0", needed, false}, {"icmp any > any:0", needed, false},
		{"icmp", echo6, false}, {"icmpv6 any > any:128", echo6, true}, {"icmpv6 any > any:129/0", echo6, false},
	} {
		f := tunnel.Filter{Rules: []tunnel.Rule{rule(t, c.rule)}}
		if f.Match(c.p) != c.want {
			t.Errorf("%q matches %s: %v, want %v", c.rule, describe([][]byte{c.p}), !c.want, c.want)
		}
		f.Except = true
		if f.Match(c.p) == c.want {
			t.Errorf("all except %q matches %s: %v", c.rule, describe([][]byte{c.p}), c.want)
		}
	}
	if new(tunnel.Filter).Match(tcp) || !(&tunnel.Filter{Except: true}).Match(tcp) {
		t.Error("the zero Filter matches, or Except alone does not")
	}
	// Numbers as they stand in a program.
	for _, r := range []tunnel.Rule{{Proto: 1, DstPort: [2]uint16{3, 4}}, {Proto: 1, DstPort: [2]uint16{3, 0}}} {
		if !(&tunnel.Filter{Rules: []tunnel.Rule{r}}).Match(needed) {
			t.Errorf("%+v does not match", r)
		}
	}
	if r := (tunnel.Rule{Proto: 6, DstPort: [2]uint16{23, 0}}); !(&tunnel.Filter{Rules: []tunnel.Rule{r}}).Match(tcp) {
		t.Errorf("%+v does not match", r)
	}
}

func TestFilterFollowsExtensionHeaders(t *testing.T) {
	behind := func(first byte, headers ...byte) []byte {
		return ip("2001:db8::1", "2001:db8:9::1", first, len(headers)+20, func(b []byte) {
			copy(b[40:], headers)
			binary.BigEndian.PutUint16(b[len(b)-18:], 25)
		})
	}
	deny := &tunnel.Filter{Rules: []tunnel.Rule{rule(t, "tcp any > any:25")}, Except: true}
	for name, p := range map[string][]byte{
		"hop-by-hop":     behind(0, 6, 0, 1, 4, 0, 0, 0, 0),
		"options":        behind(60, 6, 0, 1, 4, 0, 0, 0, 0),
		"AH":             behind(51, 6, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1),
		"first fragment": behind(44, 6, 0, 0, 1, 0, 0, 0, 7),
	} {
		if deny.Match(p) {
			t.Errorf("port 25 passes behind %s", name)
		}
	}
}

func TestFilterPassesNothingThatCannotBeJudged(t *testing.T) {
	long := make([]byte, 0, 96)
	for range 10 {
		long = append(long, 60, 0, 1, 4, 0, 0, 0, 0)
	}
	for name, p := range map[string][]byte{
		"no packet":                  {1, 2, 3},
		"empty":                      nil,
		"a cut packet":               ip("10.1.2.3", "172.16.2.9", 17, 8)[:25],
		"a tiny first fragment":      ip("10.1.2.3", "172.16.2.9", 6, 8, field(0x2000)),
		"a fragment over the header": ip("10.1.2.3", "172.16.2.9", 6, 24, field(1)),
		"UDP without ports":          ip("10.1.2.3", "172.16.2.9", 17, 3),
		"ICMP without type":          ip("10.1.2.3", "172.16.2.9", 1, 1),
		"cut extension headers":      ip("2001:db8::1", "2001:db8:9::1", 0, 8, func(b []byte) { b[40], b[41] = 6, 9 }),
		"extension headers for ever": ip("2001:db8::1", "2001:db8:9::1", 60, len(long), func(b []byte) { copy(b[40:], long) }),
	} {
		for _, f := range []*tunnel.Filter{
			{Rules: []tunnel.Rule{{}}}, {Except: true}, {Rules: []tunnel.Rule{rule(t, "tcp any > any:25")}, Except: true},
		} {
			if f.Match(p) {
				t.Errorf("%s passes %+v", name, f)
			}
		}
	}
}

func TestParseRuleSaysWhatIsWrong(t *testing.T) {
	for s, want := range map[string]string{
		"":                                      "want",
		"tcp any":                               "want",
		"tcp any any > any":                     "want",
		"tcp any < any":                         "want",
		"foo":                                   `"foo"`,
		"256":                                   `"256"`,
		"tcp 10.0.0.1/8 > any":                  "10.0.0.0/8 meant",
		"tcp 10.0.0/8 > any":                    `"10.0.0/8"`,
		"tcp fe80::1%eth0 > any":                "no address",
		"tcp ::ffff:10.0.0.1 > any":             "IPv4",
		"tcp any > any:":                        "no port",
		"tcp any > any:0":                       "no range",
		"tcp any > any:9-7":                     "no range",
		"tcp any > any:65536":                   "no port",
		"tcp any > any:1-2-3":                   "no port",
		"tcp any > [2001:db8::1:5":              "]",
		"tcp any > [2001:db8::1]5":              "no port",
		"gre any > any:5":                       "has no ports",
		"icmp any:8 > any":                      "destination",
		"icmp any > any:8/256":                  "type or code",
		"icmp any > any:echo":                   "type or code",
		"tcp 10.0.0.0/8 > 2001:db8::/32":        "IPv6",
		"tcp 10.0.0.0/8:1 > 10.0.0.0/8:http":    "no port",
		"tcp 10.0.0.0/33 > 10.0.0.0/8":          "10.0.0.0/33",
		"tcp any:1-2 > 2001:db8::1:22 trailing": "want",
	} {
		r, err := tunnel.ParseRule(s)
		if err == nil || !strings.HasPrefix(err.Error(), "tunnel: rule ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, %v; want %q", s, r, err, want)
		}
	}
}

func TestRuleStringIsWhatParseRuleReads(t *testing.T) {
	for _, s := range []string{
		"any", "tcp", "200", "tcp 10.0.0.0/8 > 172.16.2.0/24:22-23", "udp any:53 > 10.0.0.1", "icmp any > any:0/0", "icmp any > any:8",
		"icmpv6 2001:db8::/32 > [2001:db8:9::1]:128/0", "tcp [2001:db8::/32]:1-9 > any", "any any > any:53", "udp 2001:db8::1 > any",
	} {
		if got := rule(t, s).String(); got != s {
			t.Errorf("%q reads as %q", s, got)
		}
	}
}

func FuzzParseRule(f *testing.F) {
	for _, s := range []string{"any", "tcp 10.0.0.0/8 > 172.16.2.0/24:22-23", "icmpv6 2001:db8::/32 > [2001:db8:9::1]:128/0", "udp any:53 > *:0-9", "icmp any > any:0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := tunnel.ParseRule(s)
		if err != nil {
			return
		}
		if again, err := tunnel.ParseRule(r.String()); err != nil || again != r {
			t.Fatalf("%q is %+v, %q is %+v, %v", s, r, r.String(), again, err)
		}
	})
}

func FuzzFilter(f *testing.F) {
	f.Add(ip("10.1.2.3", "172.16.2.9", 6, 20, ports(4000, 23)))
	f.Add(ip("2001:db8::1", "2001:db8:9::1", 44, 28, func(b []byte) { b[40], b[43] = 6, 1 }))
	allow := &tunnel.Filter{Rules: []tunnel.Rule{rule(f, "tcp any > any:22-25"), rule(f, "icmp any > any:8"), rule(f, "udp 10.0.0.0/8 > any")}}
	deny := &tunnel.Filter{Rules: allow.Rules, Except: true}
	f.Fuzz(func(t *testing.T, b []byte) {
		if allow.Match(b) && deny.Match(b) {
			t.Fatal("a packet is both what the rules say and what they do not")
		}
	})
}

func BenchmarkFilter(b *testing.B) {
	f := &tunnel.Filter{Rules: []tunnel.Rule{rule(b, "udp any > any:53"), rule(b, "icmp"), rule(b, "tcp 10.0.0.0/8 > any:80"), rule(b, "tcp 10.0.0.0/8 > 172.16.2.0/24:22-23")}}
	p := ip("10.1.2.3", "172.16.2.9", 6, 1380, ports(4000, 23))
	b.ReportAllocs()
	for b.Loop() {
		if !f.Match(p) {
			b.Fatal("no match")
		}
	}
}

func TestFilterDoesNotAllocate(t *testing.T) {
	f := &tunnel.Filter{Rules: []tunnel.Rule{rule(t, "udp any > any:53"), rule(t, "tcp 10.0.0.0/8 > 172.16.2.0/24:22-23")}}
	p := ip("10.1.2.3", "172.16.2.9", 6, 1380, ports(4000, 23))
	if n := testing.AllocsPerRun(100, func() { f.Match(p) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func ExampleFilter() {
	// What a session may reach: DNS and the web of one network.
	var f tunnel.Filter
	for _, s := range []string{"udp any > 10.0.0.53:53", "tcp any > 10.1.0.0/16:443"} {
		r, err := tunnel.ParseRule(s)
		if err != nil {
			panic(err)
		}
		f.Rules = append(f.Rules, r)
	}
	// Grant.In = f.Match
}
