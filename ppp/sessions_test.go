package ppp

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// opened is a Conn that is open as far as Sessions can tell.
func opened(id, user string, peer netip.Addr, g *Grant) *Conn {
	a, _ := newPipe()
	c := Server(a, Call{ID: id}, &Config{})
	c.info.Store(&agreed{Info: Info{Call: &c.call, User: user, Peer: peer}})
	if g != nil {
		c.grant.Store(g)
	}
	return c
}

func collect(seq iter.Seq[*Conn]) (ids []string) {
	for c := range seq {
		ids = append(ids, c.Info().Call.ID)
	}
	return ids
}

func TestSessionsFind(t *testing.T) {
	var s Sessions
	if s.Len() != 0 || s.ID("") != nil || s.Addr(clientAddr) != nil || s.Addr(netip.Addr{}) != nil || collect(s.All()) != nil || collect(s.User("alice")) != nil {
		t.Error("the zero Sessions is not empty")
	}
	s.remove(opened("0", "nobody", clientAddr, nil))
	route := &Grant{Prefixes: []netip.Prefix{netip.MustParsePrefix("172.16.2.0/24"), netip.MustParsePrefix("2001:db8:2::/64")}}
	one := opened("1", "Alice", netip.MustParseAddr("10.8.0.2"), nil)
	two := opened("2", "bob", netip.MustParseAddr("10.8.0.3"), route)
	three := opened("3", "ALICE", netip.MustParseAddr("10.8.0.2"), nil) // by mistake, the same address
	four := opened("4", "", netip.MustParseAddr("172.16.2.9"), nil)
	for _, c := range []*Conn{one, two, three, four} {
		if err := s.add(c); err != nil {
			t.Fatal(err)
		}
	}
	if got := collect(s.All()); !slices.Equal(got, []string{"1", "2", "3", "4"}) || s.Len() != 4 {
		t.Error(got)
	}
	if got := collect(s.User("aLiCe")); !slices.Equal(got, []string{"1", "3"}) {
		t.Error(got)
	}
	if got := collect(s.User("")); got != nil {
		t.Errorf("unproven names are somebody's: %v", got)
	}
	if s.ID("2") != two || s.ID("5") != nil {
		t.Error("ID")
	}
	for a, want := range map[string]*Conn{
		"10.8.0.2": three, "::ffff:10.8.0.3": two, "10.8.0.4": nil,
		"172.16.2.1": two, "172.16.2.9": four, "172.16.3.1": nil, "2001:db8:2::7": two, "2001:db8:3::7": nil,
	} {
		if got := s.Addr(netip.MustParseAddr(a)); got != want {
			t.Errorf("%s: %v", a, got)
		}
	}
	s.remove(three)
	s.remove(three)
	if s.Addr(netip.MustParseAddr("10.8.0.2")) != one {
		t.Error("the older session has its address no longer")
	}
	for _, c := range []*Conn{one, two, four} {
		s.remove(c)
	}
	if s.Len() != 0 || len(s.ids)+len(s.users)+len(s.addrs) != 0 {
		t.Errorf("left behind: %v %v %v", s.ids, s.users, s.addrs)
	}
}

func TestSessionsOfAClient(t *testing.T) {
	var s Sessions
	a, _ := newPipe()
	c := Client(a, Call{ID: "c"}, &Config{})
	c.info.Store(&agreed{Info: Info{Call: &c.call, Peer: serverAddr, Local: clientAddr}})
	s.add(c)
	if s.Addr(serverAddr) != c || s.Addr(netip.MustParseAddr("8.8.8.8")) != nil {
		t.Error("a client's server has its own address, not every address")
	}
}

func TestMaxSessions(t *testing.T) {
	var s Sessions
	g := &Grant{MaxSessions: 2}
	for i, user := range []string{"alice", "Alice", "bob", "alice", "ALICE"} {
		err := s.add(opened(fmt.Sprint(i), user, netip.Addr{}, g))
		var e *AuthError
		if refused := i >= 3; refused != errors.As(err, &e) {
			t.Errorf("session %d of %s: %v", i, user, err)
		}
	}
	s.remove(s.ID("0"))
	if err := s.add(opened("5", "alice", netip.Addr{}, g)); err != nil {
		t.Errorf("after one has left: %v", err)
	}
	if err := s.add(opened("6", "", netip.Addr{}, g)); err == nil {
		t.Error("a limit that cannot be kept was not")
	}
	if err := s.add(opened("7", "alice", netip.Addr{}, nil)); err != nil {
		t.Errorf("no limit: %v", err)
	}
}

func TestReplaceEndsTheOldest(t *testing.T) {
	var s Sessions
	g := &Grant{MaxSessions: 2, Replace: true}
	conns := make([]*Conn, 4)
	for i := range conns {
		conns[i] = opened(fmt.Sprint(i), "alice", netip.Addr{}, g)
		conns[i].r.Lock() // somebody serves it
		if err := s.add(conns[i]); err != nil {
			t.Fatal(err)
		}
	}
	for i, c := range conns {
		why := c.asked.Load()
		if gone := i < 2; gone != (why != nil) || gone && why.Cause != AdminReset {
			t.Errorf("session %d: %v", i, why)
		}
	}
	if s.Len() != 4 {
		t.Error("a session that says goodbye is over already")
	}
}

// One who is replaced is gone on both ends, and its place is free.
func TestReplaceThroughConns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s Sessions
		server := &Config{
			Authenticator: AuthenticatorFunc(func(ctx context.Context, req *AuthRequest) (*Grant, error) {
				g, err := req.CheckPassword("correct horse")
				if g != nil {
					g.MaxSessions, g.Replace = 1, true
				}
				return g, err
			}),
			Addr: serverAddr, Pool: &Pool{Prefixes: prefixes("10.8.0.0/24"), Exclude: prefixes("10.8.0.1/32")}, Sessions: &s,
		}
		client := &Config{User: "alice", Password: "correct horse"}
		_, s1 := ends(t, client, server)
		_, ended := serve(s1)
		c2, s2 := ends(t, client, server)
		serve(c2)
		serve(s2)
		var e *TerminatedError
		if err := <-ended; !errors.As(err, &e) || e.Cause != AdminReset || e.Remote {
			t.Errorf("the first ended by %v", err)
		}
		if s.Len() != 1 || s.Addr(c2.Info().Local) != s2 {
			t.Errorf("%d sessions; %v at %v", s.Len(), s.Addr(c2.Info().Local), c2.Info().Local)
		}
		c2.Close()
		time.Sleep(time.Minute)
		if s.Len() != 0 {
			t.Errorf("%d sessions at the end", s.Len())
		}
	})
}

func TestSessionsConcurrently(t *testing.T) {
	var s Sessions
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for j := range 200 {
				c := opened(fmt.Sprint(i, ".", j), fmt.Sprint("user", j%3), netip.AddrFrom4([4]byte{10, 0, byte(i), byte(j)}), nil)
				s.add(c)
				for range s.User("user1") {
				}
				for o := range s.All() {
					s.remove(o) // while others iterate
					break
				}
				s.Addr(c.Info().Peer)
				s.remove(c)
			}
		})
	}
	wg.Wait()
	if s.Len() != 0 {
		t.Errorf("%d left", s.Len())
	}
}
