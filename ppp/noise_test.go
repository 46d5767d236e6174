package ppp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// pair makes two ends that authenticate by a method and have the network configured, not yet opened.
func pair(p AuthProtocol) (a, b *pipeEnd, c, s *Conn) {
	a, b = newPipe()
	known := PasswordFunc(func(context.Context, string) (Secret, error) { return "clientPass", nil })
	c = Client(a, Call{Verified: true}, &Config{User: "User", Password: "clientPass", Auth: []AuthProtocol{p}})
	s = Server(b, Call{}, &Config{Auth: []AuthProtocol{p}, Authenticator: known, Addr: serverAddr, Pool: &onePool{addr: clientAddr}})
	return a, b, c, s
}

// put gives this end's far side a frame, beside drop.
func (p *pipeEnd) inject(f []byte) {
	q := p.peer
	q.mu.Lock()
	defer q.mu.Unlock()
	q.queue = append(q.queue, bytes.Clone(f))
	q.changed()
}

// harmless is what a peer may say at any time without changing anything. What it would answer is its own matter.
func harmless() (list [][]byte) {
	frame := func(proto uint16, code, id byte, data ...byte) []byte {
		return appendPacket(appendHeader(nil, proto), code, id, data)
	}
	list = [][]byte{
		{}, {0xff}, {0xff, 3}, {0xff, 3, 0xc0}, {0xff, 3, 0xc0, 0x21}, {0xff, 3, 0xc0, 0x21, 1, 1, 0, 200}, {0, 0, 0, 0},
		join(appendHeader(nil, protoIPv4), ipv4(clientAddr, serverAddr, 40)),
		join(appendHeader(nil, protoIPv6), ipv6(lan6, world6, 40)),
		{0x3d, 1, 2, 3}, // multilink
		frame(protoLCP, codeConfigureAck, 0xf0, 5, 6, 1, 2, 3, 4),
		frame(protoLCP, codeConfigureNak, 0xf1, 5, 6, 1, 2, 3, 4),
		frame(protoLCP, codeConfigureReject, 0xf2, 3, 4, 0xc0, 0x23),
		frame(protoLCP, codeConfigureRequest, 0xf3, 1, 9),
		frame(protoLCP, codeDiscardRequest, 1, 0, 0, 0, 0, 'x'),
		frame(protoLCP, codeEchoReply, 1, 9, 9, 9, 9),
		frame(protoLCP, codeEchoRequest, 1, 9, 9, 9, 9),
		frame(protoLCP, codeIdentification, 1, 9, 9, 9, 9, 'h', 'i'),
		frame(protoLCP, codeTimeRemaining, 1, 9, 9, 9, 9, 0, 0, 0, 9),
		frame(protoLCP, codeCodeReject, 1, 12, 1, 0, 4),
		frame(protoLCP, codeProtocolReject, 1, 0x80, 0xfd, 1, 1, 0, 4),
		frame(protoLCP, 77, 1),
		frame(protoCCP, codeConfigureRequest, 1, 18, 6, 0, 0, 0, 1),
		frame(0xc025, 1, 1, 0, 0, 0, 0), // link quality
		frame(protoPAP, papNak, 0xf4, 0), frame(protoPAP, papAck, 0xf5, 0),
		frame(protoCHAP, chapSuccess, 0xf6), frame(protoCHAP, chapFailure, 0xf7), frame(protoCHAP, chapResponse, 0xf8, 1, 1),
		frame(protoEAP, 3, 1), frame(protoEAP, 4, 1), frame(protoEAP, 2, 1, 1),
		frame(protoIPCP, codeConfigureAck, 0xf9), frame(protoIPCP, codeConfigureReject, 0xfa, 3, 6, 0, 0, 0, 0),
		frame(protoIPV6CP, codeConfigureNak, 0xfb, 1, 10, 1, 1, 1, 1, 1, 1, 1, 1),
	}
	return list
}

// Noise between any two messages, in either direction, changes nothing.
func TestNoiseBetweenMessages(t *testing.T) {
	for _, p := range []AuthProtocol{PAP, MSCHAPv2} {
		for _, fromServer := range []bool{false, true} {
			for n := 0; ; n++ {
				sent := 0
				t.Run(fmt.Sprintf("%v/%v/%d", p, fromServer, n), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						a, b, c, s := pair(p)
						from := a
						if fromServer {
							from = b
						}
						from.drop = func([]byte) bool {
							if sent == n {
								for _, f := range harmless() {
									from.inject(f)
								}
							}
							sent++
							return false
						}
						began := time.Now()
						openBoth(t, c, s)
						if d := time.Since(began); d > restartTime {
							t.Errorf("it took %v", d)
						}
						if c.Info().Local != clientAddr || s.Info().Peer != clientAddr || s.Info().Auth != p {
							t.Errorf("%+v %+v", c.Info(), s.Info())
						}
						_, e1 := serve(c)
						_, e2 := serve(s)
						c.Close()
						<-e1
						<-e2
					})
				})
				if sent <= n {
					break
				}
			}
		}
	}
}

// The Nth message is lost, whichever it is: RFC 1661 and the methods repeat themselves, and the link opens all the same.
func TestLossOfAnyMessage(t *testing.T) {
	for _, p := range []AuthProtocol{PAP, CHAP, MSCHAPv2} {
		for _, fromServer := range []bool{false, true} {
			for n := 0; ; n++ {
				sent := 0
				t.Run(fmt.Sprintf("%v/%v/%d", p, fromServer, n), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						a, b, c, s := pair(p)
						from := a
						if fromServer {
							from = b
						}
						from.drop = func([]byte) bool { sent++; return sent == n+1 }
						began := time.Now()
						openBoth(t, c, s)
						if d := time.Since(began); d > 20*time.Second {
							t.Errorf("it took %v", d)
						}
						_, e1 := serve(c)
						_, e2 := serve(s)
						c.Close()
						<-e1
						<-e2
					})
				})
				if sent <= n {
					break
				}
			}
		}
	}
}

// Each message twice: what was answered is not answered otherwise.
func TestRepetitionOfEveryMessage(t *testing.T) {
	for _, p := range []AuthProtocol{PAP, CHAP, MSCHAPv2} {
		bubble(t, p.String(), func(t *testing.T) {
			a, b, c, s := pair(p)
			for _, e := range []*pipeEnd{a, b} {
				e.drop = func(f []byte) bool { e.inject(f); return false }
			}
			began := time.Now()
			openBoth(t, c, s)
			if d := time.Since(began); d > 2*restartTime {
				t.Errorf("it took %v", d)
			}
			if c.Info().Local != clientAddr {
				t.Errorf("%+v", c.Info())
			}
			_, e1 := serve(c)
			_, e2 := serve(s)
			c.Close()
			<-e1
			<-e2
		})
	}
}

// The connection ends at the Nth message, for every N: both ends end, with an error that has a type.
func TestConnectionEndsAnywhere(t *testing.T) {
	for _, fromServer := range []bool{false, true} {
		for n := 0; ; n++ {
			sent := 0
			synctest.Test(t, func(t *testing.T) {
				a, b, c, s := pair(MSCHAPv2)
				from := a
				if fromServer {
					from = b
				}
				from.drop = func([]byte) bool {
					if sent++; sent == n+1 {
						go from.Close()
						return true
					}
					return false
				}
				d1, d2 := open(t, c), open(t, s)
				for _, x := range []struct {
					c    *Conn
					done chan error
				}{{c, d1}, {s, d2}} {
					err := <-x.done
					if err == nil {
						time.AfterFunc(time.Second, func() { x.c.Close() })
						err = x.c.Serve(t.Context(), nothing)
					}
					var n *NegotiationError
					var e *TerminatedError
					if !errors.As(err, &n) && !errors.As(err, &e) {
						t.Errorf("%v", err)
					}
				}
			})
			if sent <= n {
				break
			}
		}
	}
}
