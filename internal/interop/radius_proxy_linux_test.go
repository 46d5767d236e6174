package interop

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/dialway/dialway/internal/mschap"
	"github.com/dialway/dialway/internal/netns"
)

// TestRADIUSProxies has examples/radiusd, FreeRADIUS and radsecproxy stand in front of each other, all in one namespace:
//
//	radclient, eapol_test ──▶ radiusd, proxy ─┬─────────────────────▶ FreeRADIUS      alice@fr, and by RadSec alice@frs
//	                                          └─RadSec─▶ radsecproxy ─▶ FreeRADIUS      alice@rsp
//	                      ──▶ FreeRADIUS ──────┬──────────────────────▶ radiusd, home   alice@ours, and by RadSec alice@sealed
//	                      ──▶ radsecproxy ─────RadSec─────────────────▶ radiusd, home   alice@ours
//
// By each way every method, and accounting: with the right password, with a wrong one, and with the keys that the asker
// computes for himself.
func TestRADIUSProxies(t *testing.T) {
	t.Parallel()
	Need(t, "eapol_test:eapoltest")
	ns, dir := netns.New(t), t.TempDir()
	pki := newEAPPKI(t, dir, "proxy.test")
	// Of EAP-TLS: both servers look whether the certificate is the user's who says he is there.
	users := make(map[string]eapPKI)
	authorities := ""
	for _, name := range []string{"alice@ours", "alice@fr", "alice@frs", "alice@rsp"} {
		users[name] = newEAPPKI(t, t.TempDir(), name)
		b, err := os.ReadFile(users[name].ca)
		if err != nil {
			t.Fatal(err)
		}
		authorities += string(b)
	}
	userCA, server := writeFile(t, filepath.Join(dir, "users-ca.pem"), authorities), users["alice@ours"]
	files := strings.NewReplacer("@DIR@", dir, "@CA@", pki.ca, "@CERT@", pki.cert, "@KEY@", pki.key, "@SCERT@", pki.serverFiles[0], "@SKEY@", pki.serverFiles[1],
		"@UCA@", userCA, "@ECERT@", server.serverFiles[0], "@EKEY@", server.serverFiles[1])

	f := NewFreeRADIUS(t, ns, 1812)
	f.Realms = files.Replace(freeRADIUSRealms)
	f.TLS = [3]string{userCA, server.serverFiles[0], server.serverFiles[1]}
	for _, name := range []string{"alice", "alice@fr", "alice@frs", "alice@rsp"} {
		f.Users += name + " Cleartext-Password := \"secret\"\n\tReply-Message = \"by FreeRADIUS\",\n\tTunnel-Type = L2TP,\n\tTunnel-Password = \"tunnel secret\"\n"
	}
	f.Start()
	writeFile(t, filepath.Join(dir, "accounts"), `{"user":"alice","secret":"clear:secret","message":"by radiusd"}`+"\n")
	config := func(name, text string) string { return writeFile(t, filepath.Join(dir, name), files.Replace(text)) }
	home := StartProgram(t, ns, "radiusd", "-v", "-config", config("home.toml", homeConfig))
	proxy := StartProgram(t, ns, "radiusd", "-v", "-config", config("proxy.toml", proxyConfig))
	home.Await(20*time.Second, "ready", 1)
	proxy.Await(20*time.Second, "ready", 1)
	rsp := startRadsecproxy(t, ns, dir, files.Replace(radsecproxyConfig))
	rsp.Await(20*time.Second, "TLS", 1)

	for _, x := range []struct {
		name, addr, user, answers string
		cut                       bool // the name arrives without its realm
	}{
		{"our proxy before FreeRADIUS", "127.0.0.1:1832", "alice@fr", "by FreeRADIUS", true},
		{"our proxy before FreeRADIUS, by RadSec", "127.0.0.1:1832", "alice@frs", "by FreeRADIUS", true},
		{"our proxy before radsecproxy", "127.0.0.1:1832", "alice@rsp", "by FreeRADIUS", false},
		{"FreeRADIUS' proxy before ours", "127.0.0.1:1812", "alice@ours", "by radiusd", true},
		{"FreeRADIUS' proxy before ours, by RadSec", "127.0.0.1:1812", "alice@sealed", "by radiusd", true},
		{"radsecproxy before ours", "127.0.0.1:1842", "alice@ours", "by radiusd", false},
	} {
		t.Run(x.name, func(t *testing.T) {
			hashed := x.user
			if x.cut {
				hashed = "alice"
			}
			right, send, recv := mschapAttributes(t, hashed, "secret")
			wrong, _, _ := mschapAttributes(t, hashed, "wrong")
			who := fmt.Sprintf(`User-Name = "%s", NAS-Identifier = "nas", Message-Authenticator = 0x00, Proxy-State = 0x6f6e65, Proxy-State = 0x74776f, `, x.user)
			for _, y := range []struct {
				name, attributes string
				want             []string
			}{
				{"PAP", `User-Password = "secret"`, []string{"Access-Accept", x.answers}},
				{"PAP, wrong", `User-Password = "wrong"`, []string{"Access-Reject"}},
				{"CHAP", `CHAP-Password = "secret"`, []string{"Access-Accept", x.answers}},
				{"CHAP, wrong", `CHAP-Password = "wrong"`, []string{"Access-Reject"}},
				{"MS-CHAPv2", right, []string{"Access-Accept", x.answers, "MS-CHAP2-Success", "MS-MPPE-Send-Key = 0x" + send, "MS-MPPE-Recv-Key = 0x" + recv}},
				{"MS-CHAPv2, wrong", wrong, []string{"Access-Reject", "E=691"}},
			} {
				out, _ := Radclient(ns, x.addr, "auth", "testing123", who+y.attributes)
				for _, want := range append(y.want, `Proxy-State = 0x6f6e65\s+Proxy-State = 0x74776f`) {
					if !regexp.MustCompile(want).MatchString(received(out)) {
						t.Errorf("%s: no %s:\n%s", y.name, want, out)
					}
				}
				if strings.Count(received(out), "Proxy-State") != 2 {
					t.Errorf("%s: another's Proxy-State:\n%s", y.name, out)
				}
				if x.answers == "by FreeRADIUS" && y.want[0] == "Access-Accept" && !strings.Contains(received(out), `Tunnel-Password:0 = "tunnel secret"`) {
					t.Errorf("%s: no Tunnel-Password:\n%s", y.name, out)
				}
			}
			for password, want := range map[string]bool{"secret": true, "wrong": false} {
				out, err := eapolTest(t, ns, dir, x.addr, fmt.Sprintf("eap=MSCHAPV2\nidentity=%q\npassword=%q", x.user, password))
				if (err == nil) != want || want && !strings.Contains(out, "MPPE keys OK: 1") {
					t.Errorf("EAP-MSCHAPv2 with %s: %v\n%s", password, err, last(out, 4000))
				}
			}
			if user, ok := users[x.user]; ok {
				out, err := eapolTest(t, ns, dir, x.addr, fmt.Sprintf("eap=TLS\nidentity=%q\nca_cert=%q\nclient_cert=%q\nprivate_key=%q", x.user, server.ca, user.cert, user.key))
				if err != nil || !strings.Contains(out, "MPPE keys OK: 1") {
					t.Errorf("EAP-TLS: %v\n%s", err, last(out, 4000))
				}
			}
			host, port, _ := strings.Cut(x.addr, ":")
			if port != "1842" {
				port = port[:3] + "3" // radsecproxy has one port for both
			}
			session := "session of " + x.name
			out, _ := Radclient(ns, host+":"+port, "acct", "testing123", fmt.Sprintf(`User-Name = "%s", NAS-Identifier = "nas", Acct-Session-Id = "%s", Acct-Status-Type = Start`, x.user, session))
			if !strings.Contains(received(out), "Accounting-Response") {
				t.Errorf("accounting:\n%s", out)
			}
			file := f.Detail
			if x.answers == "by radiusd" {
				file = filepath.Join(dir, "accounting.jsonl")
			}
			if b, _ := os.ReadFile(file); !strings.Contains(string(b), session) {
				t.Errorf("accounting is not in %s:\n%s", file, last(string(b), 2000))
			}
		})
	}
	t.Run("radsecproxy started again", func(t *testing.T) {
		rsp.Kill()
		time.Sleep(100 * time.Millisecond)
		startRadsecproxy(t, ns, dir, files.Replace(radsecproxyConfig)).Await(20*time.Second, "TLS", 1)
		for _, x := range [][2]string{{"127.0.0.1:1832", "alice@rsp"}, {"127.0.0.1:1842", "alice@ours"}} {
			out, _ := Radclient(ns, x[0], "auth", "testing123", fmt.Sprintf(`User-Name = "%s", Message-Authenticator = 0x00, User-Password = "secret"`, x[1]))
			if !strings.Contains(received(out), "Access-Accept") {
				t.Errorf("%s:\n%s", x[1], out)
			}
		}
	})
}

// startRadsecproxy runs Debian's radsecproxy with a configuration, in ns.
func startRadsecproxy(t *testing.T, ns *netns.NS, dir, config string) *Program {
	t.Helper()
	Need(t, "radsecproxy:radsecproxy")
	file := writeFile(t, filepath.Join(dir, "radsecproxy.conf"), config)
	p := startCommand(t, ns, "radsecproxy", exec.Command("radsecproxy", "-f", "-d", "2", "-c", file, "-i", filepath.Join(dir, "radsecproxy.pid")))
	return p
}

// received is what radclient printed of the reply.
func received(out string) string {
	_, reply, _ := strings.Cut(out, "\nReceived ")
	return reply
}

// mschapAttributes makes radclient's attributes of MS-CHAPv2, and the keys that must come back for them.
func mschapAttributes(t *testing.T, user, password string) (attributes, send, recv string) {
	t.Helper()
	hash, err := mschap.NTPasswordHash(password)
	if err != nil {
		t.Fatal(err)
	}
	var challenge, peer [16]byte
	rand.Read(challenge[:])
	rand.Read(peer[:])
	nt := mschap.NTResponse(challenge, peer, user, hash)
	s, r := mschap.StartKeys(mschap.MasterKey(mschap.HashHash(hash), nt), true)
	response := append(append(append([]byte{7, 0}, peer[:]...), make([]byte, 8)...), nt[:]...)
	return fmt.Sprintf("MS-CHAP-Challenge = 0x%x, MS-CHAP2-Response = 0x%x", challenge, response), hex.EncodeToString(s[:]), hex.EncodeToString(r[:])
}

// eapolTest asks by EAP with hostapd's eapol_test, which compares its keys with those that came.
func eapolTest(t *testing.T, ns *netns.NS, dir, addr, method string) (out string, err error) {
	t.Helper()
	conf := writeFile(t, filepath.Join(dir, "eapol.conf"), "network={\nkey_mgmt=IEEE8021X\n"+method+"\n}\n")
	host, port, _ := strings.Cut(addr, ":")
	ns.Do(func() {
		var b []byte
		b, err = exec.Command("eapol_test", "-c", conf, "-a", host, "-p", port, "-s", "testing123", "-t", "10").CombinedOutput()
		out = string(b)
	})
	return out, err
}

const homeConfig = `listen = ["127.0.0.1:1822", "127.0.0.1:1823"]
accounts = "accounts"
accounting = "accounting.jsonl"
[eap]
methods = ["mschapv2", "tls"]
certificate = "@ECERT@"
key = "@EKEY@"
ca = "@UCA@"
[radsec]
listen = "127.0.0.1:2083"
certificate = "@SCERT@"
key = "@SKEY@"
ca = "@CA@"
names = ["proxy.test"]
[[client]]
prefix = "127.0.0.1"
secret = "of the home server"
[[realm]]
name = "ours"
[[realm]]
name = "sealed"
`

const proxyConfig = `listen = ["127.0.0.1:1832", "127.0.0.1:1833"]
[[client]]
prefix = "127.0.0.1"
secret = "testing123"
[[home]]
name = "fr"
address = "127.0.0.1:1812"
secret = "testing123"
[[home]]
name = "frs"
address = "127.0.0.1:2085"
radsec = true
ca = "@CA@"
certificate = "@CERT@"
key = "@KEY@"
server-name = "radius.test"
[[home]]
name = "rsp"
address = "127.0.0.1:2084"
radsec = true
ca = "@CA@"
certificate = "@CERT@"
key = "@KEY@"
server-name = "radius.test"
[[realm]]
name = "fr"
home = "fr"
strip = true
[[realm]]
name = "frs"
home = "frs"
strip = true
[[realm]]
name = "rsp"
home = "rsp"
`

// It is a client of radiusd by RadSec, and a server of it by RadSec before FreeRADIUS.
const radsecproxyConfig = `ListenUDP 127.0.0.1:1842
ListenTLS 127.0.0.1:2084
LogLevel 2
tls default {
	CACertificateFile @CA@
	CertificateFile @CERT@
	CertificateKeyFile @KEY@
}
tls server {
	CACertificateFile @CA@
	CertificateFile @SCERT@
	CertificateKeyFile @SKEY@
}
client nas {
	host 127.0.0.1
	type udp
	secret testing123
}
client proxy {
	host 127.0.0.1
	type tls
	secret radsec
	tls server
	certificateNameCheck off
}
server ours {
	host 127.0.0.1
	port 2083
	type tls
	secret radsec
	tls default
	certificateNameCheck off
	statusServer on
}
server fr {
	host 127.0.0.1
	port 1812
	type udp
	secret testing123
}
server fracct {
	host 127.0.0.1
	port 1813
	type udp
	secret testing123
}
realm ours {
	server ours
	accountingServer ours
}
realm rsp {
	server fr
	accountingServer fracct
}
`

// It passes two realms on to radiusd, and takes RadSec itself.
const freeRADIUSRealms = `
home_server ours {
	type = auth
	ipaddr = 127.0.0.1
	port = 1822
	secret = "of the home server"
	status_check = status-server
}
home_server oursacct {
	type = acct
	ipaddr = 127.0.0.1
	port = 1823
	secret = "of the home server"
}
home_server sealed {
	type = auth+acct
	ipaddr = 127.0.0.1
	port = 2083
	proto = tcp
	secret = radsec
	tls {
		private_key_file = @KEY@
		certificate_file = @CERT@
		ca_file = @CA@
		fragment_size = 8192
		tls_min_version = "1.2"
		tls_max_version = "1.2"
	}
}
home_server_pool ours {
	home_server = ours
}
home_server_pool oursacct {
	home_server = oursacct
}
home_server_pool sealed {
	home_server = sealed
}
realm ours {
	auth_pool = ours
	acct_pool = oursacct
}
realm sealed {
	auth_pool = sealed
	acct_pool = sealed
}
clients radsec {
	client sealed {
		ipaddr = 127.0.0.1
		proto = tls
		secret = radsec
	}
}
listen {
	type = auth+acct
	ipaddr = 127.0.0.1
	port = 2085
	proto = tcp
	clients = radsec
	virtual_server = default
	tls {
		private_key_file = @SKEY@
		certificate_file = @SCERT@
		ca_file = @CA@
		fragment_size = 8192
		tls_min_version = "1.2"
		tls_max_version = "1.2"
		require_client_cert = yes
	}
}
`
