package radius

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/dialway/dialway/internal/mschap"
	"github.com/dialway/dialway/ppp"
)

// parseMSError reads "E=<code> R=<0 or 1> C=<32 digits> V=<version> M=<text>" (RFC 2759 section 6) into e. What is
// missing stays as it is.
func parseMSError(text string, e *ppp.AuthError) {
	text, message, ok := strings.Cut(text, " M=")
	if ok && message != "" {
		e.Message = message
	}
	for field := range strings.FieldsSeq(text) {
		key, value, _ := strings.Cut(field, "=")
		switch key {
		case "E":
			if n, err := strconv.Atoi(value); err == nil && n > 0 {
				e.Code = n
			}
		case "R":
			e.Retry = value == "1"
		case "C":
			if b, err := hex.DecodeString(value); err == nil && len(b) == 16 {
				e.Challenge = b
			}
		}
	}
}

// formatMSError is the inverse.
func formatMSError(e *ppp.AuthError) string {
	var b strings.Builder
	code, retry := e.Code, 0
	if code == 0 {
		code = ppp.CodeFailed
	}
	if e.Retry {
		retry = 1
	}
	fmt.Fprintf(&b, "E=%d R=%d", code, retry)
	if len(e.Challenge) == 16 {
		fmt.Fprintf(&b, " C=%X", e.Challenge)
	}
	b.WriteString(" V=3")
	if e.Message != "" {
		b.WriteString(" M=" + e.Message)
	}
	return b.String()
}

// parseMSSuccess reads "S=<40 digits> M=<text>" (RFC 2759 section 5).
func parseMSSuccess(text string) (proof [20]byte, message string, ok bool) {
	text, message, _ = strings.Cut(text, " M=")
	digits, ok := strings.CutPrefix(strings.TrimSpace(text), "S=")
	if !ok {
		return proof, "", false
	}
	proof, ok = mschap.ParseProof(digits)
	return proof, message, ok
}
