package sstp

import (
	"bytes"
	"encoding/hex"
	"errors"
	"reflect"
	"strings"
	"testing"
)

// unhex reads hex digits with spaces between them.
func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The messages as [MS-SSTP] section 4 prints them.
const (
	goldenRequest = "10 01 00 0E 00 01 00 01 00 01 00 06 00 01"
	goldenAck     = "10 01 00 30 00 02 00 01 00 04 00 28 00 00 00 02"
	goldenNonce   = "41 2B 48 9A EB D7 EC C7 D0 89 66 F2 6B E7 CD 72 B2 31 A0 E9 21 0D 7C 91 B3 08 86 2B 03 44 C4 35"
)

func TestGoldenMessages(t *testing.T) {
	nonce := [nonceLen]byte(unhex(t, goldenNonce))
	for _, tt := range []struct {
		name string
		got  []byte
		want string
	}{
		{"Call Connect Request", appendConnectRequest(nil), goldenRequest},
		{"Call Connect Ack", appendConnectAck(nil, hashSHA256, &nonce), goldenAck + goldenNonce},
		{"Call Connect Nak", appendConnectNak(nil, []statusInfo{
			{attrib: attrProtocolID, status: StatusValueNotSupported, value: []byte{0, 2}},
			{attrib: 9, status: StatusUnrecognizedAttribute},
		}), "10 01 00 22 00 03 00 02 00 02 00 0E 00 00 00 01 00 00 00 04 00 02 00 02 00 0C 00 00 00 09 00 00 00 02"},
		{"Call Abort", appendEnd(nil, msgAbort, statusInfo{attrib: attrBinding, status: StatusValueNotSupported}),
			"10 01 00 14 00 05 00 01 00 02 00 0C 00 00 00 03 00 00 00 04"},
		{"Call Disconnect", appendEnd(nil, msgDisconnect, statusInfo{}),
			"10 01 00 14 00 06 00 01 00 02 00 0C 00 00 00 00 00 00 00 00"},
		{"Call Disconnect Ack", appendPlain(nil, msgDisconnectAck), "10 01 00 08 00 07 00 00"},
		{"Echo Request", appendPlain(nil, msgEchoRequest), "10 01 00 08 00 08 00 00"},
		{"Echo Response", appendPlain(nil, msgEchoResponse), "10 01 00 08 00 09 00 00"},
		{"data", framing{}.AppendFrame(nil, []byte{0xff, 3, 0xc0, 0x21}, []byte{9, 1, 0, 4}),
			"10 00 00 0C FF 03 C0 21 09 01 00 04"},
	} {
		if want := unhex(t, tt.want); !bytes.Equal(tt.got, want) {
			t.Errorf("%s:\n got %x\nwant %x", tt.name, tt.got, want)
		}
	}
}

func TestAppendKeepsWhatIsThere(t *testing.T) {
	nonce := [nonceLen]byte{1}
	for name, f := range map[string]func([]byte) []byte{
		"request": appendConnectRequest,
		"ack":     func(b []byte) []byte { return appendConnectAck(b, 3, &nonce) },
		"nak":     func(b []byte) []byte { return appendConnectNak(b, []statusInfo{{attrib: 1, status: 4}}) },
		"end":     func(b []byte) []byte { return appendEnd(b, msgAbort, statusInfo{}) },
		"plain":   func(b []byte) []byte { return appendPlain(b, msgEchoRequest) },
	} {
		if got := f([]byte("x")); got[0] != 'x' || !bytes.Equal(got[1:], f(nil)) {
			t.Errorf("%s: %x after one byte, %x after none", name, got, f(nil))
		}
	}
}

func TestDelineation(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		n        int
		bad      bool
	}{
		{"nothing", "", 0, false},
		{"part of a header", "10 01 00", 0, false},
		{"data without a frame", "10 00 00 04", 4, false},
		{"control", "10 01 00 08", 8, false},
		{"largest", "10 00 0F FF", 4095, false},
		{"reserved bits", "10 FF F0 08", 8, false},
		{"reserved bits of data", "10 FE F0 04", 4, false},
		{"wrong version", "11 01 00 08", 0, true},
		{"wrong version in the first byte", "47", 0, true},
		{"length 0", "10 00 00 00", 0, true},
		{"length 3", "10 00 00 03", 0, true},
		{"length 0 by reserved bits", "10 00 F0 00", 0, true},
		{"control of 7", "10 01 00 07", 0, true},
		{"control of 4", "10 01 00 04", 0, true},
	} {
		n, err := nextPacket(unhex(t, tt.in))
		if n != tt.n || errors.Is(err, errDelineation) != tt.bad {
			t.Errorf("%s: %d, %v", tt.name, n, err)
		}
	}
}

func TestFramingWaitsForWholePackets(t *testing.T) {
	b := framing{}.AppendFrame(nil, []byte{0xff, 3, 0, 0x21}, []byte("packet"))
	b = appendPlain(b, msgEchoRequest)
	for i := range 14 {
		if p, n, err := (framing{}).NextFrame(b[:i]); p != nil || n != 0 || err != nil {
			t.Fatalf("%d bytes: %x, %d, %v", i, p, n, err)
		}
	}
	p, n, err := framing{}.NextFrame(b)
	if err != nil || n != 14 || string(p[8:]) != "packet" || cap(p) != 14 {
		t.Fatalf("%x (cap %d), %d, %v", p, cap(p), n, err)
	}
	if p, n, err := (framing{}).NextFrame(b[14:]); err != nil || n != 8 || !isControl(p) {
		t.Fatalf("%x, %d, %v", p, n, err)
	}
}

func TestRequestFaults(t *testing.T) {
	const head = "10 01 00 00 00 01 00 "
	for _, tt := range []struct {
		name, in string
		want     []statusInfo
		err      error
	}{
		{name: "sound", in: goldenRequest},
		{name: "reserved bits of the attribute", in: head + "01 FF 01 F0 06 00 01"},
		{name: "trailing bytes", in: head + "01 00 01 00 06 00 01 00 00"},
		{name: "STATUS_INFO without an error", in: head + "02 00 01 00 06 00 01 00 02 00 0C 00 00 00 00 00 00 00 00"},
		{name: "no attribute", in: head + "00", want: []statusInfo{{attrib: 1, status: StatusRequiredAttributeMissing}}},
		{name: "not PPP", in: head + "01 00 01 00 06 00 02",
			want: []statusInfo{{attrib: 1, status: StatusValueNotSupported, value: []byte{0, 2}}}},
		{name: "too long", in: head + "01 00 01 00 07 00 01 00",
			want: []statusInfo{{attrib: 1, status: StatusInvalidAttribValueLength, value: []byte{0, 1, 0}}}},
		{name: "too short", in: head + "01 00 01 00 04",
			want: []statusInfo{{attrib: 1, status: StatusInvalidAttribValueLength, value: []byte{}}}},
		{name: "twice", in: head + "02 00 01 00 06 00 01 00 01 00 06 00 01",
			want: []statusInfo{{attrib: 1, status: StatusDuplicateAttribute, value: []byte{0, 1}}}},
		{name: "unknown", in: head + "02 00 01 00 06 00 01 00 63 00 05 01",
			want: []statusInfo{{attrib: 0x63, status: StatusUnrecognizedAttribute}}},
		{name: "of another message", in: head + "02 00 01 00 06 00 01 00 04 00 05 01",
			want: []statusInfo{{attrib: 4, status: StatusUnrecognizedAttribute}}},
		{name: "STATUS_INFO with an error", in: head + "02 00 01 00 06 00 01 00 02 00 0C 00 00 00 00 00 00 00 04",
			want: []statusInfo{{attrib: 2, status: StatusStatusInfoNotSupportedInMsg, value: []byte{0, 0, 0, 0, 0, 0, 0, 4}}}},
		{name: "three at once", in: head + "02 00 63 00 04 00 64 00 04", want: []statusInfo{
			{attrib: 0x63, status: StatusUnrecognizedAttribute},
			{attrib: 0x64, status: StatusUnrecognizedAttribute},
			{attrib: 1, status: StatusRequiredAttributeMissing},
		}},
		{name: "fewer than it says", in: head + "02 00 01 00 06 00 01", err: errAttributes},
		{name: "attribute of 3", in: head + "01 00 01 00 03 00 01", err: errAttributes},
		{name: "attribute of 0", in: head + "01 00 01 00 00 00 01", err: errAttributes},
		{name: "attribute past the end", in: head + "01 00 01 00 07 00 01", err: errAttributes},
	} {
		got, err := parseConnectRequest(parseControl(unhex(t, tt.in)))
		if !reflect.DeepEqual(got, tt.want) || err != tt.err {
			t.Errorf("%s: %v, %v; want %v, %v", tt.name, got, err, tt.want, tt.err)
		}
	}
}

// A request can have a thousand faults, a Nak must not.
func TestNakIsBounded(t *testing.T) {
	b := beginControl(nil, msgConnectRequest, 1000)
	for range 1000 {
		b = appendAttrHeader(b, 0x70, attrHeaderLen)
	}
	faults, err := parseConnectRequest(parseControl(endControl(b, 0)))
	if err != nil || len(faults) != maxStatusInfos {
		t.Fatalf("%d faults, %v", len(faults), err)
	}
	long := []statusInfo{{attrib: 1, status: 3, value: make([]byte, 4000)}}
	if n := len(appendConnectNak(nil, long)); n != controlLen+statusInfoLen+maxStatusValue {
		t.Errorf("Nak of %d bytes", n)
	}
}

func TestParseAck(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		hashes   uint8
		fault    statusInfo
	}{
		{name: "golden", in: goldenAck + goldenNonce, hashes: hashSHA256},
		{name: "both hashes, reserved bits", in: "10 FF F0 30 00 02 00 01 77 04 F0 28 01 02 03 03" + goldenNonce, hashes: 3},
		{name: "unknown attribute in front", in: "10 01 00 35 00 02 00 02 00 63 00 05 00 00 04 00 28 00 00 00 01" + goldenNonce, hashes: 1},
		{name: "trailing bytes", in: goldenAck + goldenNonce + "00 00", hashes: 2},
		{name: "none", in: "10 01 00 08 00 02 00 00", fault: statusInfo{attrib: 2, status: StatusAttribNotSupportedInMsg}},
		{name: "short", in: "10 01 00 0C 00 02 00 01 00 04 00 04", fault: statusInfo{attrib: 4, status: StatusInvalidAttribValueLength}},
		{name: "cut", in: goldenAck, fault: statusInfo{attrib: 2, status: StatusInvalidFrameReceived}},
	} {
		hashes, nonce, fault := parseConnectAck(parseControl(unhex(t, tt.in)))
		if hashes != tt.hashes || !reflect.DeepEqual(fault, tt.fault) {
			t.Errorf("%s: hashes %d, fault %v", tt.name, hashes, fault)
		}
		if tt.fault.status == 0 && !bytes.Equal(nonce[:], unhex(t, goldenNonce)) {
			t.Errorf("%s: nonce %x", tt.name, nonce)
		}
	}
}

// What peers send as an end of the call is never refused.
func TestParseEndTolerates(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		want     statusInfo
	}{
		{"as we send it", "10 01 00 14 00 05 00 01 00 02 00 0C 00 00 00 03 00 00 00 04", statusInfo{attrib: 3, status: 4}},
		{"SoftEther: none", "10 01 00 08 00 05 00 00", statusInfo{}},
		{"sorz: short", "10 01 00 10 00 05 00 01 00 02 00 08 00 00 00 08", statusInfo{status: 8}},
		{"sorz: attribute 0", "10 01 00 10 00 06 00 01 00 00 00 08 00 00 00 00", statusInfo{}},
		{"accel-ppp: two bytes too many", "10 01 00 16 00 03 00 01 00 02 00 0C 00 00 00 01 00 00 00 04 00 02", statusInfo{attrib: 1, status: 4}},
		{"unknown attribute in front", "10 01 00 19 00 05 00 02 00 63 00 05 00 00 02 00 0C 00 00 00 02 00 00 00 07", statusInfo{attrib: 2, status: 7}},
		{"cut", "10 01 00 14 00 05 00 01 00 02 00 0C 00 00", statusInfo{}},
		{"count too large", "10 01 00 08 00 05 FF FF", statusInfo{}},
	} {
		if got := parseEnd(parseControl(unhex(t, tt.in))); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
	}
}

func FuzzPacket(f *testing.F) {
	nonce := [nonceLen]byte{7}
	f.Add(appendConnectRequest(nil))
	f.Add(appendConnectAck(nil, 3, &nonce))
	f.Add(appendConnectNak(nil, []statusInfo{{attrib: 1, status: 4, value: []byte{0, 2}}}))
	c := makeConnected(hashSHA1, &nonce, make([]byte, 20))
	f.Add(c[:])
	f.Add(appendEnd(nil, msgAbort, statusInfo{attrib: 2, status: 7}))
	f.Add(appendPlain(appendPlain(nil, msgEchoRequest), msgDisconnectAck))
	f.Add(framing{}.AppendFrame(nil, []byte{0xff, 3, 0xc0, 0x21}, []byte{9, 1, 0, 4}))
	f.Fuzz(func(t *testing.T, b []byte) {
		for len(b) > 0 {
			p, n, err := framing{}.NextFrame(b)
			if err != nil || n == 0 {
				return
			}
			if n < headerLen || n > maxPacket || len(p) != n || cap(p) != n {
				t.Fatalf("packet of %d, %d bytes done with", len(p), n)
			}
			if isControl(p) {
				parseAll(t, p)
			} else if got := (framing{}).AppendFrame(nil, nil, p[headerLen:]); !bytes.Equal(got[headerLen:], p[headerLen:]) {
				t.Fatalf("%x, sent again %x", p, got)
			}
			b = b[n:]
		}
	})
}

// parseAll reads a control packet as every message: a peer may say what it likes.
func parseAll(t *testing.T, p []byte) {
	c := parseControl(p)
	faults, err := parseConnectRequest(c)
	if err == nil && len(faults) == 0 && len(c.body) < protocolIDLen {
		t.Fatalf("accepted request %x", p)
	}
	if n := len(appendConnectNak(nil, faults)); n > maxPacket {
		t.Fatalf("Nak of %d bytes", n)
	}
	hashes, nonce, fault := parseConnectAck(c)
	if fault.status == 0 {
		again := parseControl(appendConnectAck(nil, hashes, &nonce))
		if h, n, f := parseConnectAck(again); h != hashes || n != nonce || f.status != 0 {
			t.Fatalf("Ack %x, sent again as %+v", p, again)
		}
	}
	s := parseEnd(c)
	if got := parseEnd(parseControl(appendEnd(nil, msgAbort, s))); !reflect.DeepEqual(got, s) {
		t.Fatalf("%+v, sent again %+v", s, got)
	}
	parseConnectNak(c)
	if m, ok := parseConnected(p); ok && !bytes.Equal(m[:], p) {
		t.Fatalf("Call Connected %x, kept %x", p, m)
	}
}
