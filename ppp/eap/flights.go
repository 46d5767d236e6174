package eap

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"
)

// A flights is the connection that crypto/tls has inside of EAP. It turns TLS, which reads and writes, into rounds:
//
//	Write: keeps
//	Read:  nothing there? sends what was kept, as fragments, and puts the answer's fragments together
//
// TLS reads only when it has written all that it can, so what was kept is a flight, and EAP's lock-step is kept. It all
// happens on the goroutine that called crypto/tls: there is none to be left behind.
type flights struct {
	ctx   context.Context // of the method's call, which a flights does not outlive
	round *Round
	do    func(ctx context.Context, data []byte) ([]byte, error) // round.Do, or round.need

	version byte // PEAP's, in the flags
	mask    byte // where to look for it; 0 for EAP-TLS, whose bits are reserved

	in   []byte // of the far side's last message, to be read
	out  []byte // written, to be sent
	err  error  // why a round failed; then it is all over
	idle bool   // Read makes no round
}

// errSilent is a far side that acknowledges where it should speak.
var errSilent = errors.New("eap: an empty packet, while the handshake is not done")

func (f *flights) Read(b []byte) (int, error) {
	if len(f.in) == 0 {
		if f.idle {
			return 0, os.ErrDeadlineExceeded // crypto/tls can go on behind it
		}
		if err := f.turn(); err != nil {
			return 0, err
		}
		if len(f.in) == 0 {
			f.err = far(errSilent)
			return 0, f.err
		}
	}
	n := copy(b, f.in)
	f.in = f.in[n:]
	return n, nil
}

func (f *flights) Write(b []byte) (int, error) {
	if len(f.out)+len(b) > maxMessage {
		return 0, fmt.Errorf("eap: a TLS message of more than %d bytes", maxMessage)
	}
	f.out = append(f.out, b...)
	return len(b), nil
}

// turn sends what was written, or an acknowledgement, and takes the far side's next message.
func (f *flights) turn() error {
	if f.err == nil {
		f.err = f.exchange()
	}
	return f.err
}

func (f *flights) exchange() error {
	packets := cut(f.out, f.round.MaxData, f.version)
	f.out = nil
	var answer []byte
	for i, p := range packets {
		var err error
		if answer, err = f.do(f.ctx, p); err != nil {
			return err
		}
		if i == len(packets)-1 {
			break
		}
		if ack, ok := parseFragment(answer); !ok || len(ack.data) > 0 || ack.flags&(flagStart|flagMore) != 0 {
			return far(fmt.Errorf("%w: no acknowledgement of %d", errFragment, i+1))
		}
	}
	return f.receive(answer)
}

// receive puts a message together, of which first has come.
func (f *flights) receive(first []byte) error {
	j := joiner{version: f.version, mask: f.mask}
	for b := first; ; {
		whole, err := j.add(b)
		if err != nil {
			return far(err)
		}
		if whole {
			f.in = j.msg
			return nil
		}
		if b, err = f.do(f.ctx, []byte{f.version}); err != nil {
			return err
		}
	}
}

// begin sends the server's start, and takes the ClientHello.
func (f *flights) begin() error {
	answer, err := f.do(f.ctx, []byte{flagStart | f.version})
	if err == nil {
		err = f.receive(answer)
	}
	f.err = err
	return err
}

// say sends what is left to say, an alert, whatever comes of it.
func (f *flights) say() {
	if f.err == nil {
		f.err = f.exchange()
	}
}

// settle reads what crypto/tls has left in its buffers, or in this one, of a message whose data was read: tickets. Data
// is an error.
func (f *flights) settle(conn io.Reader) error {
	f.idle = true
	defer func() { f.idle = false }()
	var b [1]byte
	switch n, err := conn.Read(b[:]); {
	case n > 0:
		return far(errors.New("eap: TLS data behind the end"))
	case err == nil || errors.Is(err, os.ErrDeadlineExceeded):
		return nil
	default:
		return err
	}
}

// The rest of a net.Conn. Time-outs are the context's.

func (f *flights) Close() error                     { return nil }
func (f *flights) LocalAddr() net.Addr              { return eapAddr{} }
func (f *flights) RemoteAddr() net.Addr             { return eapAddr{} }
func (f *flights) SetDeadline(time.Time) error      { return nil }
func (f *flights) SetReadDeadline(time.Time) error  { return nil }
func (f *flights) SetWriteDeadline(time.Time) error { return nil }

// An eapAddr is an end of a conversation, which has no address.
type eapAddr struct{}

func (eapAddr) Network() string { return "eap" }
func (eapAddr) String() string  { return "eap" }
