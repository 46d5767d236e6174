package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const benchPassword = "carry"

// setup fills a directory with what systems need: programs, a certificate, accounts.
func setup(dir string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "bench"}, IPAddresses: []net.IP{net.ParseIP(outerServer)}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	for name, b := range map[string][]byte{
		"cert.pem": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		"key.pem":  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}),
		"users":    []byte("bench:" + benchPassword + "\n"),
		"password": []byte(benchPassword + "\n"),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			return err
		}
	}
	me, err := os.Executable()
	if err != nil {
		return err
	}
	if err := os.Symlink(me, filepath.Join(dir, "bench")); err != nil {
		return err
	}
	return build(".", dir)
}

// build builds sstpd and sstpc, and what else is named, from the source in a directory.
func build(source, dir string, more ...string) error {
	const examples = "github.com/dialway/dialway/examples/"
	cmd := exec.Command("go", append([]string{"build", "-o", dir + "/", examples + "sstpd", examples + "sstpc"}, more...)...)
	cmd.Dir = source
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return nil
}

// machine describes what this runs on.
func machine() string {
	model := "unknown processor"
	b, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(b)) {
		if _, v, ok := strings.Cut(line, "model name\t: "); ok {
			model = strings.TrimSpace(v)
			break
		}
	}
	var u unix.Utsname
	unix.Uname(&u)
	release, _, _ := bytes.Cut(u.Release[:], []byte{0})
	return fmt.Sprintf("%d x %s, Linux %s, %s", runtime.NumCPU(), model, release, runtime.Version())
}
