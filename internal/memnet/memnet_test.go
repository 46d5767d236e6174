package memnet

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func pipe(buffer int) (*Conn, *Conn) {
	return Pipe(netip.MustParseAddrPort("192.0.2.1:1"), netip.MustParseAddrPort("192.0.2.2:443"), buffer)
}

func TestPastDeadlineFailsBufferedRead(t *testing.T) {
	a, b := pipe(0)
	a.Write([]byte("x"))
	b.SetReadDeadline(time.Unix(1, 0))
	_, err := b.Read(make([]byte, 1))
	var ne net.Error
	if !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &ne) || !ne.Timeout() || !ne.Temporary() {
		t.Fatalf("%v", err)
	}
	b.SetReadDeadline(time.Time{})
	if n, err := b.Read(make([]byte, 1)); n != 1 || err != nil {
		t.Fatal(n, err)
	}
}

func TestDeadlineWakesReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, b := pipe(0)
		go func() {
			time.Sleep(time.Second)
			b.SetReadDeadline(time.Unix(1, 0))
		}()
		start := time.Now()
		if _, err := b.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != time.Second {
			t.Fatal(err, time.Since(start))
		}
	})
}

func TestCloseWakesBothSides(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pipe(1)
		b.Write([]byte("x")) // the way to a is full
		errs := make(chan error, 2)
		go func() { _, err := b.Write([]byte("y")); errs <- err }()
		go func() { _, err := b.Read(make([]byte, 1)); errs <- err }()
		synctest.Wait()
		a.Close()
		for range 2 {
			if err := <-errs; err != io.EOF && !errors.Is(err, syscall.EPIPE) {
				t.Error(err)
			}
		}
		if _, err := a.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
}

func TestFarSideReadsWhatWasWrittenBeforeClose(t *testing.T) {
	a, b := pipe(0)
	a.Write([]byte("bye"))
	a.Close()
	if got, err := io.ReadAll(b); string(got) != "bye" || err != nil {
		t.Fatalf("%q %v", got, err)
	}
}

func TestBackPressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pipe(1000)
		want := make([]byte, 10000)
		rand.Read(want)
		if n, err := a.TryWrite(want); n != 1000 || err != nil {
			t.Fatal(n, err)
		}
		go func() {
			a.Write(want[1000:])
			a.Close()
		}()
		synctest.Wait()
		if b.Buffered() != 1000 {
			t.Fatal(b.Buffered())
		}
		got, err := io.ReadAll(b)
		if !bytes.Equal(got, want) || err != nil {
			t.Fatal(err)
		}
	})
}

func TestNthOperationFails(t *testing.T) {
	a, b := pipe(0)
	a.FailWrite(2)
	if _, err := a.Write([]byte("1")); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Write([]byte("2")); !errors.Is(err, ErrInjected) {
		t.Fatal(err)
	}
	if _, err := b.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Fatal(err)
	}
}
