package interop

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dialway/dialway/internal/netns"
)

// A Branch is examples/branch in a namespace: the router of a site.
type Branch struct {
	*Program
	NS      *netns.NS
	t       testing.TB
	config  string // file
	control string
	program string
}

// NewBranch is a router that has not been started.
func NewBranch(t testing.TB, ns *netns.NS, dir string) *Branch {
	return &Branch{NS: ns, t: t, config: filepath.Join(dir, "branch.toml"), control: filepath.Join(dir, "control"), program: Build(t, "branch")}
}

// Configure writes the file. The control socket is set in front.
func (b *Branch) Configure(text string) {
	b.t.Helper()
	if err := os.WriteFile(b.config, []byte(fmt.Sprintf("control = %q\n", b.control)+text), 0o600); err != nil {
		b.t.Fatal(err)
	}
}

// Start starts it.
func (b *Branch) Start() {
	b.t.Helper()
	b.Program = StartProgram(b.t, b.NS, "branch", "-config", b.config, "-v")
	b.Await(20*time.Second, "msg=ready", 1)
}

// Reload makes it read its file again, and waits until it has.
func (b *Branch) Reload() {
	b.t.Helper()
	n := strings.Count(b.Output(), "configuration applied")
	b.Signal(syscall.SIGHUP)
	b.Await(20*time.Second, "configuration applied", n+1)
}

// Ctl sends a command to its control socket.
func (b *Branch) Ctl(words ...string) (string, error) {
	out, err := exec.Command(b.program, append([]string{"-config", b.config, "ctl"}, words...)...).CombinedOutput()
	return string(out), err
}

// Line returns what "ctl list" says of an interface or a client, as fields.
func (b *Branch) Line(name string) []string {
	b.t.Helper()
	out, err := b.Ctl("list")
	if err != nil {
		b.t.Fatalf("interop: ctl list: %v: %s", err, out)
	}
	for line := range strings.Lines(out) {
		if rest, ok := strings.CutPrefix(line, name+" "); ok {
			return strings.Fields(rest)
		}
	}
	return []string{"missing"}
}

// AwaitState waits until an interface is in a state.
func (b *Branch) AwaitState(timeout time.Duration, name, state string) {
	b.t.Helper()
	for end := time.Now().Add(timeout); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if b.Line(name)[0] == state {
			return
		}
	}
	out, _ := b.Ctl("list")
	b.t.Fatalf("interop: %s did not become %s within %v:\n%s", name, state, timeout, out)
}

// fingerprint returns the SHA-256 of a certificate's file.
func fingerprint(t testing.TB, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(b)
	if block == nil {
		t.Fatalf("interop: %s is no PEM", file)
	}
	sum := sha256.Sum256(block.Bytes)
	return hex.EncodeToString(sum[:])
}
