package ppp_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/dialway/dialway/ppp"
)

// prefixed is a Framing: each frame stands behind its length.
type prefixed struct{}

func (prefixed) AppendFrame(b, header, body []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, uint16(len(header)+len(body)))
	return append(append(b, header...), body...)
}

func (prefixed) NextFrame(b []byte) (frame []byte, n int, err error) {
	if len(b) < 2 {
		return nil, 0, nil
	}
	if n = 2 + int(binary.BigEndian.Uint16(b)); n > 2+1504 {
		return nil, 0, errors.New("frame too long")
	}
	if len(b) < n {
		return nil, 0, nil
	}
	return b[2:n:n], n, nil
}

func (prefixed) MaxFrame() int { return 2 + 1504 }

// Two ends of a link over a connection in memory: the client logs in, gets an address, and sends a packet.
func Example() {
	ctx := context.Background()
	a, b := net.Pipe()
	server := ppp.Server(ppp.NewStream(b, prefixed{}), ppp.Call{Tunnel: "pipe"}, &ppp.Config{
		Authenticator: ppp.PasswordFunc(func(ctx context.Context, user string) (ppp.Secret, error) {
			if user != "alice" {
				return "", ppp.ErrNoUser
			}
			return "correct horse", nil
		}),
		Addr: netip.MustParseAddr("10.8.0.1"),
		Pool: &ppp.Pool{Prefixes: []netip.Prefix{netip.MustParsePrefix("10.8.0.0/24")}},
	})
	client := ppp.Client(ppp.NewStream(a, prefixed{}), ppp.Call{Verified: true}, &ppp.Config{User: "alice", Password: "correct horse"})

	over := make(chan error)
	go func() {
		if err := server.Open(ctx); err != nil {
			over <- err
			return
		}
		over <- server.Serve(ctx, func(bufs [][]byte, offset int) (int, error) {
			for _, p := range bufs {
				fmt.Printf("server: %d bytes from %v\n", len(p)-offset, netip.AddrFrom4([4]byte(p[offset+12:])))
			}
			server.Terminate(ppp.NASRequest, "seen enough")
			return len(bufs), nil
		})
	}()
	if err := client.Open(ctx); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("client:", client.Info().Local, "by", client.Info().Auth)
	packet := make([]byte, 28)
	packet[0], packet[3] = 0x45, 28 // IPv4
	copy(packet[12:], client.Info().Local.AsSlice())
	copy(packet[16:], client.Info().Peer.AsSlice())
	client.Write([][]byte{packet}, 0)
	client.Serve(ctx, func(bufs [][]byte, offset int) (int, error) { return len(bufs), nil })
	fmt.Println("server:", <-over)
	// Output:
	// client: 10.8.0.2 by MS-CHAPv2
	// server: 28 bytes from 10.8.0.2
	// server: ppp: session ended (NAS-Request): seen enough
}
