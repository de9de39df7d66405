package sandbox

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Issued is one certificate that the sandbox's CA has issued.
type Issued struct {
	Names   []string  `json:"names"` // sorted
	At      time.Time `json:"at"`
	Droplet int       `json:"droplet"`
}

// Let's Encrypt's limit for one exact set of names, and what the droplet's
// timer does after a refusal.
const (
	perSet      = 5
	perSetSpan  = 7 * 24 * time.Hour
	retryTimer  = time.Hour
	renewBefore = lifetime / 3
)

// Issued lists every certificate that was ever issued, oldest first.
func (c *Cloud) Issued() []Issued {
	c.lock()
	defer c.unlock()
	return slices.Clone(c.state.Issued)
}

// settleCertificates brings the certificates that are due, and lets live
// machines ask for the one that they have not got.
func (c *Cloud) settleCertificates(now time.Time) {
	if c.real() {
		return
	}
	for _, d := range c.state.Droplets {
		if c.wantsCertificate(d, now) {
			c.ask(d, now)
		}
		if at := d.Disk.IssueAt; !at.IsZero() && !at.After(now) {
			c.issue(d, at)
		}
	}
}

// wantsCertificate is the timer on the droplet: live, no certificate for all
// names, and the names resolve to the reserved IP.
func (c *Cloud) wantsCertificate(d *droplet, now time.Time) bool {
	ip := c.reservedOf(d.ID)
	if ip == nil || d.Status != "active" || !d.Disk.IssueAt.IsZero() || now.Before(d.Disk.RetryAt) {
		return false
	}
	names := c.seed(d).manifest.Domains
	if wild(names) {
		return false
	}
	for _, name := range names {
		ips := c.resolve(name)
		if len(ips) == 0 || slices.ContainsFunc(ips, func(s string) bool { return s != ip.IP }) {
			return false
		}
	}
	return len(names) > 0 && !c.covered(d, now) && c.vitals(d, now).nginx
}

// exact says whether the certificate has the machine's names and no others.
func (c *Cloud) exact(d *droplet) bool {
	pair := c.certificate(d)
	return pair != nil && slices.Equal(slices.Sorted(slices.Values(pair.Leaf.DNSNames)), slices.Sorted(slices.Values(c.seed(d).manifest.Domains)))
}

// covered says whether the machine has a certificate for all its names that
// is good for some time yet.
func (c *Cloud) covered(d *droplet, now time.Time) bool {
	pair := c.certificate(d)
	if pair == nil || now.After(pair.Leaf.NotAfter.Add(-renewBefore)) {
		return false
	}
	for _, name := range c.seed(d).manifest.Domains {
		if pair.Leaf.VerifyHostname(name) != nil {
			return false
		}
	}
	return true
}

// ask orders a certificate; it comes after Latency.Issue.
func (c *Cloud) ask(d *droplet, now time.Time) {
	d.Disk.IssueAt, d.Disk.IssueFault = now.Add(d.Latency.Issue), ""
	c.touch()
	if d.Latency.Issue > 0 {
		c.wakeAt(d.Disk.IssueAt)
	}
}

// issue ends an order: with a certificate, or with the reason why there is none.
func (c *Cloud) issue(d *droplet, at time.Time) {
	d.Disk.IssueAt = time.Time{}
	names := slices.Sorted(slices.Values(c.seed(d).manifest.Domains))
	fault := c.refusal(d, names, at)
	if fault == "" {
		if err := c.sign(d, names, at); err != nil {
			fault = err.Error()
		}
	}
	if d.Disk.IssueFault = fault; fault != "" {
		d.Disk.RetryAt = at.Add(retryTimer)
	}
	c.touch()
}

// sign gives a machine a certificate.
func (c *Cloud) sign(d *droplet, names []string, at time.Time) error {
	cert, key, err := c.ca.sign(names, at)
	if err != nil {
		return err
	}
	tree, err := writeTree(pastCertificates(d.Disk.Certificates), cert, c.ca.pem, key, at)
	if err == nil {
		d.Disk.Certificates = tree
		c.state.Issued = append(c.state.Issued, Issued{names, at, d.ID})
	}
	return err
}

// Renew has a machine obtain its certificate once more, as somebody does who
// forces certbot to. The error is the CA's refusal.
func (c *Cloud) Renew(id int) error {
	now := c.lock()
	defer c.unlock()
	d := c.droplet(id)
	if d == nil {
		return fmt.Errorf("there is no droplet %d", id)
	}
	c.issue(d, now)
	if d.Disk.IssueFault != "" {
		return errors.New(d.Disk.IssueFault)
	}
	return nil
}

// refusal is why the CA says no: HTTP-01 has to reach this machine under
// every name, and the set of names must not have been issued too often.
func (c *Cloud) refusal(d *droplet, names []string, now time.Time) string {
	if len(names) == 0 {
		return "no names"
	}
	for _, name := range names {
		if strings.HasPrefix(name, wildcardPrefix) {
			return "Client with the currently selected authenticator does not support any combination of challenges that will satisfy the CA."
		}
		ips := c.resolve(name)
		if len(ips) == 0 {
			return fmt.Sprintf("DNS problem: NXDOMAIN looking up A for %s - check that a DNS record exists for this domain", name)
		}
		for _, s := range ips {
			ip, _ := netip.ParseAddr(s)
			if at, _ := c.at(ip); !c.answersFor(at, d, now) {
				return fmt.Sprintf("%s: Invalid response from http://%s/.well-known/acme-challenge/: 404", s, name)
			}
		}
	}
	return c.spent(names, now)
}

// spent is what the CA says of a set of names that was issued too often.
func (c *Cloud) spent(names []string, now time.Time) string {
	n := 0
	for _, i := range c.state.Issued {
		if slices.Equal(i.Names, names) && now.Sub(i.At) < perSetSpan {
			n++
		}
	}
	if n >= perSet {
		return fmt.Sprintf("too many certificates (%d) already issued for this exact set of identifiers in the last 168h0m0s: %s", n, strings.Join(names, ","))
	}
	return ""
}
