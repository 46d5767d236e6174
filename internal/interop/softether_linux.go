package interop

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
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

// A SoftEther is SoftEther's VPN server in a namespace, with one hub, one user and a NAT of its own. Servers are reached
// without the NAT at Tap, on the hub's network.
type SoftEther struct {
	Port           int
	User, Password string
	Gateway        string // the hub's own address, /24
	Tap            string // an address of the namespace on the hub's network
	CA             string // file: its certificate, for the name sstp.test

	t    testing.TB
	ns   *netns.NS
	dir  string
	cmd  *exec.Cmd
	done chan struct{}
}

const softEtherProgram = "/usr/libexec/softether/vpnserver/vpnserver"

// StartSoftEther starts the server in ns.
func StartSoftEther(t testing.TB, ns *netns.NS) *SoftEther {
	t.Helper()
	Need(t, softEtherProgram+":softether-vpnserver", "vpncmd:softether-vpncmd", "openssl:openssl", "unshare:util-linux")
	s := &SoftEther{
		Port: 443, User: "alice", Password: "secret", Gateway: "192.168.30.1", Tap: "192.168.30.254",
		t: t, ns: ns, dir: scratch(t), done: make(chan struct{}),
	}
	s.CA = filepath.Join(s.dir, "server.crt")
	for _, d := range []string{"lib", "log", "run", "bin"} {
		if err := os.MkdirAll(filepath.Join(s.dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	// The server's data directories are compiled in; here they are mount points only.
	for _, d := range []string{"/var/lib/softether", "/var/log/softether", "/run/softether"} {
		os.MkdirAll(d, 0o755)
	}
	if out, err := exec.Command("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "3650", "-subj", "/CN=sstp.test",
		"-addext", "subjectAltName=DNS:sstp.test", "-addext", "basicConstraints=critical,CA:TRUE",
		"-keyout", filepath.Join(s.dir, "server.key"), "-out", s.CA).CombinedOutput(); err != nil {
		t.Fatalf("interop: openssl: %v\n%s", err, out)
	}
	s.write("lib/vpn_server.config", softEtherConfig)
	program, err := os.ReadFile(softEtherProgram)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.dir, "bin/vpnserver"), repairSoftEther(program), 0o755); err != nil {
		t.Fatal(err)
	}
	data, err := filepath.EvalSymlinks(filepath.Join(filepath.Dir(softEtherProgram), "hamcore.se2"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(data, filepath.Join(s.dir, "bin/hamcore.se2")); err != nil {
		t.Fatal(err)
	}
	s.cmd = exec.Command("unshare", "-m", "--propagation", "private", "sh", "-c", `
		mount --bind "$1/lib" /var/lib/softether
		mount --bind "$1/log" /var/log/softether
		mount --bind "$1/run" /run/softether
		exec "$1/bin/vpnserver" execsvc`, "sh", s.dir)
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := os.Create(filepath.Join(s.dir, "stdout"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	s.cmd.Stdout, s.cmd.Stderr = out, out
	if err := ns.Start(s.cmd); err != nil {
		t.Fatal(err)
	}
	go func() {
		s.cmd.Wait()
		close(s.done)
	}()
	t.Cleanup(s.stop)
	s.await()
	s.setUp()
	return s
}

func (s *SoftEther) write(name, text string) {
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

// stop ends the server and its child, which serves, by their process group.
func (s *SoftEther) stop() {
	syscall.Kill(-s.cmd.Process.Pid, syscall.SIGTERM)
	select {
	case <-s.done:
	case <-time.After(5 * time.Second):
	}
	syscall.Kill(-s.cmd.Process.Pid, syscall.SIGKILL)
	<-s.done
}

// await waits until the port answers.
func (s *SoftEther) await() {
	s.t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		ok := false
		s.ns.Do(func() {
			if c, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", s.Port), time.Second); err == nil {
				c.Close()
				ok = true
			}
		})
		if ok {
			return
		}
	}
	b, _ := os.ReadFile(filepath.Join(s.dir, "stdout"))
	s.t.Fatalf("interop: SoftEther does not answer: %s", b)
}

// Command runs vpncmd commands, a line each.
func (s *SoftEther) Command(lines ...string) (string, error) {
	s.write("commands", strings.Join(lines, "\n")+"\n")
	return s.ns.Try("vpncmd", fmt.Sprintf("127.0.0.1:%d", s.Port), "/SERVER", "/PASSWORD:", "/IN:"+filepath.Join(s.dir, "commands"))
}

func (s *SoftEther) setUp() {
	s.t.Helper()
	network := strings.TrimSuffix(s.Gateway, ".1")
	var out string
	var err error
	for range 5 { // it answers before it can do all of it
		out, err = s.Command(
			"ServerCertSet /LOADCERT:"+s.CA+" /LOADKEY:"+filepath.Join(s.dir, "server.key"),
			"SstpEnable yes",
			"KeepDisable",
			"HubCreate VPN /PASSWORD:none",
			"Hub VPN",
			"ExtOptionSet DisableKernelModeSecureNAT /VALUE:1",
			"ExtOptionSet DisableIpRawModeSecureNAT /VALUE:1",
			"UserCreate "+s.User+" /GROUP:none /REALNAME:none /NOTE:none",
			"UserPasswordSet "+s.User+" /PASSWORD:"+s.Password,
			"SecureNatHostSet /MAC:none /IP:"+s.Gateway+" /MASK:255.255.255.0",
			"DhcpSet /START:"+network+".10 /END:"+network+".200 /MASK:255.255.255.0 /EXPIRE:7200 /GW:"+s.Gateway+" /DNS:"+s.Gateway+" /DNS2:none /DOMAIN:vpn.test /LOG:no",
			"SecureNatEnable",
			"BridgeCreate VPN /DEVICE:sstp /TAP:yes",
			"LogDisable security",
			"LogDisable packet")
		if err == nil {
			break
		}
		time.Sleep(time.Second)
	}
	if err != nil {
		s.t.Fatalf("interop: set SoftEther up: %v\n%s", err, last(out, 3000))
	}
	for range 50 {
		if _, err := s.ns.Try("ip", "link", "show", "tap_sstp"); err == nil {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	s.ns.Run("ip", "addr", "add", s.Tap+"/24", "dev", "tap_sstp")
	s.ns.Run("ip", "link", "set", "tap_sstp", "up")
}

// softEtherConfig is known before the first start: one port, and nothing that calls home.
const softEtherConfig = `# Software Configuration File
declare root
{
	declare DDnsClient
	{
		bool Disabled true
	}
	declare ListenerList
	{
		declare Listener0
		{
			bool DisableDos true
			bool Enabled true
			uint Port 443
		}
	}
	declare ServerConfiguration
	{
		bool DisableNatTraversal true
		bool DisableDosProtection true
		bool DisableDeadLockCheck true
		bool DisableGetHostNameWhenAcceptTcp true
		bool DisableIntelAesAcceleration false
		bool DontBackupConfig true
		string UsernameHubSeparator @
	}
}
`

// repairSoftEther mends a copy of Debian's program (5.01.9674), which cannot serve SSTP: ProtoHandleConnection looks a
// protocol up and then forgets what it found, so that the compiler made "return false" of it. The loop is written anew in
// the place of the old one; any other build is returned as it is.
func repairSoftEther(program []byte) []byte {
	old := unhex("488b470831db4889c24885c07528eb3190488b521089d84889ee488b04c2488b38e8")
	i := bytes.Index(program, old)
	if i < 0 || bytes.Contains(program[i+1:], old) {
		return program
	}
	j, fail, found := i+len(old), i+0x41, i+0xa2
	if !bytes.Equal(program[j+4:fail], unhex("85c07417498b570883c3014885d2740b3b5a0872d6660f1f440000")) ||
		!bytes.Equal(program[fail:fail+2], unhex("31c0")) || !bytes.Equal(program[found:found+8], unhex("4c8b7010488b6808")) {
		return program
	}
	compare := j + 4 + int(int32(binary.LittleEndian.Uint32(program[j:])))
	// for n := 0; n < count(protocols); n++ { if name(protocols[n]) == name { container = protocols[n]; goto found } }
	p := unhex("4531e4498b5708443b6208")
	p = append(p, 0x73, byte(fail-(i+len(p)+2)))
	p = append(p, unhex("488b52104a8b3ce2488b3f4889ee")...)
	p = append(p, 0xe8)
	p = binary.LittleEndian.AppendUint32(p, uint32(int32(compare-(i+len(p)+4))))
	p = append(p, unhex("41ffc485c0")...)
	p = append(p, 0x75, byte(3-(len(p)+2)))
	p = append(p, unhex("498b5708488b52104a8b44e2f84989c4")...)
	p = append(p, 0xeb, byte(found-(i+len(p)+2)))
	mended := bytes.Clone(program)
	copy(mended[i:], p)
	return mended
}

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}
