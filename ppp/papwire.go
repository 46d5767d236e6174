package ppp

// Codes of PAP, RFC 1334 section 2.2.
const (
	papRequest byte = 1
	papAck     byte = 2
	papNak     byte = 3
)

// maxPAPText is how long a PAP name, password or message can be: its length is one octet.
const maxPAPText = 255

// parsePAPRequest splits the data of an Authenticate-Request (RFC 1334 section 2.2.1). What it returns are views.
func parsePAPRequest(data []byte) (user, password []byte, ok bool) {
	user, data, ok = cutText(data)
	if !ok {
		return nil, nil, false
	}
	password, _, ok = cutText(data)
	return user, password, ok
}

// cutText cuts a text that stands behind its length.
func cutText(b []byte) (text, rest []byte, ok bool) {
	if len(b) == 0 || len(b) < 1+int(b[0]) {
		return nil, nil, false
	}
	n := 1 + int(b[0])
	return b[1:n:n], b[n:], true
}

// appendPAPRequest appends the data of an Authenticate-Request; user and password are at most maxPAPText long.
func appendPAPRequest(b []byte, user, password string) []byte {
	b = append(append(b, byte(len(user))), user...)
	return append(append(b, byte(len(password))), password...)
}

// parsePAPReply returns the message of an Ack or Nak. RFC 1334 section 2.2.2 wants a length and the message, but there
// are servers that send neither, or a length that is too long; a message decides nothing, so what is there is taken.
func parsePAPReply(data []byte) (message string) {
	if len(data) == 0 {
		return ""
	}
	n := min(int(data[0]), len(data)-1)
	return messageText(data[1 : 1+n])
}

// appendPAPReply appends the data of an Ack or Nak.
func appendPAPReply(b []byte, message string) []byte {
	message = clip(message, maxPAPText)
	return append(append(b, byte(len(message))), message...)
}
