package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"syscall"
	"time"
)

// Of RFC 1928.
const (
	version5      = 5
	noAuth        = 0
	noneOfThem    = 0xff
	cmdConnect    = 1
	addrIPv4      = 1
	addrName      = 3
	addrIPv6      = 4
	replyOK       = 0
	replyFailure  = 1
	replyNetwork  = 3
	replyHost     = 4
	replyRefused  = 5
	replyCommand  = 7
	replyAddrType = 8
)

// serveSOCKS serves SOCKS5, RFC 1928: CONNECT without authentication, by name or address.
func serveSOCKS(ctx context.Context, l net.Listener, dial dialFunc, log *slog.Logger) error {
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer c.Close()
			stop := context.AfterFunc(ctx, func() { c.Close() })
			defer stop()
			target, err := socks(ctx, c, dial)
			log.Debug("socks", "to", target, "from", c.RemoteAddr(), "err", err)
		}()
	}
}

// A socksError is one that the client is told by a code.
type socksError struct {
	code byte
	err  error
}

func (e *socksError) Error() string { return e.err.Error() }

// socks serves one connection.
func socks(ctx context.Context, c net.Conn, dial dialFunc) (target string, err error) {
	c.SetDeadline(time.Now().Add(30 * time.Second))
	r := bufio.NewReader(c)
	target, err = readRequest(c, r)
	if err == nil {
		c.SetDeadline(time.Time{})
		var far net.Conn
		if far, err = dial(ctx, "tcp", target); err == nil {
			defer far.Close()
			if _, err = c.Write(reply(replyOK)); err == nil {
				join(c, r, far)
			}
			return target, err
		}
		err = &socksError{codeOf(err), err}
	}
	var told *socksError
	if errors.As(err, &told) {
		c.Write(reply(told.code))
	}
	return target, err
}

// readRequest reads method selection (section 3) and request (section 4).
func readRequest(w io.Writer, r io.Reader) (target string, err error) {
	var b [256]byte
	if _, err := io.ReadFull(r, b[:2]); err != nil {
		return "", err
	}
	if b[0] != version5 {
		return "", fmt.Errorf("version %d is not SOCKS5", b[0])
	}
	methods := b[:b[1]]
	if _, err := io.ReadFull(r, methods); err != nil {
		return "", err
	}
	method := byte(noneOfThem)
	for _, m := range methods {
		if m == noAuth {
			method = noAuth
		}
	}
	if _, err := w.Write([]byte{version5, method}); err != nil {
		return "", err
	}
	if method == noneOfThem {
		return "", errors.New("the client insists on authentication")
	}
	if _, err := io.ReadFull(r, b[:4]); err != nil {
		return "", err
	}
	command, kind := b[1], b[3]
	var host string
	switch kind {
	case addrIPv4, addrIPv6:
		a := b[:4]
		if kind == addrIPv6 {
			a = b[:16]
		}
		if _, err := io.ReadFull(r, a); err != nil {
			return "", err
		}
		ip, _ := netip.AddrFromSlice(a)
		host = ip.String()
	case addrName:
		if _, err := io.ReadFull(r, b[:1]); err != nil {
			return "", err
		}
		name := b[:b[0]]
		if _, err := io.ReadFull(r, name); err != nil {
			return "", err
		}
		host = string(name)
	default:
		return "", &socksError{replyAddrType, fmt.Errorf("address type %d", kind)}
	}
	if _, err := io.ReadFull(r, b[:2]); err != nil {
		return "", err
	}
	target = net.JoinHostPort(host, strconv.Itoa(int(binary.BigEndian.Uint16(b[:]))))
	if command != cmdConnect {
		return target, &socksError{replyCommand, fmt.Errorf("command %d is not CONNECT", command)}
	}
	return target, nil
}

// reply is section 6's; the address from which the connection goes is nobody's business.
func reply(code byte) []byte { return []byte{version5, code, 0, addrIPv4, 0, 0, 0, 0, 0, 0} }

func codeOf(err error) byte {
	var dns *net.DNSError
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return replyRefused
	case errors.Is(err, syscall.ENETUNREACH):
		return replyNetwork
	case errors.Is(err, syscall.EHOSTUNREACH), errors.As(err, &dns):
		return replyHost
	}
	return replyFailure
}
