package tlsconn

import (
	"bytes"
	"encoding/binary"
	"io"
	"testing"
	"testing/iotest"
)

// helloOf is a record of a type and a body of n bytes, and what follows it.
func helloOf(typ byte, n int) (stream, body []byte) {
	body = random(n)
	stream = append([]byte{typ, 3, 1, byte(n >> 8), byte(n)}, body...)
	return append(stream, 20, 3, 3, 0, 1, 1), body
}

// A large first handshake record comes as two, whose bodies are what was sent; everything else as it is.
func TestLargeHelloComesInTwoRecords(t *testing.T) {
	for _, tt := range []struct {
		name    string
		typ     byte
		n, want int // records, ChangeCipherSpec included
		bytes   bool
	}{
		{"large", 22, 1477, 3, false},
		{"as large as a record may be", 22, 16 << 10, 3, false},
		{"small", 22, 517, 2, false},
		{"not a handshake", 23, 1477, 2, false},
		{"byte by byte", 22, 1477, 2, true}, // the header has been given away
	} {
		t.Run(tt.name, func(t *testing.T) {
			stream, body := helloOf(tt.typ, tt.n)
			a, b := memPipe(64 << 10)
			a.Write(stream)
			a.Close()
			r := new(records)
			r.init(b)
			var in io.Reader = r
			if tt.bytes {
				in = iotest.OneByteReader(r)
			}
			var got []byte
			records := 0
			for {
				var h [recordHeader]byte
				if _, err := io.ReadFull(in, h[:]); err != nil {
					break
				}
				records++
				one := make([]byte, binary.BigEndian.Uint16(h[3:]))
				if _, err := io.ReadFull(in, one); err != nil {
					t.Fatal(err)
				}
				if h[0] == tt.typ {
					got = append(got, one...)
				}
			}
			if records != tt.want || !bytes.Equal(got, body) {
				t.Errorf("%d records, body is the same: %v", records, bytes.Equal(got, body))
			}
		})
	}
}
