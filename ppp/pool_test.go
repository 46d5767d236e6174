package ppp

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

func prefixes(list ...string) (out []netip.Prefix) {
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

func get(t *testing.T, p *Pool, user string) []netip.Prefix {
	t.Helper()
	got, err := p.Get(context.Background(), "", user)
	if err != nil {
		t.Fatalf("Get for %q: %v", user, err)
	}
	return got
}

func TestPoolGivesHostsOnly(t *testing.T) {
	for _, c := range []struct {
		prefixes, exclude []string
		want              []string
	}{
		{[]string{"10.0.0.0/30"}, nil, []string{"10.0.0.1/32", "10.0.0.2/32"}},
		{[]string{"10.0.0.9/29"}, []string{"10.0.0.9/32", "10.0.0.12/31"}, []string{"10.0.0.10/32", "10.0.0.11/32", "10.0.0.14/32"}},
		{[]string{"10.0.0.0/31"}, nil, []string{"10.0.0.0/32", "10.0.0.1/32"}},
		{[]string{"10.0.0.7/32"}, nil, []string{"10.0.0.7/32"}},
		{[]string{"10.0.1.0/30", "10.0.0.0/30"}, nil, []string{"10.0.0.1/32", "10.0.0.2/32", "10.0.1.1/32", "10.0.1.2/32"}},
		{[]string{"10.0.0.0/30", "10.0.0.0/29"}, []string{"10.0.0.4/30"}, []string{"10.0.0.1/32", "10.0.0.2/32"}}, // .3 is a broadcast address
		{[]string{"255.255.255.254/31"}, nil, []string{"255.255.255.254/32", "255.255.255.255/32"}},
		{[]string{"::ffff:10.0.0.0/127"}, nil, []string{"10.0.0.0/32", "10.0.0.1/32"}},
		{[]string{"2001:db8::/63"}, nil, []string{"2001:db8::/64", "2001:db8:0:1::/64"}},
		{[]string{"2001:db8::/62"}, []string{"2001:db8::1/128", "2001:db8:0:2::/63"}, []string{"2001:db8:0:1::/64"}},
		{[]string{"ffff:ffff:ffff:fffe::/63"}, nil, []string{"ffff:ffff:ffff:fffe::/64", "ffff:ffff:ffff:ffff::/64"}},
	} {
		p := &Pool{Prefixes: prefixes(c.prefixes...), Exclude: prefixes(c.exclude...)}
		var got []string
		for {
			list, err := p.Get(context.Background(), "any", "")
			if err != nil {
				if !errors.Is(err, ErrPoolExhausted) {
					t.Errorf("%v: %v", c.prefixes, err)
				}
				break
			}
			if len(list) != 1 {
				t.Fatalf("%v gives %v", c.prefixes, list)
			}
			got = append(got, list[0].String())
			if len(got) > len(c.want) {
				break
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%v without %v gives %v, want %v", c.prefixes, c.exclude, got, c.want)
		}
	}
}

func TestPoolThatCannotWork(t *testing.T) {
	for _, p := range []*Pool{
		{},
		{Prefixes: prefixes("10.0.0.0/24"), Exclude: prefixes("10.0.0.0/8")},
		{Prefixes: prefixes("2001:db8::/65")},
		{Prefixes: []netip.Prefix{{}}},
		{Prefixes: prefixes("10.0.0.0/24"), Exclude: []netip.Prefix{{}}},
		{Prefixes: prefixes("::ffff:0.0.0.0/90")},
		{Prefixes: prefixes("10.0.0.0/24"), File: filepath.Join(t.TempDir(), "no", "such", "directory")},
		{Prefixes: prefixes("10.0.0.0/24"), File: t.TempDir()},
	} {
		got, err := p.Get(context.Background(), "", "alice")
		if err == nil || errors.Is(err, ErrPoolExhausted) {
			t.Errorf("%v gives %v, %v", p.Prefixes, got, err)
		}
		if n := p.Free(); n != 0 {
			t.Errorf("%v has %d free", p.Prefixes, n)
		}
		p.Put(prefixes("10.0.0.1/32"))
	}
}

func TestPoolNames(t *testing.T) {
	p := &Pool{Name: "staff", Prefixes: prefixes("10.0.0.0/30")}
	if _, err := p.Get(context.Background(), "guests", "alice"); err == nil || !strings.Contains(err.Error(), `"guests"`) {
		t.Errorf("guests: %v", err)
	}
	for _, name := range []string{"staff", ""} {
		if _, err := p.Get(context.Background(), name, "alice"); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	_, err := p.Get(context.Background(), "staff", "alice")
	if !errors.Is(err, ErrPoolExhausted) || !strings.Contains(err.Error(), `"staff"`) || !strings.Contains(err.Error(), "2") {
		t.Errorf("exhausted: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := p.Get(ctx, "", "alice"); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestPoolRemembersUsers(t *testing.T) {
	p := &Pool{Prefixes: prefixes("10.0.0.0/29", "2001:db8::/61")}
	alice := get(t, p, "alice")
	second := get(t, p, "alice")
	bob := get(t, p, "bob")
	if len(alice) != 2 || !alice[0].Addr().Is4() || alice[1].Bits() != 64 {
		t.Fatalf("one of each family: %v", alice)
	}
	p.Put(alice)
	p.Put(second)
	p.Put(bob)
	get(t, p, "carol") // takes what was never given
	if got := get(t, p, "BOB"); !slices.Equal(got, bob) {
		t.Errorf("bob: %v, had %v", got, bob)
	}
	if got := get(t, p, "Alice"); !slices.Equal(got, alice) {
		t.Errorf("alice: %v, had %v", got, alice)
	}
	if got := get(t, p, "alice"); !slices.Equal(got, second) {
		t.Errorf("alice's second session: %v, had %v", got, second)
	}
}

func TestPoolBothFamiliesOrNone(t *testing.T) {
	p := &Pool{Prefixes: prefixes("10.0.0.0/29", "2001:db8::/64")}
	a := get(t, p, "alice")
	if _, err := p.Get(context.Background(), "", "bob"); !errors.Is(err, ErrPoolExhausted) || !strings.Contains(err.Error(), "IPv6") {
		t.Errorf("%v", err)
	}
	if n := p.Free(); n != 5 {
		t.Errorf("%d free: what was taken for nothing is not back", n)
	}
	p.Put(a)
	if n := p.Free(); n != 6 {
		t.Errorf("%d free", n)
	}
}

func TestPoolIgnoresForeignPuts(t *testing.T) {
	p := &Pool{Prefixes: prefixes("10.0.0.0/29", "2001:db8::/60")}
	p.Put(prefixes("10.0.0.1/32")) // before anything was given
	a := get(t, p, "alice")
	for _, q := range []string{"10.0.0.2/32", "10.0.0.0/32", "10.0.0.7/32", "10.0.0.1/24", "192.0.2.1/32", "2001:db8::/63", "2001:db8::1/64", "2001:db8:1::/64", "::/0"} {
		p.Put(prefixes(q))
	}
	p.Put([]netip.Prefix{{}})
	p.Put(nil)
	if n := p.Free(); n != 5 {
		t.Errorf("%d free", n)
	}
	p.Put(a)
	p.Put(a)
	if n := p.Free(); n != 6 {
		t.Errorf("%d free after a double Put", n)
	}
	if b, c := get(t, p, "bob"), get(t, p, "carol"); slices.Equal(b, c) {
		t.Errorf("%v twice", b)
	}
}

// A large prefix costs what is used of it.
func TestPoolOfHugePrefixes(t *testing.T) {
	p := &Pool{Prefixes: prefixes("10.0.0.0/8", "fd00::/8"), Exclude: prefixes("10.0.0.0/31")}
	if n := testing.AllocsPerRun(1, func() { p.Free() }); n > 200 {
		t.Errorf("%v allocations", n)
	}
	if n := p.Free(); n != 1<<24-3 {
		t.Errorf("%d free", n)
	}
	if got := get(t, p, ""); got[0].String() != "10.0.0.2/32" || got[1].String() != "fd00::/64" {
		t.Error(got)
	}
	whole := &Pool{Prefixes: prefixes("::/0", "0.0.0.0/0")}
	if got := get(t, whole, ""); got[0].String() != "0.0.0.1/32" || got[1].String() != "::/64" {
		t.Error(got)
	}
}

// A pool that remembers as many as it may gives the oldest again, so that its memory does not grow with its prefix.
func TestPoolMemoryIsBounded(t *testing.T) {
	p := &Pool{Prefixes: prefixes("10.0.0.0/8")}
	for i := range maxFree + 1000 {
		p.Put(get(t, p, fmt.Sprint("user", i)))
	}
	if n := len(p.v4.entries); n > maxFree {
		t.Errorf("%d entries", n)
	}
	if n := len(p.v4.users); n > maxFree {
		t.Errorf("%d users", n)
	}
}

func TestPoolFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "pool")
	open := func() *Pool { return &Pool{Prefixes: prefixes("10.0.0.0/28", "2001:db8::/60"), File: name} }
	p := open()
	users := []string{"alice", "Bob", "we ird\"\n", "\xff\xfe", "ünïcode"}
	had := make(map[string][]netip.Prefix)
	for _, u := range users {
		had[u] = get(t, p, u)
	}
	get(t, p, "")
	if fi, err := os.Stat(name); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", fi.Mode(), err)
	}
	// A crash leaves half a line, somebody's editor worse.
	f, err := os.OpenFile(name, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(f, "\nnonsense\n10.0.0.9/32\n10.0.0.9/32 eve\n192.0.2.1/32 \"eve\"\n10.0.0.0/32 \"eve\"\n10.0.0.9/32 \"\"\n10.0.0.9/32 \"ev")
	f.Close()
	p = open()
	if n := p.Free(); n != 14 {
		t.Errorf("%d free after a restart", n)
	}
	if got := get(t, p, "eve"); slices.Equal(got, had["alice"]) || got[0].String() != "10.0.0.7/32" {
		t.Errorf("eve: %v", got)
	}
	slices.Reverse(users)
	for _, u := range users {
		if got := get(t, p, u); !slices.Equal(got, had[u]) {
			t.Errorf("%q: %v, had %v", u, got, had[u])
		}
	}
	if left, err := filepath.Glob(name + ".*"); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// The file does not grow with the number of sessions, and a pool goes on when it can no longer be written.
func TestPoolFileIsBounded(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "d")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	p := &Pool{Prefixes: prefixes("10.0.0.0/30"), File: filepath.Join(dir, "pool")}
	for i := range 5000 {
		p.Put(get(t, p, fmt.Sprint("user", i)))
	}
	fi, err := os.Stat(p.File)
	if err != nil || fi.Size() > 1100*32 {
		t.Errorf("%d bytes, %v", fi.Size(), err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	p.Put(get(t, p, "alice"))
	p.Put(get(t, p, "bob"))
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	p.Put(get(t, p, "carol"))
	if b, err := os.ReadFile(p.File); err != nil || !strings.Contains(string(b), "bob") || !strings.Contains(string(b), "carol") {
		t.Errorf("after the disk came back: %q, %v", b, err)
	}
}

func TestPoolConcurrently(t *testing.T) {
	p := &Pool{Prefixes: prefixes("10.0.0.0/26", "2001:db8::/58")}
	var mu sync.Mutex
	inUse := make(map[netip.Prefix]bool)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 200 {
				got, err := p.Get(context.Background(), "", fmt.Sprint(i, j%3))
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				for _, a := range got {
					if inUse[a] {
						t.Errorf("%v twice", a)
					}
					inUse[a] = true
				}
				mu.Unlock()
				mu.Lock()
				for _, a := range got {
					inUse[a] = false
				}
				mu.Unlock()
				p.Put(got)
			}
		})
	}
	wg.Wait()
	if n := p.Free(); n != 62 {
		t.Errorf("%d free", n)
	}
}

// An oraclePool is the obvious pool: a list of addresses, the least recently used in front.
type oraclePool struct {
	order []netip.Prefix
	used  map[netip.Prefix]bool
	owner map[netip.Prefix]string
	owned map[string][]netip.Prefix
}

func (o *oraclePool) get(user string) (a netip.Prefix, ok bool) {
	pick := -1
	for _, x := range o.owned[user] {
		if !o.used[x] {
			pick = slices.Index(o.order, x)
			break
		}
	}
	if pick < 0 {
		if len(o.order) == 0 {
			return a, false
		}
		pick = 0
	}
	a = o.order[pick]
	o.order = slices.Delete(o.order, pick, pick+1)
	o.used[a] = true
	if old := o.owner[a]; old != user {
		o.owned[old] = slices.DeleteFunc(o.owned[old], func(x netip.Prefix) bool { return x == a })
		o.owner[a] = ""
		if user != "" && len(o.owned[user]) < maxPerUser {
			o.owner[a] = user
			o.owned[user] = append(o.owned[user], a)
		}
	}
	return a, true
}

func (o *oraclePool) put(a netip.Prefix) {
	if o.used[a] {
		o.used[a] = false
		o.order = append(o.order, a)
	}
}

func FuzzPool(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 0x80, 0x81, 1, 0, 2, 0x82, 3})
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80, 0x83, 0})
	f.Fuzz(func(t *testing.T, ops []byte) {
		p := &Pool{Prefixes: prefixes("10.0.0.0/29", "10.0.0.16/28", "10.0.0.8/30"), Exclude: prefixes("10.0.0.20/30", "10.0.0.2/32")}
		o := &oraclePool{used: make(map[netip.Prefix]bool), owner: make(map[netip.Prefix]string), owned: make(map[string][]netip.Prefix)}
		for i := range 32 {
			host := i >= 1 && i <= 6 || i >= 9 && i <= 10 || i >= 17 && i <= 30
			if host && i != 2 && (i < 20 || i > 23) {
				o.order = append(o.order, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), 32))
			}
		}
		size := len(o.order)
		for _, op := range ops {
			if op&0x80 != 0 { // an address goes back, or one that is not out
				a := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, op & 31}), 32)
				p.Put([]netip.Prefix{a})
				o.put(a)
			} else {
				user := ""
				if n := op & 7; n > 0 {
					user = fmt.Sprint("user", n)
				}
				want, ok := o.get(user)
				got, err := p.Get(context.Background(), "", user)
				if ok != (err == nil) || ok && (len(got) != 1 || got[0] != want) || err != nil && !errors.Is(err, ErrPoolExhausted) {
					t.Fatalf("%q gets %v, %v; want %v, %v", user, got, err, want, ok)
				}
			}
			if n := p.Free(); n != len(o.order) || n > size {
				t.Fatalf("%d free, want %d", n, len(o.order))
			}
		}
	})
}

func FuzzPoolLine(f *testing.F) {
	f.Add("10.0.0.1/32 \"alice\"\n")
	f.Add("10.0.0.1/32 \"\" +\n")
	f.Add("2001:db8::/64 \"\\xff\"\n")
	f.Fuzz(func(t *testing.T, line string) {
		a, user, used, ok := parsePoolLine(line)
		if !ok {
			return
		}
		b, again, still, ok := parsePoolLine(string(appendPoolLine(nil, a, user, used)))
		if !ok || a != b || user != again || used != still {
			t.Fatalf("%v %q came back as %v %q, %v", a, user, b, again, ok)
		}
	})
}
