package rawio

import (
	"bytes"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func pair(t *testing.T, flags int) (a, b uintptr) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|flags, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fds[0]); unix.Close(fds[1]) })
	return uintptr(fds[0]), uintptr(fds[1])
}

// Sockets do not wait even in blocking mode: a thread that did would keep others from running.
func TestSocketsNeverWait(t *testing.T) {
	a, b := pair(t, 0)
	var in Reader
	got, data := make([]byte, 100), []byte("some bytes")
	if n, err := in.Recv(b, got); n != 0 || err != syscall.EAGAIN {
		t.Fatal(n, err)
	}
	if Ready(b, unix.POLLIN) || !Ready(a, unix.POLLOUT) {
		t.Error("ready to read, or not to write")
	}
	if n, err := Send(a, data); n != len(data) || err != nil {
		t.Fatal(n, err)
	}
	if !Ready(b, unix.POLLIN) {
		t.Error("not ready to read")
	}
	if n, err := in.Recv(b, got); err != nil || !bytes.Equal(got[:n], data) {
		t.Fatal(n, err)
	}
	large := make([]byte, 1<<20)
	sent := 0
	for {
		n, err := Send(a, large)
		if sent += n; err != nil {
			if err != syscall.EAGAIN || sent == 0 || Ready(a, unix.POLLOUT) {
				t.Error(sent, err)
			}
			break
		}
	}
	unix.Shutdown(int(b), unix.SHUT_RDWR)
	if _, err := Send(a, data); err != syscall.EPIPE { // and no signal
		t.Error(err)
	}
}

func TestDescriptors(t *testing.T) {
	a, b := pair(t, unix.SOCK_NONBLOCK)
	var in Reader
	x, y := []byte("of two "), []byte("parts")
	parts := []syscall.Iovec{{Base: &x[0]}, {Base: &y[0]}}
	parts[0].SetLen(len(x))
	parts[1].SetLen(len(y))
	got := make([]byte, 100)
	if n, err := in.Read(b, got); n != 0 || err != syscall.EAGAIN {
		t.Fatal(n, err)
	}
	if n := testing.AllocsPerRun(3*long, func() {
		if n, err := Writev(a, parts); n != len(x)+len(y) || err != nil {
			t.Fatal(n, err)
		}
		if n, err := in.Read(b, got); err != nil || string(got[:n]) != "of two parts" {
			t.Fatal(n, err)
		}
		if n, err := in.Read(b, got); n != 0 || err != syscall.EAGAIN || Ready(b, unix.POLLIN) {
			t.Fatal(n, err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if _, err := in.Read(1<<20, got); err != syscall.EBADF {
		t.Error(err)
	}
}

// What never pauses is told to the scheduler from time to time.
func TestSchedulerIsTold(t *testing.T) {
	_, b := pair(t, unix.SOCK_NONBLOCK)
	var c Reader
	got := make([]byte, 1)
	for range long - 1 {
		c.Read(b, got)
	}
	if c.n != long-1 {
		t.Error(c.n)
	}
	if c.Read(b, got); c.n != 0 {
		t.Error(c.n)
	}
	if c.Read(b, got); c.n != 1 {
		t.Error(c.n)
	}
	if c.Paused(); c.n != 0 {
		t.Error(c.n)
	}
}
