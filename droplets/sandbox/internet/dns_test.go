package internet

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/miekg/dns"
)

func TestNames(t *testing.T) {
	w := newWorld(t, Options{})
	w.names("blog.example", "www.blog.example")
	w.account["gone.example"] = nil
	w.account["two.example"] = []netip.Addr{netip.MustParseAddr("198.18.0.11"), netip.MustParseAddr("::ffff:198.18.0.12"), netip.MustParseAddr("fd00::1")}
	tests := []struct {
		name  string
		kind  uint16
		rcode int
		addrs []string
	}{
		{"blog.example.", dns.TypeA, dns.RcodeSuccess, []string{"198.18.0.10"}},
		{"WWW.Blog.Example.", dns.TypeA, dns.RcodeSuccess, []string{"198.18.0.10"}},
		{"two.example.", dns.TypeA, dns.RcodeSuccess, []string{"198.18.0.11", "198.18.0.12"}},
		{"blog.example.", dns.TypeAAAA, dns.RcodeSuccess, nil},
		{"blog.example.", dns.TypeMX, dns.RcodeSuccess, nil},
		{"gone.example.", dns.TypeA, dns.RcodeNameError, nil},
		{"gone.example.", dns.TypeAAAA, dns.RcodeNameError, nil},
		{"ghcr.io.", dns.TypeA, dns.RcodeSuccess, []string{"198.18.0.2"}},
		{"ghcr.io.", dns.TypeHTTPS, dns.RcodeSuccess, nil},
		{"10.0.18.198.in-addr.arpa.", dns.TypePTR, dns.RcodeNameError, nil},
		{"db.", dns.TypeA, dns.RcodeNameError, nil},
		// cloud-init's way to find out whether DNS tells lies.
		{"does-not-exist.example.com.", dns.TypeA, dns.RcodeNameError, nil},
		{"example.invalid.", dns.TypeA, dns.RcodeNameError, nil},
		{"__cloud_init_expected_not_found__.", dns.TypeA, dns.RcodeNameError, nil},
	}
	for _, network := range []string{"udp", "tcp"} {
		client := &dns.Client{Net: network, Timeout: 5 * time.Second}
		for _, test := range tests {
			question := new(dns.Msg).SetQuestion(test.name, test.kind).SetEdns0(1232, false)
			answer, _, err := client.Exchange(question, w.at(network, address(resolverIP, 53)))
			if err != nil {
				t.Fatalf("%s %s: %v", network, test.name, err)
			}
			var addrs []string
			for _, rr := range answer.Answer {
				addrs = append(addrs, rr.(*dns.A).A.String())
			}
			if answer.Rcode != test.rcode || !slices.Equal(addrs, test.addrs) {
				t.Errorf("%s %s %s: %s %v", network, test.name, dns.TypeToString[test.kind], dns.RcodeToString[answer.Rcode], addrs)
			}
			if !answer.RecursionAvailable || answer.IsEdns0() == nil {
				t.Errorf("%s %s: no resolver's answer: %v", network, test.name, answer)
			}
		}
	}
}

func TestOddQuestions(t *testing.T) {
	w := newWorld(t, Options{})
	many := make([]netip.Addr, 100)
	for i := range many {
		many[i] = netip.AddrFrom4([4]byte{198, 18, 1, byte(i)})
	}
	w.account["many.example"] = many
	ask := func(q *dns.Msg) *dns.Msg {
		t.Helper()
		answer, _, err := new(dns.Client).Exchange(q, w.at("udp", address(resolverIP, 53)))
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
	if a := ask(new(dns.Msg).SetQuestion("many.example.", dns.TypeA)); !a.Truncated || len(a.Answer) < 10 {
		t.Errorf("%d addresses, truncated: %v", len(a.Answer), a.Truncated)
	}
	version := new(dns.Msg).SetQuestion("version.bind.", dns.TypeTXT)
	version.Question[0].Qclass = dns.ClassCHAOS
	if a := ask(version); a.Rcode != dns.RcodeRefused {
		t.Errorf("version: %s", dns.RcodeToString[a.Rcode])
	}
	update := new(dns.Msg).SetUpdate("example.")
	if a := ask(update); a.Rcode != dns.RcodeNotImplemented {
		t.Errorf("update: %s", dns.RcodeToString[a.Rcode])
	}
}
