//go:build !linux

package dhcpinform

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
)

// ListenInterface opens a DHCP client's socket on an interface, on Linux; elsewhere it returns errors.ErrUnsupported.
func ListenInterface(name string) (net.PacketConn, error) {
	return nil, fmt.Errorf("dhcpinform: socket on %q: %w", name, errors.ErrUnsupported)
}

// ProbeARP asks whether somebody has an address, on Linux; elsewhere its func always says no.
func ProbeARP(name string) func(ctx context.Context, a netip.Addr) bool {
	return func(context.Context, netip.Addr) bool { return false }
}
