package ppp

// mayWaitControl: control frames are never dropped, so their number is bounded, or a far side that makes this end answer and
// never reads the answers fills memory, before authentication too. Test: TestEchoFlood.
func mayWaitControl(bytes int) bool {
	return bytes <= maxControlWaiting
}
