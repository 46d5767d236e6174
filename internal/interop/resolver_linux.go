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

// unpacked is where packages are that are not installed, since they would take over this machine's name resolution:
//
//	apt-get download PACKAGE; dpkg-deb -x PACKAGE_*.deb /opt/dialway-interop/PACKAGE
const unpacked = "/opt/dialway-interop"

// NeedUnpacked skips a test unless packages are unpacked; or fails it, as netns.Missing does.
func NeedUnpacked(t testing.TB, packages ...string) {
	t.Helper()
	netns.Require(t)
	for _, p := range packages {
		if _, err := os.Stat(filepath.Join(unpacked, p)); err != nil {
			netns.Missing(t, fmt.Sprintf("needs the Debian package %s unpacked in %s/%[1]s (.ci/run packages does it)", p, unpacked))
		}
	}
}

// Openresolv is a resolvconf that keeps its records and its resolv.conf in a directory.
type Openresolv struct {
	Dir     string // with the program, resolvconf, for the PATH
	Records string // directory
	File    string // the resolv.conf
}

// NewOpenresolv makes one, with a record of the network card.
func NewOpenresolv(t testing.TB) *Openresolv {
	t.Helper()
	NeedUnpacked(t, "openresolv")
	dir := scratch(t)
	o := &Openresolv{Dir: filepath.Join(dir, "bin"), Records: filepath.Join(dir, "run", "interfaces"), File: filepath.Join(dir, "resolv.conf")}
	b, err := os.ReadFile(either(t, unpacked+"/openresolv/sbin/resolvconf", unpacked+"/openresolv/usr/sbin/resolvconf"))
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	for was, is := range map[string]string{
		"\nSYSCONFDIR=/etc\n":            "\nSYSCONFDIR=" + dir + "\n",
		"\nLIBEXECDIR=/lib/resolvconf\n": "\nLIBEXECDIR=" + either(t, unpacked+"/openresolv/lib/resolvconf", unpacked+"/openresolv/usr/lib/resolvconf") + "\n",
		"\nVARDIR=/run/resolvconf\n":     "\nVARDIR=" + filepath.Join(dir, "run") + "\n",
	} {
		if !strings.Contains(text, was) {
			t.Fatalf("interop: openresolv has no %q", was)
		}
		text = strings.Replace(text, was, is, 1)
	}
	for file, text := range map[string]string{"bin/resolvconf": text, "resolvconf.conf": "resolv_conf=" + o.File + "\n", "resolv.conf": ""} {
		os.MkdirAll(filepath.Dir(filepath.Join(dir, file)), 0o755)
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(filepath.Join(o.Dir, "resolvconf"), "-a", "eth0")
	cmd.Stdin = strings.NewReader("nameserver 198.18.9.9\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("interop: resolvconf: %v: %s", err, out)
	}
	return o
}

// Says is what resolv.conf says, in one line.
func (o *Openresolv) Says(t testing.TB) string {
	t.Helper()
	b, err := os.ReadFile(o.File)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for line := range strings.Lines(string(b)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			list = append(list, line)
		}
	}
	return strings.Join(list, ", ")
}

// Resolved is systemd-resolved with a D-Bus of its own, in a network namespace.
type Resolved struct {
	*Program
	NS  *netns.NS
	Bus string // address
	t   testing.TB
}

// libraries of systemd, of the version of what is unpacked.
func systemdEnv() []string {
	libs, _ := filepath.Glob(unpacked + "/libsystemd-shared/usr/lib/*/systemd")
	return append(os.Environ(), "LD_LIBRARY_PATH="+strings.Join(libs, ":"))
}

// StartResolved starts both. systemd-resolved finds its files in a mount namespace of its own, where its user is nobody by
// another name, whom dbus-daemon knows, too.
func StartResolved(t testing.TB, ns *netns.NS) *Resolved {
	t.Helper()
	Need(t, "dbus-daemon:dbus-daemon", "unshare:util-linux")
	NeedUnpacked(t, "systemd-resolved", "libsystemd-shared")
	dir := scratch(t)
	if err := os.Chmod(dir, 0o755); err != nil { // systemd-resolved gives up root before it connects
		t.Fatal(err)
	}
	r := &Resolved{NS: ns, Bus: "unix:path=" + filepath.Join(dir, "bus"), t: t}
	bus := configFile(t, dir, `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
<listen>`+r.Bus+`</listen>
<auth>EXTERNAL</auth>
<policy context="default">
<allow user="*"/><allow own="*"/><allow send_destination="*"/><allow receive_sender="*"/><allow send_type="method_call"/>
</policy>
</busconfig>
`)
	startCommand(t, ns, "dbus-daemon", exec.Command("dbus-daemon", "--config-file="+bus, "--nofork", "--nopidfile"))
	awaitFile(t, filepath.Join(dir, "bus"))
	cmd := exec.Command("unshare", "-m", "sh", "-e", "-c", `
mount --make-rprivate /
mount -t tmpfs none /run
mkdir -p /run/systemd/resolved.conf.d
printf '[Resolve]\nDNSStubListener=no\nFallbackDNS=198.18.9.9\nLLMNR=no\nMulticastDNS=no\n' >/run/systemd/resolved.conf.d/test.conf
grep -v ^systemd-resolve: /etc/passwd >/run/passwd; echo systemd-resolve:x:65534:65534::/:/bin/false >>/run/passwd
grep -v ^systemd-resolve: /etc/group >/run/group; echo systemd-resolve:x:65534: >>/run/group
mount --bind /run/passwd /etc/passwd; mount --bind /run/group /etc/group
exec "$0"`, either(t, unpacked+"/systemd-resolved/lib/systemd/systemd-resolved", unpacked+"/systemd-resolved/usr/lib/systemd/systemd-resolved"))
	cmd.Env = append(systemdEnv(), "DBUS_SYSTEM_BUS_ADDRESS="+r.Bus, "SYSTEMD_LOG_TARGET=console", "SYSTEMD_LOG_LEVEL=info")
	r.Program = startCommand(t, ns, "systemd-resolved", cmd)
	for end := time.Now().Add(15 * time.Second); !strings.Contains(r.Ctl("status"), "Global"); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("interop: systemd-resolved does not answer:\n%s\n%s", r.Ctl("status"), r.Output())
		}
	}
	return r
}

// Ctl returns what resolvectl prints.
func (r *Resolved) Ctl(args ...string) string {
	r.t.Helper()
	cmd := exec.Command(unpacked+"/systemd-resolved/usr/bin/resolvectl", append([]string{"--no-pager"}, args...)...)
	cmd.Env = append(systemdEnv(), "DBUS_SYSTEM_BUS_ADDRESS="+r.Bus)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := r.NS.Start(cmd); err != nil {
		r.t.Fatal(err)
	}
	cmd.Wait()
	return out.String()
}

// either returns which of two files is there: older Debians keep apart what newer ones have in /usr.
func either(t testing.TB, files ...string) string {
	t.Helper()
	for _, f := range files {
		if _, err := os.Stat(f); err == nil {
			return f
		}
	}
	t.Fatalf("interop: none of %v is there", files)
	return ""
}

func awaitFile(t testing.TB, file string) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(file); err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("interop: %s did not come", file)
		}
	}
}
