package sstp

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
)

// The HTTP preface, [MS-SSTP] sections 3.2.4.1 and 4.1: one exchange by hand. net/http cannot carry it: the
// Content-Length is 2^64-1, and what follows the heads is no body.
const (
	duplexMethod = "SSTP_DUPLEX_POST"
	duplexPath   = "/sra_{BA195980-CD49-458b-9E23-C84EE0ADCD75}/"
	duplexStart  = duplexMethod + " " + duplexPath
	duplexLength = "18446744073709551615" // 2^64-1, a MUST of section 3.2.4.1

	maxHead   = 16 << 10 // bytes of a head
	maxLine   = 8 << 10  // bytes of one of its lines
	maxFields = 100      // lines of it

	usualHead = 256 // bytes that do for most
)

var (
	errHeadTooLong = errors.New("sstp: HTTP head too long")
	errHead        = errors.New("sstp: malformed HTTP")
)

// readHead reads up to and with the empty line that ends a head, and not one byte more: what follows belongs to SSTP,
// or to TLS, and some clients send it in the same write. One byte a Read costs little behind a tlsconn.Conn's buffer, and
// elsewhere a system call, of one short head. more is asked after each byte and may end the reading early; nil reads all.
//
// Lines end in CRLF or LF.
func readHead(r io.Reader, head []byte, more func(head []byte) bool) ([]byte, error) {
	var (
		b     [1]byte
		start = bytes.LastIndexByte(head, '\n') + 1 // of the line that is being read
		lines = bytes.Count(head, []byte{'\n'})
	)
	if head == nil {
		head = make([]byte, 0, usualHead)
	}
	for {
		if len(head) == maxHead || len(head)-start > maxLine || lines > maxFields {
			return head, errHeadTooLong
		}
		n, err := r.Read(b[:])
		if n == 0 {
			if err == io.EOF && len(head) > 0 {
				err = io.ErrUnexpectedEOF
			}
			if err != nil {
				return head, err
			}
			continue
		}
		head = append(head, b[0])
		if more != nil && !more(head) {
			return head, nil
		}
		if b[0] != '\n' {
			continue
		}
		if line := trimEOL(head[start:]); len(line) == 0 && start > 0 {
			return head, nil
		}
		start = len(head)
		lines++
	}
}

// trimEOL cuts a line's ending.
func trimEOL(line []byte) []byte {
	line = bytes.TrimSuffix(line, []byte{'\n'})
	return bytes.TrimSuffix(line, []byte{'\r'})
}

// A head is the start line and the fields of a request or an answer, as views of what readHead returned.
type head struct {
	start  []byte
	fields []byte
}

// parseHead splits the start line from the fields.
func parseHead(b []byte) (head, error) {
	start, fields, ok := bytes.Cut(b, []byte{'\n'})
	if !ok {
		return head{}, errHead
	}
	return head{start: trimEOL(start), fields: fields}, nil
}

// all returns the fields of that name, without regard to case. Lines without a colon are passed over.
func (h head) all(name string) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for line := range bytes.SplitSeq(h.fields, []byte{'\n'}) {
			key, value, ok := bytes.Cut(trimEOL(line), []byte{':'})
			if ok && bytes.EqualFold(bytes.TrimSpace(key), []byte(name)) && !yield(bytes.TrimSpace(value)) {
				return
			}
		}
	}
}

// get returns the first of them; nil if there is none.
func (h head) get(name string) []byte {
	for value := range h.all(name) {
		return value
	}
	return nil
}

// maxTag bounds what a client says of itself before it goes into logs and RADIUS attributes.
const maxTag = 64

// tag makes a bounded printable string of a client's text.
func tag(b []byte) string {
	s := make([]byte, 0, min(len(b), maxTag))
	for _, c := range b[:min(len(b), maxTag)] {
		if c < ' ' || c > '~' {
			c = '?'
		}
		s = append(s, c)
	}
	return string(s)
}

// statusCode reads an answer's status line. The reason may be empty, and the space in front of it may be missing:
// Windows and others do without.
func statusCode(line []byte) (int, error) {
	version, rest, ok := bytes.Cut(line, []byte{' '})
	if !ok || !isHTTP1(version) {
		return 0, fmt.Errorf("%w: status line %q", errHead, tag(line))
	}
	code, _, _ := bytes.Cut(bytes.TrimLeft(rest, " "), []byte{' '})
	if len(code) != 3 {
		return 0, fmt.Errorf("%w: status line %q", errHead, tag(line))
	}
	n := 0
	for _, c := range code {
		if c < '0' || c > '9' {
			return 0, fmt.Errorf("%w: status line %q", errHead, tag(line))
		}
		n = n*10 + int(c-'0')
	}
	return n, nil
}

// isHTTP1 says whether a version is HTTP/1.0 or HTTP/1.1.
func isHTTP1(version []byte) bool {
	return bytes.EqualFold(version, []byte("HTTP/1.1")) || bytes.EqualFold(version, []byte("HTTP/1.0"))
}
