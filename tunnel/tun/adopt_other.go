//go:build !linux && !darwin

package tun

import "os"

func adopt(f *os.File) (device, error) { return nil, unsupported("FromFile") }
