// Informer asks by DHCPInform as a host does: from the socket of its kernel, by a codec that is not this project's, and
// prints what was answered. No DHCP client of Debian asks on a PPP device: dhcpcd finds no frame header for it.
//
//	informer ADDRESS HARDWARE
package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

func main() {
	if err := inform(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func inform(addr, hardware string) error {
	hw, err := net.ParseMAC(hardware)
	if err != nil {
		return err
	}
	ask, err := dhcpv4.NewInform(hw, net.ParseIP(addr), dhcpv4.WithRequestedOptions(dhcpv4.OptionDomainNameServer,
		dhcpv4.OptionDomainName, dhcpv4.OptionDNSDomainSearchList, dhcpv4.OptionClasslessStaticRoute))
	if err != nil {
		return err
	}
	broadcast := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) (err error) {
		c.Control(func(fd uintptr) {
			if err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_BROADCAST, 1); err == nil {
				err = syscall.BindToDevice(int(fd), "ppp0")
			}
		})
		return err
	}}
	pc, err := broadcast.ListenPacket(context.Background(), "udp4", "0.0.0.0:68")
	if err != nil {
		return err
	}
	defer pc.Close()
	began := time.Now()
	b := make([]byte, 1500)
	for range 4 {
		if _, err := pc.WriteTo(ask.ToBytes(), &net.UDPAddr{IP: net.IPv4bcast, Port: 67}); err != nil {
			return err
		}
		pc.SetReadDeadline(time.Now().Add(3 * time.Second))
		n, from, err := pc.ReadFrom(b)
		if err != nil {
			continue
		}
		m, err := dhcpv4.FromBytes(b[:n])
		if err != nil || m.TransactionID != ask.TransactionID {
			return fmt.Errorf("from %v: %v %x", from, err, b[:n])
		}
		fmt.Printf("after %v from %v\n%s\n", time.Since(began).Round(time.Millisecond), from, m.Summary())
		return nil
	}
	return fmt.Errorf("no answer")
}
