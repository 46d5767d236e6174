package ppp

// Codes of CHAP, RFC 1994 section 4, and of MS-CHAPv2's change of a password, RFC 2759 section 7.
const (
	chapChallenge byte = 1
	chapResponse  byte = 2
	chapSuccess   byte = 3
	chapFailure   byte = 4
	chapChange    byte = 7
)

// parseCHAPValue splits the data of a Challenge or Response (RFC 1994 section 4.1): what stands behind the value, up to
// the packet's end, is the name. What it returns are views.
func parseCHAPValue(data []byte) (value, name []byte, ok bool) {
	value, name, ok = cutText(data)
	if !ok || len(value) == 0 || len(name) > maxName {
		return nil, nil, false
	}
	return value, name, true
}

// appendCHAPValue appends the data of a Challenge or Response; value is at most 255 long.
func appendCHAPValue(b, value []byte, name string) []byte {
	b = append(append(b, byte(len(value))), value...)
	return append(b, name...)
}
