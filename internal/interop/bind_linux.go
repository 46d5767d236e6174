package interop

import (
	"encoding/base64"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dialway/dialway/internal/netns"
)

// BIND is named, primary for zones that take updates signed with its key.
type BIND struct {
	*Program
	NS      *netns.NS
	Addr    string
	KeyFile string // as tsig-keygen writes it, for nsupdate -k and for our programs: hmac-sha256
	Key512  string // of hmac-sha512
	t       testing.TB
}

// StartBIND starts named on addr, which ns has, with empty zones.
func StartBIND(t testing.TB, ns *netns.NS, addr string, zones ...string) *BIND {
	t.Helper()
	Need(t, "named:bind9", "nsupdate:bind9-dnsutils", "dig:bind9-dnsutils")
	dir := scratch(t)
	b := &BIND{NS: ns, Addr: addr, KeyFile: filepath.Join(dir, "ddns.key"), t: t}
	b.Key512 = filepath.Join(dir, "ddns512.key")
	WriteKey(t, b.KeyFile, "ddns-key", "hmac-sha256", "interop key, 32 bytes of nothing!")
	WriteKey(t, b.Key512, "ddns-key-512", "hmac-sha512", "interop key, 64 bytes of nothing, or somewhat more than they are!")
	conf := fmt.Sprintf("include %q;\n", b.Key512) + fmt.Sprintf(`include %q;
options {
	directory %q;
	pid-file none;
	session-keyfile none;
	managed-keys-directory %[2]q;
	listen-on { %[3]s; };
	listen-on-v6 { none; };
	recursion no;
	dnssec-validation no;
	empty-zones-enable no;
	notify no;
};
controls { };
logging {
	channel out { stderr; severity info; print-category yes; };
	category default { out; };
	category update { out; };
	category update-security { out; };
};
`, b.KeyFile, dir, addr)
	for _, z := range zones {
		file := filepath.Join(dir, z)
		text := fmt.Sprintf("$TTL 60\n@ IN SOA ns.%[1]s. admin.%[1]s. 1 3600 600 86400 60\n@ IN NS ns.%[1]s.\n", zones[0])
		if z == zones[0] {
			text += "ns IN A " + addr + "\n"
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		conf += fmt.Sprintf("zone %q { type primary; file %q; update-policy { grant ddns-key zonesub ANY; grant ddns-key-512 zonesub ANY; }; };\n", z, file)
	}
	config := configFile(t, dir, conf)
	b.Program = startCommand(t, ns, "named", exec.Command("named", "-f", "-n", "1", "-c", config))
	b.Await(10*time.Second, "running", 1)
	return b
}

// WriteKey writes a key to a file.
func WriteKey(t testing.TB, file, name, algorithm, secret string) {
	t.Helper()
	text := fmt.Sprintf("key %q {\n\talgorithm %s;\n\tsecret %q;\n};\n", name, algorithm, base64.StdEncoding.EncodeToString([]byte(secret)))
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Dig returns what dig +short prints.
func (b *BIND) Dig(args ...string) string {
	b.t.Helper()
	out := b.NS.Run("dig", append([]string{"+short", "+time=2", "+tries=2", "@" + b.Addr}, args...)...)
	return strings.Join(strings.Fields(out), " ")
}

// Update has nsupdate do what lines say.
func (b *BIND) Update(lines ...string) {
	b.t.Helper()
	cmd := exec.Command("nsupdate", "-k", b.KeyFile)
	cmd.Stdin = strings.NewReader("server " + b.Addr + "\n" + strings.Join(lines, "\n") + "\nsend\n")
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := b.NS.Start(cmd); err != nil {
		b.t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		b.t.Fatalf("interop: nsupdate %q: %v\n%s", lines, err, out.String())
	}
}

// Look is what dig finds of a name and of addresses, in one line.
func (b *BIND) Look(name string, addrs ...string) string {
	b.t.Helper()
	list := []string{b.Dig(name, "A"), b.Dig(name, "AAAA")}
	for _, a := range addrs {
		list = append(list, b.Dig("-x", a))
	}
	return strings.Join(list, "|")
}

// AwaitLook waits until Look finds what is wanted.
func (b *BIND) AwaitLook(timeout time.Duration, want, name string, addrs ...string) {
	b.t.Helper()
	for end := time.Now().Add(timeout); ; {
		got := b.Look(name, addrs...)
		if got == want {
			return
		}
		if time.Now().After(end) {
			b.t.Errorf("interop: after %v DNS has %q, want %q", timeout, got, want)
			return
		}
	}
}
