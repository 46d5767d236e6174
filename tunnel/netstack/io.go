package netstack

// Read is tunnel.PacketIO's: it waits for what the stack sends. While Serve runs, its link gets that.
func (s *Stack) Read(bufs [][]byte, sizes []int, offset int) (int, error) {
	s.start()
	return s.ep.read(bufs, sizes, offset)
}

// Write is tunnel.PacketIO's: it hands packets to the stack.
func (s *Stack) Write(bufs [][]byte, offset int) (int, error) {
	s.start()
	for _, b := range bufs {
		p := b[offset:]
		if s.Forward != nil && s.forwardPing(p) {
			continue
		}
		s.ep.put(p)
	}
	return len(bufs), nil
}

// BatchSize is tunnel.PacketIO's.
func (s *Stack) BatchSize() int { return batchSize }

// MTU is tunnel.PacketIO's.
func (s *Stack) MTU() int {
	s.start()
	return int(s.ep.MTU())
}
