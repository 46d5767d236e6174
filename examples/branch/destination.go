package main

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// checkDestination says what is wrong with what is to be dialled: a name or an address, with :PORT or not.
func checkDestination(s string) error {
	host, port := s, "443"
	switch _, err := netip.ParseAddr(s); {
	case err == nil:
		return nil
	case strings.Contains(s, "/"):
		return fmt.Errorf("%q: want a host, or HOST:PORT, and no URL", s)
	case strings.HasPrefix(s, "[") && strings.HasSuffix(s, "]"):
		host = s[1 : len(s)-1]
	case strings.Contains(s, ":"):
		if host, port, err = net.SplitHostPort(s); err != nil {
			return fmt.Errorf("%q: %v", s, err)
		}
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("%q: %q is no port", s, port)
	}
	if _, err := netip.ParseAddr(host); err == nil {
		return nil
	}
	for label := range strings.SplitSeq(strings.TrimSuffix(host, "."), ".") {
		if label == "" || len(label) > 63 || strings.ContainsFunc(label, notOfNames) {
			return fmt.Errorf("%q: %q is neither an address nor a host's name", s, host)
		}
	}
	if last := host[strings.LastIndexByte(strings.TrimSuffix(host, "."), '.')+1:]; strings.Trim(last, "0123456789.") == "" {
		return fmt.Errorf("%q: %q is no address", s, host) // RFC 1123 section 2.1: the last label of a name has letters
	}
	return nil
}

func notOfNames(r rune) bool {
	return r < 0x80 && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
}
