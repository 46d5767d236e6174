//go:build !linux && !darwin

package tun

import (
	"os"

	wtun "golang.zx2c4.com/wireguard/tun"
)

func adopt(f *os.File) (wtun.Device, error) { return nil, unsupported("FromFile") }
