package eap

import (
	"bytes"
	"context"
	"errors"
	"net"
	"testing"
)

func newPipe() (a, b net.Conn) { return net.Pipe() }

func TestFragments(t *testing.T) {
	for _, n := range []int{0, 1, 98, 99, 100, 194, 195, 1000, maxMessage} {
		msg := bytes.Repeat([]byte("0123456789"), n/10+1)[:n]
		packets := cut(msg, 100, 1)
		j := joiner{version: 1, mask: versionMask}
		for i, p := range packets {
			if len(p) > 100 {
				t.Fatalf("%d bytes: a packet of %d", n, len(p))
			}
			whole, err := j.add(p)
			if err != nil || whole != (i == len(packets)-1) {
				t.Fatalf("%d bytes, packet %d: %v, %v", n, i, whole, err)
			}
			if long := p[0]&flagLength != 0; long != (i == 0 && n > 99) {
				t.Errorf("%d bytes, packet %d: flags %x", n, i, p[0])
			}
		}
		if !bytes.Equal(j.msg, msg) {
			t.Errorf("%d bytes came back as %d", n, len(j.msg))
		}
	}
}

func TestFragmentsRefused(t *testing.T) {
	for name, packets := range map[string][]string{
		"length cut":           {"\x80\x00\x00"},
		"start":                {"\x20"},
		"version":              {"\x01ab"},
		"empty, more":          {"\x40"},
		"two lengths":          {"\xc0\x00\x00\x00\x04ab", "\x80\x00\x00\x00\x05cde"},
		"less than said":       {"\x80\x00\x00\x00\x04ab"},
		"more than said":       {"\x80\x00\x00\x00\x01ab"},
		"more than said later": {"\xc0\x00\x00\x00\x03ab", "\x00cd"},
	} {
		j := joiner{mask: versionMask}
		var err error
		for _, p := range packets {
			_, err = j.add([]byte(p))
		}
		if !errors.Is(err, errFragment) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// 64 KiB, as they arrive: neither a length that promises less nor none at all lets more through.
func TestFragmentsAreBounded(t *testing.T) {
	for name, first := range map[string]string{"no length": "\x40", "a large length": "\xc0\x00\x01\x00\x01", "all the memory": "\xc0\xff\xff\xff\xff"} {
		j := joiner{}
		var err error
		n := 0
		for ; err == nil && n < 1000; n++ {
			flags := first
			if n > 0 {
				flags = "\x40"
			}
			_, err = j.add(append([]byte(flags), make([]byte, 1000)...))
		}
		if !errors.Is(err, errFragment) || len(j.msg) > maxMessage || name != "no length" && n > 1 {
			t.Errorf("%s: %v after %d fragments, %d bytes", name, err, n, len(j.msg))
		}
	}
	f := &flights{}
	if _, err := f.Write(make([]byte, maxMessage+1)); err == nil {
		t.Error("more than a message may be written")
	}
}

// What a far side says between fragments is an acknowledgement, or the end.
func TestFragmentsWantAcknowledgement(t *testing.T) {
	for _, answer := range []string{"\x00x", "\x40", "\x20", "\x80"} {
		r := &Round{MaxData: 50, do: func(context.Context, []byte) ([]byte, error) { return []byte(answer), nil }}
		f := &flights{ctx: t.Context(), round: r, do: r.Do, out: make([]byte, 200)}
		if err := f.turn(); !errors.Is(err, errFragment) {
			t.Errorf("%x: %v", answer, err)
		}
	}
}

// fuzzRound feeds a method with packets of a length each.
func fuzzRound(b []byte) *Round {
	return &Round{MaxData: 1000, do: func(context.Context, []byte) ([]byte, error) {
		if len(b) == 0 {
			return nil, errCut
		}
		n := min(int(b[0]), len(b)-1)
		p := b[1 : 1+n]
		b = b[1+n:]
		return p, nil
	}}
}

func FuzzFragments(f *testing.F) {
	f.Add([]byte("\x06\xc0\x00\x00\x00\x02a\x02\x00b"))
	f.Add([]byte("\x01\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := fuzzRound(b)
		fl := &flights{ctx: t.Context(), round: r, do: r.Do, mask: versionMask}
		if err := fl.turn(); err == nil && len(fl.in) > len(b) {
			t.Errorf("%d bytes out of %d", len(fl.in), len(b))
		}
		if p, ok := parseFragment(b); ok && len(b) > 0 && !bytes.Equal(p.append(nil), b) {
			t.Errorf("%x came back as %x", b, p.append(nil))
		}
	})
}
