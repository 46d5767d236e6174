package interop

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/dialway/dialway/internal/netns"
)

// startRadsecproxy runs Debian's radsecproxy with a configuration, in ns.
func startRadsecproxy(t *testing.T, ns *netns.NS, dir, config string) *Program {
	t.Helper()
	Need(t, "radsecproxy:radsecproxy")
	file := writeFile(t, filepath.Join(dir, "radsecproxy.conf"), config)
	p := startCommand(t, ns, "radsecproxy", exec.Command("radsecproxy", "-f", "-d", "2", "-c", file, "-i", filepath.Join(dir, "radsecproxy.pid")))
	return p
}
