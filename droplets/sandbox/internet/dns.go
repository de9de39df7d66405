package internet

import (
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// namesTTL is how long an answer may be kept, in seconds: the account's
// records may change in the middle of a rehearsal.
const namesTTL = 5

// names is the DNS of the world. It answers everything at once, from what it
// knows: a resolver that waits costs a booting machine tens of seconds.
type names struct {
	lookup  func(name string) ([]netip.Addr, bool)
	texts   func(name string) []string
	outside netip.Addr
}

func newNames(lookup func(string) ([]netip.Addr, bool), texts func(string) []string, outside netip.Addr) *names {
	return &names{lookup, texts, outside}
}

// addresses are those of a host name; none if there is no such name.
func (n *names) addresses(name string) []netip.Addr {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	if addrs, known := n.lookup(name); known {
		return addrs
	}
	if nowhere(name) {
		return nil
	}
	return []netip.Addr{n.outside}
}

// nowhere says that a name is in nobody's DNS: names without a dot, and what
// RFC 6761 and its successors keep out of it. cloud-init asks for two such
// names, and distrusts a DNS that has an answer to them.
func nowhere(name string) bool {
	labels := strings.Split(name, ".")
	top := labels[len(labels)-1]
	return len(labels) < 2 || name == "does-not-exist.example.com" ||
		slices.Contains([]string{"arpa", "internal", "invalid", "local", "localhost", "onion"}, top)
}

// ServeDNS answers A and TXT records. Other types have no data, whatever the name.
func (n *names) ServeDNS(w dns.ResponseWriter, question *dns.Msg) {
	answer := new(dns.Msg).SetReply(question)
	answer.RecursionAvailable = true
	if opt := question.IsEdns0(); opt != nil {
		answer.SetEdns0(opt.UDPSize(), false)
	}
	switch {
	case question.Opcode != dns.OpcodeQuery:
		answer.Rcode = dns.RcodeNotImplemented
	case len(question.Question) != 1:
		answer.Rcode = dns.RcodeFormatError
	case question.Question[0].Qclass != dns.ClassINET:
		answer.Rcode = dns.RcodeRefused
	default:
		n.answer(answer, question.Question[0])
	}
	if w.LocalAddr().Network() == "udp" {
		answer.Truncate(packetSize(question))
	}
	w.WriteMsg(answer) // a client that is gone needs no answer
}

func (n *names) answer(answer *dns.Msg, q dns.Question) {
	addrs, texts := n.addresses(q.Name), n.texts(strings.ToLower(strings.TrimSuffix(q.Name, ".")))
	if len(addrs)+len(texts) == 0 {
		answer.Rcode = dns.RcodeNameError
		return
	}
	head := func(kind uint16) dns.RR_Header {
		return dns.RR_Header{Name: q.Name, Rrtype: kind, Class: dns.ClassINET, Ttl: namesTTL}
	}
	asked := func(kind uint16) bool { return q.Qtype == kind || q.Qtype == dns.TypeANY }
	for _, ip := range addrs {
		if ip = ip.Unmap(); ip.Is4() && asked(dns.TypeA) {
			answer.Answer = append(answer.Answer, &dns.A{Hdr: head(dns.TypeA), A: ip.AsSlice()})
		}
	}
	for _, text := range texts {
		if asked(dns.TypeTXT) {
			answer.Answer = append(answer.Answer, &dns.TXT{Hdr: head(dns.TypeTXT), Txt: []string{text[:min(len(text), maxText)]}})
		}
	}
}

// maxText is the longest string of a TXT record (RFC 1035, 3.3); a challenge has 43.
const maxText = 255

func packetSize(question *dns.Msg) int {
	if opt := question.IsEdns0(); opt != nil && opt.UDPSize() > dns.MinMsgSize {
		return int(opt.UDPSize())
	}
	return dns.MinMsgSize
}

// serve answers on TCP until the function that it returns is called.
func (n *names) serve(l net.Listener) (stop func() error, err error) {
	return n.start(&dns.Server{Listener: l})
}

// servePackets does so on UDP.
func (n *names) servePackets(p net.PacketConn) (stop func() error, err error) {
	return n.start(&dns.Server{PacketConn: p})
}

func (n *names) start(s *dns.Server) (stop func() error, err error) {
	started := make(chan struct{})
	s.Handler, s.NotifyStartedFunc = n, func() { close(started) }
	ended := make(chan error, 1)
	go func() { ended <- s.ActivateAndServe() }()
	select {
	case <-started: // before that it cannot be stopped
		return s.Shutdown, nil
	case err := <-ended:
		return nil, err
	}
}
