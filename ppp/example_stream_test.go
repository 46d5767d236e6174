package ppp_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/dialway/dialway/internal/memnet"
	"github.com/dialway/dialway/ppp"
)

// fortinet is the framing of a FortiGate's TLS tunnel: length, a magic number, the length of the frame, and the frame
// without FF 03.
type fortinet struct{}

func (fortinet) AppendFrame(b, header, body []byte) []byte {
	n := len(header) - 2 + len(body)
	b = binary.BigEndian.AppendUint16(b, uint16(6+n))
	b = append(b, 0x50, 0x50)
	b = binary.BigEndian.AppendUint16(b, uint16(n))
	return append(append(b, header[2:]...), body...)
}

func (fortinet) NextFrame(b []byte) (frame []byte, n int, err error) {
	if len(b) < 6 {
		return nil, 0, nil
	}
	n = int(binary.BigEndian.Uint16(b))
	if n < 6 || b[2] != 0x50 || b[3] != 0x50 {
		return nil, 0, errors.New("fortinet: bad header")
	}
	if len(b) < n {
		return nil, 0, nil
	}
	return b[6:n:n], n, nil
}

func (fortinet) MaxFrame() int { return 6 + 4096 }

// PPP over a byte stream that is not SSTP: two pure functions and a size are all that it needs.
func ExampleNewStream() {
	near, far := memnet.Pipe(netip.MustParseAddrPort("192.0.2.1:1024"), netip.MustParseAddrPort("192.0.2.2:443"), 0)

	ctx := context.Background()
	server := ppp.Server(ppp.NewStream(far, fortinet{}), ppp.Call{Tunnel: "fortinet"}, &ppp.Config{
		Authenticator: ppp.PasswordFunc(func(ctx context.Context, user string) (ppp.Secret, error) { return "secret", nil }),
		Addr:          netip.MustParseAddr("10.8.0.1"),
		Pool:          &ppp.Pool{Prefixes: []netip.Prefix{netip.MustParsePrefix("10.8.0.0/24")}},
	})
	served := make(chan error, 1)
	go func() {
		if err := server.Open(ctx); err != nil {
			served <- err
			return
		}
		// An embedder's own pipeline: packets are lent, and their sources have been checked.
		served <- server.Serve(ctx, func(bufs [][]byte, offset int) (int, error) {
			for _, b := range bufs {
				fmt.Println("a packet of", len(b[offset:]), "bytes from", server.Info().User)
			}
			server.Close()
			return len(bufs), nil
		})
	}()

	// Verified says that the transport has proved who the server is, as TLS would.
	client := ppp.Client(ppp.NewStream(near, fortinet{}), ppp.Call{Tunnel: "fortinet", Verified: true}, &ppp.Config{User: "alice", Password: "secret"})
	if err := client.Open(ctx); err != nil {
		fmt.Println(err)
		return
	}
	packet := make([]byte, 28)
	packet[0], packet[3], packet[8], packet[9] = 0x45, 28, 64, 17
	copy(packet[12:], client.Info().Local.AsSlice())
	copy(packet[16:], client.Info().Peer.AsSlice())
	client.Write([][]byte{packet}, 0)
	err := client.Serve(ctx, func(bufs [][]byte, offset int) (int, error) { return len(bufs), nil })
	fmt.Println("ended in good order:", errors.Is(err, net.ErrClosed))
	<-served
	// Output:
	// a packet of 28 bytes from alice
	// ended in good order: true
}

// A Config for each tenant, by the server name that the client asked for.
func ExampleConfig_forCall() {
	tenants := map[string]*ppp.Config{
		"vpn.example.com": {NoAuth: true},
	}
	cfg := &ppp.Config{
		ForCall: func(call *ppp.Call) (*ppp.Config, error) {
			if c := tenants[call.Called]; c != nil {
				return c, nil
			}
			return nil, &ppp.AuthError{Code: ppp.CodeNoDialin, Message: "no such tenant"}
		},
	}
	_, err := cfg.ForCall(&ppp.Call{Called: "elsewhere.example.com"})
	fmt.Println(err)
	// Output:
	// ppp: authentication refused (649 no permission to dial in): "no such tenant"
}
