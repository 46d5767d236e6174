package interop

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dialway/dialway/internal/netns"
)

// A FreeRADIUS is the server of that name in a namespace, at 127.0.0.1.
type FreeRADIUS struct {
	Port   int // of authentication; accounting has the next
	Secret string
	Detail string // file: every accounting request

	// Set before Start.
	Users    string    // in the format of FreeRADIUS' users file
	TLS      [3]string // files: whose certificates are taken, and the server's own with its key; empty: no EAP-TLS and no PEAP
	NoKeys   bool      // MS-CHAPv2 without MPPE keys
	Unsigned bool      // replies without Message-Authenticator, which Debian's server sends with EAP only
	Realms   string    // configuration of realms and their home servers; empty: names have none

	t    testing.TB
	ns   *netns.NS
	dir  string
	cmd  *exec.Cmd
	done chan struct{}
}

// NewFreeRADIUS returns a server that is not started.
func NewFreeRADIUS(t testing.TB, ns *netns.NS, port int) *FreeRADIUS {
	t.Helper()
	Need(t, "freeradius:freeradius", "radclient:freeradius-utils", "ip:iproute2")
	// Not in /dev/shm: the server's detail module does not make files there.
	f := &FreeRADIUS{Port: port, Secret: "testing123", t: t, ns: ns, dir: t.TempDir()}
	f.Detail = filepath.Join(f.dir, "log", "detail")
	if err := os.Mkdir(filepath.Join(f.dir, "log"), 0o755); err != nil {
		t.Fatal(err)
	}
	return f
}

// Start starts the server, or starts it again.
func (f *FreeRADIUS) Start() {
	f.t.Helper()
	if f.cmd == nil {
		f.write("users", f.Users)
		reply := "\tupdate reply {\n\t\tMessage-Authenticator := 0x00\n\t}\n"
		if f.Unsigned {
			reply = ""
		}
		eapTLS := ""
		if f.TLS[0] != "" {
			eapTLS = strings.NewReplacer("@CA@", f.TLS[0], "@CERT@", f.TLS[1], "@KEY@", f.TLS[2]).Replace(freeRADIUSEAPTLS)
		}
		mppe := "yes"
		if f.NoKeys {
			mppe = "no"
		}
		f.write("radiusd.conf", strings.NewReplacer("@DIR@", f.dir, "@PORT@", fmt.Sprint(f.Port), "@ACCT@", fmt.Sprint(f.Port+1),
			"@SECRET@", f.Secret, "@REPLY@", reply, "@MPPE@", mppe, "@TLS@", eapTLS,
			"@REALMS@", f.Realms, "@SUFFIX@", map[bool]string{true: "suffix"}[f.Realms != ""]).Replace(freeRADIUSConfig))
	}
	out, err := os.OpenFile(filepath.Join(f.dir, "stdout"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		f.t.Fatal(err)
	}
	defer out.Close()
	first := f.cmd == nil
	f.cmd, f.done = exec.Command("freeradius", "-f", "-d", f.dir, "-n", "radiusd"), make(chan struct{})
	f.cmd.Stdout, f.cmd.Stderr = out, out
	f.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := f.ns.Start(f.cmd); err != nil {
		f.t.Fatal(err)
	}
	go func(cmd *exec.Cmd, done chan struct{}) {
		cmd.Wait()
		close(done)
	}(f.cmd, f.done)
	if first {
		f.t.Cleanup(f.Kill)
	}
	for range 100 {
		if out, err := f.Radclient("127.0.0.1", f.Port, "status", "Message-Authenticator = 0x00"); err == nil && strings.Contains(out, "Received") {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	log, _ := os.ReadFile(filepath.Join(f.dir, "stdout"))
	more, _ := os.ReadFile(filepath.Join(f.dir, "radius.log"))
	f.t.Fatalf("interop: FreeRADIUS does not answer: %s\n%s", log, more)
}

// Kill ends the server without a goodbye.
func (f *FreeRADIUS) Kill() {
	syscall.Kill(-f.cmd.Process.Pid, syscall.SIGKILL)
	<-f.done
}

// Radclient sends a request with FreeRADIUS' client, from the server's namespace, and returns what it printed.
func (f *FreeRADIUS) Radclient(addr string, port int, verb, attributes string) (string, error) {
	return Radclient(f.ns, fmt.Sprintf("%s:%d", addr, port), verb, f.Secret, attributes)
}

// Radclient sends a request with FreeRADIUS' client and returns what it printed.
func Radclient(ns *netns.NS, addr, verb, secret, attributes string) (out string, err error) {
	ns.Do(func() {
		wait := "2"
		if verb == "coa" || verb == "disconnect" {
			wait = "1" // which must act within a second
		}
		cmd := exec.Command("radclient", "-x", "-t", wait, "-r", "2", addr, verb, secret)
		cmd.Stdin = strings.NewReader(attributes + "\n")
		var b []byte
		b, err = cmd.CombinedOutput()
		out = string(b)
	})
	return out, err
}

// DialUDP dials from the server's namespace; it fits radius.Client.Dial.
func (f *FreeRADIUS) DialUDP(ctx context.Context, network, addr string) (c net.Conn, err error) {
	f.ns.Do(func() { c, err = new(net.Dialer).DialContext(ctx, network, addr) })
	return c, err
}

func (f *FreeRADIUS) write(name, text string) {
	f.t.Helper()
	if err := os.WriteFile(filepath.Join(f.dir, name), []byte(text), 0o644); err != nil {
		f.t.Fatal(err)
	}
}

// In EAP-TLS, the name in the certificate must be the one that is claimed: so User-Name is proved in each method here.
const freeRADIUSEAPTLS = `		tls-config common {
			private_key_file = @KEY@
			certificate_file = @CERT@
			ca_file = @CA@
			tls_min_version = "1.2"
			tls_max_version = "1.3"
			check_cert_cn = "%{User-Name}"
		}
		tls {
			tls = common
		}
		tls-config tunnel {
			private_key_file = @KEY@
			certificate_file = @CERT@
			ca_file = @CA@
			tls_min_version = "1.2"
			tls_max_version = "1.2"
		}
		peap {
			tls = tunnel
			default_eap_type = mschapv2
			virtual_server = default
		}
`

const freeRADIUSConfig = `prefix = /usr
logdir = @DIR@
run_dir = @DIR@
libdir = /usr/lib/freeradius
pidfile = @DIR@/radiusd.pid
max_request_time = 30
cleanup_delay = 5
max_requests = 16384
hostname_lookups = no
log {
	destination = files
	file = @DIR@/radius.log
	auth = no
}
security {
	allow_core_dumps = no
	max_attributes = 200
	reject_delay = 0
	status_server = yes
}
thread pool {
	start_servers = 2
	max_servers = 8
	min_spare_servers = 1
	max_spare_servers = 4
}
client local {
	ipaddr = 127.0.0.0/8
	secret = @SECRET@
	require_message_authenticator = yes
}
modules {
	realm suffix {
		format = suffix
		delimiter = "@"
	}
	files {
		filename = @DIR@/users
	}
	pap {
	}
	chap {
	}
	mschap {
		use_mppe = @MPPE@
		require_encryption = @MPPE@
		require_strong = @MPPE@
	}
	detail {
		filename = @DIR@/log/detail
		permissions = 0600
	}
	eap {
		default_eap_type = mschapv2
		timer_expire = 60
		ignore_unknown_eap_types = no
		max_sessions = 4096
		md5 {
		}
		mschapv2 {
		}
@TLS@
	}
}
server default {
	listen {
		type = auth
		ipaddr = 127.0.0.1
		port = @PORT@
	}
	listen {
		type = acct
		ipaddr = 127.0.0.1
		port = @ACCT@
	}
	authorize {
		@SUFFIX@
		files
		chap
		mschap
		eap {
			ok = return
		}
		pap
	}
	authenticate {
		Auth-Type PAP {
			pap
		}
		Auth-Type CHAP {
			chap
		}
		Auth-Type MS-CHAP {
			mschap
		}
		eap
	}
	preacct {
		@SUFFIX@
	}
	accounting {
		detail
	}
	post-auth {
@REPLY@
		Post-Auth-Type REJECT {
@REPLY@
		}
	}
}
@REALMS@
`
