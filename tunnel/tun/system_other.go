//go:build !linux

package tun

import (
	"context"
	"net/netip"

	"github.com/dialway/dialway/tunnel"
)

// A system sets addresses and routes; only Linux's does.
type system struct{}

func (s *system) close() error    { return nil }
func (s *system) currentMTU() int { return 0 }

// Configure gives the device l's addresses and MTU on Linux; elsewhere it returns errors.ErrUnsupported.
func (d *Device) Configure(ctx context.Context, l tunnel.Link) error { return unsupported("Configure") }

// SetAddrs gives the device addresses on Linux; elsewhere it returns errors.ErrUnsupported.
func (d *Device) SetAddrs(addrs ...netip.Prefix) error { return unsupported("SetAddrs") }

// Routes returns t: the system's routes are kept in step on Linux only.
func (d *Device) Routes(t tunnel.RouteTable) tunnel.RouteTable { return t }

// Neighbors answers for clients on Linux; elsewhere it returns errors.ErrUnsupported.
func (d *Device) Neighbors(t tunnel.RouteTable, iface string) (tunnel.RouteTable, error) {
	return nil, unsupported("Neighbors")
}

// Exclude keeps dst outside the tunnel on Linux; elsewhere it returns errors.ErrUnsupported.
func (d *Device) Exclude(dst netip.Addr) error { return unsupported("Exclude") }
