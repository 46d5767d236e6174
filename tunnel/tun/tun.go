// Package tun makes the system's TUN device a tunnel.PacketIO.
package tun

import (
	"context"
	"errors"
	"net/netip"
	"os"

	"github.com/dialway/dialway/tunnel"
)

// A Config says how a device is opened; the zero Config lets the system choose the name.
type Config struct {
	Name      string
	MTU       int  // 0 means 1400
	Queues    int  // 0 means 1; each further one is another PacketIO of Device.Queues
	NoOffload bool // for kernels whose GRO writes fail
}

// A Device is the system's TUN device, or one handed in by a mobile system.
type Device struct{}

// Open makes a device; errors.ErrUnsupported where the system has none.
func Open(c Config) (*Device, error) { return nil, errors.ErrUnsupported }

// FromFile takes over a descriptor that the system opened (Android, iOS). f may be nil: Read then waits for Swap.
func FromFile(f *os.File, mtu int) (*Device, error) { return nil, errors.ErrUnsupported }

func (d *Device) Read(bufs [][]byte, sizes []int, offset int) (n int, err error) {
	return 0, errors.ErrUnsupported
}                                                                    // as tunnel.PacketIO
func (d *Device) Write(bufs [][]byte, offset int) (n int, err error) { return 0, errors.ErrUnsupported } // as tunnel.PacketIO; any offset
func (d *Device) BatchSize() int                                     { return 0 }                        // as tunnel.PacketIO
func (d *Device) MTU() int                                           { return 0 }                        // as tunnel.PacketIO
func (d *Device) Name() string                                       { return "" }                       // the system's name
func (d *Device) Close() error                                       { return errors.ErrUnsupported }    // removes addresses, routes and the device

// Queues returns all queues of the device, itself first.
func (d *Device) Queues() []tunnel.PacketIO { return nil }

// Swap puts f in the place of the present descriptor, which it closes; a Read that waits goes on with f.
func (d *Device) Swap(f *os.File, mtu int) error { return errors.ErrUnsupported }

// Configure gives the device l's addresses and MTU, in the place of what an earlier Configure gave. It fits demanddial.Interface.Up.
func (d *Device) Configure(ctx context.Context, l tunnel.Link) error { return errors.ErrUnsupported }

// Routes returns a table that keeps the system's routes to this device in step with t, tagged as ours and cleaned up after a crash.
func (d *Device) Routes(t tunnel.RouteTable) tunnel.RouteTable { return nil }

// Exclude keeps dst outside the tunnel, by the route it has now, until Close.
func (d *Device) Exclude(dst netip.Addr) error { return errors.ErrUnsupported }
