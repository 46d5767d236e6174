package interop

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/dialway/dialway/internal/netns"
)

// Need skips a test unless every command, given as command:package, is here; or fails it, as netns.Missing does.
func Need(t testing.TB, list ...string) {
	t.Helper()
	netns.Require(t)
	for _, need := range list {
		name, pkg, _ := strings.Cut(need, ":")
		if _, err := exec.LookPath(name); err == nil {
			continue
		}
		if _, err := os.Stat(name); err == nil {
			continue
		}
		netns.Missing(t, "needs "+name+" (Debian package "+pkg+")")
	}
}
