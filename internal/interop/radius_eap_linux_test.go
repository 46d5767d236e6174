package interop

import (
	"context"
	"crypto/tls"
	"errors"
	"net/netip"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dialway/dialway/internal/netns"
	"github.com/dialway/dialway/ppp"
	"github.com/dialway/dialway/ppp/eap"
	"github.com/dialway/dialway/radius"
)

// TestFreeRADIUSEAP passes EAP through to FreeRADIUS; the session binds with the keys that come by RADIUS.
func TestFreeRADIUSEAP(t *testing.T) {
	t.Parallel()
	f := NewFreeRADIUS(t, netns.New(t), 1812)
	f.Users = aliceInFreeRADIUS
	f.Start()
	for _, trust := range []bool{false, true} {
		c := client(t, f)
		c.Targets[0].TrustUserName = trust
		v := newRadiusVPN(t, c, nil, ppp.EAP)
		dial := func(password ppp.Secret) (*ppp.Conn, error) {
			ctx, cancel := context.WithTimeout(context.Background(), 40*time.Second)
			defer cancel()
			peer := &eap.Peer{Methods: []eap.PeerMethod{&eap.MSCHAPv2{User: "alice", Password: password}}}
			return v.Dialer(&ppp.Config{User: "alice", Password: password, EAP: peer.Respond}).DialContext(ctx, v.Addr())
		}
		link, err := dial("secret")
		if err != nil {
			t.Fatalf("%v; the server: %v", err, v.lastError())
		}
		s := v.session()
		if s == nil || s.Info().Auth != ppp.EAP || (s.Info().User == "alice") != trust {
			t.Errorf("trust %v: %+v", trust, link.Info())
		}
		link.Close()
		if _, err := dial("wrong"); err == nil || !errors.As(v.lastError(), new(*ppp.AuthError)) {
			t.Errorf("a wrong password: %v; the server: %v", err, v.lastError())
		}
	}
}

// TestRADIUSServerEAP has hostapd's eapol_test ask this library's server. It compares its keys with those in the
// Access-Accept.
func TestRADIUSServerEAP(t *testing.T) {
	t.Parallel()
	Need(t, "eapol_test:eapoltest", "openssl:openssl")
	ns, dir := netns.New(t), t.TempDir()
	certFile, keyFile := certificate(t, dir, "sstp.test")
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	pki := newEAPPKI(t, dir, "alice")
	versions := make(chan uint16, 2) // of TLS, of EAP-TLS conversations whose handshake was verified
	srv := &radius.Server{
		Clients: radius.Secrets{netip.MustParsePrefix("127.0.0.0/8"): "testing123"}.Find,
		Authenticator: &eap.Authenticator{
			Methods: []eap.Method{
				&eap.PEAP{Config: &tls.Config{Certificates: []tls.Certificate{cert}}, Inner: &eap.MSCHAPv2{}},
				&eap.MSCHAPv2{},
				&eap.TLS{Config: &tls.Config{
					Certificates: []tls.Certificate{pki.server}, ClientCAs: pki.roots,
					VerifyConnection: func(cs tls.ConnectionState) error {
						versions <- cs.Version
						return nil
					},
				}},
			},
			Next: ppp.PasswordFunc(func(ctx context.Context, user string) (ppp.Secret, error) {
				if user != "alice" {
					return "", ppp.ErrNoUser
				}
				return "secret", nil
			}),
		},
	}
	go srv.Serve(listenUDP(t, ns, "127.0.0.1:1812"))
	t.Cleanup(func() { srv.Close() })
	inTLS := func(phase1, cert, key string) string {
		return "eap=TLS\nphase1=\"" + phase1 + "\"\nca_cert=\"" + pki.ca + "\"\nclient_cert=\"" + cert + "\"\nprivate_key=\"" + key + "\""
	}
	const only12, only13 = "tls_disable_tlsv1_3=1", "tls_disable_tlsv1_3=0"
	for _, x := range []struct {
		name, method, password string
		right                  bool
		version                uint16
	}{
		{name: "MSCHAPv2", method: "eap=MSCHAPV2", password: "secret", right: true},
		{name: "MSCHAPv2, wrong", method: "eap=MSCHAPV2", password: "wrong"},
		{name: "PEAP", method: "eap=PEAP\nanonymous_identity=\"nobody\"\nphase1=\"crypto_binding=2\"\nphase2=\"auth=MSCHAPV2\"\nca_cert=\"" + certFile + "\"", password: "secret", right: true},
		{name: "PEAP, wrong", method: "eap=PEAP\nphase2=\"auth=MSCHAPV2\"\nca_cert=\"" + certFile + "\"", password: "wrong"},
		{name: "TLS 1.2", method: inTLS(only12, pki.cert, pki.key), right: true, version: tls.VersionTLS12},
		{name: "TLS 1.3", method: inTLS(only13, pki.cert, pki.key), right: true, version: tls.VersionTLS13},
		// Small fragments, both ways: the certificates do not fit into one.
		{name: "TLS 1.3, fragments", method: inTLS(only13, pki.cert, pki.key) + "\nfragment_size=200", right: true, version: tls.VersionTLS13},
		{name: "TLS 1.2, a stranger's certificate", method: inTLS(only12, pki.other, pki.otherKey)},
		{name: "TLS 1.3, a stranger's certificate", method: inTLS(only13, pki.other, pki.otherKey)},
	} {
		conf := writeFile(t, filepath.Join(dir, "eapol.conf"), "network={\nkey_mgmt=IEEE8021X\nidentity=\"alice\"\npassword=\""+x.password+"\"\n"+x.method+"\n}\n")
		var out []byte
		ns.Do(func() {
			out, err = exec.Command("eapol_test", "-c", conf, "-a", "127.0.0.1", "-p", "1812", "-s", "testing123", "-t", "10").CombinedOutput()
		})
		if (err == nil) != x.right || x.right && !strings.Contains(string(out), "MPPE keys OK: 1") {
			t.Errorf("%s: %v\n%s", x.name, err, last(string(out), 4000))
		}
		var version uint16
		select {
		case version = <-versions:
		default:
		}
		if version != x.version {
			t.Errorf("%s: verified in %s, want %s", x.name, tls.VersionName(version), tls.VersionName(x.version))
		}
	}
}
