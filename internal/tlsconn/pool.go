package tlsconn

import "sync"

// bufferSize holds what is drained from a socket before packets are handed on: beyond 128 KiB a batch gains nothing.
const bufferSize = 128 << 10

// A buffer is a read buffer, in use only while there is data.
type buffer struct{ b []byte }

var buffers = sync.Pool{New: func() any { return &buffer{make([]byte, bufferSize)} }}

func getBuffer() *buffer  { return buffers.Get().(*buffer) }
func putBuffer(b *buffer) { buffers.Put(b) }

// keepSize is one TryWrite's worth of ciphertext.
const keepSize = 160 << 10

// keeps are write buffers; a pointer to an array goes into the pool, so that Put allocates nothing.
var keeps = sync.Pool{New: func() any { return new([keepSize]byte) }}

func getKeep() []byte { return keeps.Get().(*[keepSize]byte)[:0] }

// putKeep takes back what getKeep gave; what has grown beyond is left to the collector.
func putKeep(b []byte) {
	if cap(b) == keepSize {
		keeps.Put((*[keepSize]byte)(b[:keepSize]))
	}
}
