package mschap

import (
	"encoding/hex"
	"iter"
	"strconv"
	"strings"
)

// Fields gives the fields of a Success or Failure message (RFC 2759 sections 5 and 6), "S=... M=...", in whatever order
// they stand, each once; the first one counts. The text of M may have blanks: it ends with the packet, or where a field
// begins that has not been seen and is well formed.
func Fields(data []byte) iter.Seq2[byte, string] {
	return func(yield func(key byte, value string) bool) {
		var seen [256]bool
		s := string(data)
		for s != "" {
			var token string
			token, rest, _ := strings.Cut(s, " ")
			if len(token) < 2 || token[1] != '=' || seen[token[0]] || !fieldOK(token[0], token[2:]) {
				s = rest
				continue
			}
			key, value := token[0], token[2:]
			seen[key] = true
			if key == 'M' {
				value, rest = fieldText(s[2:], &seen)
			}
			if !yield(key, value) {
				return
			}
			s = rest
		}
	}
}

// fieldText splits the text of M from fields behind it.
func fieldText(s string, seen *[256]bool) (text, rest string) {
	for i := 0; i < len(s); i++ {
		if s[i] != ' ' {
			continue
		}
		token, _, _ := strings.Cut(s[i+1:], " ")
		if len(token) > 2 && token[1] == '=' && token[0] != 'M' && !seen[token[0]] && fieldOK(token[0], token[2:]) {
			return s[:i], s[i+1:]
		}
	}
	return s, ""
}

// fieldOK reports whether a value has the form of its field. S is judged by its reader: a Success without a good one
// must fail, not look as if it had none.
func fieldOK(key byte, value string) bool {
	switch key {
	case 'S', 'M':
		return true
	case 'R':
		return value == "0" || value == "1"
	case 'C':
		_, err := hex.DecodeString(value)
		return len(value) == 2*16 && err == nil
	case 'E', 'V':
		_, err := strconv.ParseUint(value, 10, 16)
		return err == nil
	}
	return false
}
