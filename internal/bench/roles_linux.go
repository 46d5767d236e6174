package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/dialway/dialway/ppp"
	"github.com/dialway/dialway/sstp"
	"github.com/dialway/dialway/tunnel"
	"github.com/dialway/dialway/tunnel/netstack"
	"github.com/dialway/dialway/tunnel/tun"
	"golang.zx2c4.com/wireguard/conn"
	"golang.zx2c4.com/wireguard/device"
	wtun "golang.zx2c4.com/wireguard/tun"
	wstack "golang.zx2c4.com/wireguard/tun/netstack"
)

// roleArg, as the first argument, makes this program one end of a system in the place of the measurement.
const roleArg = "role"

var roles = map[string]func(args []string) error{
	"tls-server":         tlsServer,
	"tls-client":         tlsClient,
	"sink":               sinkRole,
	"sstp-netstack":      sstpStack,
	"sstp-server":        sstpServer,
	"sstp-single":        sstpSingle,
	"wireguard":          wireGuardRole,
	"wireguard-netstack": wireGuardStack,
}

func runRole(args []string) error {
	if f := roles[args[0]]; f != nil {
		return f(args[1:])
	}
	return fmt.Errorf("no such role: %s", args[0])
}

func keyPair(dir string) (tls.Certificate, error) {
	return tls.LoadX509KeyPair(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
}

func roots(dir string) (*tls.Config, error) {
	pem, err := os.ReadFile(filepath.Join(dir, "cert.pem"))
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	return &tls.Config{RootCAs: pool, ServerName: outerServer}, nil
}

// tlsServer ADDR DIR
func tlsServer(args []string) error {
	cert, err := keyPair(args[1])
	if err != nil {
		return err
	}
	l, err := tls.Listen("tcp", args[0], &tls.Config{Certificates: []tls.Certificate{cert}})
	if err != nil {
		return err
	}
	fmt.Println("ready")
	return serveLoad(l)
}

// tlsClient ADDR DIR
func tlsClient(args []string) error {
	config, err := roots(args[1])
	if err != nil {
		return err
	}
	d := tls.Dialer{Config: config}
	return obeyLoads(func(ctx context.Context) (halfCloser, error) {
		c, err := d.DialContext(ctx, "tcp", args[0])
		if err != nil {
			return nil, err
		}
		return c.(*tls.Conn), nil
	})
}

// sinkRole ADDR
func sinkRole(args []string) error {
	l, err := net.Listen("tcp", args[0])
	if err != nil {
		return err
	}
	fmt.Println("ready")
	return serveLoad(l)
}

func newDialer(dir string) (*sstp.Dialer, error) {
	config, err := roots(dir)
	return &sstp.Dialer{TLSConfig: config, PPP: &ppp.Config{User: "bench", Password: benchPassword}}, err
}

// sstpStack SERVER TARGET DIR
func sstpStack(args []string) error {
	d, err := newDialer(args[2])
	if err != nil {
		return err
	}
	link, err := d.DialContext(context.Background(), args[0])
	if err != nil {
		return err
	}
	s := new(netstack.Stack)
	go s.Serve(context.Background(), link)
	return obeyLoads(func(ctx context.Context) (halfCloser, error) {
		c, err := s.DialContext(ctx, "tcp", args[1])
		if err != nil {
			return nil, err
		}
		return c.(halfCloser), nil
	})
}

// sstpServer ADDR DIR DRAIN is a server over TUN. Without DRAIN it takes one record at a time, as if no more were here.
func sstpServer(args []string) error {
	cert, err := keyPair(args[1])
	if err != nil {
		return err
	}
	dev, err := tun.Open(tun.Config{Name: "sstp0"})
	if err != nil {
		return err
	}
	if err := dev.SetAddrs(netip.MustParsePrefix("10.8.0.1/24")); err != nil {
		return err
	}
	rt := &tunnel.Router{Uplink: dev, Routes: new(tunnel.Table)}
	go rt.Serve(context.Background(), dev)
	srv := &sstp.Server{
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}},
		PPP: &ppp.Config{
			Authenticator: ppp.PasswordFunc(func(context.Context, string) (ppp.Secret, error) { return benchPassword, nil }),
			Addr:          netip.MustParseAddr(innerServer), Pool: &ppp.Pool{Prefixes: []netip.Prefix{netip.MustParsePrefix("10.8.0.0/24")}},
		},
		Handler: func(ctx context.Context, c *ppp.Conn) error { return rt.ServeLink(ctx, c) },
	}
	l, err := net.Listen("tcp", args[0])
	if err != nil {
		return err
	}
	if args[2] == "false" {
		l = undrained{l}
	}
	fmt.Println("ready")
	return srv.Serve(l)
}

// sstpSingle SERVER DIR is a client over TUN whose device gives one packet at a time, so that each is a record.
func sstpSingle(args []string) error {
	d, err := newDialer(args[1])
	if err != nil {
		return err
	}
	dev, err := tun.Open(tun.Config{Name: "sstp1", NoOffload: true})
	if err != nil {
		return err
	}
	ctx := context.Background()
	link, err := d.DialContext(ctx, args[0])
	if err != nil {
		return err
	}
	if err := dev.Configure(ctx, link); err != nil {
		return err
	}
	rt := &tunnel.Router{Uplink: dev, Routes: new(tunnel.Table)}
	dev.Routes(new(tunnel.Table)).Insert(netip.PrefixFrom(link.Info().Peer, 32), link, 0)
	rt.Routes.Insert(netip.MustParsePrefix("0.0.0.0/0"), link, 0)
	go rt.Serve(ctx, single{dev})
	fmt.Println("ready")
	return rt.ServeLink(ctx, link)
}

// A single device gives one packet at a time.
type single struct{ tunnel.PacketIO }

func (single) BatchSize() int { return 1 }

// wireGuardRole DEVICE CONF is wireguard-go, as its main program runs it.
func wireGuardRole(args []string) error {
	dev, err := wtun.CreateTUN(args[0], device.DefaultMTU)
	if err != nil {
		return err
	}
	return runWireGuard(dev, args[1])
}

func runWireGuard(dev wtun.Device, file string) error {
	d, err := startWireGuardDevice(dev, file)
	if err != nil {
		return err
	}
	fmt.Println("ready")
	<-d.Wait()
	return errors.New("wireguard: the device is down")
}

func startWireGuardDevice(dev wtun.Device, file string) (*device.Device, error) {
	conf, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	d := device.NewDevice(dev, conn.NewDefaultBind(), device.NewLogger(device.LogLevelError, "wireguard: "))
	if err := d.IpcSet(string(conf)); err != nil {
		return nil, err
	}
	return d, d.Up()
}

// wireGuardStack CONF ADDR TARGET is wireguard-go with its own network stack.
func wireGuardStack(args []string) error {
	dev, stack, err := wstack.CreateNetTUN([]netip.Addr{netip.MustParseAddr(args[1])}, nil, device.DefaultMTU)
	if err != nil {
		return err
	}
	if _, err := startWireGuardDevice(dev, args[0]); err != nil {
		return err
	}
	return obeyLoads(func(ctx context.Context) (halfCloser, error) {
		return stack.DialContextTCPAddrPort(ctx, netip.MustParseAddrPort(args[2]))
	})
}
