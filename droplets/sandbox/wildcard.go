package sandbox

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A wildcard is proved by DNS-01. A script that a stub knows by its name alone
// has the machine ask for a certificate of the names behind it: for each it
// prints what has to be in a TXT record, and goes on with the line "ok".

// wildcardCommand is what that script calls itself.
const wildcardCommand = "cattle-wildcard"

const wildcardPrefix = "*."

func wild(names []string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return strings.HasPrefix(n, wildcardPrefix) })
}

// answers tells whether a machine with these names serves a host.
func answers(names []string, host string) bool {
	host = strings.ToLower(host)
	_, below, _ := strings.Cut(host, ".")
	return slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, host) || strings.EqualFold(n, wildcardPrefix+below) })
}

// TXT is the account's DNS: the texts of a name.
func (c *Cloud) TXT(name string) (texts []string) {
	c.lock()
	defer c.unlock()
	return c.texts(name)
}

func (c *Cloud) texts(name string) (texts []string) {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	zone := c.zone(name)
	if zone == nil {
		return nil
	}
	for _, r := range zone.Records {
		if r.Type == "TXT" && strings.EqualFold(r.full(zone), name) {
			texts = append(texts, r.Data)
		}
	}
	return texts
}

// A proof is what the authority looks for before it issues.
type proof struct{ record, value string }

// wildcard is `bash -c SCRIPT cattle-wildcard NAME…`.
func (s *session) wildcard(ctx context.Context) int {
	names := s.words[slices.Index(s.words, wildcardCommand)+1:]
	var proofs []proof
	in := bufio.NewScanner(s.stdin)
	for i, name := range names {
		p := proof{strings.TrimPrefix(name, wildcardPrefix), newChallenge()}
		if _, err := fmt.Fprintf(s.stdout, "%d %s %s\n", len(names)-i-1, p.record, p.value); err != nil || !in.Scan() || in.Text() != "ok" {
			return 1
		}
		p.record = "_acme-challenge." + p.record
		proofs = append(proofs, p)
	}
	var latency time.Duration
	s.with(func(d *droplet, _ time.Time) { latency = d.Latency.Issue })
	if sleep(ctx, latency) != nil {
		return 1
	}
	fault := "the machine is gone"
	s.with(func(d *droplet, now time.Time) { fault = s.cloud.proved(d, names, proofs, now) })
	if fault != "" {
		return s.fail(1, "certify: %s", fault)
	}
	return 0
}

func newChallenge() string {
	sum := sha256.Sum256([]byte(rand.Text()))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// proved has the authority look for the records, and issue; the fault is its refusal.
func (c *Cloud) proved(d *droplet, names []string, proofs []proof, now time.Time) string {
	for _, p := range proofs {
		switch texts := c.texts(p.record); {
		case len(texts) == 0:
			return fmt.Sprintf("DNS problem: NXDOMAIN looking up TXT for %s - check that a DNS record exists for this domain", p.record)
		case !slices.Contains(texts, p.value):
			return fmt.Sprintf("Incorrect TXT record %q found at %s", texts[0], p.record)
		}
	}
	names = slices.Sorted(slices.Values(names))
	if fault := c.spent(names, now); fault != "" {
		return fault
	}
	defer c.touch()
	if err := c.sign(d, names, now); err != nil {
		return err.Error()
	}
	return ""
}
