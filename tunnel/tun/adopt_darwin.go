package tun

import (
	"os"

	wtun "golang.zx2c4.com/wireguard/tun"
)

// adopt takes over a utun descriptor.
func adopt(f *os.File) (device, error) {
	d, err := wtun.CreateTUNFromFile(f, 0)
	if err != nil {
		return nil, err
	}
	return &library{Device: d}, nil
}
