package ppp

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dialway/dialway/internal/memnet"
	"github.com/dialway/dialway/internal/tlsconn"
)

// A rawClient speaks TLS 1.3 with AES-128-GCM by hand, after the handshake, to send what crypto/tls never would.
type rawClient struct {
	conn   *memnet.Conn
	secret []byte
	seal   cipher.AEAD
	iv     []byte
	seq    uint64
}

// newRawClient shakes hands with crypto/tls, whose key log tells the secret.
func newRawClient(t *testing.T, buffer int) (*rawClient, *tlsconn.Conn) {
	t.Helper()
	a, b := memPair(buffer)
	var keys bytes.Buffer
	server := tlsconn.Server(b, &tls.Config{Certificates: []tls.Certificate{testCert(t)}, SessionTicketsDisabled: true}, nil)
	go server.HandshakeContext(context.Background())
	client := tls.Client(a, &tls.Config{InsecureSkipVerify: true, KeyLogWriter: &keys})
	if err := client.HandshakeContext(context.Background()); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
	if client.ConnectionState().CipherSuite != tls.TLS_AES_128_GCM_SHA256 {
		t.Skip("this machine prefers another cipher")
	}
	c := &rawClient{conn: a}
	for line := range bytes.Lines(keys.Bytes()) {
		if f := bytes.Fields(line); string(f[0]) == "CLIENT_TRAFFIC_SECRET_0" {
			c.secret, _ = hex.DecodeString(string(f[2]))
		}
	}
	c.derive(t)
	return c, server
}

// derive makes key and IV of the secret, RFC 8446 section 7.3.
func (c *rawClient) derive(t *testing.T) {
	block, err := aes.NewCipher(c.expand(t, "key", 16))
	if err != nil {
		t.Fatal(err)
	}
	c.seal, _ = cipher.NewGCM(block)
	c.iv, c.seq = c.expand(t, "iv", 12), 0
}

// expand is HKDF-Expand-Label, RFC 8446 section 7.1.
func (c *rawClient) expand(t *testing.T, label string, n int) []byte {
	info := binary.BigEndian.AppendUint16(nil, uint16(n))
	info = append(info, byte(len("tls13 ")+len(label)))
	info = append(append(info, "tls13 "+label...), 0)
	out, err := hkdf.Expand(sha256.New, c.secret, string(info), n)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// write writes one record.
func (c *rawClient) write(kind byte, body []byte) error {
	inner := append(bytes.Clone(body), kind)
	record := []byte{23, 3, 3, 0, 0}
	binary.BigEndian.PutUint16(record[3:], uint16(len(inner)+16))
	nonce := bytes.Clone(c.iv)
	for i := range 8 {
		nonce[4+i] ^= byte(c.seq >> (56 - 8*i))
	}
	c.seq++
	_, err := c.conn.Write(c.seal.Seal(record, nonce, inner, record))
	return err
}

// keyUpdate asks the far side to update, too, RFC 8446 section 4.6.3.
func (c *rawClient) keyUpdate(t *testing.T) error {
	if err := c.write(22, []byte{24, 0, 0, 1, 1}); err != nil {
		return err
	}
	c.secret = c.expand(t, "traffic upd", 32)
	c.derive(t)
	return nil
}

// TestKeyUpdateFlood: a far side asks for KeyUpdates for ever and does not read the answers, which R writes inside
// crypto/tls. The session ends, by the size of what waits or by time, and R is not stuck.
func TestKeyUpdateFlood(t *testing.T) {
	for name, c := range map[string]struct {
		pause time.Duration
		trust bool
		least time.Duration
		most  time.Duration
	}{
		"fast":                 {0, false, 0, strangerPatience},
		"slow":                 {10 * time.Millisecond, false, strangerPatience, strangerPatience + 2*time.Second},
		"slow, of a friend":    {10 * time.Millisecond, true, friendPatience, friendPatience + 2*time.Second},
		"slower than patience": {time.Minute, false, strangerPatience, 2 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				client, conn := newRawClient(t, 1<<10)
				s := NewStream(conn, lengthFraming{})
				if c.trust {
					s.Trust()
				}
				frame := lengthFraming{}.AppendFrame(nil, []byte{0xff, 3, 0xc0, 0x21}, []byte{9, 1, 0, 8, 1, 2, 3, 4})
				flood := make(chan int)
				if c.pause == time.Minute { // one more byte than the line holds is enough
					conn.TryWrite(make([]byte, 2<<10))
				}
				go func() {
					n := 0
					for {
						// crypto/tls itself allows 16 in a row.
						if n%10 == 0 && client.write(23, frame) != nil || client.keyUpdate(t) != nil {
							flood <- n
							return
						}
						n++
						time.Sleep(c.pause)
					}
				}()
				start := time.Now()
				var err error
				for err == nil {
					_, err = s.ReadFrames()
				}
				if !errors.Is(err, ErrPeerStalled) {
					t.Errorf("ends by %v", err)
				}
				if d := time.Since(start); d < c.least || d > c.most {
					t.Errorf("after %v", d)
				}
				s.Close()
				n := <-flood
				t.Logf("%d updates", n)
				wantBuffersBack(t)
			})
		})
	}
}
