package dhcpinform

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// ListenInterface opens a DHCP client's socket on an Ethernet interface, for LeasePool.Serve: it hears what comes to port 68
// whatever address it is for, and sends from none, beside a DHCP client that the system itself may run there. A DHCP server on
// this very host does not hear it. It needs CAP_NET_RAW, and Linux.
func ListenInterface(name string) (net.PacketConn, error) {
	link, err := etherByName(name)
	if err != nil {
		return nil, err
	}
	s, err := openPacket(link, unix.ETH_P_IP, toClient)
	if err != nil {
		return nil, err
	}
	return &interfaceConn{packetSocket: s, macs: make(map[netip.Addr]net.HardwareAddr)}, nil
}

// etherByName finds an Ethernet interface.
func etherByName(name string) (*net.Interface, error) {
	link, err := net.InterfaceByName(name)
	if err != nil {
		return nil, fmt.Errorf("dhcpinform: interface %q: %w", name, err)
	}
	if len(link.HardwareAddr) != 6 {
		return nil, fmt.Errorf("dhcpinform: interface %q is no Ethernet: its hardware address is %q", name, link.HardwareAddr)
	}
	return link, nil
}

// toClient passes UDP to port 68: a host on a busy network need not look at all its packets. The packet begins with IP.
var toClient = []bpf.Instruction{
	bpf.LoadAbsolute{Off: 9, Size: 1},
	bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.IPPROTO_UDP, SkipTrue: 6},
	bpf.LoadAbsolute{Off: 6, Size: 2},
	bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: 0x1fff, SkipTrue: 4}, // a fragment after the first
	bpf.LoadMemShift{Off: 0},
	bpf.LoadIndirect{Off: 2, Size: 2},
	bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: clientPort, SkipTrue: 1},
	bpf.RetConstant{Val: 1 << 16},
	bpf.RetConstant{Val: 0},
}

// A packetSocket takes packets of one protocol from one interface, without their Ethernet header.
type packetSocket struct {
	file  *os.File // by which the runtime waits
	conn  syscall.RawConn
	link  *net.Interface
	proto uint16
}

func openPacket(link *net.Interface, proto uint16, filter []bpf.Instruction) (s *packetSocket, err error) {
	// Without a protocol nothing comes before the filter and the interface are set.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("dhcpinform: packet socket: %w (root or CAP_NET_RAW is needed)", err)
	}
	file := os.NewFile(uintptr(fd), "packet:"+link.Name)
	defer func() {
		if err != nil {
			file.Close()
			err = fmt.Errorf("dhcpinform: packet socket on %q: %w", link.Name, err)
		}
	}()
	if filter != nil {
		raw, err := bpf.Assemble(filter)
		if err != nil {
			return nil, err
		}
		list := make([]unix.SockFilter, len(raw))
		for i, x := range raw {
			list[i] = unix.SockFilter{Code: x.Op, Jt: x.Jt, Jf: x.Jf, K: x.K}
		}
		if err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(list)), Filter: &list[0]}); err != nil {
			return nil, err
		}
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_AUXDATA, 1); err != nil {
		return nil, err
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: networkOrder(proto), Ifindex: link.Index}); err != nil {
		return nil, err
	}
	conn, err := file.SyscallConn()
	if err != nil {
		return nil, err
	}
	return &packetSocket{file, conn, link, proto}, nil
}

func networkOrder(v uint16) uint16 {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], v)
	return binary.NativeEndian.Uint16(b[:])
}

// read reads a packet. unsummed says that its sender, on this machine, has left the checksum to the hardware, which there
// is none of.
func (s *packetSocket) read(b []byte) (n int, from net.HardwareAddr, unsummed bool, err error) {
	var oob [128]byte
	for {
		var oobn int
		var sa unix.Sockaddr
		var rerr error
		err = s.conn.Read(func(fd uintptr) bool {
			n, oobn, _, sa, rerr = unix.Recvmsg(int(fd), b, oob[:], 0)
			return rerr != unix.EAGAIN && rerr != unix.EINTR
		})
		if err == nil {
			err = rerr
		}
		if err != nil {
			return 0, nil, false, s.failed("read", err)
		}
		ll, ok := sa.(*unix.SockaddrLinklayer)
		if !ok || ll.Pkttype == unix.PACKET_OUTGOING {
			continue
		}
		return n, append(net.HardwareAddr(nil), ll.Addr[:min(ll.Halen, 6)]...), checksumNotReady(oob[:oobn]), nil
	}
}

// checksumNotReady looks into the auxiliary data, struct tpacket_auxdata.
func checksumNotReady(oob []byte) bool {
	list, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return false
	}
	for _, m := range list {
		if m.Header.Level == unix.SOL_PACKET && m.Header.Type == unix.PACKET_AUXDATA && len(m.Data) >= 4 {
			return binary.NativeEndian.Uint32(m.Data)&unix.TP_STATUS_CSUMNOTREADY != 0
		}
	}
	return false
}

func (s *packetSocket) write(b []byte, to net.HardwareAddr) error {
	sa := &unix.SockaddrLinklayer{Protocol: networkOrder(s.proto), Ifindex: s.link.Index, Halen: 6}
	copy(sa.Addr[:], to)
	var werr error
	err := s.conn.Write(func(fd uintptr) bool {
		werr = unix.Sendto(int(fd), b, 0, sa)
		return werr != unix.EAGAIN && werr != unix.EINTR
	})
	if err == nil {
		err = werr
	}
	if err != nil {
		return s.failed("write", err)
	}
	return nil
}

func (s *packetSocket) failed(op string, err error) error {
	return fmt.Errorf("dhcpinform: %s %q: %w", op, s.link.Name, err)
}

// Close ends a read that waits.
func (s *packetSocket) Close() error { return s.file.Close() }

func (s *packetSocket) SetDeadline(t time.Time) error      { return s.file.SetDeadline(t) }
func (s *packetSocket) SetReadDeadline(t time.Time) error  { return s.file.SetReadDeadline(t) }
func (s *packetSocket) SetWriteDeadline(t time.Time) error { return s.file.SetWriteDeadline(t) }

// An interfaceConn is UDP of a host that has no address yet.
type interfaceConn struct {
	*packetSocket
	in [1 << 16]byte

	mu   sync.Mutex
	macs map[netip.Addr]net.HardwareAddr // of servers, to send to them what is not broadcast
}

var etherBroadcast = net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// maxMACs bounds what strangers can make an interfaceConn remember.
const maxMACs = 64

// HardwareAddr is the interface's.
func (c *interfaceConn) HardwareAddr() net.HardwareAddr { return c.link.HardwareAddr }

// LocalAddr is no address.
func (c *interfaceConn) LocalAddr() net.Addr { return &net.UDPAddr{IP: net.IPv4zero, Port: clientPort} }

// ReadFrom reads the payload of a datagram to port 68. One read at a time.
func (c *interfaceConn) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		n, mac, unsummed, err := c.read(c.in[:])
		if err != nil {
			return 0, nil, err
		}
		p := c.in[:n]
		if h := ipHeader; unsummed && n >= headers {
			h = int(p[0]&0x0f) * 4
			if h+udpHeader <= n {
				p[h+6], p[h+7] = 0, 0 // RFC 768: none
			}
		}
		d, ok := parseUDP(p)
		if !ok || d.dstPort != clientPort {
			continue
		}
		if d.srcPort == serverPort {
			c.learn(d.src, mac)
		}
		return copy(b, d.payload), net.UDPAddrFromAddrPort(netip.AddrPortFrom(d.src, d.srcPort)), nil
	}
}

func (c *interfaceConn) learn(a netip.Addr, mac net.HardwareAddr) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, known := c.macs[a]; known || len(c.macs) < maxMACs {
		c.macs[a] = mac
	}
}

// WriteTo sends a DHCP message: from the address that it says is the client's, if it says so.
func (c *interfaceConn) WriteTo(b []byte, addr net.Addr) (int, error) {
	to := addrPortOf(addr)
	m, ok := parseMessage(b)
	if !ok || !to.Addr().Is4() {
		return 0, fmt.Errorf("dhcpinform: %d bytes to %v are no DHCP message to an IPv4 address", len(b), addr)
	}
	p := sealPacket(append(make([]byte, headers, headers+len(b)), b...), 0, netip.AddrPortFrom(m.ciaddr(), clientPort), to)
	c.mu.Lock()
	mac := c.macs[to.Addr()]
	c.mu.Unlock()
	if to.Addr() == broadcast || mac == nil {
		mac = etherBroadcast
	}
	if err := c.write(p, mac); err != nil {
		return 0, err
	}
	return len(b), nil
}
