package interop

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/dialway/dialway/internal/netns"
	"github.com/dialway/dialway/ppp"
	"github.com/dialway/dialway/sstp"
	"github.com/dialway/dialway/tunnel/netstack"
)

// serveFile serves random bytes over HTTP in a namespace and returns the URL and the hash.
func serveFile(t *testing.T, ns *netns.NS, addr string, size int) (url string, hash [32]byte) {
	t.Helper()
	data, h := make([]byte, size), sha256.New()
	// In pieces: a gigabyte at once is one call of assembly, which nothing interrupts; the first garbage collection waits
	// for it, and the whole process, other tests' sessions included, with it.
	for piece := range slices.Chunk(data, 1<<20) {
		rand.Read(piece)
		h.Write(piece)
	}
	var l net.Listener
	var err error
	ns.Do(func() { l, err = net.Listen("tcp", net.JoinHostPort(addr, "0")) })
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.Write(data) })}
	go srv.Serve(l)
	t.Cleanup(func() { srv.Close() })
	return fmt.Sprintf("http://%v/", l.Addr()), [32]byte(h.Sum(nil))
}

// dialSoftEther dials with this library, in the server's namespace.
func dialSoftEther(t *testing.T, se *SoftEther, cfg *ppp.Config) (*ppp.Conn, error) {
	t.Helper()
	pem, err := os.ReadFile(se.CA)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	d := &sstp.Dialer{
		TLSConfig: &tls.Config{RootCAs: roots, ServerName: "sstp.test"}, PPP: cfg,
		NetDial: func(ctx context.Context, network, addr string) (c net.Conn, err error) {
			se.ns.Do(func() { c, err = new(net.Dialer).DialContext(ctx, network, addr) })
			return c, err
		},
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	return d.DialContext(ctx, fmt.Sprintf("127.0.0.1:%d", se.Port))
}

func TestSoftEtherServer(t *testing.T) {
	t.Parallel()
	ns := netns.New(t)
	se := StartSoftEther(t, ns)
	url, hash := serveFile(t, ns, se.Tap, 20<<20)

	fetch := func(t *testing.T, stack *netstack.Stack) {
		t.Helper()
		client := &http.Client{Transport: &http.Transport{DialContext: stack.DialContext, DisableKeepAlives: true}, Timeout: 2 * time.Minute}
		resp, err := client.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		h := sha256.New()
		if n, err := io.Copy(h, resp.Body); err != nil || [32]byte(h.Sum(nil)) != hash {
			t.Errorf("%d bytes, %v, or the hash differs", n, err)
		}
	}

	for _, auth := range []ppp.AuthProtocol{ppp.MSCHAPv2, ppp.PAP} {
		t.Run(auth.String(), func(t *testing.T) {
			c, err := dialSoftEther(t, se, &ppp.Config{User: se.User, Password: ppp.Secret(se.Password), Auth: []ppp.AuthProtocol{auth}})
			if err != nil {
				t.Fatal(err)
			}
			i := c.Info()
			if i.Auth != auth || !i.Local.Is4() || len(c.DNS()) != 1 || c.DNS()[0].String() != se.Gateway {
				t.Errorf("%+v, DNS %v", i, c.DNS())
			}
			stack := new(netstack.Stack)
			defer stack.Close()
			ctx, cancel := context.WithCancel(context.Background())
			ended := make(chan error, 1)
			go func() { ended <- stack.Serve(ctx, c) }()
			PingFrom(t, ns, i.Local.String(), 3)
			fetch(t, stack)
			if auth == ppp.MSCHAPv2 {
				// Its own patience is 20 s; ours ends with a minute of silence.
				time.Sleep(idle)
				select {
				case err := <-ended:
					t.Fatalf("ended while idle: %v", err)
				default:
				}
				fetch(t, stack)
			}
			cancel()
			if err := <-ended; !errors.Is(err, net.ErrClosed) {
				t.Errorf("ended by %v", err)
			}
		})
	}

	t.Run("wrong password", func(t *testing.T) {
		_, err := dialSoftEther(t, se, &ppp.Config{User: se.User, Password: "wrong"})
		var refused *ppp.AuthError
		if !errors.As(err, &refused) || !refused.Remote || !refused.Permanent() {
			t.Errorf("%v", err)
		}
	})
}

// idle is longer than any keepalive's patience.
const idle = 70 * time.Second
