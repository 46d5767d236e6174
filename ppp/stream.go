package ppp

import (
	"errors"
	"time"
)

// A Stream is a FrameConn over a byte stream: it has the egress queue, the writing goroutine and the receive buffer.
type Stream struct{}

// NewStream returns a Stream that owns conn.
func NewStream(conn StreamConn, f Framing) *Stream { return &Stream{} }

func (s *Stream) ReadFrames() (frames [][]byte, err error) { return nil, errors.ErrUnsupported } // as FrameConn
func (s *Stream) WriteFrames(header []byte, bufs [][]byte, offset int) (n int, err error) {
	return 0, errors.ErrUnsupported
}                                                   // as FrameConn; flow-queued
func (s *Stream) WriteControl(frame []byte) error   { return errors.ErrUnsupported } // as FrameConn
func (s *Stream) SetReadDeadline(t time.Time) error { return errors.ErrUnsupported } // as FrameConn
func (s *Stream) Bind(send, recv []byte) error      { return nil }                   // as FrameConn; nothing to do
func (s *Stream) Bound() bool                       { return true }                  // as FrameConn; always
func (s *Stream) Binds() bool                       { return false }                 // as FrameConn; never
func (s *Stream) MaxFrame() int                     { return 0 }                     // as FrameConn
func (s *Stream) Close() error                      { return nil }                   // as FrameConn
