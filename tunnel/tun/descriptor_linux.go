package tun

import (
	"os"
	"sync"
	"syscall"

	"github.com/dialway/dialway/internal/offload"
	"github.com/dialway/dialway/internal/rawio"
	"golang.org/x/sys/unix"
)

// A descriptor is one queue of a TUN device. Reading and writing are for one goroutine at a time; others wait.
type descriptor struct {
	file *os.File
	raw  syscall.RawConn
	vnet bool // the device has offload

	rmu   sync.Mutex
	buf   []byte // with offload: a virtio header and 64 KiB
	split offload.Splitter
	in    rawio.Reader
	read  ioCall

	wmu      sync.Mutex
	join     offload.Joiner
	refusals refusals
	iov      []syscall.Iovec
	write    ioCall
}

// An ioCall is a system call under way. Its closures are made once: a call would allocate them.
type ioCall struct {
	b   []byte
	n   int
	err error
	now func(fd uintptr)      // does it
	try func(fd uintptr) bool // does it, and reports whether it need not be waited for
}

// newDescriptor takes a descriptor that is attached to a device and does not block. It is closed if that fails.
func newDescriptor(fd int) (*descriptor, error) {
	d := &descriptor{file: os.NewFile(uintptr(fd), clonePath)}
	if err := d.init(); err != nil {
		d.file.Close()
		return nil, err
	}
	return d, nil
}

func (d *descriptor) init() (err error) {
	if d.raw, err = d.file.SyscallConn(); err != nil {
		return err
	}
	e := d.raw.Control(func(fd uintptr) {
		ifr, _ := unix.NewIfreq("")
		if err = unix.IoctlIfreq(int(fd), unix.TUNGETIFF, ifr); err != nil {
			return
		}
		if d.vnet = ifr.Uint16()&unix.IFF_VNET_HDR != 0; !d.vnet {
			return
		}
		const tcp, udp = unix.TUN_F_CSUM | unix.TUN_F_TSO4 | unix.TUN_F_TSO6, unix.TUN_F_USO4 | unix.TUN_F_USO6
		if err = unix.IoctlSetInt(int(fd), unix.TUNSETOFFLOAD, tcp); err == nil {
			d.join.UDP = unix.IoctlSetInt(int(fd), unix.TUNSETOFFLOAD, tcp|udp) == nil // since Linux 6.2
		}
	})
	if err == nil {
		err = e
	}
	d.prepare()
	return err
}

// prepare makes what every call needs.
func (d *descriptor) prepare() {
	if d.join.Off = !d.vnet; d.vnet {
		d.buf = make([]byte, offload.HeaderLen+1<<16)
	}
	d.read.now = func(fd uintptr) { d.read.n, d.read.err = d.in.Read(fd, d.read.b) }
	d.read.try = func(fd uintptr) bool {
		if d.read.now(fd); d.read.err == unix.EAGAIN {
			d.in.Paused()
			return false
		}
		return true
	}
	d.write.now = func(fd uintptr) { _, d.write.err = rawio.Writev(fd, d.iov) }
}

// BatchSize is tunnel.PacketIO's.
func (d *descriptor) BatchSize() int { return batchSize }

// Close ends what waits.
func (d *descriptor) Close() error { return d.file.Close() }

// Read is tunnel.PacketIO's. It waits for the first packet, and takes what else is here.
func (d *descriptor) Read(bufs [][]byte, sizes []int, offset int) (n int, err error) {
	d.rmu.Lock()
	defer d.rmu.Unlock()
	for more := true; n < len(bufs) && err == nil; {
		switch b := bufs[n][offset:]; {
		case d.split.More():
			sizes[n], err = d.split.Next(b)
		case d.vnet:
			if more, err = d.readLarge(n == 0); more && err == nil {
				continue
			}
		default:
			sizes[n], err = d.readSmall(b, n == 0)
			more = sizes[n] > 0
		}
		if !more {
			break
		}
		if err == nil {
			n++
		}
	}
	if n > 0 && err != nil && aboutPacket(err) {
		err = nil // one of several was lost
	}
	return n, err
}

// readLarge reads what the system gives as one; without wait, if it has something.
func (d *descriptor) readLarge(wait bool) (bool, error) {
	k, err := d.readInto(d.buf, wait)
	if k == 0 || err != nil {
		return false, err
	}
	if k < offload.HeaderLen {
		return false, offload.ErrHeader
	}
	var v offload.Header
	v.Decode(d.buf)
	return true, d.split.Begin(v, d.buf[offload.HeaderLen:k])
}

// readSmall reads a packet as it is, without offload; 0: there is none.
func (d *descriptor) readSmall(b []byte, wait bool) (int, error) {
	k, err := d.readInto(b, wait)
	if err == nil && k == len(b) && isCut(b) {
		err = offload.ErrTooSmall
	}
	return k, err
}

func (d *descriptor) readInto(b []byte, wait bool) (int, error) {
	c := &d.read
	c.b = b
	var err error
	if wait {
		err = d.raw.Read(c.try)
	} else {
		err = d.raw.Control(c.now)
	}
	c.b = nil
	switch {
	case err != nil, c.err == unix.EBADFD: // closed, or the device has been deleted
		return 0, os.ErrClosed
	case c.err == unix.EAGAIN:
		return 0, nil
	case c.err != nil:
		return 0, os.NewSyscallError("read", c.err)
	}
	return c.n, nil
}

// Write is tunnel.PacketIO's. Only a closed device is an error; anything else (the interface is down, the queue is full)
// loses packets.
func (d *descriptor) Write(bufs [][]byte, offset int) (n int, err error) {
	d.wmu.Lock()
	defer d.wmu.Unlock()
	for _, b := range bufs {
		if len(b) <= offset || len(b)-offset > offload.MaxPacket {
			continue
		}
		if p := b[offset:]; !d.join.Add(p) {
			sent, err := d.flush()
			if n += sent; err != nil {
				return n, err
			}
			d.join.Add(p)
		}
	}
	if d.join.Len() > 0 {
		sent, e := d.flush()
		n, err = n+sent, e
	}
	return n, err
}

// flush writes what is joined.
func (d *descriptor) flush() (int, error) {
	parts, packets := d.join.Finish()
	if !d.vnet {
		parts = parts[1:]
	}
	d.iov = d.iov[:0]
	for _, p := range parts {
		v := syscall.Iovec{Base: &p[0]}
		v.SetLen(len(p))
		d.iov = append(d.iov, v)
	}
	err := d.raw.Control(d.write.now)
	clear(d.iov)
	clear(parts)
	switch {
	case err != nil, d.write.err == unix.EBADFD:
		return 0, os.ErrClosed
	case d.write.err == nil:
		if packets > 1 {
			d.refusals.taken()
		}
		return packets, nil
	case d.write.err == unix.EINVAL && packets > 1:
		d.refusals.refused()
		d.join.Off = d.refusals.giveUp()
	}
	return 0, nil
}
