package main

import (
	"time"

	"github.com/dialway/dialway/internal/bench/emu"
)

// A wire says what joins the namespaces: a veth pair, or an emulated line.
type wire struct {
	Name string
	word string      // for -only
	line *emu.Config // nil: veth
}

var (
	veth   = wire{"veth", "veth", nil}
	narrow = wire{"20 Mbit/s, 40 ms", "narrow", &emu.Config{Rate: 20e6, Delay: 20 * time.Millisecond, Queue: 300 * time.Millisecond}}
	lossy  = wire{"20 Mbit/s, 40 ms, 1 % loss", "lossy", &emu.Config{Rate: 20e6, Delay: 20 * time.Millisecond, Queue: 300 * time.Millisecond, Loss: 0.01, Seed: 1}}
)

// Names of systems; those of ratios are made of them.
const (
	sysNone      = "none"
	sysTLS       = "tls"
	sysSSTP      = "sstp"
	sysOther     = "sstp-other"
	sysStack     = "sstp-netstack"
	sysWG        = "wireguard"
	sysWGStack   = "wireguard-netstack"
	sysOpenVPN   = "openvpn"
	sysSingle    = "sstp-single"
	sysUndrained = "sstp-undrained"
)

// committed is the name of a system of this library as the committed build has it: the one whose results are kept.
func committed(system string) string { return system + ofCommitted }

const ofCommitted = "-committed"
