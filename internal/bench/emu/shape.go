package emu

import "time"

// A Config is one direction of a line. The zero Config carries everything at once.
type Config struct {
	Rate  float64       // bits per second; 0: no bound
	Delay time.Duration // of propagation: half of what the line adds to a round trip
	Queue time.Duration // how long a packet may wait for the rate, what would wait longer is lost; 0 means 300 ms
	Loss  float64       // part of the packets that is lost, 0 to 1, each by itself
	Seed  uint64        // of the loss: equal seeds lose alike
}

// perPacket is what a packet takes on the line beside itself: an Ethernet header, as a tbf below IP counts it.
const perPacket = 14

const defaultQueue = 300 * time.Millisecond

// A shaper computes when packets leave. It has no clock of its own.
type shaper struct {
	Config
	free time.Time // when the line has sent all it has
}

// admit returns when a packet of size bytes that comes at now arrives at the far end; false: the queue is full.
func (s *shaper) admit(now time.Time, size int) (arrives time.Time, ok bool) {
	if s.Rate <= 0 {
		return now.Add(s.Delay), true
	}
	queue := s.Queue
	if queue <= 0 {
		queue = defaultQueue
	}
	if s.free.Before(now) {
		s.free = now
	}
	if s.free.Sub(now) > queue {
		return time.Time{}, false
	}
	s.free = s.free.Add(time.Duration(float64(size+perPacket) * 8 / s.Rate * float64(time.Second)))
	return s.free.Add(s.Delay), true
}
