package sstp

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

const plainRequest = "SSTP_DUPLEX_POST /sra_{BA195980-CD49-458b-9E23-C84EE0ADCD75}/ HTTP/1.1\r\n" +
	"Content-Length: 18446744073709551615\r\nHost: vpn.example.com\r\n" +
	"SSTPCORRELATIONID: {B0A1E1F2-0000-4000-8000-0123456789AB}\r\n\r\n"

func TestReadHeadStopsAtTheEnd(t *testing.T) {
	for _, tt := range []struct{ name, head string }{
		{"CRLF", "GET / HTTP/1.1\r\nA: b\r\n\r\n"},
		{"LF", "GET / HTTP/1.1\nA: b\n\n"},
		{"mixed", "GET / HTTP/1.1\r\nA: b\n\r\n"},
		{"no fields", "HTTP/1.1 200 OK\r\n\r\n"},
	} {
		for _, rest := range []string{"", "\x10\x01\x00\x0e", "\r\n\r\n"} {
			r := strings.NewReader(tt.head + rest)
			got, err := readHead(r, nil, nil)
			if err != nil || string(got) != tt.head || r.Len() != len(rest) {
				t.Errorf("%s: %q, %v, %d bytes left of %d", tt.name, got, err, r.Len(), len(rest))
			}
			// Half of it may have been read before.
			r = strings.NewReader(tt.head[9:] + rest)
			got, err = readHead(iotest.OneByteReader(r), []byte(tt.head[:9]), nil)
			if err != nil || string(got) != tt.head || r.Len() != len(rest) {
				t.Errorf("%s, in two: %q, %v, %d bytes left of %d", tt.name, got, err, r.Len(), len(rest))
			}
		}
	}
}

func TestReadHeadIsBounded(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		err      error
		atMost   int
	}{
		{"endless line", strings.Repeat("x", 1<<20), errHeadTooLong, maxLine + 1},
		{"endless lines", strings.Repeat("a: b\r\n", 1<<16), errHeadTooLong, (maxFields + 1) * 6},
		{"long lines", strings.Repeat("a: "+strings.Repeat("b", 4000)+"\r\n", 100), errHeadTooLong, maxHead},
		{"nothing", "", io.EOF, 0},
		{"cut", "GET / HT", io.ErrUnexpectedEOF, 8},
		{"cut before the end", "GET / HTTP/1.1\r\nA: b\r\n\r", io.ErrUnexpectedEOF, 100},
	} {
		got, err := readHead(strings.NewReader(tt.in), nil, nil)
		if !errors.Is(err, tt.err) || len(got) > tt.atMost {
			t.Errorf("%s: %d bytes, %v", tt.name, len(got), err)
		}
	}
}

func TestMayBeDuplex(t *testing.T) {
	for _, tt := range []struct {
		name, line string
		at         int // the byte that decides against it; -1: none does
	}{
		{"sound", "SSTP_DUPLEX_POST /sra_{BA195980-CD49-458b-9E23-C84EE0ADCD75}/ HTTP/1.1\r\n", -1},
		{"other case", "sstp_duplex_post /SRA_{ba195980-cd49-458B-9e23-c84ee0adcd75}/ http/1.1\n", -1},
		{"tenant", "SSTP_DUPLEX_POST /sra_{BA195980-CD49-458b-9E23-C84EE0ADCD75}/?tenantid=a%20b&c HTTP/1.1\r\n", -1},
		{"GET", "GET / HTTP/1.1\r\n", 0},
		{"SEARCH", "SEARCH / HTTP/1.1\r\n", 1},
		{"HEAD of the path", "HEAD /sra_{BA195980-CD49-458b-9E23-C84EE0ADCD75}/ HTTP/1.1\r\n", 0},
		{"another path", "SSTP_DUPLEX_POST / HTTP/1.1\r\n", 18},
		{"longer path", "SSTP_DUPLEX_POST /sra_{BA195980-CD49-458b-9E23-C84EE0ADCD75}/x HTTP/1.1\r\n", 61},
		{"HTTP/1.0", "SSTP_DUPLEX_POST /sra_{BA195980-CD49-458b-9E23-C84EE0ADCD75}/ HTTP/1.0\r\n", 71},
		{"no version", "SSTP_DUPLEX_POST /sra_{BA195980-CD49-458b-9E23-C84EE0ADCD75}/ \n", 62},
		{"TLS", "\x16\x03\x01", 0},
	} {
		at := -1
		for i := range tt.line {
			head := []byte(tt.line[:i+1])
			if on := mayBeDuplex(head); on != goesOnDuplex(head) {
				t.Errorf("%s: asked at each byte, it is %v at %d", tt.name, !on, i)
			} else if !on {
				at = i
				break
			}
		}
		if at != tt.at {
			t.Errorf("%s: decided at %d, want %d", tt.name, at, tt.at)
		}
	}
}

func TestParseRequest(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		want     request
	}{
		{"plain", plainRequest, request{
			correlation: "{B0A1E1F2-0000-4000-8000-0123456789AB}", path: "/sra_{BA195980-CD49-458b-9E23-C84EE0ADCD75}/"}},
		{"nothing but the line, LF", "sstp_duplex_post /SRA_{BA195980-CD49-458B-9E23-C84EE0ADCD75}/ http/1.1\n\n",
			request{path: "/SRA_{BA195980-CD49-458B-9E23-C84EE0ADCD75}/"}},
		{"no space behind the colon, other case", "SSTP_DUPLEX_POST /sra_{BA195980-CD49-458b-9E23-C84EE0ADCD75}/?a=1&tenantid=t%231 HTTP/1.1\r\n" +
			"content-length:0\r\nno colon\r\nSstpCorrelationId:{1}  \r\n\r\n",
			request{correlation: "{1}", tenant: "t#1", path: "/sra_{BA195980-CD49-458b-9E23-C84EE0ADCD75}/"}},
		{"control bytes and length", "SSTP_DUPLEX_POST /sra_{BA195980-CD49-458b-9E23-C84EE0ADCD75}/ HTTP/1.1\r\n" +
			"SSTPCORRELATIONID: a\x1b[31m\xff" + strings.Repeat("b", 1000) + "\r\n\r\n",
			request{correlation: "a?[31m?" + strings.Repeat("b", 57), path: "/sra_{BA195980-CD49-458b-9E23-C84EE0ADCD75}/"}},
	} {
		got, err := parseRequest([]byte(tt.in))
		if err != nil || got != tt.want {
			t.Errorf("%s: %+v, %v", tt.name, got, err)
		}
	}
	for _, in := range []string{"", "GET / HTTP/1.1\r\n\r\n", "SSTP_DUPLEX_POST", "\n", "SSTP_DUPLEX_POST / HTTP/1.1\n\n"} {
		if got, err := parseRequest([]byte(in)); err == nil {
			t.Errorf("%q: %+v", in, got)
		}
	}
}

func TestStatusCode(t *testing.T) {
	for _, tt := range []struct {
		line string
		want int
	}{
		{"HTTP/1.1 200 OK", 200}, {"HTTP/1.1 200 ", 200}, {"HTTP/1.1 200", 200}, {"http/1.0 404 Not Found", 404},
		{"HTTP/1.1  503 x", 503},
		{"HTTP/2 200", 0}, {"HTTP/1.1", 0}, {"HTTP/1.1 20", 0}, {"HTTP/1.1 2000", 0}, {"HTTP/1.1 2x0 OK", 0}, {"", 0},
		{"SSH-2.0-x 200", 0},
	} {
		got, err := statusCode([]byte(tt.line))
		if got != tt.want || (err == nil) != (tt.want != 0) {
			t.Errorf("%q: %d, %v", tt.line, got, err)
		}
	}
}

func TestRequestSent(t *testing.T) {
	for _, tt := range []struct{ host, port, want string }{
		{"vpn.example.com", "443", "vpn.example.com"},
		{"vpn.example.com", "8443", "vpn.example.com:8443"},
		{"2001:db8::1", "443", "[2001:db8::1]"},
		{"2001:db8::1", "8443", "[2001:db8::1]:8443"},
	} {
		b := appendRequest(nil, tt.host, tt.port)
		h, err := parseHead(b)
		if err != nil || string(h.get("host")) != tt.want || string(h.get("content-length")) != duplexLength {
			t.Errorf("%q, %v", b, err)
		}
		if !regexp.MustCompile(`^\{[0-9A-F]{8}-[0-9A-F]{4}-4[0-9A-F]{3}-[89AB][0-9A-F]{3}-[0-9A-F]{12}\}$`).Match(h.get("SSTPCORRELATIONID")) {
			t.Errorf("correlation id in %q", b)
		}
		r, err := parseRequest(b)
		if err != nil || r.path != duplexPath {
			t.Errorf("%+v, %v", r, err)
		}
	}
	if bytes.Equal(appendRequest(nil, "a", "443"), appendRequest(nil, "a", "443")) {
		t.Error("two attempts have one correlation id")
	}
}

func TestAnswerIsShort(t *testing.T) {
	b := appendAccept(nil, time.Date(2026, 12, 1, 10, 0, 0, 0, time.FixedZone("", 3600)))
	if !bytes.HasPrefix(b, []byte("HTTP/1.1 200 OK\r\n")) || !bytes.HasSuffix(b, []byte("\r\n\r\n")) {
		t.Errorf("%q", b)
	}
	if n := bytes.Count(b, []byte{'\n'}); n > 6 {
		t.Errorf("%d lines; sstp-client takes seven", n)
	}
	h, err := parseHead(b)
	if err != nil || string(h.get("Content-Length")) != duplexLength || string(h.get("Date")) != "Tue, 01 Dec 2026 09:00:00 GMT" {
		t.Errorf("%q, %v", b, err)
	}
}

func FuzzPreface(f *testing.F) {
	f.Add([]byte(plainRequest))
	f.Add(appendAccept(nil, time.Now()))
	f.Add(appendRefusal(nil, "404 Not Found", time.Now()))
	f.Add([]byte("HTTP/1.1 200 \r\nContent-Length:1844\r\n\r\n\x10\x01"))
	f.Add([]byte("SSTP_DUPLEX_POST /sra_{BA195980-CD49-458b-9E23-C84EE0ADCD75}/?tenantid=%zz HTTP/1.1\n\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		got, err := readHead(r, nil, nil)
		if !bytes.Equal(got, b[:len(got)]) || r.Len() != len(b)-len(got) || len(got) > maxHead {
			t.Fatalf("%q read of %q, %d left", got, b, r.Len())
		}
		h, herr := parseHead(got)
		if err == nil && herr != nil {
			t.Fatalf("%q: %v", got, herr)
		}
		statusCode(h.start)
		req, rerr := parseRequest(got)
		if rerr == nil && !bytes.EqualFold([]byte(req.path), []byte(duplexPath)) {
			t.Fatalf("%q: path %q", got, req.path)
		}
		if len(req.correlation) > maxTag || len(req.tenant) > maxTag {
			t.Fatalf("%+v", req)
		}
		if err != nil || rerr != nil {
			return
		}
		for i := range got { // byte by byte the answer is the same
			if !mayBeDuplex(got[:i+1]) || !goesOnDuplex(got[:i+1]) {
				t.Fatalf("%q is refused at %d, and parsed", got, i)
			}
			if got[i] == '\n' {
				break
			}
		}
	})
}
