package tun

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

const clonePath = "/dev/net/tun"

// Open makes a device and brings it up. It needs CAP_NET_ADMIN and /dev/net/tun. What an earlier process of this package
// left behind in the routing table when it was killed is removed.
func Open(c Config) (*Device, error) {
	if c.MTU == 0 {
		c.MTU = defaultMTU
	}
	flags := uint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if !c.NoOffload {
		flags |= unix.IFF_VNET_HDR
	}
	if c.Queues > 1 {
		flags |= unix.IFF_MULTI_QUEUE
	}
	first, name, err := openQueue(c.Name, flags)
	if err != nil {
		return nil, err
	}
	mtu := new(atomic.Int64)
	mtu.Store(int64(c.MTU))
	d := &Device{name: name}
	d.sys.log = c.Logger
	if c.Logger == nil {
		d.sys.log = slog.New(slog.DiscardHandler)
	}
	d.queue.init(first, first.BatchSize(), mtu, &d.sys)
	for range c.Queues - 1 {
		w, _, err := openQueue(name, flags)
		if err != nil {
			d.Close()
			return nil, err
		}
		d.more = append(d.more, new(queue).init(w, w.BatchSize(), mtu, &d.sys))
	}
	if err := d.sys.open(name, c.MTU); err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

// openQueue opens a descriptor of the device, and returns the device's name.
func openQueue(name string, flags uint16) (*descriptor, string, error) {
	fd, err := unix.Open(clonePath, unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return nil, "", fmt.Errorf("tun: open %s: %w (is the kernel's tun module loaded?)", clonePath, err)
		}
		return nil, "", fmt.Errorf("tun: open %s: %w%s", clonePath, err, hint(err))
	}
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		unix.Close(fd)
		return nil, "", fmt.Errorf("tun: device name %q: at most 15 bytes", name)
	}
	ifr.SetUint16(flags)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr); err != nil {
		unix.Close(fd)
		return nil, "", fmt.Errorf("tun: make device %q: %w%s", name, err, hint(err))
	}
	d, err := newDescriptor(fd)
	if err != nil {
		return nil, "", fmt.Errorf("tun: device %q: %w", name, err)
	}
	return d, ifr.Name(), nil
}

func hint(err error) string {
	switch {
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return " (root or CAP_NET_ADMIN is needed)"
	case errors.Is(err, unix.EBUSY):
		return " (another process has it)"
	case errors.Is(err, unix.EINVAL):
		return " (the name is taken by a device of another kind)"
	}
	return ""
}

// adopt takes over a descriptor: it gets a duplicate, since an os.File that has given out its Fd no longer works with the
// runtime's poller. f is closed if all went well.
func adopt(f *os.File) (device, error) {
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, err
	}
	d, err := newDescriptor(fd)
	if err != nil {
		return nil, err
	}
	f.Close()
	return d, nil
}
