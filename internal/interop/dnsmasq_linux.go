package interop

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/dialway/dialway/internal/netns"
)

// A Dnsmasq is dnsmasq as a DHCP server in a namespace. It ends with the test.
type Dnsmasq struct {
	t    testing.TB
	cmd  *exec.Cmd
	done chan struct{}
	mu   sync.Mutex
	out  bytes.Buffer
}

// StartDnsmasq starts a server on a device of ns, which gives leases of a range, as first,last,mask, and options.
func StartDnsmasq(t testing.TB, ns *netns.NS, device, leases string, options ...string) *Dnsmasq {
	t.Helper()
	Need(t, "dnsmasq:dnsmasq-base")
	dir := scratch(t)
	config := fmt.Sprintf(`port=0
keep-in-foreground
user=root
pid-file=
log-facility=-
log-dhcp
no-resolv
no-hosts
no-ping
bind-interfaces
interface=%s
dhcp-authoritative
dhcp-leasefile=%s
dhcp-range=%s,120
`, device, filepath.Join(dir, "leases"), leases)
	for _, o := range options {
		config += "dhcp-option=" + o + "\n"
	}
	file := filepath.Join(dir, "dnsmasq.conf")
	if err := os.WriteFile(file, []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	d := &Dnsmasq{t: t, cmd: exec.Command("dnsmasq", "-C", file), done: make(chan struct{})}
	d.cmd.Stdout, d.cmd.Stderr = d, d
	if err := ns.Start(d.cmd); err != nil {
		t.Fatalf("interop: start dnsmasq: %v", err)
	}
	go func() {
		d.cmd.Wait()
		close(d.done)
	}()
	t.Cleanup(func() {
		d.cmd.Process.Signal(syscall.SIGTERM)
		<-d.done
		if t.Failed() {
			t.Logf("--- dnsmasq\n%s", last(d.Output(), 6000))
		}
	})
	for end := time.Now().Add(10 * time.Second); !strings.Contains(d.Output(), "DHCP, sockets bound"); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("interop: dnsmasq is not ready:\n%s", d.Output())
		}
	}
	return d
}

// Write takes what the server logs.
func (d *Dnsmasq) Write(b []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.out.Write(b)
}

// Output is what the server has logged.
func (d *Dnsmasq) Output() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.out.String()
}
