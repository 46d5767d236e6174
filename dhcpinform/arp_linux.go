package dhcpinform

import (
	"bytes"
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

const (
	arpProbes = 3
	arpWait   = 200 * time.Millisecond // for an answer to each: of a network, not of the Internet
)

// ProbeARP returns a LeasePool.InUse that asks by ARP on an interface whether somebody has an address (RFC 5227 section 2.1),
// for 0.6 seconds. Where it cannot ask, it says no: the DHCP server has said so, too. Linux.
func ProbeARP(name string) func(ctx context.Context, a netip.Addr) bool {
	return func(ctx context.Context, a netip.Addr) bool {
		link, err := etherByName(name)
		if err != nil || !a.Is4() {
			return false
		}
		s, err := openPacket(link, unix.ETH_P_ARP, nil)
		if err != nil {
			return false
		}
		defer s.Close()
		defer context.AfterFunc(ctx, func() { s.Close() })()
		probe := appendARPProbe(nil, link.HardwareAddr, a)
		buf := make([]byte, 256)
		for range arpProbes {
			if s.write(probe, etherBroadcast) != nil {
				return false
			}
			s.SetReadDeadline(time.Now().Add(arpWait))
			for {
				n, _, _, err := s.read(buf)
				if err != nil {
					break
				}
				if arpTells(buf[:n], link.HardwareAddr, a) {
					return true
				}
			}
			if ctx.Err() != nil {
				return false
			}
		}
		return false
	}
}

// appendARPProbe appends a request for the owner of an address, by nobody: RFC 826, RFC 5227 section 1.1.
func appendARPProbe(b []byte, hw net.HardwareAddr, a netip.Addr) []byte {
	b = append(b, 0, 1, 8, 0, 6, 4, 0, 1) // Ethernet, IPv4, their lengths, request
	b = append(append(b, hw...), 0, 0, 0, 0)
	b = append(b, 0, 0, 0, 0, 0, 0)
	return append(b, a.AsSlice()...)
}

// arpTells reports whether a packet says that another host has an address, or that one is about to take it: RFC 5227
// section 2.1.1.
func arpTells(b []byte, own net.HardwareAddr, a netip.Addr) bool {
	if len(b) < 28 || !bytes.Equal(b[:6], []byte{0, 1, 8, 0, 6, 4}) || bytes.Equal(b[8:14], own) {
		return false
	}
	sender, target := netip.AddrFrom4([4]byte(b[14:])), netip.AddrFrom4([4]byte(b[24:]))
	isRequest := binary.BigEndian.Uint16(b[6:]) == 1
	return sender == a || isRequest && sender.IsUnspecified() && target == a
}
