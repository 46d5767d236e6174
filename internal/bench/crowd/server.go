package crowd

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/netip"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/dialway/dialway/ppp"
	"github.com/dialway/dialway/sstp"
	"github.com/dialway/dialway/tunnel"
)

// RoleArg, as the first argument of the program, makes it the server: Serve has the others.
const RoleArg = "crowd-server"

const secret = "many"

var (
	serverAddr = netip.MustParseAddr("10.8.0.1")
	clients    = netip.MustParsePrefix("10.8.0.0/16")
)

const mtu = 4080

// A status is what the server says of itself.
type status struct {
	Sessions   int
	Goroutines int
	Files      int
	Heap       uint64 // live, when garbage was collected
	Resident   int
	CPU        time.Duration
	Packets    uint64 // that came
	Bytes      uint64
	Wrong      uint64 // packets that were not as they had been sent
	Refused    uint64
	Changes    uint64 // of routes
}

// Serve is the server: it listens at an address with a key pair of PEM files (made by WriteKeys), gives addresses of a prefix,
// and obeys what it reads:
//
//	status        a line of JSON
//	collect       the same, when garbage has been collected and given back
//	routes N M    N prefixes more, of which M a second are taken out and put in again; 0 0 ends that
//
// At the port behind it, it does TLS handshakes and nothing else.
func Serve(addr, pairFile, pool string, in io.Reader, out io.Writer) error {
	prefix, err := netip.ParsePrefix(pool)
	if err != nil {
		return err
	}
	cert, err := tls.LoadX509KeyPair(pairFile, pairFile)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	at := l.Addr().(*net.TCPAddr).AddrPort()
	bare, err := tls.Listen("tcp", netip.AddrPortFrom(at.Addr(), at.Port()+1).String(),
		&tls.Config{Certificates: []tls.Certificate{cert}, SessionTicketsDisabled: true})
	if err != nil {
		return err
	}
	go shakeHands(bare)

	table := new(tunnel.Table)
	r := &responder{addr: serverAddr}
	r.router = &tunnel.Router{Uplink: r, Routes: table}
	srv := &sstp.Server{
		TLSConfig:       &tls.Config{Certificates: []tls.Certificate{cert}},
		MaxPendingPerIP: 1 << 20, // all come from loopback
		PPP: &ppp.Config{
			Authenticator: ppp.PasswordFunc(func(context.Context, string) (ppp.Secret, error) { return secret, nil }),
			Addr:          serverAddr,
			Pool:          &ppp.Pool{Prefixes: []netip.Prefix{prefix}, Exclude: []netip.Prefix{netip.PrefixFrom(serverAddr, 32)}},
			DNS:           []netip.Addr{serverAddr, serverAddr.Next()}, // a server that has none costs each client a round trip more
			NBNS:          []netip.Addr{serverAddr, serverAddr.Next()},
			MTU:           mtu, NoIPv6: true,
		},
		Handler: func(ctx context.Context, c *ppp.Conn) error { return r.router.ServeLink(ctx, c) },
	}
	go srv.Serve(l)
	defer srv.Close()
	ch := &changer{table: table}
	defer ch.stop()

	fmt.Fprintln(out, at)
	for lines := bufio.NewScanner(in); lines.Scan(); {
		var n, rate int
		switch line := lines.Text(); {
		case line == "collect":
			for range 4 { // a stack shrinks by half each time
				debug.FreeOSMemory()
			}
			fallthrough
		case line == "status":
			s := own()
			st := srv.Stats()
			s.Sessions, s.Refused = st.Sessions, st.Refused
			s.Packets, s.Bytes, s.Wrong, s.Changes = r.packets.Load(), r.bytes.Load(), r.wrong.Load(), ch.made.Load()
			json.NewEncoder(out).Encode(s)
		default:
			if _, err := fmt.Sscanf(line, "routes %d %d", &n, &rate); err != nil {
				return fmt.Errorf("%q: %w", line, err)
			}
			ch.run(n, rate)
			fmt.Fprintln(out, "ok")
		}
	}
	return nil
}

// shakeHands takes connections, and ends each when its handshake is over.
func shakeHands(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			c.SetDeadline(time.Now().Add(time.Minute))
			c.(*tls.Conn).Handshake()
			c.Read(make([]byte, 1))
			c.Close()
		}()
	}
}

// own is this process.
func own() (s status) {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	s.Goroutines, s.Heap = runtime.NumGoroutine(), m.HeapAlloc
	s.Files, s.Resident = files(), resident()
	return s
}

func files() int {
	list, _ := os.ReadDir("/proc/self/fd")
	return len(list)
}

func resident() (kib int) {
	b, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			fmt.Sscan(v, &kib)
		}
	}
	return kib << 10
}

// WriteKeys writes a certificate for 127.0.0.1 and its key into one file, and returns the pool that trusts it.
func WriteKeys(file string) (*x509.CertPool, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: []net.IP{{127, 0, 0, 1}}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	b := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(b)
	b = append(b, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})...)
	return pool, os.WriteFile(file, b, 0o600)
}
