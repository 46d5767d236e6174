package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/dialway/dialway/examples/internal/cli"
	"github.com/dialway/dialway/examples/internal/policies"
	"github.com/dialway/dialway/examples/internal/servers"
	"github.com/dialway/dialway/ppp"
	"github.com/dialway/dialway/ppp/access"
	"github.com/dialway/dialway/ppp/eap"
	"github.com/dialway/dialway/radius"
	"github.com/dialway/dialway/sstp"
	"github.com/dialway/dialway/sstp/sstptest"
)

// A loginTest is what the flags say about test.
type loginTest struct {
	auth, radius, secretFile, policies string
	eap                                cli.EAP
	tls                                servers.TLS

	targets []radius.Target
	methods []string // that -auth names; nil: all that there can be
}

// methodNames are all methods, the plainest first.
var methodNames = []string{"pap", "chap", "mschapv2", "eap-mschapv2", "peap", "eap-tls"}

func (c *loginTest) register(fs *flag.FlagSet) {
	fs.StringVar(&c.auth, "auth", "", "test: `LIST` of methods: "+strings.Join(methodNames, ", ")+"; without, each that the account's secret serves, or for which there is a flag")
	fs.StringVar(&c.radius, "radius", "", "test: `HOST[:PORT],...` of RADIUS servers to ask in the place of -file")
	fs.StringVar(&c.secretFile, "radius-secret-file", "", "test: `FILE` whose first line is the secret shared with them; not readable by others")
	fs.StringVar(&c.policies, "policies", "", "test: `FILE` of policies, of which it is told which one decides and why the others do not")
	c.tls.Register(fs, "test: ")
	c.eap.Register(fs, "test by ")
}

// check completes c, and says what does not go together.
func (c *loginTest) check(fs *flag.FlagSet, verb, file string, p *cli.Problems) {
	if verb != "test" {
		fs.Visit(func(f *flag.Flag) {
			if strings.HasPrefix(f.Usage, "test") {
				p.Add("-"+f.Name, fmt.Errorf("means nothing with %s", verb))
			}
		})
		return
	}
	var err error
	if c.radius != "" {
		if file != "" {
			p.Add("-radius", errors.New("and -file do not go together: accounts are in one place"))
		}
		c.targets = c.tls.Targets(c.radius, c.secretFile, p)
	} else {
		c.tls.Without(p)
	}
	if c.policies != "" {
		_, err = policies.Read(c.policies)
		p.Add("-policies", err)
	}
	methods := methodNames
	if c.auth != "" {
		c.methods = strings.Split(c.auth, ",")
		methods = c.methods
	}
	for _, m := range methods {
		tunnel := m == "peap" || m == "eap-tls"
		switch {
		case c.auth == "" && !c.eap.Knows(m): // it is not tried
		case c.auth != "" && tunnel && c.radius == "":
			p.Add("-auth", fmt.Errorf("%s needs -radius: a file of accounts has no certificate", m))
		case !c.eap.Use(new(ppp.Config), m, p):
			p.Add("-auth", fmt.Errorf("%q is not one of %s", m, strings.Join(methodNames, ", ")))
		}
	}
}

// choose returns the methods to test: those of -auth, else those that can work with what is known.
func (c *loginTest) choose(a *access.Account) []string {
	if c.methods != nil {
		return c.methods
	}
	if a == nil {
		list := []string{"pap", "chap", "mschapv2", "eap-mschapv2"}
		for _, m := range []string{"peap", "eap-tls"} {
			if c.eap.Knows(m) {
				list = append(list, m)
			}
		}
		return list
	}
	serves := access.Serves(a.Secret)
	var list []string
	for _, m := range []struct {
		name  string
		needs ppp.AuthProtocol
	}{{"pap", ppp.PAP}, {"chap", ppp.CHAP}, {"mschapv2", ppp.MSCHAPv2}, {"eap-mschapv2", ppp.MSCHAPv2}} {
		if slices.Contains(serves, m.needs) {
			list = append(list, m.name)
		}
	}
	return list
}

// run logs in by each method as a dial-in would: through an SSTP session in memory, up to its crypto binding. It is an
// error if a method that was asked for does not let the user in, or none does.
func (c *loginTest) run(ctx context.Context, w io.Writer, f *access.File, user string, password ppp.Secret) error {
	var who ppp.Authenticator
	var account *access.Account
	if f != nil {
		account, _ = f.Account(ctx, user)
		who = &eap.Authenticator{Methods: []eap.Method{&eap.MSCHAPv2{}}, Next: &access.Accounts{Store: f, Lockout: access.Lockout{After: -1}}}
	} else {
		client := &radius.Client{Targets: c.targets, Filter: anyFilter, Accept: noteFilters}
		defer client.Close()
		who = client
	}
	methods := c.choose(account)
	if len(methods) == 0 {
		return fmt.Errorf("%s has no secret: only a certificate, which -file does not know about, could let it in", user)
	}
	var failed []error
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, m := range methods {
		x := c.try(ctx, who, m, user, password)
		if x.err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", m, x.err))
			fmt.Fprintf(t, "%s\tno\t%v\n", m, x.err)
			continue
		}
		fmt.Fprintf(t, "%s\tyes\t%s\n", m, describe(x.grant))
		if err := c.explain(t, x); err != nil {
			return err
		}
	}
	t.Flush()
	if len(failed) == len(methods) || c.methods != nil && len(failed) > 0 {
		return fmt.Errorf("%s may not log in: %w", user, errors.Join(failed...))
	}
	return nil
}

// An attempt is a login.
type attempt struct {
	req   *ppp.AuthRequest // the first
	grant *ppp.Grant
	err   error
}

// try logs in by one method.
func (c *loginTest) try(ctx context.Context, who ppp.Authenticator, name, user string, password ppp.Secret) *attempt {
	x := new(attempt)
	var mu sync.Mutex
	cfg := &ppp.Config{User: user, Password: password}
	var p cli.Problems // found by check
	c.eap.Use(cfg, name, &p)
	srv := sstptest.NewServer(&sstp.Server{PPP: &ppp.Config{
		Auth: cfg.Auth, AuthRetries: -1,
		Authenticator: ppp.AuthenticatorFunc(func(ctx context.Context, req *ppp.AuthRequest) (*ppp.Grant, error) {
			g, err := who.Authenticate(ctx, req)
			mu.Lock()
			defer mu.Unlock()
			x.req, x.grant, x.err = req, g, err
			return g, err
		}),
		Addr: netip.MustParseAddr("192.0.2.1"), Pool: &ppp.Pool{Prefixes: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}},
	}})
	defer srv.Close()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	link, err := srv.Dialer(cfg).DialContext(ctx, srv.Addr())
	if err == nil {
		link.Terminate(ppp.UserRequest, "")
		link.Serve(ctx, func(bufs [][]byte, _ int) (int, error) { return len(bufs), nil }) // the goodbye
	}
	mu.Lock()
	defer mu.Unlock()
	if x.err == nil { // the server's side says why, if it has something to say
		x.err = err
	}
	return x
}

// explain tells which policy decides.
func (c *loginTest) explain(w io.Writer, x *attempt) error {
	if c.policies == "" {
		return nil
	}
	set, err := policies.Read(c.policies)
	if err != nil {
		return err
	}
	none := true
	for _, v := range (&access.Policies{List: set.List}).Explain(x.req, x.grant, time.Now()) {
		switch {
		case v.Decides && v.Granted:
			fmt.Fprintf(w, "\tpolicy %q\tdecides: granted\n", v.Policy)
		case v.Decides:
			fmt.Fprintf(w, "\tpolicy %q\tdecides: %s\n", v.Policy, v.Why)
		default:
			fmt.Fprintf(w, "\tpolicy %q\t%s\n", v.Policy, v.Why)
		}
		none = none && !v.Decides
	}
	if none {
		fmt.Fprintf(w, "\tno policy\tfits: refused\n")
	}
	return nil
}

// anyFilter lets a filter be whatever the access server makes of it.
func anyFilter(string) (func([]byte) bool, error) {
	return func([]byte) bool { return true }, nil
}

// noteFilters keeps the names of filters, which a Grant has only as functions.
func noteFilters(g *ppp.Grant, p *radius.Packet, _ *ppp.AuthRequest) error {
	var names []string
	for a, v := range p.All() {
		if a == radius.FilterID {
			names = append(names, string(v))
		}
	}
	g.Value = names
	return nil
}

// describe tells what a Grant gives.
func describe(g *ppp.Grant) string {
	var list []string
	add := func(ok bool, format string, args ...any) {
		if ok {
			list = append(list, fmt.Sprintf(format, args...))
		}
	}
	add(g.User != "", "user %s", g.User)
	add(g.User == "", "no proven name")
	add(len(g.Groups) > 0, "groups %s", strings.Join(g.Groups, ", "))
	add(g.Addr.IsValid(), "address %v", g.Addr)
	add(g.Pool != "", "pool %s", g.Pool)
	add(g.Pool6 != "", "IPv6 pool %s", g.Pool6)
	add(g.PoolDelegated != "", "pool of delegated prefixes %s", g.PoolDelegated)
	add(len(g.Prefixes) > 0, "routes %v", g.Prefixes)
	add(len(g.DNS) > 0, "name servers %v", g.DNS)
	add(g.SessionTimeout > 0, "session time-out %v", g.SessionTimeout)
	add(g.IdleTimeout > 0, "idle time-out %v", g.IdleTimeout)
	add(g.RateIn.Bits > 0, "%d bit/s from it", g.RateIn.Bits)
	add(g.RateOut.Bits > 0, "%d bit/s to it", g.RateOut.Bits)
	add(g.MaxSessions > 0, "%d sessions at most", g.MaxSessions)
	names, _ := g.Value.([]string)
	add(len(names) > 0, "filters %s", strings.Join(names, ", "))
	add(len(g.RecvKey) > 0, "keys to bind with")
	add(g.Message != "", "message %q", g.Message)
	return strings.Join(list, "; ")
}
