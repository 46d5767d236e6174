package eap

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
)

// A peapTunnel carries EAP packets inside of PEAP's TLS: without code, identifier and length, which are those of the
// packet around; only what is of type TLV keeps them ([MS-PEAP] section 3.1.5.6).
type peapTunnel struct {
	f    *flights
	conn *tls.Conn
}

// write puts a packet into the next flight.
func (p *peapTunnel) write(pkt []byte) error {
	if Type(pkt[headerLen]) != typeTLV {
		pkt = pkt[headerLen:]
	}
	_, err := p.conn.Write(pkt)
	return err
}

// read sends the flight and returns the packet that comes, with a header.
func (p *peapTunnel) read(c code, id byte) ([]byte, error) {
	b := make([]byte, headerLen, 1024)
	for {
		if len(b) == cap(b) {
			b = append(b, 0)[:len(b)]
		}
		if len(b) > maxMessage {
			return nil, far(errors.New("eap: a packet inside of PEAP that is too long"))
		}
		n, err := p.conn.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
		if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			p.f.idle = false
			return nil, err
		}
		// The packet is what one message has, in whatever number of records.
		if p.f.idle = true; err != nil {
			break
		}
	}
	p.f.idle = false
	if len(b) == headerLen {
		return nil, far(errors.New("eap: an empty packet inside of PEAP"))
	}
	if inner := b[headerLen:]; isWhole(inner, c) {
		return inner, nil
	}
	b[0], b[1] = byte(c), id
	binary.BigEndian.PutUint16(b[2:], uint16(len(b)))
	return b, nil
}

// isWhole reports whether a packet has its header: type TLV has.
func isWhole(b []byte, c code) bool {
	return len(b) > headerLen && code(b[0]) == c && int(binary.BigEndian.Uint16(b[2:])) == len(b) && Type(b[headerLen]) == typeTLV
}

// ask is an authenticator's Exchange.
func (p *peapTunnel) ask(_ context.Context, request []byte) ([]byte, error) {
	if err := p.write(request); err != nil {
		return nil, p.broken(err)
	}
	b, err := p.read(codeResponse, request[1])
	return b, p.broken(err)
}

// broken is the error of a round, rather than what crypto/tls made of it.
func (p *peapTunnel) broken(err error) error {
	if err != nil && p.f.err != nil {
		return p.f.err
	}
	if err != nil {
		return fmt.Errorf("eap: PEAP: %w", err)
	}
	return nil
}
