package tun

import (
	"bytes"
	"errors"
	"os"
	"testing"

	"github.com/dialway/dialway/internal/offload"
	"github.com/dialway/dialway/internal/offload/offloadtest"
	"golang.org/x/sys/unix"
)

// pair is a descriptor over a socket in the place of a device: packets of the system, whole, at the other end.
func pair(t *testing.T) (d *descriptor, far int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	d = &descriptor{file: os.NewFile(uintptr(fds[0]), "pair")}
	d.vnet, d.join.UDP = true, true
	if d.raw, err = d.file.SyscallConn(); err != nil {
		t.Fatal(err)
	}
	d.prepare()
	t.Cleanup(func() { d.Close(); unix.Close(fds[1]) })
	return d, fds[1]
}

func read(t *testing.T, fd int) []byte {
	t.Helper()
	b := make([]byte, 70000)
	n, err := unix.Read(fd, b)
	if err != nil {
		t.Fatal(err)
	}
	return b[:n]
}

// bulk is what a read of a stream brings, and its packets.
func bulk() (large []byte, packets [][]byte) {
	packets = offloadtest.Stream()
	var j offload.Joiner
	for _, p := range packets {
		j.Add(bytes.Clone(p))
	}
	parts, _ := j.Finish()
	return bytes.Join(parts, nil), packets
}

func TestDescriptorWritesJoinedPackets(t *testing.T) {
	d, far := pair(t)
	large, packets := bulk()
	// As a link lends them: next to each other, behind an offset.
	const offset = 8
	slab := make([]byte, 0, 100000)
	var bufs [][]byte
	for _, p := range packets {
		at := len(slab)
		slab = append(append(slab, "\xeeheader!"...), p...)
		bufs = append(bufs, slab[at:len(slab):len(slab)])
	}
	small := append(make([]byte, offset), 1, 2, 3)
	n, err := d.Write(append(bufs, make([]byte, offset), small), offset)
	if n != len(packets)+1 || err != nil {
		t.Fatal(n, err)
	}
	if got := read(t, far); !bytes.Equal(got, large) {
		t.Errorf("%d bytes", len(got))
	}
	if got := read(t, far); !bytes.Equal(got, append(make([]byte, offload.HeaderLen), 1, 2, 3)) {
		t.Errorf("%x", got)
	}
	if n := testing.AllocsPerRun(20, func() {
		d.Write(bufs, offset)
		unix.Read(far, slab[:cap(slab)][len(slab):])
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	d.Close()
	if _, err := d.Write(bufs, offset); !errors.Is(err, os.ErrClosed) {
		t.Error(err)
	}
}

func TestDescriptorReadsManyAtOnce(t *testing.T) {
	d, far := pair(t)
	large, packets := bulk()
	for range 3 {
		unix.Write(far, large)
	}
	unix.Write(far, []byte{1, 2}) // no header: lost
	unix.Write(far, append(make([]byte, offload.HeaderLen), 9))
	bufs, sizes := make([][]byte, batchSize), make([]int, batchSize)
	for i := range bufs {
		bufs[i] = make([]byte, 5+1400)
	}
	total := 0
	for _, want := range []int{batchSize, 3*47 - batchSize, 1} {
		n, err := d.Read(bufs, sizes, 5)
		if n != want || err != nil {
			t.Fatalf("%d packets, want %d: %v", n, want, err)
		}
		for i := range n {
			if p := bufs[i][5 : 5+sizes[i]]; total < 141 && !bytes.Equal(p, packets[total%47]) {
				t.Fatalf("packet %d", total)
			}
			total++
		}
	}
	if n := testing.AllocsPerRun(20, func() {
		unix.Write(far, large)
		d.Read(bufs, sizes, 5)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	// One that is too large is lost, and those behind it are not.
	unix.Write(far, append(make([]byte, offload.HeaderLen), make([]byte, 2000)...))
	if n, err := d.Read(bufs, sizes, 5); n != 0 || !errors.Is(err, offload.ErrTooSmall) {
		t.Error(n, err)
	}
	unix.Write(far, large)
	unix.Write(far, append(make([]byte, offload.HeaderLen), make([]byte, 2000)...))
	if n, err := d.Read(bufs, sizes, 5); n != 47 || err != nil {
		t.Error(n, err)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := d.Read(bufs, sizes, 0)
		ended <- err
	}()
	d.Close()
	if err := <-ended; !errors.Is(err, os.ErrClosed) {
		t.Error(err)
	}
}

func TestDescriptorWithoutOffload(t *testing.T) {
	d, far := pair(t)
	d.vnet = false
	d.prepare()
	_, packets := bulk()
	for _, p := range packets[:40] {
		unix.Write(far, p)
	}
	bufs, sizes := make([][]byte, batchSize), make([]int, batchSize)
	for i := range bufs {
		bufs[i] = make([]byte, 5+1400)
	}
	n, err := d.Read(bufs, sizes, 5)
	if n != 40 || err != nil {
		t.Fatal(n, err)
	}
	for i, p := range packets[:40] {
		if !bytes.Equal(bufs[i][5:5+sizes[i]], p) {
			t.Error("packet", i)
		}
	}
	large := offloadtest.Packet(false, false, 0, 0x10, offloadtest.Random(1500)) // cut by the system: somebody has raised the MTU
	unix.Write(far, large)
	if n, err := d.Read(bufs, sizes, 5); n != 0 || err != offload.ErrTooSmall {
		t.Error(n, err)
	}
	unix.Write(far, packets[0])
	unix.Write(far, large)
	if n, err := d.Read(bufs, sizes, 5); n != 1 || err != nil {
		t.Error(n, err)
	}
	if n, err := d.Write(packets[:3], 0); n != 3 || err != nil {
		t.Error(n, err)
	}
	for _, p := range packets[:3] {
		if got := read(t, far); !bytes.Equal(got, p) {
			t.Errorf("%d bytes", len(got))
		}
	}
}

func TestDescriptorStopsJoiningWhereItIsRefused(t *testing.T) {
	d, _ := pair(t)
	writes, refuse := 0, true
	d.write.now = func(uintptr) {
		writes++
		if d.write.err = nil; refuse && len(d.iov) > 2 {
			d.write.err = unix.EINVAL
		}
	}
	_, packets := bulk()
	lost := 0
	for range 30 {
		if n, err := d.Write([][]byte{bytes.Clone(packets[0]), bytes.Clone(packets[1])}, 0); err != nil {
			t.Fatal(err)
		} else if n == 0 {
			lost++
		}
		d.Write(packets[:1], 0) // alone, which is never refused
	}
	if lost != 8 {
		t.Errorf("%d batches lost", lost)
	}
	// A few that the kernel does not like for what they are change nothing.
	d, _ = pair(t)
	writes = 0
	d.write.now = func(uintptr) {
		writes++
		if d.write.err = nil; writes%30 == 0 {
			d.write.err = unix.EINVAL
		}
	}
	for range 300 {
		d.Write([][]byte{bytes.Clone(packets[0]), bytes.Clone(packets[1])}, 0)
	}
	if writes != 300 {
		t.Errorf("%d writes", writes)
	}
}
