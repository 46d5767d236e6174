package interop

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dialway/dialway/internal/netns"
)

// WINS is Samba's nmbd as a WINS server.
type WINS struct {
	*Program
	NS   *netns.NS
	Addr string
	conf string
}

// StartWINS starts nmbd on a device of ns that has addr.
func StartWINS(t testing.TB, ns *netns.NS, device, addr string) *WINS {
	t.Helper()
	Need(t, "nmbd:samba", "nmblookup:samba-common-bin")
	dir := scratch(t)
	for _, d := range []string{"state", "lock", "cache", "private", "run", "nc", "log"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	w := &WINS{NS: ns, Addr: addr}
	w.conf = configFile(t, dir, fmt.Sprintf(`[global]
netbios name = WINSSRV
workgroup = OFFICE
interfaces = %s
bind interfaces only = yes
wins support = yes
dns proxy = no
local master = no
domain master = no
preferred master = no
name resolve order = wins
log level = 3
max log size = 0
state directory = %[2]s/state
cache directory = %[2]s/cache
lock directory = %[2]s/lock
private dir = %[2]s/private
pid directory = %[2]s/run
ncalrpc dir = %[2]s/nc
nmbd bind explicit broadcast = no
`, device, dir))
	w.Program = startCommand(t, ns, "nmbd", exec.Command("nmbd", "--foreground", "--no-process-group", "--debug-stdout", "--configfile="+w.conf))
	for end := time.Now().Add(15 * time.Second); ; {
		if w.Lookup("WINSSRV") == addr {
			return w
		}
		if time.Now().After(end) {
			t.Fatalf("interop: nmbd does not answer for its own name:\n%s", last(w.Output(), 3000))
		}
	}
}

// Lookup asks for a name by nmblookup and returns its address, or nothing.
func (w *WINS) Lookup(name string) string {
	out, _ := w.NS.Try("nmblookup", "-s", w.conf, "-U", w.Addr, "--recursion", name)
	for line := range strings.Lines(out) {
		if f := strings.Fields(line); len(f) == 2 && strings.Contains(f[1], "<") {
			return f[0]
		}
	}
	return ""
}
