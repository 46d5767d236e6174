// Package rawio makes system calls that never wait, and says nothing of them to Go's scheduler.
//
// For what syscall.Read does beside the system call there is a reason: a thread that waits in the kernel must not keep
// others from running. A call that does not wait pays for it without need. Above all, the first one after a pause of the
// process wakes the runtime's monitor, which then looks around every 20 microseconds for a while: where packets come in
// bursts of some hundred microseconds, every other task switch was the monitor's.
//
// The monitor is needed where goroutines never pause: it takes turns among them, and looks for those whose descriptors are
// ready. So who reads for long without a pause tells the scheduler now and then.
package rawio

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A Reader reads one descriptor, by one goroutine at a time. The zero Reader is ready.
type Reader struct {
	n int // calls since the last pause
}

// long is how many calls may be made without a pause until one is told to the scheduler: some ten milliseconds of work,
// as long as the scheduler lets a goroutine run while others wait.
const long = 128

// Paused says that the goroutine has had to wait.
func (r *Reader) Paused() { r.n = 0 }

// Recv reads from a socket. It does not wait, whatever the socket's mode: then it returns syscall.EAGAIN.
func (r *Reader) Recv(fd uintptr, b []byte) (int, error) {
	return call(r.long(), unix.SYS_RECVFROM, fd, unsafe.Pointer(unsafe.SliceData(b)), len(b), unix.MSG_DONTWAIT)
}

// Read reads from a descriptor, which must be in non-blocking mode.
func (r *Reader) Read(fd uintptr, b []byte) (int, error) {
	return call(r.long(), unix.SYS_READ, fd, unsafe.Pointer(unsafe.SliceData(b)), len(b), 0)
}

func (r *Reader) long() bool {
	if r.n++; r.n < long {
		return false
	}
	r.n = 0
	return true
}

// Send writes to a socket. It does not wait, whatever the socket's mode: then it returns syscall.EAGAIN.
func Send(fd uintptr, b []byte) (int, error) {
	return call(false, unix.SYS_SENDTO, fd, unsafe.Pointer(unsafe.SliceData(b)), len(b), unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
}

// Writev writes the parts as one to a descriptor, which must be in non-blocking mode.
func Writev(fd uintptr, parts []syscall.Iovec) (int, error) {
	return call(false, unix.SYS_WRITEV, fd, unsafe.Pointer(unsafe.SliceData(parts)), len(parts), 0)
}

func call(tell bool, trap, fd uintptr, p unsafe.Pointer, n int, flags uintptr) (int, error) {
	for {
		var r uintptr
		var e syscall.Errno
		if tell {
			r, _, e = syscall.Syscall6(trap, fd, uintptr(p), uintptr(n), flags, 0, 0)
		} else {
			r, _, e = syscall.RawSyscall6(trap, fd, uintptr(p), uintptr(n), flags, 0, 0)
		}
		switch e {
		case 0:
			return int(r), nil
		case syscall.EINTR:
		case syscall.EAGAIN:
			return 0, eagain
		default:
			return 0, e
		}
	}
}

// eagain is no new value each time.
var eagain error = syscall.EAGAIN

// Ready reports whether a descriptor is ready for events, of poll(2), or has failed.
func Ready(fd uintptr, events int16) bool {
	for {
		p, now := unix.PollFd{Fd: int32(fd), Events: events}, syscall.Timespec{}
		n, _, e := syscall.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&p)), 1, uintptr(unsafe.Pointer(&now)), 0, 0, 0)
		if e != syscall.EINTR {
			return n > 0 || e != 0
		}
	}
}
