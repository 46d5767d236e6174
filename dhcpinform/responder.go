package dhcpinform

import (
	"bytes"
	"encoding/binary"
	"log/slog"
	"net/netip"
	"time"

	"github.com/dialway/dialway/tunnel"
)

// A Responder answers informs itself: no DHCP server is needed. Put it in Router.Local at 255.255.255.255/32, and at the
// server's own address with Next, for those who ask there. It must not be copied.
//
// It answers to the link that asked, gives what was asked and has been configured, in the order of the request, and never
// refuses: an inform from an address that is not its sender's is dropped (RFC 2131 section 4.3.5).
type Responder struct {
	// Server is the server identifier and the source of answers; zero means this end's address on the link.
	Server netip.Addr

	// Options says what to tell a client. via is its link, as routed. It is called on the link's goroutine and must not
	// block; what it returns is not changed. nil answers nothing.
	Options func(client netip.Addr, via tunnel.PacketWriter) *Options

	Next   tunnel.PacketWriter // takes what is not for a DHCP server, such as Router.Uplink; nil drops it
	Logger *slog.Logger        // nil is silent

	peers  peers
	counts counters
}

var _ tunnel.Receiver = (*Responder)(nil)

// Receive answers what from sent.
func (r *Responder) Receive(from tunnel.PacketWriter, bufs [][]byte, offset int) (n int, err error) {
	return sift(bufs, offset, func(b []byte) bool {
		d, ok := forServer(b)
		if ok {
			r.receive(from, d)
		}
		return ok
	}, func(bufs [][]byte, offset int) (int, error) { return toNext(r.Next, bufs, offset) })
}

// Write is Receive from nobody, who gets no answer.
func (r *Responder) Write(bufs [][]byte, offset int) (n int, err error) {
	return r.Receive(nil, bufs, offset)
}

// Stats returns the counts so far.
func (r *Responder) Stats() Stats { return r.counts.load() }

func (r *Responder) receive(from tunnel.PacketWriter, d datagram) {
	m, ok := parseMessage(d.payload)
	prefixes, known := prefixesOf(from)
	if !ok || from == nil || !mayInform(d, m, prefixes, known) {
		r.counts.refused.Add(1)
		return
	}
	if !r.peers.allow(from, time.Now()) {
		r.counts.limited.Add(1)
		return
	}
	server := r.Server
	for _, a := range addrsOf(from) {
		if a.Is4() && !server.IsValid() {
			server = a
		}
	}
	var o *Options
	if r.Options != nil && server.Is4() {
		o = r.Options(d.src, from)
	}
	if o == nil {
		r.counts.dropped.Add(1)
		return
	}
	r.counts.asked.Add(1)
	b, missing := respond(m, o, server, sizeFor(m, from))
	if r.Logger != nil {
		r.Logger.Debug("inform answered", "client", d.src, "bytes", len(b), "no room for", missing)
	}
	if n, err := from.Write([][]byte{b}, headroom); err == nil && n == 1 {
		r.counts.answered.Add(1)
	}
}

// sizeFor returns how large an answer to m, without its headers, may be: what the client says that it takes (RFC 2132
// section 9.10), what every client does, and no more than the link.
func sizeFor(m message, via tunnel.PacketWriter) int {
	size := minPacket
	if d, ok := m.option(optMaxSize); ok && len(d) == 2 {
		size = max(size, int(binary.BigEndian.Uint16(d)))
	}
	mtu := 1500
	if l, ok := via.(interface{ MTU() int }); ok {
		mtu = l.MTU()
	}
	return min(size, mtu) - headers
}

// respond makes the answer to m, a packet behind headroom, and says which options had no room.
func respond(m message, o *Options, server netip.Addr, size int) (b []byte, missing []byte) {
	id := server.As4()
	out := []Option{{optType, []byte{typeACK}}, {optServer, id[:]}}
	for _, code := range wanted(m, o) {
		if d := o.data(code); d != nil {
			out = append(out, Option{code, d})
		}
	}
	const start = headroom + headers
	b = make([]byte, start, start+max(size, minMessage))
	// RFC 2131 Table 3; the answer goes straight to ciaddr, also when the flag for broadcasts is set: section 4.3.5.
	flags := binary.BigEndian.Uint16(m[atFlags:])
	b = appendHeader(b, reply, m.hardware(), m.xid(), 0, flags, m.ciaddr())
	b, missing = appendFields(b, start, out, size)
	return sealPacket(b, headroom, netip.AddrPortFrom(server, serverPort), netip.AddrPortFrom(m.ciaddr(), clientPort)), missing
}

// wanted returns which options to give: those asked for, in that order (RFC 2132 section 9.8), or all if the client does not
// say. Windows gets its routes under both numbers: its versions differ in which they look at.
func wanted(m message, o *Options) (codes []byte) {
	request, asked := m.option(optRequest)
	if !asked {
		request = []byte{optDNS, optDomain, optNTP, optVendor, optWINS, optNodeType, optScope, optSearch, optRoutes, optWPAD}
		for _, x := range o.Raw {
			request = append(request, x.Code)
		}
	}
	var seen [256]bool
	add := func(code byte) {
		if !seen[code] && mayGive(code) {
			seen[code] = true
			codes = append(codes, code)
		}
	}
	class, _ := m.option(optClass)
	windows := bytes.HasPrefix(class, []byte("MSFT")) // [MS-DHCPE] section 2.2.3
	for _, code := range request {
		add(code)
		if windows && (code == optRoutes || code == optWindowsRoutes) {
			add(optRoutes)
			add(optWindowsRoutes)
		}
	}
	return codes
}

// appendFields appends the options to a message that begins at start and may have size bytes. What does not fit the
// options field goes into file and sname (option 52); what fits nowhere is left out whole, since half of a list of
// routes or servers would be wrong.
func appendFields(b []byte, start int, list []Option, size int) (out, missing []byte) {
	need := 1 // END
	for _, o := range list {
		need += len(appendOption(nil, o.Code, o.Data))
	}
	room := [...]int{size - atOptions - 1, atCookie - atFile - 1, atFile - atSName - 1}
	if overloaded := need > size-atOptions; !overloaded {
		room[1], room[2] = 0, 0
	} else {
		room[0] -= 3
	}
	var fields [3][]byte
next:
	for _, o := range list {
		enc := appendOption(nil, o.Code, o.Data)
		for i := range fields {
			if len(fields[i])+len(enc) <= room[i] {
				fields[i] = append(fields[i], enc...)
				continue next
			}
		}
		missing = append(missing, o.Code)
	}
	overload := byte(0)
	for i, at := range []int{1: atFile, 2: atSName} {
		if i > 0 && len(fields[i]) > 0 {
			copy(b[start+at:], append(fields[i], optEnd))
			overload |= byte(i)
		}
	}
	b = append(b, fields[0]...)
	if overload != 0 {
		b = appendOption(b, optOverload, []byte{overload})
	}
	return finish(b, start), missing
}
