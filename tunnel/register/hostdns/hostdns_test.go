package hostdns

import (
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

var (
	servers = []netip.Addr{netip.MustParseAddr("192.0.2.53"), netip.MustParseAddr("fd00::53")}
	domains = []string{"vpn.test", "corp.test"}
)

// newResolver returns one whose resolvconf writes down what it is told, one line a call, and fails where a file says so. It
// has no D-Bus.
func newResolver(t *testing.T) (r *Resolver, did func() string) {
	t.Helper()
	if _, err := exec.LookPath("sh"); err != nil || runtime.GOOS == "windows" {
		t.Skip("needs sh")
	}
	dir := t.TempDir()
	script := `#!/bin/sh
if [ "$1" = -a ]; then in=" $(tr '\n' '|')"; fi
echo "$*$in" >>` + dir + `/log
[ ! -e ` + dir + `/fail ] || { echo broken >&2; exit 3; }
`
	command := filepath.Join(dir, "resolvconf")
	if err := os.WriteFile(command, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	r = &Resolver{Device: "vpn0", Dir: filepath.Join(dir, "state"), Bus: "unix:path=" + dir + "/nowhere", Command: command}
	return r, func() string {
		b, _ := os.ReadFile(dir + "/log")
		os.Remove(dir + "/log")
		return strings.ReplaceAll(strings.TrimSpace(string(b)), "\n", "; ")
	}
}

// fail makes resolvconf fail, or not any more.
func fail(t *testing.T, r *Resolver, yes bool) {
	file := filepath.Join(filepath.Dir(r.Command), "fail")
	os.Remove(file)
	if yes {
		if err := os.WriteFile(file, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func states(r *Resolver) int {
	files, _ := filepath.Glob(r.Dir + "/*")
	return len(files)
}

func TestSetAndRestore(t *testing.T) {
	r, did := newResolver(t)
	if err := r.Restore(t.Context()); err != nil || did() != "" {
		t.Errorf("restored what was not set: %v", err)
	}
	if err := r.Set(t.Context(), servers, domains); err != nil || did() != "-a vpn0.dialway search vpn.test corp.test|nameserver 192.0.2.53|nameserver fd00::53|" {
		t.Error(err)
	}
	if states(r) != 1 {
		t.Error("not written down")
	}
	if err := r.Set(t.Context(), servers[:1], nil); err != nil || did() != "-a vpn0.dialway nameserver 192.0.2.53|" {
		t.Error(err)
	}
	if err := r.Restore(t.Context()); err != nil || did() != "-d vpn0.dialway" || states(r) != 0 {
		t.Errorf("%v, %d states", err, states(r))
	}
	if err := r.Restore(t.Context()); err != nil || did() != "" {
		t.Errorf("restored twice: %v", err)
	}
}

func TestFailures(t *testing.T) {
	r, did := newResolver(t)
	fail(t, r, true)
	if err := r.Set(t.Context(), servers, domains); err == nil || errors.Is(err, ErrNone) || !strings.Contains(err.Error(), "broken") || states(r) != 0 {
		t.Errorf("%v, %d states", err, states(r))
	}
	fail(t, r, false)
	if err := r.Set(t.Context(), servers, domains); err != nil {
		t.Error(err)
	}
	did()
	fail(t, r, true)
	if err := r.Restore(t.Context()); err == nil || states(r) != 1 {
		t.Errorf("forgotten though not undone: %v", err)
	}
	fail(t, r, false)
	if err := r.Restore(t.Context()); err != nil || states(r) != 0 {
		t.Error(err)
	}
	r.Command = "/no/such/resolvconf"
	if err := r.Set(t.Context(), servers, domains); !errors.Is(err, ErrNone) || !errors.Is(err, errors.ErrUnsupported) || states(r) != 0 {
		t.Errorf("%v, %d states", err, states(r))
	}
}

// TestRecover: what a process has left is undone when it has gone, and not before.
func TestRecover(t *testing.T) {
	r, did := newResolver(t)
	gone := exec.Command(r.Command)
	gone.Run()
	did()
	me := newState("resolvconf", "vpn1")
	later := *me
	later.Device, later.Start = "vpn2", "1" // another process that had the number
	if me.Start == "" {
		later.PID = gone.Process.Pid
	}
	dead := *me
	dead.Device, dead.PID = "vpn3", gone.Process.Pid
	bus := dead
	bus.Device, bus.How = "vpn4", "resolved" // of a device that has gone, too
	odd := dead
	odd.Device, odd.How = "vpn5", "magic"
	for _, s := range []*state{me, &later, &dead, &bus, &odd} {
		if err := s.write(r.Dir); err != nil {
			t.Fatal(err)
		}
	}
	noise, _ := json.Marshal(state{How: "resolvconf", Device: "../../x", PID: dead.PID})
	os.WriteFile(filepath.Join(r.Dir, "x.json"), noise, 0o600)
	os.WriteFile(filepath.Join(r.Dir, "y.json"), []byte("noise"), 0o600)
	err := r.Recover(t.Context())
	if err == nil || !strings.Contains(err.Error(), "magic") {
		t.Error(err)
	}
	if got := did(); got != "-d vpn2.dialway; -d vpn3.dialway" {
		t.Errorf("undone: %s", got)
	}
	if n := states(r); n != 4 { // vpn1, vpn5, and what is not ours
		t.Errorf("%d states", n)
	}
}

func TestWhatIsNoDomainIsRefused(t *testing.T) {
	r, did := newResolver(t)
	for _, bad := range []string{"a\nnameserver 198.18.6.6", "a b", "", "a\tb", "a\x00"} {
		if err := r.Set(t.Context(), servers, []string{bad}); err == nil {
			t.Errorf("%q is a domain", bad)
		}
	}
	if got := did(); got != "" {
		t.Errorf("set: %s", got)
	}
}

func TestWhatCannotBeSetIsRefused(t *testing.T) {
	r, did := newResolver(t)
	if err := r.Set(t.Context(), nil, domains); err == nil {
		t.Error("without a server")
	}
	if err := r.Set(t.Context(), []netip.Addr{netip.MustParseAddr("fe80::1%eth0")}, domains); err == nil {
		t.Error("with a zone")
	}
	for _, bad := range []string{"", "-a", "a/b", "..", "a b"} {
		r.Device = bad
		if err := r.Set(t.Context(), servers, domains); err == nil {
			t.Errorf("for device %q", bad)
		}
	}
	if got := did(); got != "" {
		t.Errorf("set: %s", got)
	}
}
