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
	//lint:ignore SA1019 crypto/tls goes on only after an error that says so
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

func TestTryReadAndWaitRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pipe(0)
		buf := make([]byte, 10)
		if n, err := b.TryRead(buf); n != 0 || err != nil {
			t.Fatal(n, err)
		}
		b.SetReadDeadline(time.Now().Add(time.Second))
		if err := b.WaitRead(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal(err)
		}
		a.Write([]byte("x"))
		if err := b.WaitRead(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("a past deadline, with data here: %v", err)
		}
		if n, err := b.TryRead(buf); n != 1 || err != nil {
			t.Fatalf("without waiting, a deadline does not matter: %d, %v", n, err)
		}
		b.SetReadDeadline(time.Time{})
		go func() {
			time.Sleep(time.Second)
			a.Close()
		}()
		if err := b.WaitRead(); err != io.EOF {
			t.Fatal(err)
		}
		if n, err := b.TryRead(buf); n != 0 || err != io.EOF {
			t.Fatal(n, err)
		}
	})
}

func TestWaitWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pipe(10)
		if err := a.WaitWrite(); err != nil {
			t.Fatal(err)
		}
		if n, err := a.TryWrite(make([]byte, 20)); n != 10 || err != nil {
			t.Fatal(n, err)
		}
		a.SetWriteDeadline(time.Now().Add(time.Second))
		if err := a.WaitWrite(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal(err)
		}
		a.SetWriteDeadline(time.Time{})
		go func() {
			time.Sleep(time.Second)
			b.TryRead(make([]byte, 1))
			time.Sleep(time.Second)
			b.Close()
		}()
		if err := a.WaitWrite(); err != nil {
			t.Fatal(err)
		}
		if n, err := a.TryWrite(make([]byte, 20)); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		if err := a.WaitWrite(); !errors.Is(err, syscall.EPIPE) {
			t.Fatal(err)
		}
	})
}

func TestWriteDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _ := pipe(10)
		a.SetWriteDeadline(time.Now().Add(time.Second))
		if n, err := a.Write(make([]byte, 20)); n != 10 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal(n, err)
		}
	})
}

func TestListener(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := Listen(netip.MustParseAddrPort("192.0.2.2:443"))
		from := netip.MustParseAddrPort("198.51.100.7:5000")
		accepted := make(chan net.Conn, 2)
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					close(accepted)
					return
				}
				accepted <- c
			}
		}()
		near, err := l.DialFrom(t.Context(), from)
		if err != nil {
			t.Fatal(err)
		}
		far := <-accepted
		if far.RemoteAddr().String() != from.String() || near.RemoteAddr().String() != l.Addr().String() {
			t.Error(far.RemoteAddr(), near.RemoteAddr())
		}
		near.Write([]byte("lost"))
		l.Cut()
		if _, err := far.Read(make([]byte, 4)); !errors.Is(err, syscall.ECONNRESET) {
			t.Error(err)
		}
		l.Close()
		if _, ok := <-accepted; ok {
			t.Error("accepted after Close")
		}
		if _, err := l.Dial(t.Context(), "tcp", ""); !errors.Is(err, ErrRefused) {
			t.Error(err)
		}
	})
}
