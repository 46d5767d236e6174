package cli

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dialway/dialway/ppp"
	"github.com/dialway/dialway/sstp"
)

var silent = slog.New(slog.DiscardHandler)

func dialer(t *testing.T, args ...string) (*sstp.Dialer, error) {
	t.Helper()
	var c Client
	fs := Flags("test", "usage", io.Discard)
	c.Register(fs)
	if err := Parse(fs, args); err != nil {
		return nil, err
	}
	var p Problems
	d := c.Dialer(&p, silent)
	return d, p.Err()
}

func file(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestClientFlags(t *testing.T) {
	cert, err := SelfSigned("vpn.example.com", "192.0.2.1")
	if err != nil {
		t.Fatal(err)
	}
	ca := file(t, "ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]})))
	pw := file(t, "pw", " with: spaces \r\nnot this\n")
	d, err := dialer(t, "-server", "vpn.example.com", "-user", `EXAMPLE\alice`, "-password-file", pw, "-ca", ca)
	if err != nil {
		t.Fatal(err)
	}
	if d.PPP.User != `EXAMPLE\alice` || d.PPP.Password != " with: spaces " || d.TLSConfig.RootCAs == nil || d.TLSConfig.InsecureSkipVerify || d.PPP.AllowUnverified {
		t.Errorf("%+v %+v", d, d.PPP)
	}
	print := Fingerprint(cert.Certificate[0])
	colons := strings.ToUpper(print[:2]) + ":" + print[2:]
	d, err = dialer(t, "-server", "vpn.example.com", "-user", "alice", "-password", "x", "-fingerprint", colons)
	if err != nil || len(d.Pins) != 1 || d.Pins[0] != sha256.Sum256(cert.Certificate[0]) || d.PPP.AllowUnverified {
		t.Errorf("fingerprint: %v %+v", err, d)
	}
	d, err = dialer(t, "-server", "vpn.example.com", "-user", "alice", "-password", "x", "-insecure")
	if err != nil || !d.TLSConfig.InsecureSkipVerify || !d.PPP.AllowUnverified {
		t.Errorf("insecure: %v %+v", err, d)
	}
}

func TestAllThatIsWrongIsTold(t *testing.T) {
	_, err := dialer(t, "-ca", "/does/not/exist", "-fingerprint", "12", "-insecure")
	for _, want := range []string{"-server", "-user", "-password-file", "/does/not/exist", `"12"`, "-insecure"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not tell %s", err, want)
		}
	}
	var usage UsageError
	if !errors.As(err, &usage) {
		t.Error("it is no UsageError")
	}
	for _, args := range [][]string{
		{"-server", "a", "-user", "b", "-password", "c", "-password-file", "d"},
		{"-server", "a", "-user", "b", "-password-file", file(t, "empty", "\n")},
		{"-server", "a", "-user", "b", "-password", "c", "-ca", file(t, "none.pem", "no certificate")},
		{"-server", "a", "-user", "b", "-password", "c", "stray"},
		{"-nothing"},
	} {
		if _, err := dialer(t, args...); !errors.As(err, &usage) {
			t.Errorf("%q: %v", args, err)
		}
	}
	if _, err := dialer(t, "-h"); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("-h: %v", err)
	}
}

func TestLists(t *testing.T) {
	var p Prefixes
	if err := errors.Join(p.Set("10.0.0.0/8,192.0.2.1"), p.Set("2001:db8::/32")); err != nil || p.String() != "10.0.0.0/8,192.0.2.1/32,2001:db8::/32" {
		t.Errorf("%v %v", p, err)
	}
	for _, bad := range []string{"", "10.0.0.1/8", "x", "10.0.0.0/8,"} {
		if new(Prefixes).Set(bad) == nil || new(Addrs).Set(bad) == nil {
			t.Errorf("took %q", bad)
		}
	}
	var a Addrs
	if err := a.Set("192.0.2.1,2001:db8::1"); err != nil || a.String() != "192.0.2.1,2001:db8::1" {
		t.Errorf("%v %v", a, err)
	}
	if x, err := FirstHost(netip.MustParsePrefix("10.8.0.0/24")); err != nil || x.String() != "10.8.0.1" {
		t.Errorf("%v %v", x, err)
	}
	for _, bad := range []string{"10.8.0.0/31", "2001:db8::/64"} {
		if x, err := FirstHost(netip.MustParsePrefix(bad)); err == nil {
			t.Errorf("%s: %v", bad, x)
		}
	}
}

func TestRedialWaitsLongerEachTimeAndStopsWhereThereIsNoPoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var at []time.Duration
		began := time.Now()
		refused := &ppp.AuthError{Remote: true}
		err := Redial(t.Context(), silent, func(ctx context.Context, up func()) error {
			at = append(at, time.Since(began))
			switch len(at) {
			case 9:
				up()
			case 11:
				return fmt.Errorf("dial: %w", refused)
			}
			return errors.New("broken")
		})
		if !errors.Is(err, refused) || len(at) != 11 {
			t.Fatalf("%v after %d", err, len(at))
		}
		for i, base := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60, 1, 2} {
			if d := at[i+1] - at[i]; d < base*time.Second/2 || d > base*time.Second*3/2 {
				t.Errorf("wait %d was %v, want about %v", i, d, base*time.Second)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := Redial(ctx, silent, func(context.Context, func()) error { return errors.New("broken") }); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("ctx ended: %v", err)
		}
	})
}

func TestExplainSaysWhatToDo(t *testing.T) {
	cert, err := SelfSigned("vpn.example.com")
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(cert.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		err  error
		want string
	}{
		{&ppp.AuthError{Remote: true, Code: ppp.CodeFailed}, "-user"},
		{&ppp.AuthError{Remote: true, Code: ppp.CodeExpired}, "expired"},
		{&ppp.AuthError{Remote: true, Code: ppp.CodeNoDialin}, "administrator"},
		{&ppp.AuthError{}, "-fingerprint"},
		{&ppp.NegotiationError{Phase: "LCP", Hint: "set Config.Auth"}, "To try: set Config.Auth."},
		{&sstp.HTTPError{Code: 404}, "no SSTP server"},
		{&sstp.HTTPError{Code: 407, Proxy: true}, "proxy"},
		{&sstp.BindingError{Part: "certificate"}, "TLS proxy"},
		{&sstp.StatusError{Remote: true}, "its log"},
		{&tls.CertificateVerificationError{UnverifiedCertificates: []*x509.Certificate{leaf}, Err: x509.UnknownAuthorityError{}}, Fingerprint(leaf.Raw)},
		{&tls.CertificateVerificationError{UnverifiedCertificates: []*x509.Certificate{leaf}, Err: x509.HostnameError{Certificate: leaf, Host: "x"}}, "by a name that is in the certificate"},
		{&net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: "vpn"}}, "host's name"},
		{&net.OpError{Op: "dial", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}, "Nobody listens"},
		{&net.OpError{Op: "listen", Err: os.NewSyscallError("bind", syscall.EADDRINUSE)}, "-listen"},
		{&net.OpError{Op: "listen", Err: os.NewSyscallError("bind", syscall.EACCES)}, "root"},
		{errors.ErrUnsupported, "no TUN device"},
		{context.DeadlineExceeded, "Nobody answered"},
	} {
		err := fmt.Errorf("dialling: %w", c.err)
		if got := Explain(err); !strings.HasPrefix(got, err.Error()+"\n") || !strings.Contains(got, c.want) {
			t.Errorf("%v: %q does not say %q", err, got, c.want)
		}
	}
	for _, err := range []error{errors.New("x"), &ppp.TerminatedError{}} {
		if got := Explain(err); got != err.Error() {
			t.Errorf("%v: %q", err, got)
		}
	}
}
