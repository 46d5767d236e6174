package peer

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strings"
	"sync"
)

// A Transcript is what went over a session behind the HTTP heads, data left out: a line a packet, ">" towards the server, "<"
// from it, then the packet in hexadecimal and what it is. What differs from run to run is zeros (see Masked).
type Transcript struct {
	Comment string // lines at the top, without "# "
	Lines   []Line
}

// A Line is a packet and its direction.
type Line struct {
	ToServer bool
	Packet   Packet
}

// Text is the transcript as a file has it.
func (t *Transcript) Text() string {
	var b strings.Builder
	for line := range strings.Lines(t.Comment) {
		b.WriteString("# " + strings.TrimRight(line, "\n") + "\n")
	}
	for _, l := range t.Lines {
		direction := "<"
		if l.ToServer {
			direction = ">"
		}
		name, _, _ := strings.Cut(l.Packet.String(), ":")
		fmt.Fprintf(&b, "%s %x %s\n", direction, []byte(l.Packet), name)
	}
	return b.String()
}

// ParseTranscript reads what Text has written.
func ParseTranscript(text string) (*Transcript, error) {
	t := new(Transcript)
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimRight(line, "\n")
		if comment, ok := strings.CutPrefix(line, "# "); ok {
			t.Comment += comment + "\n"
			continue
		}
		f := strings.Fields(line)
		if len(f) < 2 || f[0] != ">" && f[0] != "<" {
			return nil, fmt.Errorf("peer: line %d of a transcript: %q", n, line)
		}
		b, err := hex.DecodeString(f[1])
		if err != nil {
			return nil, fmt.Errorf("peer: line %d of a transcript: %v", n, err)
		}
		p, rest, ok, err := Cut(b)
		if !ok || len(rest) != 0 || err != nil {
			return nil, fmt.Errorf("peer: line %d of a transcript is no packet: %v", n, err)
		}
		t.Lines = append(t.Lines, Line{ToServer: f[0] == ">", Packet: p})
	}
	return t, nil
}

// A Recorder writes down what a Relay passes: its Pass is the Relay's. One session at a time.
type Recorder struct {
	mu sync.Mutex
	t  Transcript
}

// Pass passes a packet and writes it down as it is.
func (r *Recorder) Pass(toServer bool, p Packet) [][]byte {
	if p.IsControl() || p.Proto() >= 0x8000 {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.t.Lines = append(r.t.Lines, Line{toServer, p})
	}
	return [][]byte{p}
}

// Transcript returns what was written down, the far side's packets as they were and this library's masked; server says
// that this library was the server.
func (r *Recorder) Transcript(comment string, server bool) *Transcript {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := &Transcript{Comment: comment}
	for _, l := range r.t.Lines {
		if l.ToServer != server {
			l.Packet = Masked(l.Packet)
		}
		t.Lines = append(t.Lines, l)
	}
	return t
}

// Masked returns p with zeros for what differs from run to run: nonces, magic numbers, challenges and their answers,
// interface identifiers.
func Masked(p Packet) Packet {
	p = bytes.Clone(p)
	switch {
	case p.Type() == ConnectAck:
		clear(p.Attribute(AttrBindingReq)[4:])
	case p.Type() == Connected:
		clear(p[16:])
	case p.IsControl():
	case p.Proto() == LCP && p.Code() >= EchoReq && len(p.Body()) >= 4:
		clear(p.Body()[:4])
	case p.Proto() == LCP && p.Code() <= ConfRej:
		if v, ok := p.Option(5); ok {
			clear(v)
		}
	case p.Proto() == IPV6CP && p.Code() <= ConfRej:
		if v, ok := p.Option(1); ok {
			clear(v)
		}
	case p.Proto() == CHAP && (p.Code() == 1 || p.Code() == 2) && len(p.Body()) > 0:
		clear(p.Body()[1:min(len(p.Body()), 1+int(p.Body()[0]))])
	case p.Proto() == CHAP && p.Code() == 3 && bytes.HasPrefix(p.Body(), []byte("S=")) && len(p.Body()) >= 42:
		copy(p.Body()[2:42], bytes.Repeat([]byte{'0'}, 40))
	case p.Proto() == CHAP && p.Code() == 4: // Failure: C= is a challenge
		if i := bytes.Index(p.Body(), []byte("C=")); i >= 0 && len(p.Body()) >= i+34 {
			copy(p.Body()[i+2:i+34], bytes.Repeat([]byte{'0'}, 32))
		}
	}
	return p
}
