package sstp

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"
)

// A request is what a server takes from an SSTP_DUPLEX_POST. Host is ignored, and so is Content-Length: clients differ
// in both, and neither changes what follows.
type request struct {
	correlation string // SSTPCORRELATIONID: untrusted, bounded
	tenant      string // tenantid of the query, [MS-SSTP] section 4.6: untrusted, bounded
	path        string // untrusted, bounded
}

// mayBeDuplex says whether a request that begins like this can still be SSTP's. It answers at the first byte that
// differs, so that a web request is known before much of it has been read.
func mayBeDuplex(head []byte) bool {
	const want = duplexStart
	switch n := len(head); {
	case n <= len(want):
		return bytes.EqualFold(head, []byte(want[:n]))
	case n > len(want)+1 && head[n-1] != '\n':
		return true // asked again at the end of the line
	}
	if !bytes.EqualFold(head[:len(want)], []byte(want)) {
		return false
	}
	if next := head[len(want)]; next != ' ' && next != '?' {
		return false
	}
	if len(head) == len(want)+1 {
		return true
	}
	line, _, _ := bytes.Cut(head, []byte{'\n'})
	_, version, _ := bytes.Cut(bytes.TrimRight(line[len(want):], " \r"), []byte{' '})
	// Section 4.1: a server checks that the version is 1.1.
	return bytes.EqualFold(bytes.TrimSpace(version), []byte("HTTP/1.1"))
}

// goesOnDuplex is mayBeDuplex for who asks it at each byte: of what has been said of those before only the last is looked at.
func goesOnDuplex(head []byte) bool {
	if n := len(head); n <= len(duplexStart) {
		return bytes.EqualFold(head[n-1:], []byte(duplexStart[n-1:n]))
	}
	return mayBeDuplex(head)
}

// parseRequest reads the head of a request that mayBeDuplex has let through.
func parseRequest(b []byte) (request, error) {
	h, err := parseHead(b)
	if err != nil {
		return request{}, err
	}
	if !mayBeDuplex(append(h.start[:len(h.start):len(h.start)], '\n')) {
		return request{}, fmt.Errorf("%w: request line %q", errHead, tag(h.start))
	}
	_, target, _ := bytes.Cut(h.start, []byte{' '})
	target, _, _ = bytes.Cut(target, []byte{' '})
	path, query, _ := bytes.Cut(target, []byte{'?'})
	r := request{
		correlation: tag(h.get("SSTPCORRELATIONID")),
		path:        duplexPath, // most send it as it is written: one text for all of them
	}
	if string(path) != duplexPath {
		r.path = tag(path)
	}
	if len(query) > 0 {
		if values, err := url.ParseQuery(string(query)); err == nil {
			r.tenant = tag([]byte(values.Get("tenantid")))
		}
	}
	return r, nil
}

// appendRequest appends a client's request. The correlation id is new for each attempt, section 3.2.4.1.
func appendRequest(b []byte, host, port string) []byte {
	if port != "443" {
		host = net.JoinHostPort(host, port)
	} else if strings.Contains(host, ":") {
		host = "[" + host + "]" // an IPv6 address, RFC 9110 section 7.2
	}
	b = append(b, duplexMethod+" "+duplexPath+" HTTP/1.1\r\nHost: "...)
	b = append(b, host...)
	b = append(b, "\r\nContent-Length: "+duplexLength+"\r\nSSTPCORRELATIONID: "...)
	b = appendCorrelation(b)
	return append(b, "\r\n\r\n"...)
}

// appendCorrelation appends a random GUID in registry form, [MS-DTYP] section 2.3.4.3.
func appendCorrelation(b []byte) []byte {
	var g [16]byte
	rand.Read(g[:])
	g[6] = g[6]&0x0f | 0x40 // RFC 9562 section 5.4
	g[8] = g[8]&0x3f | 0x80
	return fmt.Appendf(b, "{%X-%X-%X-%X-%X}", g[:4], g[4:6], g[6:8], g[8:10], g[10:])
}

// appendAccept appends a server's 200: few lines, and to be written at once, since sstp-client takes a read that ends
// in a line feed for the whole answer and gives up after seven lines.
func appendAccept(b []byte, now time.Time) []byte {
	b = append(b, "HTTP/1.1 200 OK\r\nContent-Length: "+duplexLength+"\r\nServer: dialway\r\n"...)
	b = append(b, "Date: "...)
	b = now.UTC().AppendFormat(b, "Mon, 02 Jan 2006 15:04:05 GMT")
	return append(b, "\r\n\r\n"...)
}

// appendRefusal appends a server's answer to what it does not serve, which ends the connection.
func appendRefusal(b []byte, status string, now time.Time) []byte {
	b = append(b, "HTTP/1.1 "+status+"\r\nContent-Length: 0\r\nConnection: close\r\nDate: "...)
	b = now.UTC().AppendFormat(b, "Mon, 02 Jan 2006 15:04:05 GMT")
	return append(b, "\r\n\r\n"...)
}
