package release

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"cattle/droplets"
)

// Let's Encrypt issues five certificates for one exact set of names in seven
// days (https://letsencrypt.org/docs/rate-limits/). It exempts renewals that
// were asked for by ARI, which a droplet cannot tell from others: all count here.
const (
	CertificatesPerSet = 5
	issuedWithin       = 7 * 24 * time.Hour
)

// Issued is how many certificates of a week there are for one exact set of
// names. What somebody else was issued for the same names is not known.
type Issued struct {
	Names []string
	Count int
	Next  time.Time // when the next may be asked for; zero: now
}

// IssuedFor counts those of a set of names, in any order.
func IssuedFor(names []string, all []droplets.Issuance, now time.Time) Issued {
	out := Issued{Names: names}
	var recent []time.Time
	for _, i := range all {
		at := time.Unix(i.At, 0).UTC()
		if sameNames(i.Names, names) && now.Sub(at) < issuedWithin {
			recent = append(recent, at)
		}
	}
	slices.SortFunc(recent, time.Time.Compare)
	if out.Count = len(recent); out.Count >= CertificatesPerSet {
		out.Next = recent[out.Count-CertificatesPerSet].Add(issuedWithin)
	}
	return out
}

func sameNames(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

func (i Issued) String() string {
	return fmt.Sprintf("%d of %d issued in 7 days for this set of names", i.Count, CertificatesPerSet)
}

// asks tells whether a release with this candidate asks for a certificate:
// where none is carried, and where the one that is lacks a name of the site's
// or has one that the site has no longer.
func (c *Candidate) asks(site Site) bool {
	return len(site.Domains) > 0 && (c.NoHandoff || c.Live.Certificate == nil || !sameNames(c.Live.Certificate.Names, site.Domains))
}

// certificateFault refuses a release that would ask for a certificate which
// Let's Encrypt would refuse: HTTPS could be down for days.
func (w *World) certificateFault(verb string, site Site, c *Candidate) []Fault {
	if !site.Limited || c.SpendCertificate || c.Live == nil || !c.asks(site) {
		return nil
	}
	issued := IssuedFor(site.Domains, c.Live.Issued, w.Now)
	if issued.Count < CertificatesPerSet {
		return nil
	}
	again := "cattle " + verb + " --spend-certificate"
	if verb != "rebuild" {
		again += " " + c.Release
	}
	return []Fault{{Code: "certificate-limit",
		Msg: fmt.Sprintf("Let's Encrypt has issued %d certificates in 7 days for %s, which is its limit, and this %s would ask for another one",
			issued.Count, strings.Join(site.Domains, ", "), verb),
		Hint: fmt.Sprintf("wait until %s; to ask all the same: %s", issued.Next.Format(time.RFC3339), again)}}
}
