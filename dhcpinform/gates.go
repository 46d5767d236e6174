package dhcpinform

// The security predicates of this package. Each names the test that fails without it.

// isAnswer reports whether m, which came in d, answers what a client asked by a: whoever reaches the client's address
// could tell it name servers and routes, so all that a stranger cannot know has to be right. A zero ciaddr may stand in
// an answer, against RFC 2131 Table 3, since some servers clear it. There is no refusal of an inform (section 4.3.5).
// Without it fails TestClientTakesOnlyAnswersToWhatItAsked.
func isAnswer(d datagram, m message, a *ask) bool {
	c := m.ciaddr()
	return d.srcPort == serverPort && (d.dst == a.addr || d.dst == broadcast) &&
		m.op() == reply && m.kind() == typeACK && m.xid() == a.xid && m.hardware() == a.hw && (c == a.addr || c.IsUnspecified())
}
