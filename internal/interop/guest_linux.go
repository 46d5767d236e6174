package interop

import (
	"bufio"
	_ "embed"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dialway/dialway/internal/netns"
)

//go:embed guest.sh
var guestScript string

// A Guest is a User-Mode Linux machine whose root is the host's, read-only, with one cable into a namespace. It runs
// bash scripts one after the other.
type Guest struct {
	Addr    netip.Addr // the guest's outer address
	Gateway netip.Addr // the namespace's end of the cable

	t    testing.TB
	dir  string // shared: /mnt in the guest
	cmd  *exec.Cmd
	done chan struct{}
	n    int // scripts so far
}

// modules are what the guest's kernel needs, in the order of loading; what they depend on is found.
var modules = []string{"ipv6", "ppp_async", "sch_netem"}

// StartGuest boots a guest with a cable into ns. number tells guests of one namespace apart.
func StartGuest(t testing.TB, ns *netns.NS, number int) *Guest {
	t.Helper()
	Need(t, "linux.uml:user-mode-linux", "busybox:busybox-static", "ip:iproute2", "tc:iproute2")
	kernels, _ := filepath.Glob("/usr/lib/uml/modules/*")
	if len(kernels) == 0 {
		netns.Missing(t, "needs /usr/lib/uml/modules (package user-mode-linux)")
	}
	base := 4 * number
	g := &Guest{
		Gateway: netip.AddrFrom4([4]byte{198, 18, 64, byte(base + 1)}),
		Addr:    netip.AddrFrom4([4]byte{198, 18, 64, byte(base + 2)}),
		t:       t, dir: t.TempDir(), done: make(chan struct{}),
	}
	tap := "guest" + strconv.Itoa(number)
	ns.Run("ip", "tuntap", "add", "dev", tap, "mode", "tap", "vnet_hdr")
	ns.Run("ip", "addr", "add", g.Gateway.String()+"/30", "dev", tap)
	ns.Run("ip", "link", "set", tap, "up")

	list, err := modulesFor(kernels[len(kernels)-1], modules)
	if err != nil {
		t.Fatalf("interop: %v", err)
	}
	g.put("modules", strings.Join(list, "\n")+"\n", 0o644)
	g.put("net", fmt.Sprintf("link set lo up\naddr add %v/30 dev vec0\nlink set vec0 up\nroute add default via %v dev vec0\n", g.Addr, g.Gateway), 0o644)
	g.put("guest.sh", guestScript, 0o755)
	if err := os.MkdirAll(filepath.Join(g.dir, "ppp", "peers"), 0o755); err != nil {
		t.Fatal(err)
	}
	g.put("ppp/options", "", 0o644)
	g.put("ppp/ip-up", "#!/bin/sh\nprintf 'iface=%s\\nlocal=%s\\npeer=%s\\ndns=%s\\n' \"$1\" \"$4\" \"$5\" \"$DNS1 $DNS2\" >/mnt/up.new; mv /mnt/up.new /mnt/up\n", 0o755)
	g.put("ppp/ipv6-up", "#!/bin/sh\nprintf 'local6=%s\\npeer6=%s\\n' \"$4\" \"$5\" >/mnt/up6.new; mv /mnt/up6.new /mnt/up6\n", 0o755)

	console, err := os.Create(filepath.Join(g.dir, "console.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer console.Close()
	g.cmd = exec.Command("linux.uml", "mem=256M", "root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro", "quiet",
		"init="+filepath.Join(g.dir, "guest.sh"), "uml_dir="+g.dir,
		"vec0:transport=tap,ifname="+tap+",depth=128,gro=1", "con=null", "con0=null,fd:1", "ssl=null")
	g.cmd.Stdout, g.cmd.Stderr = console, console
	g.cmd.Env = append(os.Environ(), "TMPDIR="+scratch(t)) // the guest's memory is a file there
	g.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := ns.Start(g.cmd); err != nil {
		t.Fatalf("interop: start the guest: %v", err)
	}
	go func() {
		g.cmd.Wait()
		close(g.done)
	}()
	t.Cleanup(g.stop)
	if !g.wait("ready", time.Minute) {
		t.Fatalf("interop: the guest did not boot:\n%s", g.get("console.log"))
	}
	return g
}

// scratch is a directory in memory where there is one.
func scratch(t testing.TB) string {
	dir, err := os.MkdirTemp("/dev/shm", "interop")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// stop turns the guest off: by its own power-off, else by its process group.
func (g *Guest) stop() {
	if g.t.Failed() {
		for _, f := range []string{"pppd.log", "pppd.out", "sstpc.log"} {
			g.t.Logf("--- %s\n%s", f, last(g.get(f), 4000))
		}
	}
	g.n++
	g.put(strconv.Itoa(g.n)+".run", "/bin/busybox poweroff -f\n", 0o644)
	select {
	case <-g.done:
	case <-time.After(5 * time.Second):
	}
	syscall.Kill(-g.cmd.Process.Pid, syscall.SIGKILL)
	<-g.done
}

func last(s string, n int) string {
	if len(s) > n {
		return s[len(s)-n:]
	}
	return s
}

// Run runs a bash script in the guest and returns what it printed and its status.
func (g *Guest) Run(timeout time.Duration, script string) (out string, status int) {
	g.t.Helper()
	g.n++
	name := strconv.Itoa(g.n)
	g.put(name+".run.new", script, 0o644)
	if err := os.Rename(filepath.Join(g.dir, name+".run.new"), filepath.Join(g.dir, name+".run")); err != nil {
		g.t.Fatal(err)
	}
	if !g.wait(name+".rc", timeout) {
		g.t.Fatalf("interop: the guest's script did not end within %v:\n%s\n--- printed\n%s", timeout, script, g.get(name+".out"))
	}
	status, err := strconv.Atoi(strings.TrimSpace(g.get(name + ".rc")))
	if err != nil {
		g.t.Fatal(err)
	}
	return g.get(name + ".out"), status
}

// Must is Run for a script that must succeed.
func (g *Guest) Must(timeout time.Duration, script string) string {
	g.t.Helper()
	out, status := g.Run(timeout, script)
	if status != 0 {
		g.t.Fatalf("interop: status %d of\n%s\n--- printed\n%s", status, script, out)
	}
	return out
}

func (g *Guest) put(name, text string, mode os.FileMode) {
	if err := os.WriteFile(filepath.Join(g.dir, name), []byte(text), mode); err != nil {
		g.t.Fatal(err)
	}
}

func (g *Guest) get(name string) string {
	b, _ := os.ReadFile(filepath.Join(g.dir, name))
	return string(b)
}

// wait waits for a file of the shared directory.
func (g *Guest) wait(name string, timeout time.Duration) bool {
	for end := time.Now().Add(timeout); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if _, err := os.Stat(filepath.Join(g.dir, name)); err == nil {
			return true
		}
		select {
		case <-g.done:
			return false
		default:
		}
	}
	return false
}

// modulesFor lists module files of a kernel, each behind what it depends on.
func modulesFor(dir string, names []string) ([]string, error) {
	f, err := os.Open(filepath.Join(dir, "modules.dep"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	needs, path := map[string][]string{}, map[string]string{}
	for s := bufio.NewScanner(f); s.Scan(); {
		file, rest, ok := strings.Cut(s.Text(), ":")
		if !ok {
			continue
		}
		path[moduleName(file)] = filepath.Join(dir, file)
		for _, n := range strings.Fields(rest) {
			needs[moduleName(file)] = append(needs[moduleName(file)], moduleName(n))
		}
	}
	var list []string
	seen := map[string]bool{}
	var add func(name string)
	add = func(name string) {
		if seen[name] || path[name] == "" {
			return // built in
		}
		seen[name] = true
		for _, n := range needs[name] {
			add(n)
		}
		list = append(list, path[name])
	}
	for _, n := range names {
		add(n)
	}
	return list, nil
}

func moduleName(file string) string {
	name, _, _ := strings.Cut(filepath.Base(file), ".ko")
	return strings.ReplaceAll(name, "-", "_")
}
