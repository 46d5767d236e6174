package interop

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// setter is how sstpc is started that sets name resolution: with a /run of its own, which outlives it.
func (r *remote) setter(user, run string, env ...string) *Program {
	r.t.Helper()
	args := []string{"-m", "sh", "-e", "-c", `mount --make-rprivate /; mount --bind "$0" /run; exec "$@"`, run, Build(r.t, "sstpc")}
	cmd := exec.Command("unshare", append(args, r.args(user, "-set-dns")...)...)
	cmd.Env = append(os.Environ(), env...)
	p := startCommand(r.t, r.clients[user], "sstpc", cmd)
	p.Await(soon, "msg=connected", 1)
	return p
}

// TestResolver: sstpc -set-dns sets resolvconf, and systemd-resolved over D-Bus, and puts back what it has set; after
// kill -9 the next start does.
func TestResolver(t *testing.T) {
	t.Parallel()
	Need(t, "unshare:util-linux")
	r := newRemote(t)
	r.serve("-dns", "192.0.2.53", "-inform", "domain=vpn.test,search=eng.vpn.test")

	t.Run("resolvconf", func(t *testing.T) {
		o := NewOpenresolv(t)
		const before, during = "nameserver 198.18.9.9", "search vpn.test eng.vpn.test, nameserver 198.18.9.9, nameserver 192.0.2.53"
		if got := o.Says(t); got != before {
			t.Fatalf("resolv.conf says %q", got)
		}
		run := scratch(t)
		env := []string{"PATH=" + o.Dir + ":" + os.Getenv("PATH"), "DBUS_SYSTEM_BUS_ADDRESS=unix:path=/nowhere"}
		r.client("alice")
		killed := false
		for _, kill := range []bool{false, true, false, false} {
			p := r.setter("alice", run, env...)
			p.Await(soon, `msg="resolver set" by=resolvconf device=vpn servers=[192.0.2.53]`, 1)
			if got := strings.Contains(p.Output(), `msg="resolver restored after a crash" by=resolvconf device=vpn`); got != killed {
				t.Errorf("recovered: %v, want %v", got, killed)
			}
			killed = kill
			if got := sorted(o.Says(t)); got != sorted(during) {
				t.Errorf("resolv.conf says %q, want %q", got, during)
			}
			if kill {
				p.Kill()
				if got := sorted(o.Says(t)); got != sorted(during) {
					t.Errorf("after kill -9 resolv.conf says %q: there would be nothing to recover", got)
				}
				continue
			}
			if code := p.Stop(); code != 0 {
				t.Errorf("exit %d", code)
			}
			if got := o.Says(t); got != before {
				t.Errorf("after the end resolv.conf says %q, want %q", got, before)
			}
			if files, _ := filepath.Glob(run + "/dialway/*"); len(files) != 0 {
				t.Errorf("left behind: %v", files)
			}
		}
	})

	t.Run("systemd-resolved", func(t *testing.T) {
		s := StartResolved(t, r.client("bob"))
		run := scratch(t)
		env := "DBUS_SYSTEM_BUS_ADDRESS=" + s.Bus
		p := r.setter("bob", run, env)
		p.Await(soon, `msg="resolver set" by=resolved device=vpn servers=[192.0.2.53]`, 1)
		if got := s.Ctl("dns", "vpn"); !strings.HasSuffix(strings.TrimSpace(got), ": 192.0.2.53") {
			t.Errorf("resolvectl dns: %s", got)
		}
		if got := s.Ctl("domain", "vpn"); !strings.HasSuffix(strings.TrimSpace(got), ": vpn.test eng.vpn.test") {
			t.Errorf("resolvectl domain: %s", got)
		}
		if got := s.Ctl("default-route", "vpn"); !strings.HasSuffix(strings.TrimSpace(got), ": no") {
			t.Errorf("resolvectl default-route: %s", got)
		}
		p.Await(soon, `msg="resolver set"`, 1)
		if code := p.Stop(); code != 0 || !strings.Contains(p.Output(), `msg="resolver restored" device=vpn`) {
			t.Errorf("exit %d", code)
		}
		p = r.setter("bob", run, env)
		p.Await(soon, `msg="resolver set" by=resolved`, 1)
		p.Kill()
		// What was set has gone with the device; what was written down goes at the next start.
		p = r.setter("bob", run, env)
		p.Await(soon, `msg="resolver restored after a crash" by=resolved device=vpn`, 1)
		p.Stop()
		if got := s.Ctl("status"); strings.Contains(got, "192.0.2.53") || strings.Contains(got, "vpn.test") {
			t.Errorf("left behind:\n%s", got)
		}
	})
}

// sorted has the parts of a list in order: openresolv's is by device.
func sorted(s string) string { return strings.Join(slices.Sorted(strings.SplitSeq(s, ", ")), ", ") }
