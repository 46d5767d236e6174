// Package emu emulates a line in user space: what one TUN device gives comes out of the other as over a link with a rate, a
// delay, a queue and loss. It is for measuring where the kernel has no netem. Each direction is
//
//	device ──▶ loss ──▶ queue, drop-tail ──▶ rate ──▶ delay ──▶ the other device
//
// Open devices without offload, or what the kernel joins counts as one packet:
//
//	a, err := tun.Open(tun.Config{Name: "line0", MTU: 1500, NoOffload: true}) // in one namespace
//	b, err := tun.Open(tun.Config{Name: "line0", MTU: 1500, NoOffload: true}) // in the other
//	line := emu.Join(a, b, emu.Config{Rate: 20e6, Delay: 20 * time.Millisecond, Queue: 300 * time.Millisecond})
//	defer line.Close()
package emu
